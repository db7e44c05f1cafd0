"""Rules: each refuses what it names, and nothing else."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pipelines import catalogue
from pipelines.core import facts, images
from pipelines.rules.near_copy import NearCopy, neighbours
from tests.contracts import pictures


def table(pixels: list[np.ndarray]) -> facts.Facts:
    """Facts of (h, w) uint8 images."""
    measured = np.zeros(len(pixels), facts.FACT)
    for row, image in zip(measured, pixels, strict=True):
        row["id"] = bytes.fromhex(images.row_id(image)[:32])
        row["height"], row["width"] = image.shape
        for name, values in facts.measure_greys(image[None]).items():
            row[name] = values[0]
    return measured


SOME = [image[:, :, 0] for image in pictures(12, 48, 1)]


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    encoded = io.BytesIO()
    Image.fromarray(image).save(encoded, "JPEG", quality=quality)
    return np.asarray(Image.open(encoded))


@pytest.mark.parametrize(
    ("name", "options", "bad"),
    [
        ("exact_copy", {}, SOME[3].copy()),
        ("near_copy", {}, jpeg(SOME[3], 80)),
        ("near_copy", {}, np.asarray(Image.fromarray(SOME[3]).resize((96, 96), Image.Resampling.BICUBIC))),
        ("blank", {}, np.full((48, 48), 7, np.uint8)),
        ("too_small", {"side": 20}, SOME[0][:19]),
        ("aspect_ratio", {"most": 2.0}, SOME[0][:20]),
    ],
)
def test_a_rule_refuses_its_case_and_keeps_the_others(name: str, options: dict[str, float], bad: np.ndarray) -> None:
    rule = catalogue.get(catalogue.RULES, name)(rule=name, **options)
    keep = rule.keep(table([*SOME, bad]))
    assert keep.tolist() == [True] * len(SOME) + [False]


@pytest.mark.parametrize("name", catalogue.RULES)
def test_a_rule_takes_an_empty_table(name: str) -> None:
    assert catalogue.get(catalogue.RULES, name)(rule=name).keep(np.empty(0, facts.FACT)).shape == (0,)


def test_exact_copies_need_equal_pixels_only_of_equal_ids_with_zero_bytes() -> None:
    measured = np.zeros(2, facts.FACT)
    measured["id"] = [b"\0\1", b"\0\2"]
    assert catalogue.get(catalogue.RULES, "exact_copy")(rule="exact_copy").keep(measured).all()


@pytest.mark.parametrize("distance", [0, 1, 2, 5])
def test_near_copies_are_all_pairs_within_the_distance(distance: int) -> None:
    random = np.random.default_rng(0)
    measured = np.zeros(300, facts.FACT)
    measured["hash"] = random.integers(0, 2**63, 300, dtype=np.uint64)
    for copy in range(150, 300):  # flip up to 8 bits of an earlier one
        flipped = random.choice(64, random.integers(0, 9), replace=False)
        measured["hash"][copy] = measured["hash"][copy - 150] ^ np.uint64(sum(1 << int(bit) for bit in flipped))
    hashes = measured["hash"]
    apart = np.bitwise_count(hashes[:, None] ^ hashes[None])
    expected = [not (apart[i, :i] <= distance).any() for i in range(300)]
    assert NearCopy(rule="near_copy", distance=distance).keep(measured).tolist() == expected


def test_neighbours_are_all_pairs_of_equal_keys() -> None:
    keys = np.array([5, 1, 5, 2, 5, 1], np.uint64)
    found = {frozenset((int(a), int(b))) for first, second in neighbours(keys) for a, b in zip(first, second, strict=True)}
    assert found == {frozenset(pair) for pair in ((0, 2), (0, 4), (2, 4), (1, 5))}


def test_the_defaults_refuse_less_than_half_a_percent_of_mnist(real_data, make_params) -> None:  # type: ignore[no-untyped-def]
    with np.load(real_data("mnist.npz")) as arrays:
        digits = arrays["x_train"][:12_000]
    measured = np.zeros(len(digits), facts.FACT)
    measured["id"] = [bytes.fromhex(images.row_id(digit)[:32]) for digit in digits]
    measured["width"] = measured["height"] = 28
    for name, values in facts.measure_greys(digits).items():
        measured[name] = values
    refused = np.zeros(len(digits), bool)
    for rule in make_params().clean.rules:
        refused |= ~rule.keep(measured)
    assert refused.mean() < 0.005
