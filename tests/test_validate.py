"""validate: measures every row, stops where it must, warns where it may, and shows the data on one page."""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
import pytest

from pipelines import validate
from pipelines.core import facts, files, images, png, reports, shards
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.settings.schema import Expectations
from pipelines.validation import conflicts, expectations
from tests.conftest import MakeParams
from tests.contracts import pictures


def write_raw(
    project: Project,
    pixels: list[np.ndarray],
    labels: list[int | None],
    classes: list[str] = ["a", "b"],  # noqa: B006
    splits: list[str | None] | None = None,
    paths: list[str] | None = None,
) -> None:
    """data/raw, and the report of `ingest`. splits: set by their source."""
    splits, names = splits or [None] * len(pixels), {"train": "train", "holdout": "test", None: None}
    with files.replacement(project.raw) as folder, shards.ShardWriter(folder, classes=classes) as writer:
        for number, (image, label, split) in enumerate(zip(pixels, labels, splits, strict=True)):
            writer.add(
                {"image": {"bytes": png.encode(image), "path": paths[number] if paths else None}, "label": label,
                 "row_id": images.row_id(image), "source": "test", "origin": "real", "generation": 0, "weight": 1.0,
                 "events": [], "split": split, "source_split": names[split]}
            )  # fmt: skip
    reports.write(project.reports, "ingest", reports.row_counts(len(pixels), len(pixels), {}))


def some(count: int = 120) -> tuple[list[np.ndarray], list[int | None]]:
    return list(pictures(count, 12, 1)), [number % 2 for number in range(count)]


def test_sound_data_passes_and_its_facts_lie_in_the_order_of_its_rows(project: Project, make_params: MakeParams) -> None:
    pixels, labels = some()
    write_raw(project, pixels, labels)
    validate.run(project, make_params())
    measured = facts.read(project.facts / "facts.parquet")
    assert measured["id"].tolist() == [bytes.fromhex(images.row_id(p)[:32]).rstrip(b"\0") for p in pixels]
    assert measured["label"].tolist() == labels
    assert measured["brightness"] == pytest.approx([p.mean() for p in pixels])
    report = reports.read(project.reports, "validate")
    assert (report["rows_in"], report["rows_out"], report["refused"], report["passed"]) == (120, 120, {}, True)
    assert report["great_expectations"]["success"] is True


def test_rows_of_many_sizes_and_modes_keep_their_places(project: Project, make_params: MakeParams) -> None:
    random = np.random.default_rng(0)
    sizes = [(8 + i % 5, 9 + i % 3, 1 + i % 4) for i in range(110)]
    pixels = [random.integers(0, 256, size, np.uint8) for size in sizes]
    write_raw(project, pixels, [None] * 110, classes=[])
    validate.run(project, make_params({"validate.soft": {}}))
    measured = facts.read(project.facts / "facts.parquet")
    assert [(int(r["height"]), int(r["width"])) for r in measured] == [size[:2] for size in sizes]
    assert [r["mode"].decode() for r in measured] == [images.MODES[size[2]] for size in sizes]


def test_a_broken_hard_expectation_stops_and_leaves_no_facts(project: Project, make_params: MakeParams, capsys: Any) -> None:
    pixels, labels = some(40)
    write_raw(project, pixels, labels)
    with pytest.raises(InputError, match=r"1 of \d+ expectations that must hold do not"):
        validate.run(project, make_params())
    assert not project.facts.exists()
    assert "FAILED: number of rows at least 100; came: 40" in capsys.readouterr().out
    report = json.loads((project.reports / "validate.json").read_text())
    assert report["passed"] is False
    assert report["failed"][0]["hard"] is True
    assert "number of rows at least 100" in (project.reports / "data.html").read_text()


def test_a_soft_expectation_warns_and_goes_on(project: Project, make_params: MakeParams, capsys: Any) -> None:
    pixels, labels = some()
    write_raw(project, [*pixels, *pixels[:10]], [*labels, *labels[:10]])
    validate.run(project, make_params())
    assert project.facts.exists()
    assert "warning: copy: share of rows at most 0.01; came: 0.07692" in capsys.readouterr().out


def test_the_page_opens_without_a_network_and_escapes_names(project: Project, make_params: MakeParams) -> None:
    pixels, labels = some()
    write_raw(project, pixels, labels, classes=["<script>alert(1)</script>", "b"])
    validate.run(project, make_params())
    page = (project.reports / "data.html").read_text()
    assert "http://" not in page
    assert "https://" not in page
    assert 'src="data:image/png;base64,' in page
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def shown_conflicts(project: Project) -> list[list[tuple[str, str]]]:
    """(class, file) of each copy, picture by picture, as the page shows them."""
    page = (project.reports / "data.html").read_text()
    section = page[page.index("Pictures with several labels") : page.index("<h2>Pictures</h2>")]
    return [re.findall(r"<b>(.*?)</b> <span[^>]*>test: (.*?)</span>", row) for row in section.split("<tr>")[2:]]


def test_pictures_with_several_labels_are_a_warning_and_on_the_page_with_their_files(
    project: Project, make_params: MakeParams, capsys: Any
) -> None:
    pixels, labels = some()
    paths = [f"{'ab'[label or 0]}/{number}.png" for number, label in enumerate(labels)]
    lighter = np.minimum(pixels[4], 254) + np.uint8(1)
    write_raw(
        project,
        [*pixels, pixels[3], pixels[3], lighter, pixels[6], pixels[8]],
        [*labels, 0, None, 1, 0, None],
        paths=[*paths, "a/copy.png", "copy.png", "b/lighter.png", "a/again.png", "unlabelled.png"],
    )
    validate.run(project, make_params())
    three = [("a", "a/copy.png"), ("b", "b/3.png"), ("no label", "copy.png")]
    assert shown_conflicts(project) == [three, [("a", "a/4.png"), ("b", "b/lighter.png")]]
    out = capsys.readouterr().out
    assert "warning: label_conflict: rows of pictures that have several labels at most 0; came: 5" in out
    assert "data/reports/data.html shows pictures that have several labels, 2 in all" in out
    assert reports.read(project.reports, "validate")["pictures_with_several_labels"] == 2


def test_near_copies_are_those_of_the_rules_of_clean(project: Project, make_params: MakeParams) -> None:
    pixels, labels = some()
    write_raw(project, [*pixels, np.minimum(pixels[4], 254) + np.uint8(1)], [*labels, 1])
    validate.run(project, make_params({"clean.rules": [{"rule": "exact_copy"}]}))
    assert "Pictures with several labels" not in (project.reports / "data.html").read_text()
    assert reports.read(project.reports, "validate")["pictures_with_several_labels"] == 0


def test_many_contradictions_are_counted_and_some_are_shown(project: Project, make_params: MakeParams) -> None:
    pixels, labels = some()
    write_raw(project, [*pixels, *pixels, *pixels[:1] * 20], [*labels, *((label or 0) ^ 1 for label in labels), *[1] * 20])
    validate.run(project, make_params())
    shown = shown_conflicts(project)
    assert len(shown) == conflicts.MOST_PICTURES
    assert [name for name, _ in shown[0]] == ["a", "b", "b", "b", "b", "b"]
    assert shown[1] == [("a", "row 121 of data/raw"), ("b", "row 1 of data/raw")]
    page = (project.reports / "data.html").read_text()
    assert "120 pictures have copies with different labels" in page
    assert "here are the first 24" in page
    assert "and 16 more" in page


@pytest.mark.parametrize("classes", [[], ["a", "b"]])
def test_no_labels_at_all_are_a_fact_and_no_fault(
    project: Project, make_params: MakeParams, capsys: Any, classes: list[str]
) -> None:
    pixels, _ = some()
    write_raw(project, pixels, [None] * 120, classes=classes)
    validate.run(project, make_params())
    out = capsys.readouterr().out
    assert "warning" not in out
    assert out.count("no row has a label, so models are trained without classes") == 1
    report = reports.read(project.reports, "validate")
    assert (report["failed"], report["unlabelled"]) == ([], 120)
    assert "no row has a label: models are trained without classes" in (project.reports / "data.html").read_text()


def test_some_missing_labels_are_a_warning(project: Project, make_params: MakeParams, capsys: Any) -> None:
    pixels, labels = some()
    write_raw(project, pixels, [*labels[:90], *[None] * 30])
    validate.run(project, make_params())
    out = capsys.readouterr().out
    assert "warning: labelled: share of rows at least 0.99; came: 0.75" in out
    assert "no row has a label" not in out


def test_labels_that_are_required_by_a_hard_expectation_must_be_there(project: Project, make_params: MakeParams) -> None:
    pixels, _ = some()
    write_raw(project, pixels, [None] * 120, classes=[])
    with pytest.raises(InputError, match="1 of"):
        validate.run(project, make_params({"validate.hard.min_labelled_share": 0.5}))


def test_the_page_says_how_many_rows_each_split_of_a_source_has(project: Project, make_params: MakeParams) -> None:
    pixels, labels = some()
    write_raw(project, pixels, labels, splits=[*["train"] * 80, *["holdout"] * 30, *[None] * 10])
    validate.run(project, make_params())
    page = (project.reports / "data.html").read_text()
    section = page[page.index("Splits of the sources") : page.index("<h2>Pictures</h2>")]
    rows = [re.findall(r"<td>(.*?)</td>", row) for row in section.split("<tr>")[2:]]
    assert rows == [["test", "train", "80", "trained on"], ["test", "test", "30", "held out"]]
    assert facts.read(project.facts / "facts.parquet")["held_out"].tolist() == [*[False] * 80, *[True] * 30, *[False] * 10]


def test_a_damaged_report_of_facts_is_not_taken_for_facts(project: Project) -> None:
    with pytest.raises(InputError, match="validate"):
        facts.read(project.facts / "facts.parquet")


def table(count: int = 200) -> facts.Facts:
    measured = np.zeros(count, facts.FACT)
    measured["id"] = [number.to_bytes(16, "big") for number in range(1, count + 1)]
    measured["width"] = measured["height"] = 12
    measured["mode"] = b"L"
    measured["brightness"] = measured["contrast"] = measured["sharpness"] = 100
    return measured


@pytest.mark.parametrize(
    ("spoil", "limits", "words"),
    [
        (lambda t: t["contrast"].__setitem__(3, np.nan), {}, "contrast: no value missing or NaN"),
        (lambda t: t["brightness"].__setitem__(3, np.inf), {}, "brightness: values at least 0"),
        (lambda t: t["label"].__setitem__(3, 7), {}, "label: values at least -1 and at most 1"),
        (lambda t: t["width"].__setitem__(slice(5), 3), {"side": [4, None]}, "width: values at least 4"),
        (lambda t: t["mode"].__setitem__(slice(5), b"LA"), {"modes": ["L"]}, "mode: values are among L"),
        (lambda t: t["label"].__setitem__(slice(9), -1), {"min_labelled_share": 0.99}, "labelled: share of rows"),
        (lambda t: t["id"].__setitem__(slice(9), b"1"), {"max_duplicate_share": 0.01}, "copy: share of rows"),
        (lambda t: None, {"min_class_share": 0.1}, "rarest_class: share of the rarest class"),
        (lambda t: None, {"rows": [None, 100]}, "number of rows at most 100"),
    ],
)  # fmt: skip
def test_each_expectation_can_fail(spoil: Any, limits: dict[str, Any], words: str) -> None:
    measured = table()
    spoil(measured)
    findings, _ = expectations.check(
        measured, ["a", "b"], np.zeros(len(measured), bool), Expectations(**limits), Expectations()
    )
    failed = [finding.expected for finding in findings if not finding.passed]
    assert len(failed) == 1, failed
    assert words in failed[0]


def test_no_rows_never_pass() -> None:
    findings, _ = expectations.check(np.empty(0, facts.FACT), [], np.empty(0, bool), Expectations(), Expectations())
    assert any(finding.hard and not finding.passed for finding in findings)
