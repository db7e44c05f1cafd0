"""Feature extractors: one contract for every member, and what `domain` learns."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from pipelines import catalogue
from pipelines.core import backend
from pipelines.core.errors import InputError
from pipelines.features.base import ExtractorSettings
from tests.contracts import pictures
from tests.features import graphs

TRAINED = [name for name in catalogue.FEATURES if not catalogue.get(catalogue.FEATURES, name).from_file]


@pytest.fixture(autouse=True)
def keras() -> None:
    backend.load()


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file for the extractors that are read from one."""
    backend.load()
    path = tmp_path_factory.mktemp("graph") / "graph.pb"
    path.write_bytes(graphs.frozen(graphs.weights(width=32, classes=20)))
    return path


def settings(name: str, graph: Path, steps: int) -> ExtractorSettings:
    if name in TRAINED:
        return ExtractorSettings(steps, seed=0)
    return ExtractorSettings(steps, 0, str(graph), hashlib.sha256(graph.read_bytes()).hexdigest())


@pytest.mark.parametrize("name", catalogue.FEATURES)
@pytest.mark.parametrize(("size", "channels"), [(8, 1), (28, 3)])
def test_every_extractor_keeps_its_contract(name: str, size: int, channels: int, graph: Path, tmp_path: Path) -> None:
    kind = catalogue.get(catalogue.FEATURES, name)
    images, labels = pictures(300, size, channels), (np.arange(300) % 3).astype(np.int32)
    made = kind.fit(images, labels, 3, settings(name, graph, steps=3))
    seen = made.extract(images)
    assert seen.vectors.dtype == np.float32
    assert seen.vectors.shape[0] == 300
    assert np.isfinite(seen.vectors).all()
    if made.of_classes:
        assert seen.probabilities is not None
        assert seen.probabilities.shape == (300, 3)
    if seen.probabilities is not None:
        assert seen.probabilities.dtype == np.float32
        assert seen.probabilities.sum(axis=1) == pytest.approx(1, abs=1e-5)

    order = np.random.default_rng(0).permutation(300)
    assert np.array_equal(made.extract(images[order]).vectors, seen.vectors[order])
    assert np.array_equal(made.extract(images[7:8]).vectors, seen.vectors[7:8])

    made.save(tmp_path)
    again = kind.load(tmp_path)
    assert np.array_equal(again.extract(images).vectors, seen.vectors)
    assert again.description == made.description
    assert again.of_classes is made.of_classes
    assert {path.stem for path in tmp_path.iterdir()} == {"extractor"}


@pytest.mark.parametrize("name", TRAINED)
def test_the_seed_decides(name: str) -> None:
    kind = catalogue.get(catalogue.FEATURES, name)
    images, labels = pictures(64, 8, 1), (np.arange(64) % 3).astype(np.int32)
    first, same, other = (kind.fit(images, labels, 3, ExtractorSettings(2, seed)).extract(images).vectors for seed in (0, 0, 1))
    assert np.array_equal(first, same)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", catalogue.FEATURES)
def test_what_is_no_extractor_is_refused(name: str, graph: Path, tmp_path: Path) -> None:
    kind = catalogue.get(catalogue.FEATURES, name)
    with pytest.raises(InputError, match="reference"):
        kind.load(tmp_path)
    kind.fit(pictures(10, 8, 1), np.zeros(10, np.int32), 2, settings(name, graph, steps=1)).save(tmp_path)
    for path in tmp_path.iterdir():
        whole = path.read_bytes()
        path.write_bytes(b"{}" if path.suffix == ".json" else whole[:-100])
        with pytest.raises(InputError, match="reference"):
            kind.load(tmp_path)
        path.write_bytes(whole)


def test_domain_learns_the_classes() -> None:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = (digits.images * 15.9).astype(np.uint8)[..., None]
    labels = digits.target.astype(np.int32)
    made = catalogue.get(catalogue.FEATURES, "domain").fit(images[:1400], labels[:1400], 10, ExtractorSettings(150, seed=0))
    guesses = made.extract(images[1400:]).probabilities.argmax(axis=1)
    assert (guesses == labels[1400:]).mean() > 0.85


@pytest.mark.parametrize(("labels", "classes"), [(np.full(200, -1), 0), (np.zeros(200), 1)])
def test_domain_without_two_classes_learns_rotations_and_gives_no_probabilities(labels: np.ndarray, classes: int) -> None:
    kind = catalogue.get(catalogue.FEATURES, "domain")
    made = kind.fit(pictures(200, 8, 1), labels.astype(np.int32), classes, ExtractorSettings(2, seed=0))
    assert made.extract(pictures(5, 8, 1)).probabilities is None
    assert "rotation" in made.description
