"""`--set key=value`: where the schema expects text the value is literal; all other values are YAML."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from commands import run
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.settings.load import load_params, update_params
from pipelines.simulation import settings as simulation
from tests.conftest import REPOSITORY

TEXT = (REPOSITORY / "params.yaml").read_text()
NPZ = TEXT.replace("  - type: digits ", "  - type: npz\n    path: images.npz #")


@pytest.fixture
def params_file(project: Project) -> Path:
    project.params_file.write_text(NPZ)
    return project.params_file


def value_at(path: Path, key: str) -> Any:
    """A value as the file has it."""
    found: Any = load_params(path).model_dump(by_alias=True)
    for part in key.split("."):
        found = found[int(part)] if part.isdigit() else found[part]
    return found


LITERAL = [
    "2024", "007", "1e3", "0x1F", "1_000", "2024-01-01", "12:30:45", "1:30", "-1", ".5",
    "yes", "no", "on", "off", "true", "null", "~", "~/images", "/data/a #1", "#1", "a: b", "a:", "[x]", "[x", "{a: b}", "{",
    "*images", "&images", "!images", "%images", "@images", "`images`", "|", ">", "- a", "? a", "=", "<<", "..", "---", "...",
    " leading", "trailing ", "two  spaces", "a\tb", "a\nb", "a\x85b", "a\u2028b", "C:\\data\\new", "a\\nb", "it's", 'say "hi"',
    '"half', "half'", "key=value", "/ä/日本/😀", "s3://bucket/a#b?c=d", "data/train-*.parquet", "x" * 150 + " " + "y" * 150,
]  # fmt: skip


@pytest.mark.parametrize("text", LITERAL)
def test_text_is_taken_literally(params_file: Path, text: str) -> None:
    assert update_params(params_file, settings=[f"sources.0.path={text}"]).sources[0].path == text  # type: ignore[attr-defined]
    assert value_at(params_file, "sources.0.path") == text
    assert "# where images come from, one after the other" in params_file.read_text()


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("image.background=#ffffff", "#ffffff"),
        ("schedule.retrain=*/30 * * * *", "*/30 * * * *"),
        ("schedule.retrain=0-59/15,7 22 1 JAN-mar Mon,sat", "0-59/15,7 22 1 JAN-mar Mon,sat"),
        ("schedule.retrain=0 22-2 L nov-feb ?", "0 22-2 L nov-feb ?"),
        ("schedule.retrain=0 3 ? * sat#1,L5", "0 3 ? * sat#1,L5"),
        ("schedule.retrain=null", None),
        ("schedule.retrain=", None),
        ("evaluate.metrics.0=kid", "kid"),
        ("evaluate.metrics=[fid, kid]", ["fid", "kid"]),
        ("feedback.experts=[007, no, 2024-01-01, ann]", ["007", "no", "2024-01-01", "ann"]),
        ("feedback.experts=[]", []),
        ("train.steps=1e3", 1000),
        ("train.steps=007", 7),
        ("train.steps=12 # a dozen", 12),
        ("train.init=champion", "champion"),
        ("train.init=3", 3),
        ("train.xla=false", False),
        ("train.augment.shift=1e-1", 0.1),
        ("model.change={learning_rate: 1e-3}", {"learning_rate": 0.001}),
        ("validate.hard.modes=[L, 1]", ["L", "1"]),
        ("validate.hard.modes=null", None),
        ("reference.weights=null", None),
        ("schedule.timezone=Asia/Kolkata", "Asia/Kolkata"),
    ],
)
def test_a_value_is_read_by_the_type_of_its_key(params_file: Path, setting: str, value: object) -> None:
    update_params(params_file, settings=[setting])
    assert value_at(params_file, setting.partition("=")[0]) == value
    assert type(value_at(params_file, setting.partition("=")[0])) is type(value)


@pytest.mark.parametrize(
    ("text", "path"),
    [('"/data/a #1"', "/data/a #1"), ("'2024'", "2024"), ("'it''s'", "it's"), ('"tab\\t"', "tab\t"), ('"a" "b"', '"a" "b"')],
)
def test_quotes_around_all_of_a_text_are_taken_off(params_file: Path, text: str, path: str) -> None:
    update_params(params_file, settings=[f"sources.0.path={text}"])
    assert value_at(params_file, "sources.0.path") == path


@pytest.mark.parametrize(
    ("kind", "key", "text"),
    [("parquet", "image", "2024"), ("parquet", "label", "no"), ("folder", "path", "a #1"), ("keras", "dataset", "mnist")],
)
def test_each_type_of_source_has_texts_of_its_own(params_file: Path, kind: str, key: str, text: str) -> None:
    rest = "dataset: cifar10" if kind == "keras" else "path: x"
    update_params(params_file, settings=[f"sources=[{{type: {kind}, {rest}}}]", f"sources.0.{key}={text}"])
    assert value_at(params_file, f"sources.0.{key}") == text


def test_a_type_that_is_set_first_counts_for_what_is_set_after_it(params_file: Path) -> None:
    update_params(params_file, settings=["sources.0.type=parquet", "sources.0.label=2024"])
    assert value_at(params_file, "sources.0") == {**value_at(params_file, "sources.0"), "type": "parquet", "label": "2024"}


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("sources=[{type: npz, path: 2024}]", '(came 2024); put text that looks like something else into quotes: "2024"'),
        ("sources=[{type: npz, path: 2024-01-01}]", '(came 2024-01-01); put text that looks like something else into quotes'),
        ("sources=[{type: npz, path: true}]", '(came True); put text that looks like something else into quotes: "true"'),
        ("sources.0.path=", "--set sources.0.path: sources.0.path: came an empty value; expected text"),
        ("train.steps=1.5", "train.steps: input should be a valid integer (came 1.5)"),
        ("train.steps=2024-01-01", "train.steps: input should be a valid integer (came 2024-01-01)"),
        ("train.²=1", "train.²: unknown key (came 1)"),
        ("sources.-1.path=x", "expected 0, came '-1'"),
        ("=5", "expected key=value"),
        ("train.steps={a: 1, a: 2}", "duplicate key: `a` stands twice in line 1"),
        ("train.steps={1: 1, 0x1: 2}", "duplicate key: two keys of one mapping are the same value"),
        ("schedule.retrain=99 * * * *", "schedule.retrain: the minute '99': expected numbers from 0 to 59"),
        ("schedule.retrain=0 3 * 13 *", "the month '13': expected numbers from 1 to 12"),
        ("schedule.feedback=0 3 * * mon-8", "the day of the week 'mon-8': expected numbers from 0 to 7"),
        ("schedule.feedback=*/0 * * * *", "the minute '*/0': expected a step of 1 or more"),
        ("schedule.feedback=0 L * * *", "the hour 'L': expected *, numbers from 0 to 23, ranges as in 0-23, or steps"),
        ("schedule.feedback=0 3 * * sat#6", "the day of the week 'sat#6': expected *, numbers from 0 to 7"),
        ("schedule.feedback=0 three * * *", "the hour 'three': expected *, numbers from 0 to 23, ranges as in 0-23, or steps"),
        ("schedule.feedback=0 3 * *", "expected five fields"),
        ("schedule.timezone=localtime", "'localtime' means another time on another machine, or none"),
        ("schedule.timezone=Factory", "'Factory' means another time on another machine, or none"),
        ("schedule.timezone=right/UTC", "'right/UTC' means another time on another machine, or none"),
        ("schedule.timezone=posixrules", "'posixrules' means another time on another machine, or none"),
        ("schedule.timezone=europe/berlin", "did you mean 'Europe/Berlin'? (came 'europe/berlin')"),
        ("schedule.timezone=UTC ", "did you mean 'UTC'? (came 'UTC ')"),
        ("schedule.timezone=../../etc/passwd", "expected a name of the time zone database"),
        ("schedule.timezone=Europe", "expected a name of the time zone database"),
        ("schedule.timezone=''", "expected a name of the time zone database"),
        ("schedule.timezone=/etc/localtime", "expected a name of the time zone database"),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_said_and_changes_nothing(params_file: Path, setting: str, words: str) -> None:
    with pytest.raises(InputError) as caught:
        update_params(params_file, settings=[setting])
    assert words in str(caught.value)
    assert params_file.read_text() == NPZ


def test_a_number_in_the_file_where_text_is_expected_is_told_to_be_quoted(params_file: Path) -> None:
    params_file.write_text(NPZ.replace("path: images.npz", "path: 2024"))
    with pytest.raises(InputError, match=r'sources\.0\.path: .*\(came 2024\); put text .* into quotes: "2024"'):
        load_params(params_file)


def test_a_simulation_takes_its_settings_in_the_same_way() -> None:
    found = simulation.load(None, ["taste.name=legible", "turns=1e1", "params.train.steps=7"])
    assert (found.taste.name, found.turns, found.params) == ("legible", 10, {"train": {"steps": 7}})  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("photos #1", "../elsewhere/photos #1"),
        ('"photos #1"', "../elsewhere/photos #1"),
        ("2024", "../elsewhere/2024"),
        ("./a/../b/", "../elsewhere/b"),
        ("data/*.parquet", "../elsewhere/data/*.parquet"),
        ("~/photos", "~/photos"),
        ("/data/a: b", "/data/a: b"),
        ("s3://bucket/a", "s3://bucket/a"),
    ],
)
def test_a_path_is_relative_to_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, path: str
) -> None:
    project = Project(tmp_path / "project", {})
    for folder in (project.root, tmp_path / "elsewhere"):
        folder.mkdir()
    project.params_file.write_text(NPZ)
    monkeypatch.chdir(tmp_path / "elsewhere")
    params = run.update(project, [], [f"sources.0.path={text}"])
    assert params.sources[0].path == path  # type: ignore[attr-defined]
    assert value_at(project.params_file, "sources.0.path") == path


@pytest.mark.parametrize(
    ("settings", "lines"),
    [
        (["train.steps=0"], ["--set train.steps: train.steps: input should be greater than 0 (came 0)"]),
        (["evaluate.seed=9", "train.stepz=5"], ["--set train.stepz: train.stepz: unknown key (came 5)"]),
        (["validate.hard={side: [9, 1]}", "evaluate.seed=9"], ["--set validate.hard: validate.hard.side: "]),
        (["train.seed=-1", "image.background=red"], [
            '--set image.background: image.background: expected a colour as #rrggbb in quotes, such as "#ffffff" for white',
            "--set train.seed: train.seed: input should be greater than or equal to 0 (came -1)",
        ]),
        (["schedule.timezone="], ["--set schedule.timezone: schedule.timezone: came an empty value; expected text"]),
    ],
)  # fmt: skip
def test_what_set_gets_wrong_is_not_blamed_on_an_overlay(params_file: Path, settings: list[str], lines: list[str]) -> None:
    overlay = params_file.with_name("overlay.yaml")
    overlay.write_text("train: {batch_size: 32}\n")
    with pytest.raises(InputError) as caught:
        update_params(params_file, [overlay], settings)
    found = str(caught.value).splitlines()
    assert len(found) == len(lines)
    assert all(line.startswith(start) for line, start in zip(found, lines, strict=True))
    overlay.write_text("train: {batch_size: 0}\n")
    with pytest.raises(InputError, match=r"overlay.yaml over .*params.yaml.*: train.batch_size: input should be greater"):
        update_params(params_file, [overlay], ["train.steps=5"])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (["sources.5.path=x"], "expected 0, came 5"),
        (["sources=[]", "sources.0.path=x"], "expected no index, because that list is empty, came 0"),
        (["evaluate.metrics=[fid, kid, coverage]", "evaluate.metrics.3=fid"], "expected 0 to 2, came 3"),
    ],
)
def test_the_indices_that_a_list_has_are_said(params_file: Path, settings: list[str], words: str) -> None:
    with pytest.raises(InputError, match=words):
        update_params(params_file, settings=settings)
