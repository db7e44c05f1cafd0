"""What can be known is said before the first stage runs, and costs next to nothing."""

from __future__ import annotations

import hashlib
import http.server
import json
import shutil
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from operations import preflight
from operations.preflight import Finding, RunPlan
from pipelines.core import files
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.registry import answers
from pipelines.registry.client import Registry
from pipelines.registry.versions import CHAMPION
from pipelines.sources.digits import Digits
from tests.conftest import MakeParams
from tests.support.kept_project import git

EVERYTHING = preflight.ALL
MakePlan = Callable[..., RunPlan]


@pytest.fixture
def make_plan(kept: Project, make_params: MakeParams) -> MakePlan:
    """A plan of a run in a project under git."""

    def make(changes: dict[str, Any] | None = None, stages: Collection[str] = EVERYTHING, project: Project = kept) -> RunPlan:
        params = make_params(changes)
        return RunPlan(project, params, Registry.open(project, params.registry), stages)

    return make


def find(plan: RunPlan, check: str) -> Finding:
    (finding,) = [finding for finding in preflight.examine(plan) if finding.check == check]
    return finding


def glyphs(count: int, **changes: Any) -> dict[str, Any]:
    return {"sources": [{"type": "glyphs", "count": count, "size": 16}], **changes}


@pytest.fixture(autouse=True)
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every source knows its number of images, whatever their own files say meanwhile."""
    from pipelines.sources.glyphs import Glyphs

    monkeypatch.setattr(Glyphs, "size_hint", lambda self: self.count)
    monkeypatch.setattr(Digits, "size_hint", lambda self: 1797)


def write_report(project: Project, name: str, **content: Any) -> None:
    project.reports.mkdir(parents=True, exist_ok=True)
    (project.reports / f"{name}.json").write_text(json.dumps(content))


def test_the_settings_as_they_come_have_no_fault(make_plan: MakePlan) -> None:
    findings = preflight.examine(make_plan())
    assert [(finding.check, finding.state) for finding in findings] == [(check.__name__, "ok") for check in preflight.CHECKS], (
        findings
    )


@pytest.mark.parametrize(
    ("count", "size", "state", "words"),
    [
        (
            120,
            128,
            "fail",
            "has 120 images, fewer than train.batch_size: 128; add images, or set train.batch_size to 96",
        ),
        (
            150,
            128,
            "warn",
            "has 150 images, about 120 of them to train on, fewer than train.batch_size: 128; add",
        ),
        (160, 128, "ok", "a batch of 128 is less than all rows"),
        (1000, 100_000, "fail", "has 1,000 images, fewer than train.batch_size: 100000; add images, or set"),
    ],
)
def test_a_batch_larger_than_the_data_is_said_by_the_sources(
    make_plan: MakePlan, count: int, size: int, state: str, words: str
) -> None:
    found = find(make_plan(glyphs(count, **{"train.batch_size": size})), "batch")
    assert (found.state, words in found.words) == (state, True), found


def test_a_batch_larger_than_the_data_is_said_by_the_rows_that_clean_has_made(make_plan: MakePlan) -> None:
    plan = make_plan(glyphs(10_000), stages={"reference", "train", "evaluate", "register"})
    write_report(plan.project, "clean", rows_out=150, train=100, holdout=50)
    with pytest.raises(InputError) as caught:
        preflight.require(plan)
    assert str(caught.value) == (
        "data/clean has 100 rows to train on, fewer than train.batch_size: 128; add images, or set train.batch_size to 100 or "
        "less"
    )
    write_report(plan.project, "clean", rows_out=178, train=128, holdout=50)
    preflight.require(make_plan(glyphs(10_000), stages={"reference", "train", "evaluate", "register"}))


def test_rows_from_feedback_may_fill_a_batch(make_plan: MakePlan) -> None:
    plan = make_plan(glyphs(120))
    plan.project.feedback.mkdir()
    (plan.project.feedback / "part.parquet").touch()
    assert find(plan, "batch").state == "warn"


def test_images_of_which_stages_are_fresh_are_not_counted_anew(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Digits, "size_hint", lambda self: pytest.fail("counted"))
    plan = make_plan(stages={"clean", "train"})
    write_report(plan.project, "ingest", rows_out=140)
    assert find(plan, "batch").words.startswith("data/raw has 140 images, about 112 of them to train on, fewer than")


def test_fewer_images_than_hard_expectations_ask_for_are_said(make_plan: MakePlan) -> None:
    found = find(make_plan(glyphs(99)), "rows")
    assert (found.state, found.words) == (
        "fail",
        "glyphs has 99 images, fewer than validate.hard.rows: [100, None]; add images, or lower the first of the two numbers",
    )  # fmt: skip
    assert find(make_plan(glyphs(99, **{"validate.hard.rows": [None, 5]})), "rows").state == "ok"


@pytest.mark.parametrize(
    ("count", "samples", "lacking"),
    [
        (1000, 1500, None),
        (190, 1500, "fid, fid_infinity, kid, precision_recall, density_coverage"),  # 38 held out, and features have 39 numbers
        (1000, 190, "fid_infinity"),
        (
            1000,
            39,
            "fid, fid_preferred, told_apart, fid_infinity, kid, precision_recall, density_coverage, path_length, memorisation",
        ),
    ],
)
def test_metrics_that_lack_held_out_or_generated_images_are_named(
    make_plan: MakePlan, count: int, samples: int, lacking: str | None
) -> None:
    found = find(make_plan(glyphs(count, **{"evaluate.samples": samples})), "metrics")
    if lacking is None:
        assert found == Finding("metrics", "ok", "about 200 held-out images for 13 metrics")
    else:
        held_out = f"about {count // 5} are held out, and evaluate.samples is {samples:,}; add images, raise"
        assert (found.state, found.words.partition("images, raise")[0] + "images, raise") == (
            "warn", f"too few images for {lacking}: {held_out}",
        )  # fmt: skip


def test_a_source_that_is_not_there_stops_before_anything_runs(make_plan: MakePlan, tmp_path: Path) -> None:
    missing = [{"type": "npz", "path": "nowhere.npz"}, {"type": "folder", "path": str(tmp_path / "none")}]
    for entry in missing:
        plan = make_plan({"sources": [{"type": "digits"}, entry]})
        with pytest.raises(InputError, match=r"(nowhere\.npz|none): .*there is nothing there|(nowhere\.npz|none): "):
            preflight.require(plan)
    preflight.require(make_plan({"sources": missing}, stages={"train"}))  # it is not read then


def test_sources_without_images_are_named(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Digits, "size_hint", lambda self: 0)
    beside = find(make_plan({"sources": [{"type": "glyphs", "count": 9, "size": 16}, {"type": "digits"}]}), "sources")
    assert (beside.state, beside.words.partition(";")[0]) == ("warn", "no images in digits-1")  # the others make a run
    alone = find(make_plan({"sources": [{"type": "digits"}]}), "sources")
    assert (alone.state, alone.words.partition(";")[0]) == ("fail", "no images in digits-0")


def test_a_place_elsewhere_is_asked_for_and_not_listed(make_plan: MakePlan) -> None:
    import fsspec

    fsspec.filesystem("memory").pipe_file("/images/a.png", b"x")
    there = make_plan({"sources": [{"type": "folder", "path": "memory://images"}]})
    assert find(there, "sources") == Finding("sources", "ok", "folder-0")
    gone = make_plan({"sources": [{"type": "folder", "path": "memory://gone"}]})
    assert find(gone, "sources").words.startswith("memory://gone: there is nothing there")


@pytest.fixture
def versioned(registry: Registry, kept: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """`kept` with a registry whose versions are known by these settings."""
    shutil.copy(registry.project.root / "mlflow.db", kept.root)
    settings = {"model.family": "gan", "model.preset": "small", "image.size": "16", "image.channels": "1"}

    class Known:
        def __init__(self, number: int) -> None:
            self.number, self.settings = number, settings

    monkeypatch.setattr(
        Registry, "version", lambda self, number: Known(number) if number < 10 else self._no_version(number, [])
    )
    return kept


@pytest.mark.parametrize(
    ("changes", "state", "words"),
    [
        ({}, "ok", "trainings go on from version 2"),
        ({"image.size": 32}, "fail", "version 2: its image.size is 16, and params.yaml asks for 32; set train.init to scratch"),
        ({"model.family": "vae"}, "fail", "its model.family is gan, and params.yaml asks for vae"),
        (
            {"model.preset": "tiny", "image.channels": 3},
            "fail",
            "its model.preset is small, and params.yaml asks for tiny; its image.channels is 1, and params.yaml asks for 3",
        ),
        ({"train.init": 7, "image.size": 32}, "fail", "version 7: its image.size is 16"),
        ({"train.init": "scratch", "image.size": 32}, "ok", "trainings start from scratch"),
    ],
)
def test_a_champion_of_another_shape_is_no_start(
    versioned: Project, make_plan: MakePlan, changes: dict[str, Any], state: str, words: str
) -> None:
    plan = make_plan({"train.init": "champion", **changes}, project=versioned)
    plan.registry.set_alias(CHAMPION, 2)
    found = find(plan, "init")
    assert (found.state, words in found.words) == (state, True), found


def test_without_a_champion_the_start_from_scratch_is_said(make_plan: MakePlan) -> None:
    found = find(make_plan({"train.init": "champion"}), "init")
    assert (found.state, "has none yet: the training starts from scratch" in found.words) == ("warn", True)


def test_a_version_that_is_not_there_is_no_start(make_plan: MakePlan) -> None:
    assert find(make_plan({"train.init": 3}), "init").state == "fail"


def test_a_deleted_experiment_is_said_with_the_way_back(versioned: Project, make_plan: MakePlan) -> None:
    plan = make_plan(project=versioned)
    number = plan.registry.experiment()
    assert find(make_plan(project=versioned), "experiment").state == "ok"
    plan.registry.client.delete_experiment(number)
    found = find(make_plan(project=versioned), "experiment")
    assert found.state == "fail"
    assert found.words == (
        f"the experiment 'genloop' is deleted in MLflow: bring it back with `MLFLOW_TRACKING_URI={plan.registry.uri} mlflow "
        f"experiments restore --experiment-id {number}`, or set registry.experiment to another name"
    )
    assert find(make_plan({"registry.experiment": "another"}, project=versioned), "experiment").state == "ok"
    plan.registry.client.restore_experiment(number)
    assert find(make_plan(project=versioned), "experiment").state == "ok"


@pytest.fixture
def silent() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    stop = threading.Event()

    class Silent(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            stop.wait(30)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Silent)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    stop.set()
    server.shutdown()
    server.server_close()


def test_a_server_that_does_not_answer_is_said_soon(
    make_plan: MakePlan, kept: Project, silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answers, "ANSWER", 0.2)
    for url in (silent, "http://127.0.0.1:9", "http://no.such.host.example"):
        found = find(make_plan(project=kept.with_variables({"MLFLOW_TRACKING_URI": url})), "experiment")
        assert found.state == "warn"  # it may answer when the stage has come
        assert found.words.startswith(f"MLflow at {url} does not answer ("), found


@pytest.mark.parametrize("content", [None, b"other", b"weights"])
def test_the_file_of_weights_and_its_checksum_are_looked_at(make_plan: MakePlan, content: bytes | None) -> None:
    digest = hashlib.sha256(b"weights").hexdigest()
    named = {"reference.extractor": "inception", "reference.weights": "graph.pb", "reference.sha256": digest}
    plan = make_plan(named)
    if content is not None:
        (plan.project.root / "graph.pb").write_bytes(content)
    found = find(plan, "extractor")
    if content == b"weights":
        assert found.state == "ok"
    else:
        assert found.state == "fail"
        assert ("no such file" if content is None else f"expected {digest}") in found.words
    assert not [one for one in preflight.examine(make_plan(named, stages={"train"})) if one.check == "extractor"]


@pytest.mark.parametrize(
    ("weights", "pinned", "state", "words"),
    [
        ("./preset", True, "ok", "is there, with its checksum"),
        ("./preset", False, "fail", "these weights are not pinned; set reference.sha256"),
        ("./other", True, "fail", "no such folder"),
        ("dinov2_small", True, "ok", "fetched by the stage `reference`"),
        ("dinov2_small", False, "warn", "reference.sha256 is empty"),
    ],
)
def test_a_preset_and_its_checksum_are_looked_at(
    make_plan: MakePlan, weights: str, pinned: bool, state: str, words: str
) -> None:
    digest = hashlib.sha256(b"weights").hexdigest() if pinned else None
    plan = make_plan({"reference.extractor": "keras_hub", "reference.weights": weights, "reference.sha256": digest})
    folder = plan.project.root / "preset"
    folder.mkdir()
    (folder / "config.json").write_text('{"class_name": "DINOV2Backbone", "config": {}}')
    (folder / "model.weights.h5").write_bytes(b"weights")
    found = find(plan, "extractor")
    assert found.state == state, found
    assert words in found.words


def test_a_backend_that_is_not_installed_is_said(make_plan: MakePlan, kept: Project) -> None:
    found = find(make_plan(project=kept.with_variables({"KERAS_BACKEND": "theano"})), "backend")
    assert (found.state, found.words.partition(";")[0]) == ("fail", "KERAS_BACKEND=theano is not installed")


def test_pushing_without_a_remote_is_said_before_the_work(make_plan: MakePlan, kept: Project) -> None:
    pushing = {"versioning.push": True}
    assert find(make_plan(pushing), "commits").words.startswith(
        "versioning.push is true, but DVC has no remote: `dvc remote add --default NAME URL`"
    )
    with (kept.root / ".dvc/config").open("a") as file:
        file.write("['remote \"store\"']\n    url = /tmp/store\n")
    assert "DVC has no default remote: `dvc remote default store`" in find(make_plan(pushing), "commits").words
    assert find(make_plan(), "commits").state == "ok"


def test_a_merge_that_goes_on_keeps_runs_from_committing(make_plan: MakePlan, kept: Project) -> None:
    kept.dvc_lock.write_text("schema: '2.0'\nstages: {}\n")
    (kept.root / ".git/MERGE_HEAD").write_text(git(kept.root, "rev-parse", "HEAD"))
    found = find(make_plan(), "commits")
    assert (found.state, "a merge is going on" in found.words) == ("warn", True), found
    assert find(make_plan({"versioning.commit": False}), "commits").state == "ok"


def test_conflict_markers_are_said(make_plan: MakePlan, kept: Project) -> None:
    kept.dvc_lock.write_text("<<<<<<< HEAD\na: 1\n=======\na: 2\n>>>>>>> theirs\n")
    found = find(make_plan(), "markers")
    assert (found.state, "dvc.lock" in found.words, "conflict markers" in found.words) == ("fail", True, True)


def test_a_full_disk_is_said(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: SimpleNamespace(free=2**20))
    words = "1 MiB of disk free, too little for any stage; make room and run again"
    assert find(make_plan(), "space") == Finding("space", "fail", words)


def test_every_fault_has_its_line_and_warnings_are_logged(make_plan: MakePlan) -> None:
    logged: list[str] = []
    changes = glyphs(60, **{"train.init": "champion", "evaluate.samples": 20})
    with pytest.raises(InputError) as caught:
        preflight.require(make_plan(changes), logged.append)
    assert [line.partition(" has ")[2][:9] for line in str(caught.value).splitlines()] == ["60 images", "60 images"]
    assert [line[:26] for line in logged] == ["warning: too few images fo", "warning: train.init is cha"]


def test_a_check_that_breaks_stops_no_run(make_plan: MakePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(plan: RunPlan) -> preflight.Result:
        raise ZeroDivisionError("a bug")

    monkeypatch.setitem(preflight.CHECKS, broken, EVERYTHING)
    logged: list[str] = []
    preflight.require(make_plan(), logged.append)
    assert logged == ["warning: the check of broken came to no end: ZeroDivisionError: a bug"]


def test_a_run_stops_before_prefect_is_started(kept: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    from typer.testing import CliRunner

    import genloop
    from workspace import dvc

    monkeypatch.setattr(dvc, "status", lambda project: dict.fromkeys(sorted(EVERYTHING), "never"))
    before = kept.params_file.read_bytes()
    done = CliRunner().invoke(genloop.app, ["run", "--project", str(kept.root), "--set", "train.batch_size=5000"])
    assert done.exit_code == 2
    assert done.stderr.strip() == (
        "genloop: digits has 1,797 images, fewer than train.batch_size: 5000; add images, or set train.batch_size to 1438 or "
        "less\nparams.yaml is as it was before, without these settings"
    )
    assert kept.params_file.read_bytes() == before
    assert not kept.raw.exists()


@pytest.mark.parametrize("content", [b"this is no database at all, but text" * 100, b"SQLite format 3\0" + b"\0" * 10])
def test_a_damaged_database_is_said_before_a_run_not_at_its_end(make_plan: MakePlan, content: bytes) -> None:
    plan = make_plan()
    file = plan.project.data / "feedback.db"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    with pytest.raises(InputError, match="restore it from a backup"):
        preflight.require(plan)


def test_a_registry_that_lost_its_versions_is_said_before_it_numbers_anew(make_plan: MakePlan) -> None:
    plan = make_plan()
    files.write(plan.registry.receipt_file, '{"model": "genloop-digits", "version": 7, "key": "1f"}')
    finding = next(found for found in preflight.examine(plan) if found.check == "experiment")
    assert finding.state == "warn"
    assert "names version 7 of genloop-digits" in finding.words
