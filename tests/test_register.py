"""reference, evaluate and register, one after the other on a tiny model, with a real MLflow store in a temporary folder."""

from __future__ import annotations

import io
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines import catalogue, evaluate, reference, register
from pipelines.core import backend, files, grids, reports, rows
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.metrics.base import Comparison
from pipelines.metrics.inputs import GeneratedFeatures
from pipelines.metrics.intervals import Estimate
from pipelines.registry import sampler
from pipelines.registry.client import Registry
from pipelines.registry.versions import GENERATION, WORKSPACE
from pipelines.scoring import approval, benchmark, generated, scores, views
from pipelines.scoring.approval import ApprovalModel
from tests.conftest import REPOSITORY, MakeParams, project_in
from tests.contracts import pictures, write_feedback, write_rows
from tests.metrics.trials import trial
from tests.support import external_model

CHANGES = {
    "model.family": "gan",
    "model.preset": "tiny",
    "image.size": 8,
    "reference.steps": 3,
    "evaluate.samples": 90,
    "validate.hard": {},
    "promotion.rules": [{"metric": "fid", "kind": "better"}],  # nothing that a first version could fail
}


def make_model(project: Project, seed: int = 0, classes: int = 3) -> None:
    backend.load()
    from pipelines.models import base

    preset = catalogue.get(catalogue.MODELS, "gan").presets["tiny"]
    spec = base.ImageSpec(8, 1, classes)
    family = base.build(catalogue.get(catalogue.MODELS, "gan"), spec, preset, seed)
    shutil.rmtree(project.model, ignore_errors=True)
    project.model.mkdir(parents=True)
    base.save(project.model, family, "gan", [str(label) for label in range(classes)])
    files.write(project.reports / "training.csv", "step,discriminator_loss,generator_loss\n1,0.5,0.7\n2,0.4,0.8\n")


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with clean rows, a benchmark and an untrained model, evaluated."""
    from pipelines.settings.load import check_params, parse_yaml, set_key

    project = project_in(tmp_path_factory.mktemp("workspace"))
    document = parse_yaml((REPOSITORY / "params.yaml").read_text(), "params.yaml")
    for key, value in CHANGES.items():
        set_key(document, key, value)
    params = check_params(document, "test")
    project.params_file.write_text(json.dumps(document))
    splits = ["holdout" if number % 4 == 0 else "train" for number in range(400)]
    labels = [number % 3 for number in range(400)]
    write_rows(project.clean, pictures(400, 8, 1), labels, ["0", "1", "2"], splits=splits)
    write_feedback(project.curated, generation=2)
    make_model(project)
    reference.run(project, params)
    evaluate.run(project, params)
    return project.root


@pytest.fixture
def made(workspace: Path, tmp_path: Path, elsewhere: Path) -> Project:
    shutil.copytree(workspace, tmp_path / "copy")
    return project_in(tmp_path / "copy")


@pytest.fixture
def params(make_params: MakeParams) -> Any:
    return make_params(CHANGES)


@pytest.fixture
def registry(made: Project, params: Any) -> Registry:
    """That of `made`: nothing is in it yet."""
    return Registry.open(made, params.registry)


WITH_INTERVALS = (
    *("fid", "fid_floor", "kid", "inception_score", "precision", "recall", "density", "coverage"),
    *("path_length", "class_accuracy", "told_apart", "fid_preferred", "recall_preferred", "coverage_preferred"),
)


def test_metrics_are_flat_finite_have_intervals_and_carry_their_benchmark(made: Project) -> None:
    metrics = reports.read(made.reports, "metrics")
    names = {f"{name}{end}" for name in WITH_INTERVALS for end in ("", "_low", "_high")}
    ideals = {f"{name}_ideal" for name in WITH_INTERVALS if name not in ("fid_floor", "path_length")}
    assert names | ideals | {"fid_unbiased", "benchmark_id", "samples", "not_enough"} == set(metrics)
    assert all(metrics[f"{name}_low"] <= metrics[f"{name}_high"] for name in WITH_INTERVALS)
    assert metrics["not_enough"].pop("approval").startswith("approval needs more votes or choices")
    assert metrics["not_enough"].pop("memorisation").startswith("memorisation needs images that are nearest to 50 different")
    assert metrics["not_enough"] == {
        "fid_infinity": "fid_infinity needs 195 generated rows or more, came 90",
        "class_fid": "class_fid needs more than 39 images of a class, drawn and real; no class has as many",
    }
    assert metrics["benchmark_id"] == reports.read(made.reports, "reference")["benchmark_id"]
    assert metrics["samples"] == 90
    for name in ("samples", "real"):
        with Image.open(made.reports / f"{name}.png") as picture:
            assert picture.width > 300
    lines = (made.reports / "classes.csv").read_text().splitlines()
    assert lines[0] == "class,class_accuracies,class_accuracies_low,class_accuracies_high,class_accuracies_ideal"
    assert len(lines) == 4


def test_what_was_drawn_is_kept_and_scores_the_same_again(made: Project, params: Any) -> None:
    kept = generated.read(made.reports / generated.NAME)
    again = scores.measure(
        generated.comparison(kept, benchmark.read_pinned(made.reference), made.approval), params.evaluate.metrics
    )
    assert again.flat() == reports.read(made.reports, "metrics")


def test_scores_of_two_models_are_compared_by_the_interval_of_their_difference(made: Project, params: Any) -> None:
    before = scores.read(made.reports / "estimates.npz")
    make_model(made, seed=1)
    evaluate.run(made, params)
    after = scores.read(made.reports / "estimates.npz")
    middle, (low, high) = scores.difference(after, before, "fid")
    assert low < middle < high
    assert after.values["fid"].value == reports.read(made.reports, "metrics")["fid"]
    with pytest.raises(InputError, match="no score 'fiid' on both sides; there are: class_accuracy"):
        scores.difference(after, before, "fiid")


@pytest.mark.slow
def test_scores_of_two_benchmarks_are_not_compared(made: Project, make_params: MakeParams) -> None:
    before = scores.read(made.reports / "estimates.npz")
    changed = make_params({**CHANGES, "reference.seed": 1})
    reference.run(made, changed)
    evaluate.run(made, changed)
    with pytest.raises(InputError, match=f"of benchmark {before.benchmark_id} cannot be compared"):
        scores.difference(scores.read(made.reports / "estimates.npz"), before, "fid")


def test_the_nearest_training_rows_of_copies_are_the_rows_themselves(made: Project) -> None:
    pinned, extractor = benchmark.read(made.reference)
    some = rows.load(made.clean, "train").images[:50]
    picture = evaluate.neighbour_grid(made, some, Comparison(GeneratedFeatures(extractor.extract(some), None), pinned))
    pixels = np.asarray(picture.convert("L"))[2:-2, 300:]
    upper, lower = pixels[: len(pixels) // 2 - 1], pixels[len(pixels) // 2 + 1 :]
    assert (upper == lower).all()


def test_the_most_and_the_least_telling_images_are_shown(made: Project) -> None:
    pinned, extractor = benchmark.read(made.reference)
    some = rows.load(made.clean, "train").images[:120]
    some[::2] = np.random.default_rng(0).integers(0, 256, some[::2].shape)
    pixel_rows = views.pixel_rows(len(some))
    candidate = GeneratedFeatures(extractor.extract(some), None, pixels=some[pixel_rows], pixel_rows=pixel_rows)
    comparison = Comparison(candidate, pinned)
    share = dict(zip(comparison.told_apart.generated.tolist(), comparison.told_apart.share.tolist(), strict=True))
    page = np.asarray(evaluate.told_apart_grid(some, comparison).convert("L"))
    order = sorted(share, key=lambda number: -share[number])
    cut = page.shape[1] - 12 * 66  # an image of 8 pixels a side is drawn 8 times as large, and 2 lie between two
    shown = [page[2 + row * 66 :: 8][:8, cut + column * 66 :: 8][:, :8] for row in (0, 1) for column in range(12)]
    expected = [*order[:12], *sorted(share, key=lambda number: share[number])[:12]]
    found = [int(np.argmin(np.abs(some[..., 0].astype(int) - image).sum(axis=(1, 2)))) for image in shown]
    assert [share[number] for number in found] == [share[number] for number in expected]
    assert all(number % 2 == 0 for number in found[:12])


def test_the_picture_says_where_nothing_was_measured(made: Project, make_params: MakeParams) -> None:
    before = (made.reports / "told_apart.png").read_bytes()
    evaluate.run(made, make_params({**CHANGES, "evaluate.metrics": ["fid"]}))
    after = (made.reports / "told_apart.png").read_bytes()
    assert after != before
    assert after == grids.png(grids.note("not measured"))
    assert "told_apart" not in reports.read(made.reports, "metrics")


def test_a_benchmark_of_other_data_is_refused(made: Project, params: Any) -> None:
    shutil.rmtree(made.clean)
    write_rows(made.clean, pictures(60, 8, 2), [0] * 60, ["0"], splits=["train", "holdout"] * 30)
    with pytest.raises(InputError, match="is of other rows than data/clean holds out now"):
        evaluate.run(made, params)


@pytest.mark.slow
@pytest.mark.parametrize("part", ["holdout.npz", "train.npz", "extractor.safetensors"])
def test_a_benchmark_put_together_from_two_is_refused(made: Project, make_params: MakeParams, part: str) -> None:
    whole = (made.reference / part).read_bytes()
    reference.run(made, make_params({**CHANGES, "reference.seed": 1}))
    (made.reference / part).write_bytes(whole)
    with pytest.raises(InputError, match="its files are not those of benchmark"):
        benchmark.read(made.reference)


@pytest.mark.slow
def test_the_benchmark_s_id_follows_what_moves_a_score_and_nothing_else(made: Project, make_params: MakeParams) -> None:
    before = reports.read(made.reports, "reference")["benchmark_id"]
    reference.run(made, make_params(CHANGES))
    assert reports.read(made.reports, "reference")["benchmark_id"] == before
    reference.run(made, make_params({**CHANGES, "train.steps": 9, "evaluate.samples": 10}))
    assert reports.read(made.reports, "reference")["benchmark_id"] == before
    ids = {before}
    for change in ({"reference.seed": 1}, {"clean.filter": "box"}, {"reference.extractor": "random"}):
        reference.run(made, make_params({**CHANGES, **change}))
        ids.add(reports.read(made.reports, "reference")["benchmark_id"])
    assert len(ids) == 4


def test_the_first_version_is_champion_the_next_challenger_and_the_same_none(
    made: Project, registry: Registry, params: Any
) -> None:
    register.run(made, params)
    assert (registry.receipt()["version"], registry.receipt()["alias"]) == (1, "champion")
    register.run(made, params)
    registry.receipt_file.unlink()
    register.run(made, params)
    assert (registry.receipt()["version"], registry.receipt()["alias"]) == (1, "champion")
    make_model(made, seed=1)
    evaluate.run(made, params)
    register.run(made, params)
    assert (registry.receipt()["version"], registry.receipt()["alias"]) == (2, "challenger")
    holders = registry.versions()
    assert holders["champion"]["version"] == 1  # type: ignore[index]
    assert holders["challenger"]["metrics"]["fid"] == pytest.approx(reports.read(made.reports, "metrics")["fid"])  # type: ignore[index]
    assert holders["challenger"]["benchmark_id"] == reports.read(made.reports, "metrics")["benchmark_id"]  # type: ignore[index]


def test_the_champion_s_own_files_can_be_fetched_from_the_registry(made: Project, registry: Registry, params: Any) -> None:
    assert registry.fetch(made.root / "none") is None
    register.run(made, params)
    assert registry.fetch(made.root / "fetched") == 1
    for name in ("model.json", "weights.safetensors"):
        assert (made.root / "fetched" / name).read_bytes() == (made.model / name).read_bytes()


def test_a_version_says_where_it_comes_from(made: Project, registry: Registry, params: Any) -> None:
    made.dvc_lock.write_text("stages:\n  clean:\n    outs:\n    - {path: data/clean, md5: abc.dir}\n")
    register.run(made, params)
    version = registry.client.get_model_version(registry.name, "1")
    assert version.tags["genloop.data.data/clean"] == "abc.dir"
    assert version.tags["genloop.benchmark_id"] == reports.read(made.reports, "metrics")["benchmark_id"]
    assert version.tags["genloop.git_commit"] == "none"  # the test's folder is no repository
    assert "keras" in json.loads(version.tags["genloop.machine.versions"])
    run = registry.client.get_run(version.run_id)
    assert run.data.params["train.steps"] == str(params.train.steps)
    artifacts = {file.path for file in registry.client.list_artifacts(version.run_id)}
    assert {"params.yaml", "metrics.json", "samples.png", "drawn.npz", "feedback.json", "packages.json"} <= artifacts


def test_a_run_shows_the_course_of_the_training(made: Project, registry: Registry, params: Any) -> None:
    from PIL import Image

    logs = made.root / "logs" / "train" / "here"
    logs.mkdir(parents=True)
    Image.new("L", (8, 8)).save(logs / "samples-00000002.png")
    files.write(made.reports / "train.json", json.dumps({"log": str(logs.relative_to(made.root))}))
    register.run(made, params)
    client = registry.client
    run = client.get_run(registry.version(registry.receipt()["version"]).run_id)
    course = client.get_metric_history(run.info.run_id, "train/generator_loss")
    assert [(point.step, point.value) for point in course] == [(1, 0.7), (2, 0.8)]
    images = client.list_artifacts(run.info.run_id, "images")
    assert {Path(image.path).suffix for image in images} >= {".png"}
    assert all(re.match(r"samples.step.2\D", Path(image.path).name) for image in images)


@pytest.mark.slow
def test_a_version_is_of_its_parent_s_generation_at_least(made: Project, registry: Registry, params: Any) -> None:
    """It went on from what its parent had learned, whatever share of drawn images it was given itself."""
    register.run(made, params)  # of generation 2
    write_feedback(made.curated, generation=1)
    for parent, generation in ((1, 2), (7, 1)):  # 7: of another registry
        make_model(made, seed=parent)
        evaluate.run(made, params)
        files.write(made.reports / "train.json", json.dumps({"parent_version": parent}))
        register.run(made, params)
        assert registry.version(registry.receipt()["version"]).tags[GENERATION] == str(generation)


def test_a_version_has_a_model_card(made: Project, registry: Registry, params: Any) -> None:
    register.run(made, params)
    version = registry.version(1)
    described = registry.client.get_model_version(registry.name, "1").description
    written = registry.artifact(version, "model-card.md", made.root)
    assert written is not None
    assert described.startswith("# genloop-digits\n")
    assert f"benchmark `{reports.read(made.reports, 'metrics')['benchmark_id']}`" in described
    assert "neighbours.png" in written.read_text()
    assert len(described) <= 5_000


def test_what_a_rebuild_needs_is_kept_with_the_version(made: Project, registry: Registry, params: Any) -> None:
    made.dvc_lock.write_text("stages: {}\n")
    files.write(made.reports / "train.json", json.dumps({"parent_version": 7}))
    register.run(made, params)
    version = registry.version(1)
    assert version.tags["genloop.parent"] == "7"
    assert (version.tags["genloop.events"], version.tags["genloop.raters"]) == ("0", "0")
    kept = registry.artifact(version, WORKSPACE, made.root / "kept")
    assert kept is not None
    assert sorted(path.name for path in kept.iterdir()) == ["dvc.lock", "params.yaml"]


@pytest.mark.slow
def test_a_first_version_beyond_a_limit_waits_as_challenger(
    made: Project, registry: Registry, make_params: MakeParams, capsys: pytest.CaptureFixture[str]
) -> None:
    params = make_params({**CHANGES, "promotion.rules": [{"metric": "fid", "kind": "at_most", "margin": 0.0}]})
    register.run(made, params)
    assert (registry.receipt()["version"], registry.receipt()["alias"]) == (1, "challenger")
    assert "no champion yet: fid at_most 0: its interval is" in capsys.readouterr().out
    make_model(made, seed=1)
    evaluate.run(made, params)
    register.run(made, make_params(CHANGES))
    assert (registry.receipt()["version"], registry.receipt()["alias"]) == (2, "challenger")
    assert registry.versions()["champion"] is None
    with pytest.raises(InputError, match=r"has no champion; its versions: 1, 2; `genloop promote`"):
        registry.load()


def test_a_first_version_whose_limit_was_not_measured_says_so(
    made: Project, registry: Registry, make_params: MakeParams, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = {
        name: score
        for name, score in json.loads((made.reports / "metrics.json").read_text()).items()
        if not name.startswith("memorisation")
    }
    files.write(made.reports / "metrics.json", json.dumps(scores))
    rule = {"metric": "memorisation", "kind": "at_most", "margin": 0.65}
    register.run(made, make_params({**CHANGES, "promotion.rules": [rule]}))
    said = "champion, because it is the first; that memorisation at_most 0.65 holds is not known: memorisation was not measured"
    assert f"register: {said}\n" in capsys.readouterr().out
    assert registry.receipt()["alias"] == "champion"


def test_a_receipt_that_the_registry_does_not_know_registers_again(made: Project, registry: Registry, params: Any) -> None:
    assert not registry.receipt_known()
    register.run(made, params)
    assert registry.receipt_known()
    changed = made.with_variables({"MLFLOW_TRACKING_URI": f"sqlite:///{made.root / 'another.db'}"})
    another = Registry.open(changed, params.registry)
    assert not another.receipt_known()
    register.run(changed, params)
    assert another.receipt_known()
    assert another.receipt() == {**(another.receipt() or {}), "version": 1, "alias": "champion"}


@pytest.mark.slow
def test_two_projects_of_one_process_register_in_their_own_registries(
    made: Project, registry: Registry, params: Any, tmp_path: Path, elsewhere: Path
) -> None:
    other = project_in(tmp_path / "other")
    shutil.copytree(made.root, other.root)
    make_model(other, seed=1)
    evaluate.run(other, params)
    others = Registry.open(other, params.registry)
    for project in (made, other, made):
        register.run(project, params)
    assert (registry.numbers(), others.numbers()) == ([1], [1])
    assert registry.version(1).tags["genloop.key"] == register.identity(made) != others.version(1).tags["genloop.key"]
    seeds = np.arange(3)
    for project, own in ((made, registry), (other, others)):
        assert np.array_equal(own.load().draw(seeds, None), sampler.load(project.model).draw(seeds, None))
        assert list((project.root / "mlruns").iterdir())
    assert list(elsewhere.iterdir()) == []


def test_the_version_draws_anywhere_with_its_own_code_and_without_genloop(
    made: Project, registry: Registry, params: Any, tmp_path: Path
) -> None:
    register.run(made, params)
    expected = sampler.load(made.model).draw(np.arange(5, 9), np.full(4, 2, np.int32))
    program = (
        "import sys, numpy as np, mlflow\n"
        "model = mlflow.pyfunc.load_model('models:/genloop-digits@champion')\n"
        "np.save(sys.argv[1], model.predict({'count': 4, 'seed': 5, 'label': 2}))\n"
        "assert model.predict({'count': 70, 'seed': 0}).shape == (70, 8, 8, 1)\n"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'pipelines']\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "drawn.npy")], cwd=tmp_path, capture_output=True, text=True,
        check=False, env={"MLFLOW_TRACKING_URI": registry.uri, "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    drawn = np.load(tmp_path / "drawn.npy")
    assert drawn.dtype == np.uint8
    assert np.array_equal(drawn, expected)


def test_a_version_holds_no_pickle(made: Project, params: Any) -> None:
    register.run(made, params)
    files = [path for path in (made.root / "mlruns").rglob("*") if path.is_file()]
    assert {"weights.safetensors", "pyfunc.py", "MLmodel"} <= {path.name for path in files}
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".keras", ".h5", ".joblib", ".pt")]
    assert not [path for path in files if path.read_bytes()[:1] == b"\x80"]  # how a pickle begins


def test_whoever_can_read_one_file_of_a_version_can_read_all(made: Project, params: Any) -> None:
    """A server is often another user."""
    register.run(made, params)
    files = [path for path in (made.root / "mlruns/models").rglob("*") if path.is_file()]
    assert {path.stat().st_mode & 0o444 for path in files} == {(made.root / "params.yaml").stat().st_mode & 0o444}


def test_the_receipt_is_true_in_a_copy(made: Project, registry: Registry, params: Any) -> None:
    register.run(made, params)
    receipt = registry.receipt()
    assert receipt is not None
    assert (receipt["registry"], receipt["version"]) == ("sqlite:///mlflow.db", 1)


def test_a_model_that_draws_something_else_moves_no_alias(
    made: Project, registry: Registry, params: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Liar:
        def draw(self, seeds: np.ndarray, labels: object) -> np.ndarray:
            return np.zeros((len(seeds), 8, 8, 1), np.uint8)

        def close(self) -> None:
            pass

    monkeypatch.setattr(Registry, "load_model", lambda registry, uri: Liar())
    with pytest.raises(GenloopError, match="generates other images"):
        register.run(made, params)
    assert registry.versions() == {"champion": None, "challenger": None}
    assert not registry.receipt_file.exists()
    assert not registry.client.search_model_versions()


def test_the_champion_is_loaded_by_alias_and_others_by_number(made: Project, registry: Registry, params: Any) -> None:
    with pytest.raises(InputError, match="no registered model 'genloop-digits'"):
        registry.load()
    register.run(made, params)
    assert registry.load().version == 1
    assert registry.load(1).classes == ["0", "1", "2"]
    with pytest.raises(InputError, match="has no version 7; its versions: 1"):
        registry.load(7)


def test_weights_that_were_tampered_with_are_refused(made: Project, params: Any) -> None:
    weights = made.model / "weights.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="no usable model"):
        evaluate.run(made, params)


def test_a_benchmark_that_is_not_whole_is_refused(made: Project) -> None:
    (made.reference / "holdout.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(InputError, match="no usable benchmark"):
        benchmark.read(made.reference)


def test_a_score_that_is_not_finite_is_an_error(made: Project, params: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = np.zeros(0)
    broken = Estimate(float("nan"), 0.0, nothing, nothing, np.zeros((3, 0)))
    monkeypatch.setattr(catalogue, "get", lambda table, name: lambda found: {"fid": broken})
    with pytest.raises(GenloopError, match="fid is nan"):
        scores.measure(trial(np.zeros((2, 2)), np.zeros((2, 2))), ["fid"])


@pytest.mark.slow
def test_several_first_users_of_a_store_do_not_trip_over_each_other(project: Project) -> None:
    program = (
        "import sys; from pathlib import Path; from pipelines.core.project import Project\n"
        "from pipelines.registry.client import Registry\n"
        "Registry(Project(Path(sys.argv[1]), {}), 'm', 'e').client.search_experiments()"
    )
    env = {"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin", "HOME": str(project.root)}
    command = [sys.executable, "-c", program, str(project.root)]
    users = [subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    for user in users:
        _, errors = user.communicate(timeout=120)
        assert user.returncode == 0, errors


def test_unlabelled_rows_are_scored_without_classes(project: Project, make_params: MakeParams) -> None:
    params = make_params({**CHANGES, "evaluate.samples": 70})
    write_rows(project.clean, pictures(160, 8, 1), [None] * 160, splits=["train", "holdout"] * 80)
    make_model(project, classes=0)
    reference.run(project, params)
    evaluate.run(project, params)
    # 80 rows are held out, too few for two parts of more than 64.
    expected = {name for name in WITH_INTERVALS if name not in ("inception_score", "class_accuracy", "fid_floor")}
    assert expected == {name for name in reports.read(project.reports, "metrics") if name in WITH_INTERVALS}
    assert (project.reports / "classes.csv").read_text().splitlines() == ["class"]
    with Image.open(io.BytesIO((project.reports / "samples.png").read_bytes())) as picture:
        assert picture.height > 50


def test_what_people_like_is_scored_where_it_is_known(made: Project, params: Any) -> None:
    pinned, _ = benchmark.read(made.reference)
    shown = np.zeros((len(pinned.labels), 8, 8, 1), np.uint8)
    width = views.compute(pinned.holdout, shown, pinned.labels, pinned.of_classes).shape[1]
    approval.write(made.approval, {}, ApprovalModel(np.zeros(width), 1.0, pinned.id))
    evaluate.run(made, params)
    metrics = reports.read(made.reports, "metrics")
    assert [metrics[f"approval{end}"] for end in ("", "_low", "_high")] == pytest.approx([1 / (1 + np.exp(-1))] * 3)
    assert "approval" not in metrics["not_enough"]
    approval.write(made.approval, {}, ApprovalModel(np.zeros(width), 1.0, "another"))
    with pytest.raises(InputError, match=f"benchmark another, but the benchmark is {pinned.id}; run `approval` again"):
        evaluate.run(made, params)


def test_somebody_else_s_sampler_is_evaluated_and_registered_as_any_model(
    made: Project, registry: Registry, params: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """One without a walk, for which the same seed may be another image."""
    shutil.rmtree(made.model)
    external_model.write(made.model, classes=["0", "1", "2"], deterministic=False, card={"base": "noise"})
    evaluate.run(made, params)
    metrics = reports.read(made.reports, "metrics")
    assert "path_length" not in metrics
    assert metrics["not_enough"]["path_length"] == (
        "path_length is not to be had: this model's sampler has no `walk` from one image to another"
    )
    register.run(made, params)
    sentence = "the same seed may give another picture each time"
    assert f"register: its manifest says `deterministic: false`: {sentence}" in capsys.readouterr().out
    version = registry.version(1)
    assert version.tags["genloop.deterministic"] == "false"
    written = registry.artifact(version, "model-card.md", made.root / "kept")
    assert written is not None
    assert f"**Not deterministic**: {sentence}" in written.read_text()
    seeds, labels = np.arange(5), np.arange(5) % 3
    assert np.array_equal(registry.load().draw(seeds, labels), external_model.expected(seeds, labels))
    register.run(made, params)
    assert "already registered; this model is version 1" in capsys.readouterr().out
