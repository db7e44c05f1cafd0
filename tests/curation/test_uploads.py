"""Uploads: quarantined until they have passed every check."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from pipelines.core import images, png
from tests.curation.data import Curation


def test_an_upload_becomes_a_training_row_in_the_rows_form(curation: Curation) -> None:
    image = curation.new(1, size=40, channels=3)[0]
    event = curation.feedback.upload("ann", image, label=1)
    report = curation.curate()
    (row,) = curation.rows()
    pixels = images.decode_pixels(row["image"]["bytes"])
    assert pixels.shape == (16, 16, 1)
    assert row["row_id"] == images.row_id(pixels)
    facts = [row[name] for name in ("label", "source", "origin", "generation", "weight", "events", "split")]
    assert facts == [1, "feedback", "upload", 0, 1.0, [event], "train"]
    assert (report["uploads"], report["rows_uploaded"], report["refused"]) == (1, 1, {})
    assert curation.quarantine() == {}


def test_no_upload_is_ever_held_out(curation: Curation) -> None:
    for image in curation.new(20):
        curation.feedback.upload("ann", image)
    curation.curate()
    assert {row["split"] for row in curation.rows()} == {"train"}
    assert any(int(row["row_id"][:13], 16) < 0.2 * 16**13 for row in curation.rows())  # of which `clean` would hold it out


def test_what_several_people_sent_is_one_row_and_a_label_wins_over_none(curation: Curation) -> None:
    image = curation.new(1)[0]
    events = [curation.feedback.upload(rater, image, label) for rater, label in (("ann", None), ("bob", 1), ("eve", 1))]
    assert curation.curate()["uploads"] == 1
    assert [(row["events"], row["label"]) for row in curation.rows()] == [(events, 1)]


def lighter(image: np.ndarray) -> np.ndarray:
    return np.minimum(image, 254) + np.uint8(1)


@pytest.mark.parametrize("labels", [(0, 1), (1, 0), (0, 1, None)])
@pytest.mark.parametrize("copy", [np.copy, lambda image: np.repeat(image, 3, axis=2), lighter], ids=["file", "pixels", "near"])
def test_one_picture_that_people_upload_with_several_labels_becomes_no_row(
    curation: Curation, labels: tuple[int | None, ...], copy: Callable[[np.ndarray], np.ndarray]
) -> None:
    image, other = curation.new(2)
    for number, label in enumerate(labels):
        curation.feedback.upload(f"rater-{number}", copy(image) if number else image, label)
    curation.feedback.upload("ann", other, 1)
    report = curation.curate()
    assert [(row["image"]["bytes"], row["label"]) for row in curation.rows()] == [(png.encode(other), 1)]
    assert report["refused"] == {"conflicting labels": report["uploads"] - 1} == curation.quarantine()
    assert curation.raters()["rater-1"]["set_aside"] == "upload, conflicting labels: 1"


@pytest.mark.parametrize("labels", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
def test_by_majority_an_upload_gets_the_label_that_most_people_gave(curation: Curation, labels: tuple[int, ...]) -> None:
    image, tie = curation.new(2)
    for number, label in enumerate(labels):
        curation.feedback.upload(f"rater-{number}", image, label)
    for number in range(2):
        curation.feedback.upload(f"rater-{number}", tie, number)
    report = curation.curate({"clean.conflicting_labels": "majority"})
    assert [(row["image"]["bytes"], row["label"]) for row in curation.rows()] == [(png.encode(image), 1)]
    assert report["refused"] == {"conflicting labels": 1}


def test_a_rater_who_uploads_a_picture_again_corrects_its_label(curation: Curation) -> None:
    image = curation.new(1)[0]
    for label in (0, 1):
        curation.feedback.upload("ann", image, label)
    curation.curate()
    assert [row["label"] for row in curation.rows()] == [1]


def test_feedback_never_stops_the_loop_by_its_labels(curation: Curation) -> None:
    image = curation.new(1)[0]
    for rater, label in (("ann", 0), ("bob", 1)):
        curation.feedback.upload(rater, image, label)
    assert curation.curate({"clean.conflicting_labels": "stop"})["refused"] == {"conflicting labels": 1}


@pytest.mark.parametrize(("place", "label"), [(0, 1), (1, 0), (-1, 0)])
def test_an_upload_of_a_row_with_another_label_changes_nothing_and_says_why(curation: Curation, place: int, label: int) -> None:
    curation.feedback.upload("ann", curation.pixels[place], label)
    report = curation.curate()
    assert (curation.rows(), curation.changes()) == ([], {})
    assert report["refused"] == {"conflicting labels": 1}
    assert curation.raters()["ann"]["set_aside"] == "upload, conflicting labels: 1"


def jpeg(pixels: np.ndarray) -> bytes:
    content = io.BytesIO()
    Image.fromarray(pixels[:, :, 0]).save(content, "JPEG", quality=100)
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"no image at all, but some text", "not an image"),
        (b"%PDF-1.4 a document, and not an image", "unsupported format"),
        (png.encode(np.zeros((16, 16, 1), np.uint8))[:-20], "truncated or damaged"),
        (np.zeros((5000, 2, 1), np.uint8), "side too long"),
        (np.full((16, 16, 1), 255, np.uint8), "brightness"),
        (np.full((16, 16, 1), 90, np.uint8), "contrast"),
        (np.repeat(np.arange(0, 240, 15, dtype=np.uint8), 16).reshape(16, 16, 1), "sharpness"),
        (np.random.default_rng(9).integers(0, 255, (3, 16, 1), np.uint8), "side"),
        (np.random.default_rng(9).integers(0, 255, (20, 200, 1), np.uint8), "aspect_ratio"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_any_data_would_be_refused_for_is_quarantined_with_the_reason(
    curation: Curation, content: bytes | np.ndarray, reason: str
) -> None:
    curation.feedback.upload("ann", content)
    report = curation.curate()
    assert (report["rows_uploaded"], report["refused"]) == (0, {reason: 1})
    (refused,) = curation.rejected()
    (picture,) = curation.feedback.uploaded.values()
    assert (refused["reason"], refused["image"]) == (reason, {"bytes": picture.image, "path": picture.upload})
    assert curation.raters()["ann"]["set_aside"] == f"upload, {reason}: 1"


def test_formats_are_those_of_params(curation: Curation) -> None:
    curation.feedback.upload("ann", curation.new(1)[0])
    curation.feedback.upload("ann", curation.new(1, channels=3)[0])
    assert curation.curate({"validate.soft": {"modes": ["L"]}})["refused"] == {"modes": 1}


def test_a_copy_of_a_row_of_the_data_or_the_holdout_or_of_an_upload_is_refused(curation: Curation) -> None:
    new = curation.new(1)[0]
    lighter = np.clip(new.astype(int) + 1, 0, 255).astype(np.uint8)
    for content, label in (
        (curation.pixels[0], 0),
        (curation.pixels[-1], 1),
        (jpeg(curation.pixels[-2]), 0),
        (new, 0),
        (np.repeat(new, 3, axis=2), 0),
        (lighter, 0),
    ):
        curation.feedback.upload("ann", content, label)
    report = curation.curate({"clean.rules.1.difference": 3.0})
    assert report["rows_uploaded"] == 1
    assert report["refused"] == {"exact_copy": 3, "near_copy": 2}


def test_a_copy_by_the_pixels_is_refused_whatever_the_rules_are(curation: Curation) -> None:
    curation.feedback.upload("ann", curation.pixels[-1], 1)
    assert curation.curate({"clean.rules": []})["refused"] == {"exact_copy": 1}


def test_an_upload_goes_before_a_drawn_copy_of_it(curation: Curation) -> None:
    image = curation.new(1)[0]
    curation.feedback.like(curation.feedback.sample(image), "ann", "bob", "eve")
    curation.feedback.upload("ann", image)
    curation.curate()
    assert [row["origin"] for row in curation.rows()] == ["upload"]


def test_labels_may_be_missing_but_not_unknown(curation: Curation) -> None:
    for image, label in zip(curation.new(3), (None, 1, 2), strict=True):
        curation.feedback.upload("ann", image, label)
    report = curation.curate()
    assert [row["label"] for row in curation.rows()] == [None, 1]
    assert report["refused"] == {"unknown label": 1}


def test_one_who_sends_500_gets_the_first_tenth_of_the_rows_in(curation: Curation) -> None:
    events = [curation.feedback.upload("zoe", image) for image in curation.new(500, size=8)]
    others = [curation.feedback.upload("ann", image) for image in curation.new(3)]
    report = curation.curate()
    assert [row["events"][0] for row in curation.rows()] == [*events[:20], *others]
    assert report["refused"] == {"over the rater's quota": 480}
    assert curation.quarantine() == {"over the rater's quota": 480}


def test_an_upload_whose_bytes_are_lost_is_reported(curation: Curation) -> None:
    curation.feedback.upload("ann", curation.new(1)[0])
    (digest,) = curation.feedback.uploaded
    curation.feedback.lose(digest)
    assert curation.curate()["refused"] == {"no picture": 1}
    assert curation.quarantine() == {"no picture": 1}
