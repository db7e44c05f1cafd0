"""genloop score: any two sets of images or features, in any folder; the same content scores the same however it is kept."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

import genloop
from operations import feature_space
from pipelines import catalogue, reference
from pipelines.core import backend, png
from pipelines.core.project import Project
from pipelines.registry.client import Registry
from pipelines.registry.publish import Publication, log_and_register
from pipelines.scoring import disk_arrays
from pipelines.settings.load import check_params, parse_yaml, set_key
from tests.conftest import REPOSITORY, project_in
from tests.contracts import pictures, write_rows


def call(*arguments: str) -> SimpleNamespace:
    result = CliRunner().invoke(genloop.app, ["score", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return SimpleNamespace(code=result.exit_code, out=result.stdout, err=result.stderr)


def found(*arguments: str) -> dict[str, Any]:
    result = call(*arguments, "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)


def gaussian(rows: int, width: int = 8, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    return (np.random.default_rng(seed).standard_normal((rows, width)) + shift).astype(np.float32)


def put(name: str, array: np.ndarray) -> str:
    """An npz file of features."""
    np.savez(name, features=array)
    return name


def as_npz(name: str, images: np.ndarray, labels: np.ndarray | None = None) -> str:
    np.savez(f"{name}.npz", images=images, **({} if labels is None else {"labels": labels}))
    return f"{name}.npz"


def as_folder(name: str, images: np.ndarray, labels: np.ndarray | None = None) -> str:
    """With labels in subfolders, and so in another order."""
    for number, image in enumerate(images):
        folder = Path(name) if labels is None else Path(name) / str(labels[number])
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number:04d}.png").write_bytes(png.encode(image))
    return name


def as_parquet(name: str, images: np.ndarray, labels: np.ndarray | None = None) -> str:
    rows: dict[str, Any] = {"image": [{"bytes": png.encode(image), "path": None} for image in images]}
    pq.write_table(pa.table(rows if labels is None else {**rows, "label": labels}), f"{name}.parquet")
    return f"{name}.parquet"


KINDS = pytest.mark.parametrize("write", [as_npz, as_folder, pytest.param(as_parquet, marks=pytest.mark.slow)])
Write = Callable[..., str]


def turns(count: int) -> np.ndarray:
    """Labels 0, 1, 2, 0, 1, 2, …"""
    return (np.arange(count) % 3).astype(np.int64)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Extractors that are trained for a few steps."""
    monkeypatch.setattr(feature_space, "STEPS", 3)


# Features that somebody else made.

NONE = ("--extractor", "none")


def test_features_are_scored_by_all_metrics_that_apply(elsewhere: Path) -> None:
    scores = found(put("a.npz", gaussian(200)), put("b.npz", gaussian(300, seed=1)), *NONE)
    for name in ("fid", "fid_infinity", "kid", "precision", "recall", "density", "coverage"):
        assert scores[f"{name}_low"] <= scores[f"{name}_high"]
    assert scores["samples"] == 200
    assert not [name for name in scores if name.startswith(("class", "inception", "memorisation", "path_length", "not_enough"))]


def test_only_the_metrics_asked_for_are_computed(elsewhere: Path) -> None:
    scores = found(put("a.npz", gaussian(200)), put("b.npz", gaussian(300, seed=1)), *NONE, "--metrics", "kid")
    assert set(scores) == {"kid", "kid_low", "kid_high", "kid_ideal", "benchmark_id", "samples"}


def test_people_get_a_table_and_below_it_what_is_missing(elsewhere: Path) -> None:
    result = call(put("a.npz", gaussian(40)), put("b.npz", gaussian(300, seed=1)), *NONE)
    lines = {line.split()[0]: line.rstrip() for line in result.out.splitlines()}
    assert lines["score"].split() == ["score", "value", "95", "%", "interval", "ideal", "model", "better"]
    assert " to " in lines["fid_unbiased"]
    assert lines["fid_unbiased"].endswith("lower")
    assert lines["fid"].startswith("fid as other libraries print it ")
    assert "not enough: kid needs 50 generated and as many real rows or more, came 40" in result.out.splitlines()
    assert lines["benchmark"].endswith("rows of A: 40")
    assert result.err == ""


def test_identical_sets_are_no_distance_apart(elsewhere: Path) -> None:
    same = put("a.npz", gaussian(500))
    scores = found(same, same, *NONE)
    assert 0 <= scores["fid"] <= 1e-6
    assert scores["precision"] == scores["recall"] == scores["coverage"] == 1


def test_constant_features_have_a_score_but_nothing_is_compared_with_them(elsewhere: Path) -> None:
    flat, other = put("a.npz", np.full((100, 8), 3, np.float32)), put("b.npz", gaussian(100))
    scores = found(flat, other, *NONE)
    assert all(np.isfinite(value) for name, value in scores.items() if name != "benchmark_id")
    assert scores["fid"] > 50
    refused = call(other, flat, *NONE)
    assert (refused.code, refused.out) == (2, "")
    assert "a.npz: all 100 rows are the same; give rows that differ" in refused.err


def test_nothing_is_compared_with_one_image_many_times(elsewhere: Path) -> None:
    refused = call(as_npz("a", pictures(60, 8, 1)), as_npz("b", np.full((60, 8, 8, 1), 7, np.uint8)))
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == "genloop: b.npz: all 60 images are the same one; give images that differ, to compare with\n"


def test_images_that_are_in_both_sets_are_counted(elsewhere: Path) -> None:
    few = ("--extractor", "random", "--metrics", "kid")
    images = pictures(90, 8, 1)
    a, b = as_npz("a", images[:60]), as_folder("b", images[30:])
    assert "30 of the 60 images of a.npz are in b as well, which makes scores better" in call(a, b, *few).err
    assert "as well" not in call(a, as_npz("c", pictures(60, 8, 1, seed=1)), *few).err


def test_fewer_rows_than_features_are_not_enough_for_a_distance(elsewhere: Path) -> None:
    scores = found(put("a.npz", gaussian(60, 64)), put("b.npz", gaussian(100, 64)), *NONE)
    assert scores["not_enough"]["fid"] == "fid needs 65 generated and as many real rows or more, came 60"
    assert "fid" not in scores
    assert "kid" in scores


@pytest.mark.parametrize("one", ["a.npz", "b.npz"])
def test_a_single_row_is_not_enough_for_anything(elsewhere: Path, one: str) -> None:
    for name in ("a.npz", "b.npz"):
        put(name, gaussian(1 if name == one else 100))
    result = call("a.npz", "b.npz", *NONE)
    assert (result.code, result.out) == (2, "")
    reasons = result.err.removeprefix("genloop: nothing to score: ").split("; ")
    assert {reason.split()[0] for reason in reasons} >= {"fid", "kid", "precision", "density"}
    assert all("came 1" in reason for reason in reasons)


def test_the_benchmark_is_named_by_the_content_of_b(elsewhere: Path) -> None:
    a, b = put("a.npz", gaussian(100)), put("b.npz", gaussian(100, seed=1))
    np.save("b.npy", gaussian(100, seed=1))
    np.savez_compressed("packed.npz", features=gaussian(100, seed=1))
    ids = [
        found(*pair, *NONE, "--metrics", "fid")["benchmark_id"] for pair in ((a, b), (a, "b.npy"), (b, "packed.npz"), (b, a))
    ]
    assert ids[0] == ids[1] == ids[2] != ids[3]


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (gaussian(100, 9), "features of different widths cannot be compared: a.npz has 9 numbers in a row, b.npz has 8"),
        (gaussian(0), "a.npz: no rows in it"),
        (np.full((100, 8), np.nan), "a.npz: features: every number must be finite, but row 0 has nan in column 0"),
        (np.ones((100, 8), int), "a.npz: features: expected features as float16, float32 or float64, came int64"),
    ],
)
def test_features_that_cannot_be_scored_are_unusable_input(elsewhere: Path, array: np.ndarray, words: str) -> None:
    result = call(put("a.npz", array), put("b.npz", gaussian(100)), *NONE)
    assert result.code == 2
    assert words in result.err
    assert result.out == ""


def test_a_file_without_features_is_said_by_name(elsewhere: Path) -> None:
    np.savez("a.npz", vectors=gaussian(9))
    result = call("a.npz", put("b.npz", gaussian(9)), *NONE)
    assert (result.code, result.err) == (2, "genloop: a.npz: no array 'features'; there are: vectors\n")


def test_features_are_never_all_in_memory(elsewhere: Path) -> None:
    width, count = 64, 600_000  # 154 MB on either side
    for seed, name in enumerate("ab"):
        with disk_arrays.create(Path(f"{name}.npy")) as writer:
            for part in range(20):
                writer.append(gaussian(count // 20, width, seed=20 * seed + part))
    program = (
        "import resource, sys; before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "from pathlib import Path; from commands.score import score\n"
        "from pipelines.core.project import Project\n"
        "score(Project(Path.cwd()), 'a.npy', 'b.npy', extractor='none', metrics='fid', as_json=True)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before, file=sys.stderr)"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["samples"] == count
    assert int(done.stderr.split()[-1]) < 230_000  # KiB: half of it libraries


# Images.


@pytest.mark.slow
@KINDS
def test_the_same_images_score_the_same_however_they_are_kept(elsewhere: Path, quick: None, write: Write) -> None:
    a, b = pictures(90, 8, 1, seed=1), pictures(240, 8, 1)
    plain = found(as_npz("plain-a", a, turns(90)), as_npz("plain-b", b, turns(240)))
    other = found(write("a", a, turns(90)), write("b", b, turns(240)))
    assert other["benchmark_id"] == plain["benchmark_id"]
    for name in ("fid", "kid", "inception_score", "class_accuracy"):
        assert other[name] == pytest.approx(plain[name], rel=1e-6, abs=1e-6)
    assert other["samples"] == 90


@KINDS
def test_images_without_labels_have_no_scores_by_class(elsewhere: Path, write: Write) -> None:
    scores = found(write("a", pictures(70, 8, 3, seed=1)), write("b", pictures(80, 8, 3)), "--extractor", "random")
    assert {"fid", "kid", "precision"} <= set(scores)
    assert not [name for name in scores if name.startswith(("class", "inception"))]
    assert set(scores["not_enough"]) == {"fid_infinity"}  # too few rows, not the wrong inputs


def test_a_keras_archive_is_images_of_both_halves(elsewhere: Path) -> None:
    images = pictures(80, 8, 1)
    np.savez("b.npz", x_train=images[:60, ..., 0], y_train=turns(60), x_test=images[60:, ..., 0], y_test=turns(20))
    scores = found("b.npz", as_npz("all", images, turns(80)), "--extractor", "random", "--metrics", "fid")
    assert scores["fid"] <= 1e-6
    assert scores["samples"] == 80


def test_scores_by_class_need_the_same_classes_on_both_sides(elsewhere: Path) -> None:
    a, b = pictures(210, 8, 1, seed=1), pictures(210, 8, 1)
    same = call(as_npz("a", a, turns(210)), as_folder("b", b, turns(210)), "--extractor", "random", "--metrics", "class_fid")
    lines = [line.split() for line in same.out.splitlines()]
    assert [line[0] for line in lines if line[-1] == "lower"] == ["0", "1", "2"]
    np.savez("other.npz", images=a, labels=turns(210) * 2)
    result = call("other.npz", "b", "--extractor", "random", "--metrics", "class_fid,class_accuracy")
    assert (result.code, result.out) == (2, "")
    assert result.err.splitlines()[-1] == (
        "genloop: nothing to score: class_fid needs labels of the same classes in A and B; class_accuracy needs labels of the "
        "same classes in A and B, and an extractor that tells those classes apart"
    )


def test_images_are_told_apart_by_what_they_show_and_features_cannot_be(elsewhere: Path) -> None:
    real, noise = pictures(160, 8, 1), np.random.default_rng(0).integers(0, 256, (80, 8, 8, 1), np.uint8)
    a, b, spoiled = as_npz("a", real[:80], turns(80)), as_npz("b", real[80:], turns(80)), as_npz("noise", noise, turns(80))
    asked = ("--extractor", "random", "--metrics", "told_apart")
    same, other = found(a, b, *asked), found(spoiled, b, *asked)
    assert same["told_apart_low"] < 0.5 < same["told_apart_high"]
    assert other["told_apart_low"] > 0.9
    result = call(put("f.npz", gaussian(200)), put("g.npz", gaussian(200)), *NONE, "--metrics", "told_apart")
    assert result.code == 2
    assert "told_apart needs images of both sides, not features alone" in result.err


@pytest.mark.slow
def test_the_extractor_that_is_chosen_is_said_in_one_line(elsewhere: Path, quick: None) -> None:
    result = call(as_npz("a", pictures(60, 8, 1, seed=1)), as_npz("b", pictures(110, 8, 1)), "--metrics", "kid")
    said = [
        "score: no project with a benchmark for such images is here; so `domain`, a small network, is trained for this",
        "score: `domain` learns from a half of b.npz, and A is compared with the other half",
    ]
    assert result.err.splitlines()[:2] == said


def test_what_the_extractor_learned_from_is_not_what_a_is_compared_with(elsewhere: Path, quick: None) -> None:
    images = pictures(240, 8, 1)
    scores = found(as_npz("b", images, turns(240)), "b.npz", "--metrics", "fid")
    assert scores["fid"] > 1e-3  # all of B against a half of it
    result = call("b.npz", as_npz("one", images[:1]))
    assert result.code == 2
    assert result.err.endswith(
        "A has 240, and B has 1, of which `domain` learns from a half; give more images, or other "
        "--metrics; docs/metrics.md says how many each needs\n"
    )


@pytest.mark.parametrize(
    ("a", "b", "arguments", "words"),
    [
        (40, 300, ["--metrics", "kid"], "too few images for kid: A has 40, and B has 300, of which `domain`"),
        (300, 98, ["--metrics", "kid"], "too few images for kid: A has 300, and B has 98, of which `domain`"),
        (300, 49, ["--metrics", "kid,fid", "--extractor", "random"], "too few images for kid, fid: A has 300, and B has 49;"),
        (64, 300, ["--metrics", "fid", "--extractor", "random"], "too few images for fid: A has 64, and B has 300;"),
        (10, 10, [], "too few images for density_coverage, fid, fid_infinity, kid, precision_recall: A has 10"),
    ],
)  # fmt: skip
def test_too_few_images_are_said_before_the_work(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, a: int, b: int, arguments: list[str], words: str
) -> None:
    monkeypatch.setattr(backend, "load", lambda *_: pytest.fail("TensorFlow is loaded"))
    result = call(as_npz("a", pictures(a, 8, 1, seed=1)), as_npz("b", pictures(b, 8, 1)), *arguments)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(f"genloop: {words}"), result.err
    assert "give more images, or other --metrics" in result.err


def test_what_has_too_few_images_is_said_before_the_rest_is_computed(elsewhere: Path) -> None:
    result = call(as_npz("a", pictures(60, 8, 1, seed=1)), as_npz("b", pictures(60, 8, 1)), "--extractor", "random")
    assert result.code == 0
    assert result.err.splitlines()[0] == "score: too few images for fid, fid_infinity: A has 60, and B has 60"


def test_b_decides_the_size_if_all_its_images_have_one(elsewhere: Path) -> None:
    small, large = as_folder("small", pictures(60, 8, 1)), as_folder("large", pictures(60, 12, 1))
    few = ("--extractor", "random", "--metrics", "kid")
    assert "of images 12x12x1\nscore: images of small are resized to that" in call(small, large, *few).err
    assert "of images 8x8x1\nscore: images of large are resized to that" in call(large, small, *few).err
    assert "of images 10x10x1\nscore: images of large and small are resized" in call(large, small, *few, "--size", "10").err
    assert "resized" not in call(small, as_npz("other", pictures(60, 8, 1, seed=1)), *few).err
    as_folder("small", pictures(70, 10, 1)[60:])
    (Path("small") / "wide.png").write_bytes(png.encode(np.zeros((8, 9, 1), np.uint8)))
    refused = call(large, small, *few)
    assert refused.code == 2
    assert "small has images of 3 sizes from 8x8 to 10x10: give --size, 4 to 1,024 pixels a side" in refused.err
    assert call(large, small, *few, "--size", "8").code == 0


def test_images_that_are_not_square_want_a_size(elsewhere: Path) -> None:
    np.savez("b.npz", images=np.zeros((60, 8, 12), np.uint8) + np.arange(60, dtype=np.uint8)[:, None, None])
    result = call("b.npz", "b.npz", "--extractor", "random")
    assert result.code == 2
    assert "b.npz has images of 8x12: give --size" in result.err


def test_colours_are_left_out_where_b_has_none_and_that_is_said(elsewhere: Path) -> None:
    colour, grey = as_npz("colour", pictures(60, 8, 3)), as_folder("grey", pictures(60, 8, 1))
    few = ("--extractor", "random", "--metrics", "kid")
    assert "colour.npz has colours and grey has none: both are compared in grey" in call(colour, grey, *few).err
    assert "of images 8x8x3" in call(grey, colour, *few).err


def test_images_that_cannot_be_read_are_counted_and_the_first_are_named(elsewhere: Path) -> None:
    folder = as_folder("a", pictures(60, 8, 1), turns(60))
    for number in range(5):
        (Path(folder) / "1" / f"bad{number}.png").write_bytes(b"no image" if number else b"")
    result = call(folder, as_npz("b", pictures(60, 8, 1)), "--extractor", "random")
    assert result.code == 2
    assert (
        "a: 5 of 65 cannot be read as images: 1/bad0.png (zero bytes), 1/bad1.png (not an image), 1/bad2.png (not an image) "
        "and 2 more; a score of the others would mislead" in result.err
    )


def nowhere() -> str:
    return "nowhere.npz"


def empty_folder() -> str:
    Path("empty").mkdir()
    return "empty"


def no_images() -> str:
    return as_npz("none", pictures(0, 8, 1))


def no_rows() -> str:
    return as_parquet("none", pictures(0, 8, 1), turns(0))


def only_features() -> str:
    return put("features.npz", gaussian(9))


def text() -> str:
    Path("notes.txt").write_text("hello")
    return "notes.txt"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (nowhere, "nowhere.npz: there is nothing there; expected a folder of images, an .npz or .parquet file, or models:/"),
        (empty_folder, "empty: this folder is empty"),
        (no_images, "none.npz: no images in it"),
        (no_rows, "none.parquet: "),
        (only_features, "features.npz: this holds features, not images; score them with --extractor none"),
        (text, "notes.txt: this is no set of images"),
    ],
)
@pytest.mark.parametrize("place", ["A", "B"])
def test_a_side_without_images_is_unusable_input(elsewhere: Path, make: Callable[[], str], words: str, place: str) -> None:
    bad, good = make(), as_npz("good", pictures(60, 8, 1))
    result = call(*((bad, good) if place == "A" else (good, bad)), "--extractor", "random")
    assert result.code == 2
    assert words in result.err
    assert result.out == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--metrics", "fidd"], "--metrics: 'fidd' is not known; did you mean 'fid'?"),
        (["--metrics", "fid,"], "--metrics: '' is not known. Known: approval, class_accuracy"),
        (
            ["--extractor", "domian"],
            "--extractor: 'domian' is not known; did you mean 'domain'? Known: domain, inception, keras_hub, none",
        ),
        (["--size", "2"], "--size 2: expected 4 to 1,024 pixels a side"),
        (["--count", "5"], "--count 5: neither A nor B is a model"),
        (["--seed", "-1"], "--seed -1: expected 0 to"),
        (["--extractor", "none", "--size", "8"], "--size with --extractor none: features have no images"),
        (["--extractor", "inception"], "--extractor inception is read from a file: give --weights"),
        (["--extractor", "keras_hub"], "--extractor keras_hub is read from a preset: give --weights"),
        (["--extractor", "keras_hub", "--weights", "./some"], "some: no such folder; expected one with config.json"),
        (["--weights", "some.pb"], "--weights: goes with an extractor that is read from a file"),
        (
            ["--extractor", "inception", "--weights", "some.pb", "--sha256", "abc"],
            "--sha256 abc: expected 64 hexadecimal digits",
        ),
        (["--extractor", "inception", "--weights", "some.pb", "--sha256", "0" * 64], "some.pb: 5 bytes with the sha256"),
    ],
)
def test_what_cannot_be_asked_for_is_refused(elsewhere: Path, options: Sequence[str], words: str) -> None:
    Path("some.pb").write_bytes(b"graph")
    result = call(as_npz("a", pictures(9, 8, 1)), as_npz("b", pictures(9, 8, 1)), *options)
    assert result.code == 2
    assert words in result.err


def test_it_needs_no_project_leaves_nothing_behind_and_prints_json_alone(elsewhere: Path) -> None:
    for name in "ab":
        as_npz(name, pictures(60, 8, 1))
    command = [sys.executable, str(REPOSITORY / "genloop.py"), "score", "a.npz", "b.npz", "--extractor", "random", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TMPDIR": str(elsewhere)})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["kid"] < 0.1
    assert sorted(os.listdir()) == ["a.npz", "b.npz"]


def test_ctrl_c_ends_it_with_a_word(elsewhere: Path) -> None:
    for name in ("a.npz", "b.npz"):
        put(name, gaussian(60_000, 64))
    command = [sys.executable, str(REPOSITORY / "genloop.py"), "score", "a.npz", "b.npz", *NONE, "--metrics", "kid"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        while running.poll() is None and not any(
            file.path.endswith("b.npz") for file in psutil.Process(running.pid).open_files()
        ):
            time.sleep(0.02)
        running.send_signal(signal.SIGINT)
        out, err = running.communicate(timeout=60)
    assert running.returncode == 1
    assert err.strip().splitlines()[-1].startswith("genloop: interrupted")
    assert "Traceback" not in err
    assert out == ""


# Projects and their models.

CHANGES = {"model.preset": "tiny", "image.size": 8, "reference.steps": 3}
MODEL = "models:/genloop-digits@champion"
HELD_OUT = 60


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A project with a benchmark of 8x8 grey images, a registered model, and the held-out images in holdout.npz."""
    project = project_in(tmp_path_factory.mktemp("workspace"))
    document = parse_yaml((REPOSITORY / "params.yaml").read_text(), "params.yaml")
    for key, value in CHANGES.items():
        set_key(document, key, value)
    params = check_params(document, "test")
    project.params_file.write_text(json.dumps(document))
    (project.root / "dvc.yaml").write_text("stages: {}\n")
    images, count = pictures(4 * HELD_OUT, 8, 1), 3 * HELD_OUT
    splits = ["train"] * count + ["holdout"] * HELD_OUT
    write_rows(project.clean, images, turns(len(images)).tolist(), ["0", "1", "2"], splits=splits)
    reference.run(project, params)
    as_npz(str(project.root / "holdout"), images[count:], turns(HELD_OUT))
    make_model(project.model)
    log_and_register(params, Registry.open(project, params.registry), Publication("key", {}, {}, project.reports))
    return project


def make_model(folder: Path) -> None:
    backend.load()
    from pipelines.models import base

    gan = catalogue.get(catalogue.MODELS, "gan")
    family = base.build(gan, base.ImageSpec(8, 1, 3), gan.presets["tiny"], 0)
    folder.mkdir(parents=True)
    base.save(folder, family, "gan", ["0", "1", "2"])


@pytest.fixture
def inside(workspace: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The working directory is a folder of the project."""
    monkeypatch.chdir(workspace.data)
    return workspace


@pytest.mark.slow
def test_the_benchmark_around_is_taken_where_it_fits(inside: Project, quick: None, tmp_path: Path) -> None:
    grey, colour = as_npz(str(tmp_path / "grey"), pictures(70, 12, 1)), as_npz(str(tmp_path / "colour"), pictures(70, 8, 3))
    taken = call(grey, "../holdout.npz", "--metrics", "kid")
    assert f"score: as the benchmark in {inside.reference} sees them" in taken.err
    assert "of images 8x8x1" in taken.err
    assert "`domain` learns from a half of" in call(colour, colour, "--metrics", "kid").err
    assert "`domain` learns from a half of" in call(grey, grey, "--metrics", "kid", "--size", "12").err


@pytest.mark.slow
def test_a_benchmark_that_is_not_whole_is_said(inside: Project) -> None:
    about = inside.reference / "benchmark.json"
    before = about.read_text()
    about.write_text(before[:20])
    try:
        result = call("../holdout.npz", "../holdout.npz")
    finally:
        about.write_text(before)
    assert result.code == 2
    assert "no usable benchmark" in result.err


def test_a_model_draws_as_many_images_as_b_has_of_its_classes(inside: Project) -> None:
    scores = found(MODEL, "../holdout.npz")
    assert scores["samples"] == HELD_OUT
    assert {"kid", "class_accuracy", "path_length"} <= set(scores)
    assert found("models:/genloop-digits/1", "../holdout.npz") == scores


def test_a_model_draws_other_images_from_another_seed_and_as_many_as_asked(inside: Project) -> None:
    first, second = (found(MODEL, "../holdout.npz", "--count", "70", "--metrics", "kid", "--seed", seed) for seed in "01")
    assert first["samples"] == second["samples"] == 70
    assert first["kid"] != second["kid"]
    assert first["benchmark_id"] == second["benchmark_id"]


def test_a_model_can_be_what_is_compared_with(inside: Project) -> None:
    scores = found("../holdout.npz", MODEL, "--count", "80", "--metrics", "kid,precision_recall")
    assert scores["samples"] == HELD_OUT
    both = found(MODEL, MODEL, "--count", "80", "--metrics", "kid,density_coverage")
    assert both["coverage"] < 1  # not the same images on both sides
    assert both["benchmark_id"] != scores["benchmark_id"]


def test_a_registry_elsewhere_needs_no_project(workspace: Project, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    few = (MODEL, str(workspace.root / "holdout.npz"), "--extractor", "random", "--metrics", "kid")
    without = call(*few)
    assert without.code == 2
    assert f"{MODEL}: set MLFLOW_TRACKING_URI to your registry, or score in the project that has one" in without.err
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{workspace.root / 'mlflow.db'}")
    assert found(*few)["samples"] == HELD_OUT


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("models:/genloop-digit@champion", "'genloop-digit' is not known; did you mean 'genloop-digits'?"),
        ("models:/genloop-digits@champoin", "'champoin' is not known; did you mean 'champion'?"),
        ("models:/genloop-digits/7", "genloop-digits has no version 7; its versions: 1"),
        ("models:/genloop-digits", "expected models:/NAME@alias or models:/NAME/VERSION"),
    ],
)
def test_a_model_that_is_not_registered_is_unusable_input(inside: Project, place: str, words: str) -> None:
    result = call(place, "../holdout.npz")
    assert result.code == 2
    assert words in result.err


# Real data.


def test_real_digits_are_near_real_digits_and_noise_is_not(elsewhere: Path, real_data: Callable[[str], Path]) -> None:
    with np.load(real_data("mnist.npz")) as mnist:
        train = as_npz("train", mnist["x_train"][:2000], mnist["y_train"][:2000])
        test = as_npz("test", mnist["x_test"][:1000], mnist["y_test"][:1000])
    noise = as_npz("noise", np.random.default_rng(0).integers(0, 256, (1000, 28, 28), np.uint8), turns(1000))
    few = ("--metrics", "fid,precision_recall,inception_score", "--extractor", "random")
    near, far = found(test, train, *few), found(noise, train, *few)
    assert 10 * near["fid"] < far["fid"]
    assert near["precision"] > 0.6 > 0.1 > far["precision"]
    assert near["benchmark_id"] == far["benchmark_id"]
