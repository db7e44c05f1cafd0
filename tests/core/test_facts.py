"""Facts: measured as defined, and the same after a round trip through their file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.core import facts
from tests.contracts import pictures


def test_the_facts_of_known_images() -> None:
    black, white = np.zeros((16, 16), np.uint8), np.full((16, 16), 255, np.uint8)
    halves = np.concatenate([black[:, :8], white[:, :8]], axis=1)
    measured = facts.measure_greys(np.stack([black, white, halves]))
    assert measured["brightness"].tolist() == [0, 255, 127.5]
    assert measured["contrast"].tolist() == [0, 0, 127.5]
    assert measured["sharpness"][0] == 0 < measured["sharpness"][2]


def test_blur_lowers_sharpness() -> None:
    image = Image.fromarray(pictures(1, 32, 1)[0, :, :, 0])
    soft = image.resize((16, 16)).resize((32, 32))
    sharp, blurred = facts.measure_greys(np.stack([image, soft]))["sharpness"]
    assert blurred < sharp / 2


def test_a_hash_survives_another_size_and_tells_other_images_apart() -> None:
    images = [Image.fromarray(image[:, :, 0]) for image in pictures(20, 64, 1)]
    large = facts.measure_greys(np.stack(images))["hash"]
    small = facts.measure_greys(np.stack([image.resize((40, 40), Image.Resampling.BICUBIC) for image in images]))["hash"]
    apart = np.bitwise_count(large[:, None] ^ small[None])
    assert np.diag(apart).max() <= 6
    assert np.median(apart[~np.eye(20, dtype=bool)]) > 12


def test_facts_come_back_from_their_file(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    table = np.frombuffer(random.bytes(50 * facts.FACT.itemsize), facts.FACT).copy()
    for name in ("brightness", "contrast", "sharpness"):
        table[name] = random.random(50)
    table["mode"] = b"RGB"
    table["id"][0] = b"\0\0leading zeros"
    facts.write(table, tmp_path / "facts.parquet")
    read = facts.read(tmp_path / "facts.parquet")
    for name in facts.FACT.names or ():
        assert np.array_equal(read[name], table[name]), name
