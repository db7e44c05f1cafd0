"""External trainings as a whole, by real little programs: good ones, and all that somebody's program may do."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
import textwrap
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from pipelines import train as stage
from pipelines.core import files, temporary_folder
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.external import training
from pipelines.models.external import ExternalGenerator
from pipelines.training.result import TrainedModel
from tests.conftest import REPOSITORY, project_in
from tests.external import folders
from tests.training import rows

PREVIEW = """
from PIL import Image
def preview(step, alike):
    size, label = job["image"]["size"], [0, 0, 0, 0, 1, 1, 1, 1]
    picture = Image.new("L", (4 * size, 2 * size))
    for place in range(8):
        random = __import__("random").Random(0 if alike else place)
        tile = Image.frombytes("L", (size, size), bytes(random.randrange(256) for _ in range(size * size)))
        picture.paste(tile, (place % 4 * size, place // 4 * size))
    picture.save(previews / f"{step}.png")
    report(step, preview=f"{step}.png", labels=label, loss=1.0)
"""


class NoRegistry:
    """A registry that holds the version in `folder`, or none."""

    name = "test"

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder

    def fetch(self, folder: Path, number: int | None) -> int | None:
        if self.folder is None:
            return None
        __import__("shutil").copytree(self.folder, folder)
        return 3


@pytest.fixture
def filled(project: Project) -> Project:
    rows.fill(project, splits=["holdout" if number % 5 == 4 else "train" for number in range(30)])
    return project


def train(project: Project, make_params: Any, folder: Path, changes: dict[str, Any] | None = None, registry: Any = None) -> Any:
    """Train and save, as the stage does."""
    params = folders.params_of(make_params, folder, changes)
    model: TrainedModel = training.train(project, params, registry or NoRegistry())
    with files.replacement(project.model) as target:
        samples = model.save(target)
    return model, samples


def job_of(project: Project) -> dict[str, Any]:
    (file,) = project.checkpoints.glob("*/job.json")
    job: dict[str, Any] = json.loads(file.read_text())
    return job


def test_it_is_told_what_it_needs_and_what_it_leaves_becomes_the_model(filled: Project, make_params, tmp_path: Path) -> None:
    folder = folders.write(tmp_path / "mine", PREVIEW + "preview(1, False)\n" + folders.GOOD)
    (folder / ".venv").mkdir()
    (folder / ".venv" / "large").write_text("x")
    model, samples = train(filled, make_params, folder)

    assert samples.images.shape == (24, 8, 8, 1)
    assert [line["step"] for line in model.history] == [1, 3, 6], "previews, and every train.preview_every steps"
    assert model.history[-1] == {"step": 6, "loss": pytest.approx(1 / 6), "images_per_second": 100.0}
    assert model.history[0]["apart"] > 0
    assert model.hardware == {"python": platform.python_version()}, "and no path: a rebuild elsewhere has the same report"
    assert (model.rows, model.resumed_from, model.parent, model.unit, model.weights) == (24, 0, None, "bytes", 100)
    assert [path.name for path in model.logs.glob("*.png")] == ["samples-00000001.png"]
    assert (model.logs / "trainer.log").read_text() == "beginning 24 rows\n"
    assert list(model.logs.glob("events.out.tfevents.*"))

    job = job_of(filled)
    expected = {
        "rows": 24, "classes": list(rows.CLASSES), "params": {"width": 4}, "seed": 0, "steps": 6, "batch_size": 8,
        "report_every": 3, "champion": None, "champion_params": None, "prompts": None, "image": {"size": 8, "channels": 1},
    }  # fmt: skip
    assert {name: job[name] for name in expected} == expected
    table = pq.read_table(job["data"])
    assert set(table["split"].to_pylist()) == {"train"}
    assert len(table) == 24

    about = json.loads((filled.model / "model.json").read_text())
    assert about["external"]["files"] == {"weights.bin": files.sha256(filled.model / "weights" / "weights.bin")}
    assert about["external"]["steps"] == 6
    assert sorted(path.name for path in (filled.model / "external").iterdir()) == ["manifest.yaml", "sampler.py", "train.py"]
    with closing(ExternalGenerator(filled.model)) as generator:
        np.testing.assert_array_equal(generator.draw(range(8), [0] * 8), samples.images[:8])


def test_it_goes_on_from_its_checkpoint_after_it_was_killed(filled: Project, make_params, tmp_path: Path) -> None:
    body = """
saved = checkpoints / "step"
first = int(saved.read_text()) if saved.exists() else 0
for step in range(first + 1, 7):
    report(step, loss=1.0)
    saved.write_text(str(step))
    if step == 4 and not first:
        os.kill(os.getpid(), signal.SIGKILL)
finish()
"""
    folder = folders.write(tmp_path / "mine", body)
    with pytest.raises(GenloopError, match="killed by SIGKILL"):
        train(filled, make_params, folder)
    assert folders.no_leftovers(filled)
    model, _ = train(filled, make_params, folder)
    assert model.resumed_from == 3, "the last one that was kept"
    assert [line["step"] for line in model.history] == [3, 6]


def test_one_whose_last_checkpoint_is_its_last_step_has_nothing_more_to_report(filled: Project, make_params, tmp_path) -> None:
    body = """
saved = checkpoints / "step"
for step in range(int(saved.read_text()) + 1 if saved.exists() else 1, 7):
    report(step, loss=1 / step)
    saved.write_text(str(step))
    if step == 6:
        os.kill(os.getpid(), signal.SIGKILL)
finish()
"""
    folder = folders.write(tmp_path / "mine", body)
    with pytest.raises(GenloopError, match="killed by SIGKILL"):
        train(filled, make_params, folder)
    model, _ = train(filled, make_params, folder)
    assert (model.resumed_from, model.history[-1]) == (6, {"step": 6, "loss": pytest.approx(1 / 6)})
    assert json.loads((filled.model / "model.json").read_text())["external"]["steps"] == 6


def test_only_the_newest_training_keeps_its_rows(filled: Project, make_params, tmp_path: Path) -> None:
    """An event may have erased some of them since, and they are exported again."""
    folder = folders.write(tmp_path / "mine", "sys.exit(1)")
    for seed in (1, 2):
        with pytest.raises(GenloopError, match="exit code 1"):
            train(filled, make_params, folder, {"train.seed": seed})
    newest = max(filled.checkpoints.iterdir(), key=lambda top: (top / "job.json").stat().st_mtime_ns)
    assert list(filled.checkpoints.glob("*/data")) == [newest / "data"]
    assert len(list(filled.checkpoints.glob("*/checkpoints"))) == 2


def test_its_numbers_replace_none_of_the_stage_s_report(filled: Project, make_params, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(stage.backend, "describe", dict)  # Keras would be loaded
    names = "rows", "weights", "batch_size", "parent_version", "folds", "log"
    body = f"report(6, loss=0.5, **dict.fromkeys({names}, 7.0))\nfinish()"
    params = folders.params_of(make_params, folders.write(tmp_path / "mine", body))
    stage.train(filled, params, NoRegistry())
    report = json.loads((filled.reports / "train.json").read_text())
    assert [report[name] for name in ("step", "loss", *names[:5])] == [6, 0.5, 24, 100, 8, None, []]
    assert report["log"].startswith("logs/train/")


def test_a_warm_start_gets_the_champions_weights(filled: Project, make_params, tmp_path: Path) -> None:
    body = """
old = (Path(job["champion"]) / "weights.bin").read_bytes() if job["champion"] else b""
report(6, loss=1.0)
assert (job["champion_params"] or {}) == ({"width": 4} if job["champion"] else {}), job
(result / "weights.bin").write_bytes(old + b"more")
"""
    folder = folders.write(tmp_path / "mine", body)
    train(filled, make_params, folder)
    champion = filled.model.rename(tmp_path / "champion")
    changes = {"train.init": "champion", "model.change": {"width": 8}}
    model, _ = train(filled, make_params, folder, changes, NoRegistry(champion))
    assert (filled.model / "weights/weights.bin").read_bytes() == b"moremore"
    assert model.parent == 3
    assert json.loads((filled.model / "model.json").read_text())["external"]["steps"] == 12

    (champion / "weights/weights.bin").write_bytes(b"other")
    with pytest.raises(InputError, match="its weights are not the files that were registered"):
        train(filled, make_params, folder, {"train.init": "champion"}, NoRegistry(champion))
    about = json.loads((champion / "model.json").read_text())
    (champion / "model.json").write_text(json.dumps({**about, "family": "gan"}))
    with pytest.raises(InputError, match=r"its family is gan, and params.yaml and the data ask for external"):
        train(filled, make_params, folder, {"train.init": "champion"}, NoRegistry(champion))


def test_only_a_sampler_is_a_model_without_any_training(filled: Project, make_params, tmp_path: Path, capsys) -> None:
    model, samples = train(filled, make_params, folders.write(tmp_path / "mine", train=None))
    assert model.history == [{"step": 0}]
    assert (model.rows, model.weights, model.checkpoints) == (0, 0, None)
    assert samples.images.shape == (24, 8, 8, 1)
    assert not filled.checkpoints.exists(), "no row is exported"
    assert "nothing is trained" in capsys.readouterr().out
    assert json.loads((filled.model / "model.json").read_text())["external"]["files"] == {}


def test_values_have_names_that_mlflow_takes(filled: Project, make_params, tmp_path: Path) -> None:
    from mlflow.utils.validation import _validate_metric_name

    names = ["loss", "d/loss", "a b", "a..b", "a//b", "a/", "a/../b", "../a", ".", "/a", "1", "", "é", "a" * 81, "a:b"]
    body = f"report(6, **dict.fromkeys({names}, 1.0))\nfinish()"
    model, _ = train(filled, make_params, folders.write(tmp_path / "mine", body))
    found = [name for name in model.history[-1] if name != "step"]
    assert found == ["loss", "d/loss", "a b", "a..b"]
    for name in found:
        _validate_metric_name(f"train/{name}")


def test_a_step_that_no_training_reaches_is_a_line_like_any_other(filled: Project, make_params, tmp_path: Path) -> None:
    body = """
for step in (10 ** 400, 10 ** 19, 2 ** 53, -1, 1.5, math.inf, math.nan, True, "1", None):
    report(step, loss=1.0)
report(2 ** 53 - 1, loss=1e300)
finish()
"""
    with pytest.raises(GenloopError, match=r"diverged at step 9,?007"):
        train(filled, make_params, folders.write(tmp_path / "mine", body))
    body = body.replace("1e300", "1.0, large=1e300")
    model, _ = train(filled, make_params, folders.write(tmp_path / "mine", body))
    assert [line["step"] for line in model.history] == [2**53 - 1]
    assert len((model.logs / "trainer.log").read_bytes().splitlines()) == 10


FAULTS = {
    "hangs": ("report(1, loss=1.0)\ntime.sleep(60)", {"limits": {"silence": 1}}, r"reported nothing for \d+ s.*limits.silence"),
    "is silent but talks": (
        "while True: print('still here', flush=True); time.sleep(0.1)",
        {"limits": {"silence": 1}},
        r"(?s)reported nothing.*its last lines:\n.*still here",
    ),
    "fills the disk": (
        "report(1)\nfor i in range(100): (checkpoints / str(i)).write_bytes(bytes(10**6)); time.sleep(0.05)\n",
        {"limits": {"disk_gb": 0.01}},
        r"has written 0.0\d GB into its folders, expected at most 0.01 GB",
    ),
    "fills the temporary folder": (
        "import tempfile\nreport(1)\nfile = tempfile.TemporaryFile()\n"
        "held = [tempfile.mkstemp() for i in range(20)]\n"
        "for number, name in held: os.write(number, bytes(10**6))\ntime.sleep(60)",
        {"limits": {"disk_gb": 0.01}},
        r"has written 0.0\d GB into its folders",
    ),
    "fills the memory": (
        "report(1)\nheld = b'x' * 400_000_000\ntime.sleep(60)",
        {"limits": {"memory_gb": 0.2}},
        r"takes 0.[2-5] GB of memory, expected at most 0.2 GB",
    ),
    "fails": (
        "report(1)\nraise ValueError('no such layer')",
        {},
        r"(?s)failed after .*exit code 1, expected exit code 0.*its last lines:\n.*train.py.*ValueError: no such layer",
    ),
    "exits with a code and no word": ("report(1)\nsys.exit(3)", {}, "exit code 3, .*it printed nothing of its own"),
    "exits with -1": ("report(1)\nsys.exit(-1)", {}, "it ended by itself with exit code 255, expected exit code 0"),
    "diverges": (
        "report(1, loss=1.0)\nreport(2, loss=math.nan)\ntime.sleep(60)",
        {},
        r"diverged at step 2: a loss is not finite",
    ),
    "grows without bounds": ("report(2, d_loss=1e9)", {}, r"diverged at step 2: a loss is beyond 1e\+07"),
    "has values that are none": ("report(2, norm=math.inf)", {}, r"diverged at step 2: a value is not finite \(norm inf\)"),
    "leaves nothing": ("report(6, loss=1.0)", {}, r"left nothing; expected its weights"),
    "leaves empty files": (
        "report(6)\n(result / 'a').touch()\n(result / '.b').write_text('b')",
        {},
        r"left only empty files \(a\)",
    ),
    "leaves a link": ("report(6)\nfinish()\n(result / 'l').symlink_to('/')", {}, r"cannot carry: .*l: a link to a folder"),
    "removes its result": ("report(6)\nresult.rmdir()", {}, r"has removed, renamed or replaced the folder .*/result; expected"),
    "replaces its result": ("report(6)\nresult.rmdir()\nresult.symlink_to('/')", {}, r"has removed, renamed or replaced"),
    "leaves what cannot be read": ("report(6)\n(result / 'l').symlink_to('/proc/self/mem')", {}, r"left what cannot be read: "),
    "says nothing": ("finish()", {}, r"has reported no step"),
    "collapses": (PREVIEW + "for step in range(1, 9): preview(step, True)\ntime.sleep(60)", {}, r"collapsed: at step 4 "),
    "collapses at the end": (PREVIEW + "preview(6, True)\nfinish()", {}, r"collapsed: at step 6 "),
    "is no program": (
        "",
        {"train": "no-such-program train.py"},
        r"manifest.yaml: train: there is no program 'no-such-program'",
    ),
    "is a file that cannot be run": (
        "",
        {"train": "sampler.py"},
        r"train: 'sampler.py' cannot be run: `chmod \+x sampler.py`, or",
    ),
    "has no interpreter": ("", {"python": ".venv/bin/python"}, r"mine/.venv/bin/python: no such Python"),
}


@pytest.mark.parametrize("command", ["train.sh", "./train.sh", "bin/../train.sh"])
def test_a_program_of_the_folder_needs_no_path(command: str, filled: Project, make_params, tmp_path: Path) -> None:
    folder = folders.write(tmp_path / "mine", train=command)
    (folder / "bin").mkdir()
    (folder / "bin/empty").touch()
    (folder / "train.sh").write_text('#!/bin/sh\nexec python train.py "$@"\n')
    (folder / "train.sh").chmod(0o755)
    model, _ = train(filled, make_params, folder)
    assert model.history[-1]["step"] == 6


def test_after_folders_were_replaced_it_begins_with_empty_ones(filled: Project, make_params, tmp_path: Path) -> None:
    body = """
for name in ("result", "previews", "checkpoints", "code"):
    place = result.with_name(name)
    __import__("shutil").rmtree(place)
    place.symlink_to(result.with_name("other"))
sys.exit(1)
"""
    folder = folders.write(tmp_path / "mine", "if 'again' not in os.environ:" + textwrap.indent(body, "  ") + folders.GOOD)
    with pytest.raises(GenloopError, match="exit code 1"):
        train(filled, make_params, folder)
    model, _ = train(filled.with_variables({"again": "1"}), make_params, folder)
    assert model.history[-1]["step"] == 6


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_has_words_and_leaves_nothing(fault: str, filled: Project, make_params, tmp_path: Path) -> None:
    body, manifest, words = FAULTS[fault]
    with pytest.raises(GenloopError, match=words):
        train(filled, make_params, folders.write(tmp_path / "mine", body, **manifest))
    assert folders.no_leftovers(filled)


SAMPLERS = {
    "another size": ("[:, :4]", r"draw: "),
    "another type": (".astype('float32') / 255", r"draw: "),
}


@pytest.mark.parametrize("fault", SAMPLERS)
def test_a_model_that_generates_something_else_is_not_saved(fault: str, filled: Project, make_params, tmp_path: Path) -> None:
    change, words = SAMPLERS[fault]
    wrong = folders.SAMPLER.replace("labels))])", f"labels))]){change}")
    with pytest.raises(GenloopError, match=words):
        train(filled, make_params, folders.write(tmp_path / "mine", sampler=wrong))
    assert folders.no_leftovers(filled)


def test_a_flood_of_words_is_cut_and_harms_nothing(filled: Project, make_params, tmp_path: Path) -> None:
    body = """
for step in range(1, 7):
    for part in range(17):
        sys.stdout.write(("x" * 99 + "\\n") * 10_000)
    report(step, loss=1.0)
sys.stdout.write("y" * 1_000_000)
sys.stderr.write("z" * 1_000_000)
finish()
"""
    model, _ = train(filled, make_params, folders.write(tmp_path / "mine", body))
    assert model.history[-1]["step"] == 6
    log = (model.logs / "trainer.log").read_bytes()
    assert 10 * 2**20 <= len(log) < 10 * 2**20 + 100
    assert b"cut here" in log[-100:]


FORK = """
if os.fork() == 0:
    os.setsid()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if os.fork() == 0:
        (checkpoints / "child").write_text(str(os.getpid()))
        time.sleep(600)
    os._exit(0)
while not (checkpoints / "child").exists():
    time.sleep(0.01)
report(6, loss=1.0)
"""


def ended(number: int, seconds: float = 10.0) -> bool:
    """Whether the process ends in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


def test_children_that_it_leaves_are_ended(filled: Project, make_params, tmp_path: Path) -> None:
    train(filled, make_params, folders.write(tmp_path / "mine", FORK + "finish()"))
    (child,) = filled.checkpoints.glob("*/checkpoints/child")
    assert ended(int(child.read_text()), 0.1)


OWN = """
(checkpoints / "temporary").write_text(os.environ["TMPDIR"])
(checkpoints / "own").write_text(str(os.getpid()))
time.sleep(600)
"""


def test_it_ends_with_this_process_even_by_sigkill(filled: Project, make_params, tmp_path: Path) -> None:
    folder = folders.write(tmp_path / "mine", FORK + OWN)
    program = f"""
from pathlib import Path
from pipelines.core.project import Project
from pipelines.external import training
from tests.conftest import REPOSITORY
from tests.external import folders
from pipelines.settings.load import check_params, parse_yaml, read_text, set_key
import os
def make(changes):
    document = parse_yaml(read_text(REPOSITORY / "params.yaml"), "")
    for key, value in changes.items():
        set_key(document, key, value)
    return check_params(document, "")
training.train(Project(Path({str(filled.root)!r}), dict(os.environ)), folders.params_of(make, Path({str(folder)!r})), None)
"""
    with subprocess.Popen([sys.executable, "-c", program], env={**os.environ, "PYTHONPATH": str(REPOSITORY)}) as process:
        deadline = time.monotonic() + 60
        while not (found := list(filled.checkpoints.glob("*/checkpoints/own"))) and time.monotonic() < deadline:
            assert process.poll() is None
            time.sleep(0.05)
        time.sleep(0.1)
        process.kill()
    for path in (found[0], found[0].with_name("child")):
        assert ended(int(path.read_text())), path.name
    temporary = Path(found[0].with_name("temporary").read_text())
    os.utime(temporary, (0, 0))  # as if a while had passed
    with temporary_folder.unused(temporary) as free:
        assert free, "`genloop gc` finds it"
        temporary.rmdir()


def test_its_processes_may_talk_by_sockets_however_deep_the_project_is(make_params, tmp_path: Path, monkeypatch) -> None:
    """The name of one has at most 107 characters. pytest's own folders are deep already, so the system's place is set."""
    body = """
from multiprocessing import Manager
with Manager() as manager:
    manager.list([1]).append(2)
(checkpoints / "temporary").write_text(os.environ["TMPDIR"])
report(6)
finish()
"""
    deep = project_in(tmp_path / "deep" / ("x" * 100))
    rows.fill(deep)
    monkeypatch.setattr(tempfile, "tempdir", "/tmp")
    train(deep, make_params, folders.write(tmp_path / "mine", "if __name__ == '__main__':" + textwrap.indent(body, "    ")))
    (file,) = deep.checkpoints.glob("*/checkpoints/temporary")
    assert not Path(file.read_text()).exists()


def test_secrets_of_genloop_are_not_among_its_variables(filled: Project, make_params, tmp_path: Path) -> None:
    secrets = {"GENLOOP_SECRET_KEY": "s", "MLFLOW_TRACKING_PASSWORD": "p", "PREFECT_API_KEY": "k"}
    project = filled.with_variables({**secrets, "MINE": "m"})
    body = "(checkpoints / 'seen').write_text(json.dumps(dict(os.environ)))\nreport(6)\nfinish()"
    train(project, make_params, folders.write(tmp_path / "mine", body))
    (file,) = project.checkpoints.glob("*/checkpoints/seen")
    seen = json.loads(file.read_text())
    assert seen["MINE"] == "m"
    assert {name for name in seen if name.startswith(("GENLOOP", "MLFLOW", "PREFECT"))} == {"GENLOOP_JOB", "GENLOOP_TRAINER"}
