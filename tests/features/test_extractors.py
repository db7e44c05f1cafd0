"""Feature extractors: one contract for every member, and what `domain` learns."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest

from pipelines import catalogue
from pipelines.core import backend
from pipelines.core.errors import InputError
from pipelines.features import domain
from pipelines.features.base import ExtractorSettings
from pipelines.metrics import fid
from pipelines.metrics.moments import Moments
from tests.contracts import pictures
from tests.features import backbones, graphs

TRAINED = [name for name in catalogue.FEATURES if not catalogue.get(catalogue.FEATURES, name).from_file]


@pytest.fixture(autouse=True)
def keras() -> None:
    backend.load()


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file for the extractors that are read from one, and beside it a preset for those that are read from such a folder."""
    backend.load()
    path = tmp_path_factory.mktemp("graph") / "graph.pb"
    path.write_bytes(graphs.frozen(graphs.weights(width=32, classes=20)))
    backbones.dinov2(path.parent / "preset")
    return path


def settings(name: str, graph: Path, steps: int) -> ExtractorSettings:
    if name in TRAINED:
        return ExtractorSettings(steps, seed=0)
    if catalogue.get(catalogue.FEATURES, name).of_presets:
        return ExtractorSettings(steps, 0, str(graph.parent / "preset"), backbones.sha256(graph.parent / "preset"))
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
    # Where a row stands in its batch may move the last bits of a convolution; which rows stand beside it moves nothing.
    most = 1e-4 if kind.of_presets or kind.learns else 0
    assert np.allclose(made.extract(images[order]).vectors, seen.vectors[order], rtol=0, atol=most)
    assert np.allclose(made.extract(images[7:8]).vectors, seen.vectors[7:8], rtol=0, atol=most)

    made.save(tmp_path)
    again = kind.load(tmp_path)
    assert np.array_equal(again.extract(images).vectors, seen.vectors)
    assert again.description == made.description
    assert again.of_classes is made.of_classes
    assert {path.name.partition(".")[0] for path in tmp_path.iterdir()} == {"extractor"}


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] * (name == "domain")) for name in TRAINED])
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


@pytest.mark.parametrize(("labels", "classes"), [(np.full(200, -1), 0), pytest.param(np.zeros(200), 1, marks=pytest.mark.slow)])
def test_domain_without_two_classes_learns_rotations_and_gives_no_probabilities(labels: np.ndarray, classes: int) -> None:
    kind = catalogue.get(catalogue.FEATURES, "domain")
    made = kind.fit(pictures(200, 8, 1), labels.astype(np.int32), classes, ExtractorSettings(2, seed=0))
    assert made.extract(pictures(5, 8, 1)).probabilities is None
    assert "rotation" in made.description


def digits() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    found = load_digits()
    return (found.images * 15.9).astype(np.uint8)[..., None], found.target.astype(np.int32)


@pytest.mark.parametrize("classes", [pytest.param(10, marks=pytest.mark.slow), 0])
def test_domain_sees_what_spoils_images(classes: int) -> None:
    images, labels = digits()
    labels = labels if classes else np.full(len(labels), -1, np.int32)
    made = catalogue.get(catalogue.FEATURES, "domain").fit(
        images[:1000], labels[:1000], classes, ExtractorSettings(150, seed=0)
    )
    random = np.random.default_rng(0)
    noisy = np.clip(images[1400:] + random.normal(0, 30, images[1400:].shape), 0, 255).astype(np.uint8)
    blurred = ((images[1400:].astype(int) + np.roll(images[1400:], 1, axis=2)) // 2).astype(np.uint8)

    def moments(chosen: np.ndarray) -> Moments:
        return Moments.from_rows(made.extract(chosen).vectors)

    held_out = moments(images[1000:1400])
    floor = fid.frechet(moments(images[1400:]), held_out)
    assert fid.frechet(moments(noisy), held_out) > floor
    assert fid.frechet(moments(blurred), held_out) > 5 * floor


@pytest.mark.slow
def test_domain_learns_from_parts_of_large_images_and_sees_them_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from pipelines.features import domain

    monkeypatch.setattr(domain, "LARGEST", 12)
    images = pictures(60, 30, 1)
    assert domain.crop(images, np.random.default_rng(0)).shape == (60, 12, 12, 1)
    made = domain.Domain.fit(images, np.arange(60, dtype=np.int32) % 2, 2, ExtractorSettings(3, seed=0))
    assert made.model.get_layer("smaller").output.shape[1:3] == (10, 10)
    seen = made.extract(images)
    assert seen.vectors.shape == (60, domain.CONTENT + domain.QUALITY)
    corner = images.copy()
    corner[:, -3:, -3:] = 255 - corner[:, -3:, -3:]
    assert (made.extract(corner).vectors != seen.vectors).any(axis=1).all(), "no part of an image is left out"
    made.save(tmp_path)
    assert np.array_equal(domain.Domain.load(tmp_path).extract(images).vectors, seen.vectors)


@pytest.mark.slow
def test_both_halves_of_domain_have_one_scale() -> None:
    images, labels = digits()
    vectors = (
        catalogue.get(catalogue.FEATURES, "domain")
        .fit(images, labels, 10, ExtractorSettings(100, seed=0))
        .extract(images)
        .vectors
    )
    assert np.abs(vectors.mean(axis=0)).max() < 0.01
    content, quality = np.split(vectors.var(axis=0), [domain.CONTENT])
    assert content.sum() == pytest.approx(domain.CONTENT, rel=0.01)
    assert quality == pytest.approx(domain.CONTENT / domain.QUALITY, rel=0.01)


@pytest.mark.slow
def test_domain_takes_images_that_are_all_alike() -> None:
    images = np.full((60, 8, 8, 1), 128, np.uint8)
    made = catalogue.get(catalogue.FEATURES, "domain").fit(images, np.full(60, -1, np.int32), 0, ExtractorSettings(2, seed=0))
    assert np.isfinite(made.extract(images).vectors).all()
