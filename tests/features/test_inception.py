"""The extractor `inception`: what it computes, where its graph comes from, and what is refused."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from pipelines.core import backend
from pipelines.core.errors import InputError
from pipelines.features import inception
from pipelines.features.base import ExtractorSettings
from pipelines.features.inception import Inception
from tests.contracts import pictures
from tests.features import graphs

NONE = np.zeros(0, np.int32)
STORED = graphs.weights()


@pytest.fixture(scope="module")
def graph() -> bytes:
    backend.load()
    return graphs.frozen(STORED)


@pytest.fixture(scope="module")
def made(graph: bytes) -> Inception:
    return Inception(graph, "here")


def fit(content: bytes, path: Path) -> Inception:
    path.write_bytes(content)
    settings = ExtractorSettings(0, 0, str(path), hashlib.sha256(content).hexdigest())
    return Inception.fit(pictures(1, 8, 1), NONE, 0, settings)


@pytest.mark.parametrize(("size", "channels"), [(8, 1), (13, 3), (32, 3)])
def test_features_and_probabilities_are_the_graph_s(made: Inception, size: int, channels: int) -> None:
    images = pictures(70, size, channels)
    seen = made.extract(images)
    vectors, probabilities = graphs.computed(images, STORED)
    assert seen.vectors.shape == (70, 2048)
    assert seen.vectors.dtype == np.float32
    assert seen.vectors == pytest.approx(vectors, rel=1e-4, abs=1e-5)
    assert seen.probabilities is not None
    assert seen.probabilities.shape == (70, 1008)
    assert seen.probabilities.dtype == np.float32
    assert seen.probabilities == pytest.approx(probabilities, rel=1e-3, abs=1e-7)


def test_a_grey_image_is_seen_as_the_same_image_in_colour(made: Inception) -> None:
    grey = pictures(5, 8, 1)
    assert np.array_equal(made.extract(grey).vectors, made.extract(np.repeat(grey, 3, axis=-1)).vectors)


def test_a_row_s_features_depend_on_no_other_row(made: Inception) -> None:
    images = pictures(120, 16, 3)
    vectors = made.extract(images).vectors
    order = np.random.default_rng(1).permutation(120)
    assert made.extract(images[order]).vectors == pytest.approx(vectors[order], abs=1e-6)
    for count in (1, 7, 50, 51):
        assert made.extract(images[:count]).vectors == pytest.approx(vectors[:count], abs=1e-6)


def test_the_classes_are_not_the_data_s(made: Inception) -> None:
    assert made.of_classes is False


@pytest.mark.parametrize(
    "name", ["classify_image_graph_def.pb", "./classify_image_graph_def.pb", "/etc/classify_image_graph_def.pb"]
)
def test_the_archive_and_the_bare_graph_are_the_same(graph: bytes, tmp_path: Path, name: str) -> None:
    from_archive = fit(graphs.archive(graph, name), tmp_path / "inception.tgz")
    bare = fit(graph, tmp_path / "graph.pb")
    assert from_archive.graph == bare.graph
    bare.save(tmp_path / "bare")
    from_archive.save(tmp_path / "archive")
    for file in ("extractor.json", "extractor.pb"):
        assert (tmp_path / "bare" / file).read_bytes() == (tmp_path / "archive" / file).read_bytes()


def test_what_is_saved_needs_nothing_else(made: Inception, tmp_path: Path) -> None:
    made.save(tmp_path / "reference")
    moved = Path(shutil.move(tmp_path / "reference", tmp_path / "elsewhere"))
    images = pictures(10, 8, 1)
    again = Inception.load(moved)
    assert np.array_equal(again.extract(images).vectors, made.extract(images).vectors)
    assert again.description == made.description
    assert json.loads((moved / "extractor.json").read_text())["of_classes"] is False


def test_another_graph_than_the_original_says_so(made: Inception, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "not the original" in made.description
    monkeypatch.setattr(inception, "ORIGINAL", made.sha256)
    assert made.description == "the original Inception graph of 2015"


@pytest.mark.parametrize("name", ["ExpandDims", "pool_3", "softmax/logits/MatMul"])
def test_a_missing_tensor_is_named(graph: bytes, tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"graph\.pb: the graph has no tensor .*{name}:0"):
        fit(graphs.frozen(STORED, without=name), tmp_path / "graph.pb")


def test_a_graph_of_another_shape_is_refused(tmp_path: Path) -> None:
    stored = {**STORED, "softmax/weights": STORED["softmax/weights"][:100]}
    with pytest.raises(InputError, match=r"not Inception's of 2015"):
        fit(graphs.frozen(stored), tmp_path / "graph.pb")


def test_what_is_no_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"graph\.pb: this is no TensorFlow graph"):
        fit(b"<html>Not found</html>", tmp_path / "graph.pb")


@pytest.mark.parametrize("share", [0.00001, 0.5, 0.9])
def test_a_truncated_archive_is_refused(graph: bytes, tmp_path: Path, share: float) -> None:
    whole = graphs.archive(graph)
    with pytest.raises(InputError, match=r"inception\.tgz: a damaged archive"):
        fit(whole[: int(len(whole) * share)], tmp_path / "inception.tgz")


def test_an_archive_without_the_graph_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no classify_image_graph_def\.pb in this archive"):
        fit(graphs.archive(b"graph", "other.pb"), tmp_path / "inception.tgz")


def test_a_saved_graph_that_was_changed_is_refused(made: Inception, tmp_path: Path) -> None:
    made.save(tmp_path)
    (tmp_path / "extractor.pb").write_bytes(made.graph + b"\0")
    with pytest.raises(InputError, match=r"extractor\.pb: not the file that was written there; run `reference` again"):
        Inception.load(tmp_path)


def test_without_tensorflow_it_is_said(graph: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorflow", None)
    with pytest.raises(InputError, match="`inception` needs TensorFlow"):
        fit(graph, tmp_path / "graph.pb")
