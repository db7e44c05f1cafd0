"""params.yaml: what is wrong in it is named, with what came and what is allowed, before anything heavy is imported."""

from __future__ import annotations

import gc
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines import catalogue
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.settings.load import load_params, update_params
from tests.conftest import REPOSITORY, MakeParams


@pytest.fixture
def settings_file(project: Project) -> Path:
    path = project.params_file
    path.write_text((REPOSITORY / "params.yaml").read_text())
    return path


def test_the_repository_s_settings_are_allowed(make_params: MakeParams) -> None:
    assert make_params().registry.model == "genloop-digits"


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("train.stepz", 5, ["train.stepz", "unknown key (came 5)", "did you mean `steps`?", "batch_size"]),
        ("trian", {}, ["trian: unknown key", "did you mean `train`?"]),
        ("train.steps", "many", ["train.steps", "valid integer", "(came 'many')"]),
        ("train.steps", True, ["train.steps", "(came True)"]),
        ("train.steps", 0, ["train.steps", "greater than 0", "(came 0)"]),
        ("clean.holdout", float("nan"), ["clean.holdout", "(came nan)"]),
        ("clean.holdout", 1.5, ["clean.holdout", "less than 1", "(came 1.5)"]),
        ("image.channels", 2, ["image.channels", "1 or 3", "(came 2)"]),
        ("image.background", "white", ["image.background", 'such as "#ffffff"', "(came 'white')"]),
        ("model.family", "gann", ["model.family", "did you mean 'gan'?", "gan-dense"]),
        ("model.preset", "smal", ["model.preset", "did you mean 'small'?", "presets of gan"]),
        ("model.change.learning_rat", 0.1, ["model.change", "did you mean 'learning_rate'?", "of the preset small of gan"]),
        ("model.change.width", 1.5, ["model.change.width", "whole number", "(came 1.5)"]),
        ("model.change.learning_rate", True, ["model.change.learning_rate", "as 0.002 is", "(came True)"]),
        ("model.change.learning_rate", float("inf"), ["model.change.learning_rate", "(came inf)"]),
        ("tune.trails", 3, ["tune.trails: unknown key", "did you mean `trials`?"]),
        ("tune.metric", "fidd", ["tune.metric", "did you mean 'fid'?"]),
        ("tune.metric", "memorisation", ["tune.metric", "neither", "coverage"]),
        ("tune.metric", "online_approval", ["tune.metric", "people's votes give it"]),
        ("tune.space", {"train.batchsize": [8]}, ["tune.space: 'train.batchsize'", "did you mean `train.batch_size`?"]),
        ("tune.space", {"train.steps": [8]}, ["tune.space: 'train.steps' is no setting that a trial can change"]),
        ("tune.space", {"train.batch_size": 8}, ["tune.space.train.batch_size: expected {low: …, high: …}"]),
        ("tune.space", {"train.batch_size": []}, ["tune.space.train.batch_size", "a list of choices"]),
        ("tune.space", {"train.batch_size": [8, 8]}, ["tune.space.train.batch_size: expected choices that differ"]),
        ("tune.space", {"train.batch_size": {"lo": 8, "high": 9}}, ["tune.space.train.batch_size.lo", "did you mean `low`?"]),
        ("tune.space", {"train.batch_size": {"low": 9, "high": 8}}, ["tune.space.train.batch_size: expected low < high"]),
        ("tune.space", {"train.augment.shift": {"low": 0.0, "high": 0.1, "log": True}}, ["shift: expected a low above 0"]),
        ("tune.space", {"train.augment.shift": {"low": 0.0, "high": 0.1, "step": 0.03}}, ["shift: expected a step"]),
        ("image.size", 30, ["image.size: 30 does not fit model.family 'gan'", "8 to 256", "multiple of 4"]),
        ("reference.extractor", "inception", ["reference:", "'inception'", "reference.weights", "reference.sha256"]),
        ("reference.weights", "graph.pb", ["reference.weights: the extractor 'domain' is read from no file"]),
        ("reference.sha256", "0" * 64, ["reference.sha256: the extractor 'domain' is read from no file"]),
        ("reference.sha256", "0" * 63, ["reference.sha256", "pattern"]),
        ("evaluate.metrics", ["fud"], ["evaluate.metrics.0", "did you mean 'fid'?"]),
        ("promotion.rules", [{"metric": "fud", "kind": "better"}], ["promotion.rules.0.metric", "did you mean 'fid'?"]),
        ("promotion.rules", [{"any": []}], ["promotion.rules.0.any", "at least 1 item"]),
        ("promotion.rules", [{"any": [{"metric": "fid", "kind": "bettr"}]}], ["promotion.rules.0.any.0.kind", "'bettr'"]),
        ("promotion.rules", [{"any": [{"metrik": "fid"}]}], ["promotion.rules.0.any.0.metrik", "did you mean `metric`?"]),
        ("promotion.rules", [{"any": [{"any": []}]}], ["promotion.rules.0.any: an `any` within an `any`"]),
        ("promotion.rules", [{"any": [], "kind": "better"}], ["promotion.rules.0.kind: unknown key", "known keys: any"]),
        ("promotion.rules", ["fid"], ["promotion.rules.0", "'fid'"]),
        (
            "promotion.rules",
            [{"metric": "fid", "kind": "better", "relative": 0.2}],
            ["promotion.rules.0: `relative` is for not_worse alone"],
        ),
        (
            "promotion.rules",
            [{"metric": "fid", "kind": "not_worse", "relative": 0.2, "margin": 0.1}],
            ["promotion.rules.0: expected margin or relative, came both"],
        ),
        (
            "promotion.rules",
            [{"metric": "online_approval", "kind": "not_worse", "relative": 0.2}],
            ["promotion.rules.0: a version has no online_approval of its own"],
        ),
        ("promotion.rules", [{"metric": "fid", "kind": "not_worse", "relative": 0.0}], ["promotion.rules.0.relative"]),
        ("sources", [], ["sources", "at least 1 item"]),
        ("sources", [{"type": "diggits"}], ["sources.0", "did you mean 'digits'?", "parquet"]),
        ("sources", [{"type": "npz", "pth": "a"}], ["sources.0.pth: unknown key", "did you mean `path`?"]),
        ("sources", [{"type": "npz"}], ["sources.0.path: this key is missing"]),
        ("sources", ["digits"], ["sources.0", "expected a mapping with the key `type`"]),
        ("clean.rules.0.rule", "exact", ["clean.rules.0", "exact_copy"]),
        ("clean.rules.1.distance", 99, ["clean.rules.1.distance", "(came 99)"]),
        ("validate.hard.rows", [9, 3], ["validate.hard.rows", "least <= most"]),
        ("validate.hard.row", [1, 2], ["validate.hard.row: unknown key", "did you mean `rows`?"]),
    ],
)
def test_a_fault_is_named(make_params: MakeParams, key: str, value: object, words: list[str]) -> None:
    with pytest.raises(InputError) as caught:
        make_params({key: value})
    for word in words:
        assert word in str(caught.value)


def test_an_extractor_from_a_file_needs_both_its_place_and_its_checksum(make_params: MakeParams) -> None:
    named = {"reference.extractor": "inception", "reference.weights": "graph.pb"}
    with pytest.raises(InputError, match=r"reference\.sha256"):
        make_params(named)
    assert make_params({**named, "reference.sha256": "0" * 64}).reference.weights == "graph.pb"


def test_an_extractor_from_a_preset_needs_its_place_and_may_find_out_its_checksum(make_params: MakeParams) -> None:
    with pytest.raises(InputError, match=r"'keras_hub' is read from a preset: set reference\.weights to its name"):
        make_params({"reference.extractor": "keras_hub"})
    named = {"reference.extractor": "keras_hub", "reference.weights": "dinov2_small"}
    assert make_params(named).reference.sha256 is None


def test_every_fault_has_its_line(make_params: MakeParams) -> None:
    with pytest.raises(InputError) as caught:
        make_params({"train.steps": -1, "evaluate.samples": 0, "nonsense": 1})
    assert len(str(caught.value).splitlines()) == 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: !!python/object:os.system {}", "not usable YAML"),
        ("train: {steps: 1, steps: 2}", "duplicate key"),
        ("train: [", "not usable YAML"),
        ("- 1", "expected a mapping"),
        ("", "expected a mapping"),
    ],
)
def test_a_file_that_is_no_settings_is_refused(settings_file: Path, text: str, words: str) -> None:
    settings_file.write_text(text)
    with pytest.raises(InputError, match=r"params\.yaml") as caught:
        load_params(settings_file)
    assert words in str(caught.value)


def test_a_missing_file_is_named(project: Project) -> None:
    with pytest.raises(InputError, match=r"params\.yaml: no such file"):
        load_params(project.params_file)


def test_settings_and_overlays_are_written_with_comments_kept(settings_file: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("sources:\n  - {type: npz, path: here.npz}\nimage: {size: 28}\n")
    loaded = update_params(settings_file, [overlay], ["sources.0.path=there.npz", "train.steps=7"])
    assert (loaded.image.size, loaded.image.channels, loaded.train.steps) == (28, 1, 7)
    assert load_params(settings_file) == loaded
    text = settings_file.read_text()
    assert "there.npz" in text
    assert "# steps between sample grids, and between checkpoints" in text
    before = (REPOSITORY / "params.yaml").read_text().splitlines()
    changed = [line for line in before if line not in text.splitlines()]
    assert len(changed) <= 4, changed  # the lines that were set, and no other


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("train.stepz=5", "did you mean `steps`?"),
        ("train.steps", "expected key=value"),
        ("sources.3.path=a", "expected 0, came 3"),
        ("train.steps.more=1", "has no keys"),
        ("train.steps=[", "not usable YAML"),
    ],
)
def test_a_setting_that_is_not_allowed_changes_nothing(settings_file: Path, setting: str, words: str) -> None:
    before = settings_file.read_bytes()
    with pytest.raises(InputError) as caught:
        update_params(settings_file, [], ["evaluate.seed=9", setting])
    assert words in str(caught.value)
    assert settings_file.read_bytes() == before


def test_a_fault_stops_a_stage_before_anything_heavy_is_imported(settings_file: Path) -> None:
    settings_file.write_text(settings_file.read_text().replace("  batch_size:", "  batch_sise:"))
    program = (
        "import runpy, sys\n"
        "try:\n    runpy.run_module('pipelines.train', run_name='__main__')\n"
        "except SystemExit as end:\n    code = end.code\n"
        "heavy = {'tensorflow', 'keras', 'great_expectations', 'mlflow', 'prefect', 'pandas'} & set(sys.modules)\n"
        "assert not heavy, heavy\nsys.exit(code)"
    )
    (settings_file.parent / "dvc.yaml").touch()
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=settings_file.parent, capture_output=True, text=True, check=False,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert "train.batch_sise: unknown key" in done.stderr
    assert "Traceback" not in done.stderr


def test_settings_are_read_in_several_threads_at_once() -> None:
    """Python 3.11 raises SystemError where the collector stops one thread amid a syntax tree and another begins one."""

    def stop(phase: str, info: dict[str, int]) -> None:
        time.sleep(0.0001)

    usual = gc.get_threshold()
    gc.set_threshold(50)
    gc.callbacks.append(stop)
    try:
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: catalogue.get(catalogue.MODELS, "gan").presets, range(8)))
    finally:
        gc.callbacks.remove(stop)
        gc.set_threshold(*usual)
    assert all(presets == found[0] for presets in found)
