"""`genloop run` and the flow under it, on a tiny graph with real DVC and a real Prefect server."""

from __future__ import annotations

import json
import signal
import sqlite3
from pathlib import Path

import pytest

from tests.support.tiny_project import Tiny, until

NO_MODULE = "import sys; sys.modules['prefect'] = None; import genloop; genloop.main()"
METRICS = {"fid": 3.0, "fid_unbiased": 1.5, "fid_low": 1.0, "fid_high": 2.0, "fid_floor": 2.0}


def rows(server: Tiny, query: str) -> list[tuple]:
    with sqlite3.connect(Path(server.environment["PREFECT_HOME"]) / "prefect.db") as database:
        return database.execute(query).fetchall()


def test_the_chain_runs_and_a_second_run_has_nothing_to_do_and_starts_no_prefect(served: Tiny) -> None:
    served.graph(
        first="print('one of its words')",
        second=f"""
        import json
        METRICS = {METRICS}
        folder = Path("data/reports"); folder.mkdir(parents=True)
        (folder / "metrics.json").write_text(json.dumps(METRICS))
        from PIL import Image
        Image.new("L", (64, 64)).save(folder / "samples.png")
        """,
    )
    done = served.ran("run", "--set", "train.steps=700")
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert [line for line in lines if line.startswith("──")] == ["── first", "── second"]
    assert lines.count("one of its words") == 1
    assert "Traceback" not in done.stderr
    assert "in short" in done.stdout
    assert "fid_unbiased" in done.stdout
    assert "1.5, 95% interval 1 to 2" in done.stdout
    assert "3, an ideal model 2, as other libraries print it\n" in done.stdout
    assert "data/reports/samples.png" in done.stdout
    assert "generate --count 64 --out grid.png" in done.stdout
    text = (served.folder / "params.yaml").read_text()
    assert "steps: 700" in text
    assert "# steps between sample grids" in text  # comments are kept

    until(lambda: rows(served, "select 1 from log where message = 'one of its words'"), 90)
    assert {("metrics",), ("samples",)} <= set(rows(served, "select key from artifact"))

    again = served.start("-c", NO_MODULE, "run")
    out, err = again.communicate(timeout=120)
    assert again.returncode == 0, err
    assert out.startswith("nothing to do: every stage is fresh\n")
    assert "1.5, 95% interval 1 to 2" in out

    served.environment["PREFECT_API_URL"] = "http://127.0.0.1:9/api"
    forced = served.ran("run", "--force")
    assert forced.returncode == 1
    assert "to do: first, second" in forced.stderr
    assert "http://127.0.0.1:9/api does not answer" in forced.stderr


@pytest.mark.slow
def test_a_stage_that_may_fail_once_is_tried_again_and_says_its_message_once_each_time(served: Tiny) -> None:
    served.graph(
        ingest="""
        Path("tries").open("a").write("x")
        if Path("tries").read_text() == "x":
            raise GenloopError("the network is down")
        """,
        clean="raise GenloopError('the rows are odd')",
    )
    done = served.ran("run")
    assert done.returncode == 1
    assert (served.folder / "tries").read_text() == "xx"
    assert done.stderr.count("the network is down") == 1
    assert "── ingest, another try" in done.stderr
    assert done.stderr.count("the rows are odd") == 1  # clean is not tried again
    assert "genloop: clean: stopped with exit code 1" in done.stderr
    assert "Traceback" not in done.stderr


def test_unusable_input_is_not_tried_again_and_is_exit_code_2(served: Tiny) -> None:
    served.graph(ingest="Path('tries').open('a').write('x'); raise InputError('the folder is empty')", clean="pass")
    done = served.ran("run")
    assert done.returncode == 2
    assert (served.folder / "tries").read_text() == "x"
    assert done.stderr.count("the folder is empty") == 1
    assert "── clean" not in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "number",
    [pytest.param(signal.SIGINT, id="Ctrl-C", marks=pytest.mark.slow), pytest.param(signal.SIGTERM, id="TERM")],
)
def test_an_interrupted_run_says_so_in_one_line_and_leaves_nothing(served: Tiny, number: signal.Signals) -> None:
    served.graph(first="print('started', flush=True); time.sleep(600)")
    process = served.genloop("run")
    served.named("python first.py")
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    assert [line for line in err.splitlines() if line.startswith("genloop:")] == [
        "genloop: interrupted; the stages that had ended are kept, and the next run goes on from there"
    ]
    assert "Traceback" not in err
    served.nothing_left()


def test_a_second_run_is_refused_at_once_and_a_killed_one_leaves_nothing(served: Tiny) -> None:
    served.graph(first="time.sleep(600)")
    first = served.genloop("run")
    served.named("python first.py")
    second = served.ran("run", "--set", "train.steps=9")
    assert second.returncode == 1
    assert "another run is going on" in second.stderr
    assert "steps: 9\n" not in (served.folder / "params.yaml").read_text()
    first.kill()
    served.nothing_left()


@pytest.mark.slow
def test_a_stage_over_its_time_limit_is_stopped_and_leaves_nothing(served: Tiny) -> None:
    served.graph(train="print('started', flush=True); time.sleep(600)")
    code = """
from flows.tasks import run_stage
from prefect import flow
from pipelines.core.project import Project
from pipelines.settings.schema import FlowParams

@flow
def short():
    run_stage(Project.find(), "train", FlowParams.model_construct(retries=1, time_limit_minutes=4 / 60))

try:
    short()
except Exception as error:
    print(error)
"""
    process = served.start("-c", code)
    served.named("python train.py")
    served.nothing_left()
    out, err = process.communicate()
    assert "train: stopped at the limit" in out
    assert err.count("started") == 1  # what ran into the limit would do so again


@pytest.mark.slow
def test_with_no_server_configured_a_run_brings_its_own_and_takes_it_away(tiny: Tiny) -> None:
    del tiny.environment["PREFECT_API_URL"]
    tiny.graph(first="pass")
    done = tiny.ran("run")
    assert done.returncode == 0, done.stderr
    tiny.nothing_left()


def test_a_server_of_its_own_dies_with_a_killed_run(tiny: Tiny) -> None:
    del tiny.environment["PREFECT_API_URL"]
    tiny.graph(first="pass")
    process = tiny.genloop("run")
    tiny.named("-m uvicorn")
    process.kill()
    tiny.nothing_left()


def test_status_has_the_promised_shape_before_anything_ran(tiny: Tiny) -> None:
    tiny.graph(first="pass")
    done = tiny.ran("status", "--json")
    found = json.loads(done.stdout)
    assert {name: found[name] for name in ("champion", "challenger", "events", "stages")} == {
        "champion": None,
        "challenger": None,
        "events": {"new": 0, "folded": 0},
        "stages": {"first": "never"},
    }
    assert "never" in tiny.ran("status").stdout
