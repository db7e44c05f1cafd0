"""params.yaml and overlays as editors and teams leave them: what cannot be read is said with its line, all else is kept."""

from __future__ import annotations

import codecs
import os
from pathlib import Path

import pytest

from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.settings.load import load_params, update_params
from tests.conftest import REPOSITORY

TEXT = (REPOSITORY / "params.yaml").read_text()


@pytest.fixture
def params_file(project: Project) -> Path:
    project.params_file.write_text(TEXT)
    return project.params_file


def fault(path: Path, content: str | bytes) -> str:
    """What is said about the file when it is read, which is the same when it is changed."""
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(InputError) as read:
        load_params(path)
    with pytest.raises(InputError) as changed:
        update_params(path, settings=["evaluate.seed=9"])
    assert str(changed.value) == str(read.value)
    return str(read.value).replace(f"{path.parent}/", "")


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


@pytest.mark.parametrize(
    ("before", "after", "key", "lines"),
    [
        ("  seed: 100000 ", "  samples: 3\n  seed: 100000 ", "evaluate.samples", (-1, 0)),
        ("tune: ", "train: {steps: 5}\ntune: ", "train", (None, 0)),
        ("    contrast: [4, null] ", "    brightness: [1, 2]\n    contrast: [4, null] ", "validate.soft.brightness", (-1, 0)),
        ("      distance: 2", "      distance: 2\n      distance: 3", "clean.rules.1.distance", (0, 1)),
    ],
)
def test_a_key_that_stands_twice_is_named_with_both_lines(
    params_file: Path, before: str, after: str, key: str, lines: tuple[int | None, int]
) -> None:
    text = TEXT.replace(before, after)
    first, second = (line_of(TEXT, "train:") if line is None else line_of(TEXT, before) + line for line in lines)
    assert fault(params_file, text) == (
        f"params.yaml: duplicate key: `{key}` stands in line {first} and again in line {second}; remove one of the two"
    )


def test_every_key_that_stands_twice_has_its_line(params_file: Path) -> None:
    assert fault(params_file, "a: {b: 1, b: 2}\na: 3\nx: &x [*x]\n").splitlines() == [
        "params.yaml: duplicate key: `a` stands in line 1 and again in line 2; remove one of the two",
        "params.yaml: duplicate key: `a.b` stands twice in line 1; remove one of the two",
    ]


STEPS = "  steps: 2000"
AT = f"not usable YAML: line {line_of(TEXT, STEPS)}:"
TAG = "not usable YAML: a value is not what its tag says, as in `!!int ''`; leave the tag out"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (TEXT.replace(STEPS, "\tsteps: 2000"), f"{AT} a tab; YAML is indented with spaces"),
        (
            TEXT.replace("  steps: 2000", "  steps: 10: 5"),
            f"{AT} mapping values are not allowed here",
        ),
        (TEXT.replace(STEPS, "  steps: *more"), f"{AT} found undefined alias 'more'"),
        (
            TEXT.replace("  steps: 2000", "  steps: \x07"),
            f"{AT} YAML does not allow the character '\\x07'",
        ),
        (
            TEXT.replace(STEPS, "<<<<<<< HEAD\n  steps: 2000\n=======\n  steps: 5\n>>>>>>> theirs"),
            f"{AT} conflict markers of a merge; choose what the file shall say, then `git add` it",
        ),
        ("", "there are no settings in it; expected a mapping, as in `train: {steps: 500}`"),
        ("# nothing\n\n# here\n", "there are no settings in it; expected a mapping, as in `train: {steps: 500}`"),
        ("- 1\n", "expected a mapping of settings, came list"),
        ("a: " + "[" * 3000, "not usable YAML: more levels than any settings have"),
        ("a: !!int ''", TAG),
        ("a: !!bool x", TAG),
        ('a: "\\UFFFFFFFF"', "not usable YAML: an escape in a text is no character"),
        (
            'a: [{"\\ud83d\\ude00": 1}]',
            r"'\ud83d\ude00' has half of a character, which is no text; write the character itself",
        ),
        (b"a: 1\nb: caf\xe9\n", "line 2: byte 0xe9 is no UTF-8 text; save the file as UTF-8"),
        (codecs.BOM_UTF8 + b"a: 1\n\n# \xff\n", "line 3: byte 0xff is no UTF-8 text; save the file as UTF-8"),
        (TEXT.encode("utf-16"), "this is text in UTF-16; save it as UTF-8"),
    ],
)
def test_a_file_that_cannot_be_read_is_said_in_one_line_with_its_place(
    params_file: Path, content: str | bytes, words: str
) -> None:
    assert fault(params_file, content) == f"params.yaml: {words}"


def test_a_folder_and_a_link_to_nothing_are_no_settings(project: Project) -> None:
    project.params_file.mkdir()
    with pytest.raises(InputError, match=r"params\.yaml: this is a folder; expected a file of settings"):
        load_params(project.params_file)
    project.params_file.rmdir()
    project.params_file.symlink_to("nowhere.yaml")
    with pytest.raises(InputError, match=r"params\.yaml: no such file"):
        update_params(project.params_file, settings=["train.steps=5"])


@pytest.mark.parametrize("name", ["a folder", "duplicate", "no text"])
def test_an_overlay_that_cannot_be_read_is_named_and_changes_nothing(params_file: Path, tmp_path: Path, name: str) -> None:
    overlay = tmp_path / "overlay.yaml"
    if name == "a folder":
        overlay.mkdir()
        words = "this is a folder"
    else:
        overlay.write_bytes(b"train:\n  steps: 5\n  steps: 6\n" if name == "duplicate" else b"train:\n  steps: 5 # \xe9\n")
        words = "`train.steps` stands in line 2 and again in line 3" if name == "duplicate" else "line 2: byte 0xe9"
    with pytest.raises(InputError) as caught:
        update_params(params_file, [overlay])
    assert str(caught.value).startswith(f"{overlay}: ")
    assert words in str(caught.value)
    assert params_file.read_text() == TEXT


@pytest.mark.parametrize("mark", [b"", codecs.BOM_UTF8])
@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_line_ends_and_a_byte_order_mark_are_kept(params_file: Path, mark: bytes, ends: bytes) -> None:
    params_file.write_bytes(mark + TEXT.encode().replace(b"\n", ends))
    assert update_params(params_file, settings=["train.steps=5"]).train.steps == 5
    changed = TEXT.replace("  steps: 2000", "  steps: 5").encode()
    assert params_file.read_bytes() == mark + changed.replace(b"\n", ends)
    assert load_params(params_file).train.steps == 5


def test_an_overlay_may_have_windows_line_ends_and_a_byte_order_mark(params_file: Path, tmp_path: Path) -> None:
    overlay = tmp_path / "overlay.yaml"
    overlay.write_bytes(codecs.BOM_UTF8 + b"train:\r\n  steps: 5\r\n  seed: 3\r\n")
    train = update_params(params_file, [overlay]).train
    assert (train.steps, train.seed) == (5, 3)
    assert b"\r" not in params_file.read_bytes()


def test_a_link_stays_a_link_and_its_target_changes(project: Project, tmp_path: Path) -> None:
    target = tmp_path / "team" / "shared.yaml"
    target.parent.mkdir()
    target.write_text(TEXT)
    target.chmod(0o640)
    between = tmp_path / "between.yaml"
    between.symlink_to("team/shared.yaml")
    project.params_file.symlink_to("between.yaml")
    update_params(project.params_file, settings=["train.steps=5"])
    assert os.readlink(project.params_file) == "between.yaml"
    assert os.readlink(between) == "team/shared.yaml"
    assert target.read_text() == TEXT.replace("  steps: 2000", "  steps: 5")
    assert target.stat().st_mode & 0o777 == 0o640
    assert sorted(path.name for path in target.parent.iterdir()) == ["shared.yaml"]


def test_anchors_and_merge_keys_are_read_and_kept(params_file: Path) -> None:
    text = TEXT.replace("  seed: 0\n  preview_every", "  <<: &common {seed: 3}\n  preview_every")
    text = text.replace("  seed: 100000 ", "  <<: *common #")
    assert text.count("common") == 2
    params_file.write_text(text)
    params = update_params(params_file, settings=["train.seed=8"])
    assert (params.train.seed, params.evaluate.seed) == (8, 3)
    assert load_params(params_file) == params
    assert "  <<: &common {seed: 3}\n" in params_file.read_text()
