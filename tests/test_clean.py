"""clean: refuses by rule, in order; makes rows of one form; splits by content; loses nothing."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest

from pipelines import clean, validate
from pipelines.core import facts, files, images, reports, rows, shards
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from tests.conftest import MakeParams
from tests.contracts import pictures
from tests.test_validate import write_raw


def prepare(project: Project, make_params: MakeParams, pixels: list[np.ndarray], changes: dict[str, Any] | None = None) -> Any:
    params = make_params({"validate.hard": {}, "validate.soft": {}, **(changes or {})})
    write_raw(project, pixels, [number % 2 for number in range(len(pixels))])
    validate.run(project, params)
    return params


def quarantine(project: Project) -> Counter[str]:
    return Counter(r for batch in shards.read(project.quarantine / "clean") for r in batch["reason"].to_pylist())


def test_what_goes_in_comes_out_or_is_refused_with_its_reason(project: Project, make_params: MakeParams) -> None:
    good = list(pictures(100, 20, 3))
    bad = [good[0], np.zeros((20, 20, 3), np.uint8), good[1][:, :3], good[2][:3]]
    clean.run(project, prepare(project, make_params, [*good, *bad]))
    report = reports.read(project.reports, "clean")
    assert report["refused"] == {"exact_copy": 1, "near_copy": 0, "blank": 1, "too_small": 2, "aspect_ratio": 0}
    assert report["rows_in"] == report["rows_out"] + sum(report["refused"].values()) == 104
    assert report["train"] + report["holdout"] == report["rows_out"] == shards.count(project.clean)
    assert quarantine(project) == {"exact_copy": 1, "blank": 1, "too_small": 2}


def test_rules_apply_in_the_order_of_params(project: Project, make_params: MakeParams) -> None:
    blank = np.zeros((20, 20, 1), np.uint8)
    rules = [{"rule": "blank"}, {"rule": "exact_copy"}]
    clean.run(project, prepare(project, make_params, [*pictures(50, 20, 1), blank, blank], {"clean.rules": rules}))
    assert quarantine(project) == {"blank": 2}
    clean.run(project, prepare(project, make_params, [*pictures(50, 20, 1), blank, blank], {"clean.rules": rules[::-1]}))
    assert quarantine(project) == {"exact_copy": 1, "blank": 1}


@pytest.mark.parametrize("channels", [1, 3])
def test_rows_become_of_one_form(project: Project, make_params: MakeParams, channels: int) -> None:
    pixels = [*pictures(30, 40, 1), *pictures(30, 33, 3, seed=1), *pictures(30, 20, 3, seed=2)]
    params = prepare(project, make_params, [p[: 20 + i % 9] for i, p in enumerate(pixels)], {"image.channels": channels})
    clean.run(project, params)
    for split in ("train", "holdout"):
        loaded = rows.load(project.clean, split)  # type: ignore[arg-type]
        assert loaded.images.shape[1:] == (16, 16, channels)
        assert loaded.ids.tolist() == [images.row_id(image) for image in loaded.images]
    names = [row["image"]["path"] for batch in shards.read(project.clean) for row in batch.to_pylist()]
    assert set(names) == {None}


def test_a_row_keeps_its_split_however_the_data_grows(project: Project, make_params: MakeParams) -> None:
    def splits() -> dict[str, str]:
        read = [batch.to_pylist() for batch in shards.read(project.clean)]
        return {row["row_id"]: row["split"] for batch in read for row in batch}

    few, many = list(pictures(60, 16, 1)), list(pictures(200, 16, 1))
    clean.run(project, prepare(project, make_params, few))
    before = splits()
    clean.run(project, prepare(project, make_params, many[::-1] + few))
    after = splits()
    assert {identity: after.get(identity) for identity in before} == before
    assert 0.1 < Counter(after.values())["holdout"] / len(after) < 0.3


def test_denoising_takes_single_wrong_pixels_away(project: Project, make_params: MakeParams) -> None:
    flat = np.full((16, 16, 1), 100, np.uint8)
    flat[:, 8:] = 200
    noisy = flat.copy()
    noisy[4, 3], noisy[12, 12] = 255, 0
    params = make_params({"clean.denoise": "median"})
    assert np.array_equal(params.form.apply(noisy), flat)
    assert np.array_equal(make_params().form.apply(noisy), noisy)


def test_data_of_which_nothing_is_left_is_an_error(project: Project, make_params: MakeParams) -> None:
    params = prepare(project, make_params, [np.zeros((20, 20, 1), np.uint8)] * 3)
    with pytest.raises(InputError, match=r"every row was refused: .*'exact_copy': 2.*'blank': 1"):
        clean.run(project, params)
    assert not project.clean.exists()


def test_too_few_rows_to_hold_some_out_is_an_error(project: Project, make_params: MakeParams) -> None:
    params = prepare(project, make_params, list(pictures(3, 16, 1)), {"clean.holdout": 1e-6})
    with pytest.raises(InputError, match="no row fell into the holdout split of 3"):
        clean.run(project, params)
    assert not project.clean.exists()


def test_facts_of_other_rows_are_refused(project: Project, make_params: MakeParams) -> None:
    params = prepare(project, make_params, list(pictures(30, 16, 1)))
    for part in shards.list_files(project.raw):
        part.unlink()
    write_raw(project, list(pictures(20, 16, 1, seed=5)), [0] * 20)
    with pytest.raises(InputError, match="run `validate` again"):
        clean.run(project, params)
    assert not project.clean.exists()


Row = tuple[np.ndarray, int | None, str | None]  # pixels, label, split


def cleaned(project: Project, make_params: MakeParams, raw: list[Row], classes: list[str], **changes: Any) -> dict[str, Any]:
    """The report of `clean` on these rows of data/raw."""
    params = make_params({"train.batch_size": 2, **changes})
    pixels, labels, splits = map(list, zip(*raw, strict=True))
    write_raw(project, pixels, labels, classes, splits)
    with files.replacement(project.facts) as folder:
        facts.write(facts.measure_folder(project.raw, params.image.background, "validate"), folder / "facts.parquet")
    clean.run(project, params)
    return reports.read(project.reports, "clean")


def kept(project: Project) -> Counter[tuple[bytes, str | None, str]]:
    """(pixels, name of the class, split) of every row of data/clean."""
    classes = shards.classes(project.clean)
    return Counter(
        (
            images.decode_pixels(row["image"]["bytes"]).tobytes(),
            None if row["label"] is None else classes[row["label"]],
            row["split"],
        )
        for batch in shards.read(project.clean)
        for row in batch.to_pylist()
    )


def labels_kept(project: Project) -> dict[bytes, set[str | None]]:
    found: dict[bytes, set[str | None]] = {}
    for content, name, _ in kept(project):
        found.setdefault(content, set()).add(name)
    return found


SAME = list(pictures(40, 16, 1))  # in the form of the rows already, so that pixels tell which row became which
OTHERS: list[Row] = [(image, number % 2, None) for number, image in enumerate(pictures(60, 16, 1, seed=9))]


@pytest.mark.parametrize("reading", ["forwards", "backwards"])
def test_of_twelve_dogs_among_the_cats_neither_copy_is_kept_whatever_is_read_first(
    project: Project, make_params: MakeParams, capsys: Any, reading: str
) -> None:
    cats: list[Row] = [*((image, 0, None) for image in SAME[:24]), *((image, 0, None) for image in SAME[24:36])]
    dogs: list[Row] = [(image, 1, None) for image in SAME[24:]]
    raw = [*cats, *dogs] if reading == "forwards" else [*dogs, *cats]
    report = cleaned(project, make_params, raw, ["cat", "dog"])
    expected = {image.tobytes(): {"cat"} for image in SAME[:24]} | {image.tobytes(): {"dog"} for image in SAME[36:]}
    assert labels_kept(project) == expected
    assert report["refused"]["conflicting labels"] == 24
    assert report["rows_in"] == report["rows_out"] + sum(report["refused"].values()) == 52
    assert quarantine(project) == {"conflicting labels": 24}
    out = capsys.readouterr().out
    assert "clean: 24 refused for conflicting labels, in data/quarantine/clean" in out
    assert "clean: pictures with several labels: 12; by clean.conflicting_labels none of their rows is kept" in out


@pytest.mark.parametrize("place", range(3))
def test_by_majority_the_label_that_most_copies_have_is_kept_and_none_at_a_tie(
    project: Project, make_params: MakeParams, place: int
) -> None:
    dog, tie = SAME[0], SAME[1]
    copied: list[Row] = [(dog, 1, None), (dog, 1, None), (tie, 0, None), (tie, 1, None), (tie, None, None)]
    copied.insert(place, (dog, 0, None))
    report = cleaned(project, make_params, [*copied, *OTHERS], ["cat", "dog"], **{"clean.conflicting_labels": "majority"})
    found = labels_kept(project)
    assert found[dog.tobytes()] == {"dog"}
    assert tie.tobytes() not in found
    assert (report["refused"]["conflicting labels"], report["refused"]["exact_copy"]) == (4, 1)


def test_conflicting_labels_stop_where_they_are_to(project: Project, make_params: MakeParams) -> None:
    raw: list[Row] = [(SAME[0], 1, None), *OTHERS, (SAME[0], 0, None)]
    with pytest.raises(InputError, match=r"several labels: 1, the first with 'cat' and 'dog'; .*data.html.*conflicting_labels"):
        cleaned(project, make_params, raw, ["cat", "dog"], **{"clean.conflicting_labels": "stop"})
    assert not project.clean.exists()


def test_near_copies_with_different_labels_contradict_each_other_too(project: Project, make_params: MakeParams) -> None:
    """One grey apart: `near_copy` would keep one of them, and with it the label that was read first."""
    lighter = np.minimum(SAME[0], 254) + np.uint8(1)
    raw: list[Row] = [(SAME[0], 0, None), *OTHERS, (lighter, 1, None)]
    report = cleaned(project, make_params, raw, ["cat", "dog"])
    assert not {SAME[0].tobytes(), lighter.tobytes()} & set(labels_kept(project))
    assert report["refused"] == {**dict.fromkeys(report["refused"], 0), "conflicting labels": 2}
    report = cleaned(project, make_params, raw, ["cat", "dog"], **{"clean.rules": [{"rule": "exact_copy"}]})
    assert report["rows_out"] == 62  # without the rule they are two pictures


@pytest.mark.parametrize("labels", [(None, 1), (1, None)])
def test_a_copy_without_a_label_is_no_contradiction_and_the_label_wins(
    project: Project, make_params: MakeParams, labels: tuple[int | None, int | None]
) -> None:
    raw: list[Row] = [(SAME[0], labels[0], None), *OTHERS, (SAME[0], labels[1], None)]
    report = cleaned(project, make_params, raw, ["cat", "dog"])
    assert labels_kept(project)[SAME[0].tobytes()] == {"dog"}
    assert report["refused"] == {**dict.fromkeys(report["refused"], 0), "exact_copy": 1}


def test_blank_pictures_in_every_class_are_blank_and_no_contradiction(project: Project, make_params: MakeParams) -> None:
    blank = np.zeros((16, 16, 1), np.uint8)
    raw: list[Row] = [(blank, 0, None), (blank, 1, None), *OTHERS]
    report = cleaned(project, make_params, raw, ["cat", "dog"], **{"clean.conflicting_labels": "stop"})
    assert report["refused"] == {**dict.fromkeys(report["refused"], 0), "exact_copy": 1, "blank": 1}


def test_a_split_that_is_set_is_kept(project: Project, make_params: MakeParams) -> None:
    splits = ["holdout" if number % 3 else "train" for number in range(40)]
    cleaned(project, make_params, [(image, 0, one) for image, one in zip(SAME, splits, strict=True)], ["cat"])
    assert kept(project) == Counter((image.tobytes(), "cat", one) for image, one in zip(SAME, splits, strict=True))


@pytest.mark.parametrize("splits", [("train", "holdout"), ("holdout", "train"), (None, "holdout")])
@pytest.mark.parametrize("lighter", [False, True])
def test_a_copy_in_both_splits_stays_in_the_holdout_and_is_not_trained_on(
    project: Project, make_params: MakeParams, splits: tuple[str | None, str], lighter: bool
) -> None:
    other = np.minimum(SAME[0], 254) + np.uint8(1) if lighter else SAME[0]
    rest: list[Row] = [(image, 0, "train") for image in SAME[1:]]
    report = cleaned(project, make_params, [(SAME[0], 0, splits[0]), *rest, (other, 0, splits[1])], ["cat"])
    held_out = SAME[0] if splits[0] == "holdout" else other
    assert kept(project) == Counter(
        [(held_out.tobytes(), "cat", "holdout"), *((p.tobytes(), "cat", "train") for p, _, _ in rest)]
    )
    assert quarantine(project) == {"copy of a held-out row": 1}
    assert report["refused"]["copy of a held-out row"] == 1


def test_a_row_id_is_of_one_row_even_where_resizing_makes_pictures_equal(project: Project, make_params: MakeParams) -> None:
    large = [np.repeat(np.repeat(image, 2, axis=0), 2, axis=1) for image in SAME]
    raw: list[Row] = [*((image, 0, None) for image in SAME), *((image, 0, None) for image in large)]
    changes = {"clean.rules": [], "clean.filter": "box"}
    report = cleaned(project, make_params, raw, ["cat"], **changes)
    assert report["refused"] == {"same pixels as another row after resizing": 40}
    assert set(kept(project).values()) == {1}
    assert len(kept(project)) == 40
    assert quarantine(project).total() + shards.count(project.clean) == len(raw)


def test_pictures_that_resizing_makes_equal_contradict_each_other_by_their_labels(
    project: Project, make_params: MakeParams
) -> None:
    large = np.repeat(np.repeat(SAME[0], 2, axis=0), 2, axis=1)
    raw: list[Row] = [(SAME[0], 0, None), (large, 1, None), *OTHERS]
    changes = {"clean.rules": [], "clean.filter": "box"}
    report = cleaned(project, make_params, raw, ["cat", "dog"], **changes)
    assert SAME[0].tobytes() not in labels_kept(project)
    assert (report["refused"], report["pictures_with_several_labels"]) == ({"conflicting labels": 2}, 1)


def test_a_class_whose_rows_are_all_refused_or_held_out_is_no_class(
    project: Project, make_params: MakeParams, capsys: Any
) -> None:
    blank = np.zeros((16, 16, 1), np.uint8)
    raw: list[Row] = [
        (blank, 0, "train"), (SAME[0], 1, "holdout"), (SAME[1], 1, "holdout"), (SAME[2], None, "holdout"),
        *((image, 2 + number % 2, "train") for number, image in enumerate(SAME[3:30])),
        *((image, 2, "holdout") for image in SAME[30:]),
    ]  # fmt: skip
    report = cleaned(project, make_params, raw, ["empty", "fox", "cat", "dog"])
    assert shards.classes(project.clean) == report["classes"] == ["cat", "dog"]
    expected = [(SAME[2], None, "holdout"), *((image, "cat", "holdout") for image in SAME[30:])]
    expected += [(image, ("cat", "dog")[number % 2], "train") for number, image in enumerate(SAME[3:30])]
    assert kept(project) == Counter((image.tobytes(), name, split) for image, name, split in expected)
    assert quarantine(project) == {"blank": 1, "class without training rows": 2}
    assert report["classes_left_out"] == {"empty": 1, "fox": 2}
    words = "clean: no class any more, because no row of it is left to train on: empty (1 rows), fox (2 rows)"
    assert words in capsys.readouterr().out


def test_labels_of_held_out_rows_alone_are_left_out(project: Project, make_params: MakeParams, capsys: Any) -> None:
    raw: list[Row] = [
        (image, number % 2 if number < 10 else None, "holdout" if number < 10 else "train") for number, image in enumerate(SAME)
    ]
    cleaned(project, make_params, raw, ["cat", "dog"])
    assert shards.classes(project.clean) == []
    assert kept(project) == Counter((image.tobytes(), None, split) for image, _, split in raw)
    assert "no training row has a label" in capsys.readouterr().out


def test_fewer_training_rows_than_a_batch_are_said_at_once(project: Project, make_params: MakeParams, capsys: Any) -> None:
    report = cleaned(project, make_params, OTHERS, ["cat", "dog"], **{"train.batch_size": 128})
    words = f"{report['train']} rows to train on are fewer than train.batch_size: 128"
    remedy = f"set train.batch_size to {report['train']} or less, or add images, or feedback must add some"
    assert f"{words}; {remedy}" in capsys.readouterr().out
    cleaned(project, make_params, OTHERS, ["cat", "dog"])
    assert "train.batch_size" not in capsys.readouterr().out
