"""Drift: chance is not taken for it, and what differs is; over many draws of real digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace

import numpy as np
import pytest
from PIL import Image, ImageFilter

from pipelines.core.project import Project
from pipelines.features.base import Features
from pipelines.metrics.inputs import Benchmark
from pipelines.scoring import drift, views
from pipelines.scoring.drift import Drift, DriftReport

SEEDS = 12
NEEDED = drift.needed_rows(16)


def cells(images: np.ndarray) -> np.ndarray:
    """(n, 16): what an extractor that learns nothing may see of digits."""
    return 16 * views.cells(images).astype(np.float32)


def blurred(images: np.ndarray) -> np.ndarray:
    return np.stack(
        [np.asarray(Image.fromarray(image[..., 0]).filter(ImageFilter.GaussianBlur(1)))[..., None] for image in images]
    )


def inverted(images: np.ndarray) -> np.ndarray:
    return 255 - images


@pytest.fixture(scope="module")
def digits() -> np.ndarray:
    from sklearn.datasets import load_digits

    return np.clip(load_digits().images * 16, 0, 255).astype(np.uint8)[..., None]


def trial(digits: np.ndarray, count: int, seed: int, change: Callable[[np.ndarray], np.ndarray]) -> Drift:
    """Of `count` images that came, 360 that are held out, and 300 that the extractor has not learned from, all others."""
    order = np.random.default_rng(seed).permutation(len(digits))
    came, held_out, unseen = np.split(digits[order[: count + 660]], [count, count + 360])
    pinned = Benchmark(
        "a", [], Features(cells(held_out), None), np.full(360, -1, np.int32), Features(cells(unseen), None), learned=None
    )
    return drift.measure(Drift(count, 0, NEEDED), cells(change(came)), pinned)


@pytest.mark.parametrize("count", [NEEDED, 200])
def test_rows_of_the_same_data_are_no_drift(digits: np.ndarray, count: int) -> None:
    found = [trial(digits, count, seed, lambda images: images) for seed in range(SEEDS)]
    assert not any(one.present for one in found)
    within = [one for one in found if one.distance is not None and one.normal is not None and one.distance <= one.normal]
    assert len(within) >= 0.8 * SEEDS
    assert np.mean([one.low == 0 for one in found]) >= 0.75  # the distance of the distributions, in most intervals


@pytest.mark.parametrize("change", [inverted, blurred])
def test_what_looks_otherwise_is_drift(digits: np.ndarray, change: Callable[[np.ndarray], np.ndarray]) -> None:
    found = [trial(digits, 100, seed, change) for seed in range(SEEDS)]
    assert all(one.present for one in found)


def test_with_too_few_rows_nothing_is_said(digits: np.ndarray) -> None:
    found = trial(digits, NEEDED - 1, 0, inverted)
    assert (found.distance, found.normal, found.compared) == (None, None, NEEDED - 1)
    assert not found.present
    assert drift.describe("upload", found) == f"uploads: too few rows to compare, {NEEDED - 1} of {NEEDED}"


def test_a_small_benchmark_is_said_too(digits: np.ndarray) -> None:
    pinned = Benchmark("a", [], Features(cells(digits[:20]), None), np.full(20, -1, np.int32))
    found = drift.measure(Drift(100, 0, NEEDED), cells(digits[100:200]), pinned)
    assert found.why == f"too few reference rows to compare, 20 of {NEEDED}"


def test_shares_of_classes_are_held_against_the_reference_s() -> None:
    random = np.random.default_rng(0)
    reference = np.repeat(np.arange(4), [400, 300, 200, 100]).astype(np.int32)
    same = [drift.share_classes(Drift(100, 0, 1), random.choice(reference, 100), reference, 4) for _ in range(SEEDS)]
    assert sum(one.shifted for one in same) <= 2
    found = drift.share_classes(Drift(100, 0, 1), np.repeat([0, 1, 2, -1], [50, 30, 10, 10]), reference, 4)
    assert found.balance == 0.0
    assert found.shift == pytest.approx((abs(5 / 9 - 0.4) + abs(1 / 3 - 0.3) + abs(1 / 9 - 0.2) + 0.1) / 2)
    assert found.shifted
    even = drift.share_classes(Drift(100, 0, 1), np.arange(100) % 4, reference, 4)
    assert even.balance == 1.0
    assert "otherwise than in the reference data (20% would have to change" in str(drift.describe_classes(even))


@pytest.mark.parametrize(("labels", "classes"), [([0, 1], 0), ([-1, -1], 2), ([], 2)])
def test_without_labels_nothing_is_said_of_classes(labels: list[int], classes: int) -> None:
    found = drift.share_classes(Drift(2, 0, 1), np.array(labels, np.int32), np.array([0, 1, 1], np.int32), classes)
    assert (found.balance, found.shift) == (None, None)
    assert drift.describe_classes(found) is None


MEASURED = Drift(90, 90, 40, distance=0.8, low=0.1, high=1.6, normal=1.2)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {},
            "uploads look like the reference data: 0.8 (0.1 to 1.6), as far as 90 reference rows among themselves (up to 1.2)",
        ),
        ({"low": 1.3}, "differ from the reference data: 0.8 (1.3 to 1.6), further than"),
        ({"distance": 1.4}, "may differ from the reference data: 1.4 (0.1 to 1.6), and"),
        ({"waiting": 5}, "(up to 1.2); 5 more came since"),
        ({"distance": None, "why": "none yet"}, "uploads: none yet"),
    ],
)
def test_it_is_said_in_words(changes: dict[str, float], words: str) -> None:
    assert words in drift.describe("upload", replace(MEASURED, **changes))  # type: ignore[arg-type]


def test_a_report_is_read_as_it_was_written(project: Project) -> None:
    report = DriftReport("2026-01-31T12:00:00Z", "abc", "f", {"upload": MEASURED, "ingest": replace(MEASURED, low=9.0)})
    assert drift.read(project) is None
    drift.write(project, report)
    assert drift.read(project) == report
    assert drift.clear(report.kinds) == ["ingest"]
    assert asdict(report)["kinds"]["upload"]["normal"] == 1.2


@pytest.mark.parametrize("text", ["", "[]", '{"kinds": 3}', '{"kinds": {"upload": {"rows": 1}}}', '{"kinds": {}}'])
def test_a_damaged_report_is_none(project: Project, text: str) -> None:
    path = drift.report_file(project)
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert drift.read(project) is None
