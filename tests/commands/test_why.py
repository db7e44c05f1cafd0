"""genloop why, as a user calls it."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace

from typer.testing import CliRunner

import genloop
from pipelines.core import paths
from tests.feedback.followed import PEOPLE, Made


def why(*arguments: str) -> SimpleNamespace:
    result = CliRunner().invoke(genloop.app, ["why", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return SimpleNamespace(code=result.exit_code, out=result.stdout, err=result.stderr)


def test_a_drawn_row_is_told_with_its_sample_and_every_event(made: Made) -> None:
    done = why(made.liked[:8])
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == made.liked
    assert f"  from      drawn by version 1, seed {made.sample.seed}, label 1, generation 1" in lines
    assert "  class     b" in lines
    for rater, event in zip(PEOPLE, made.events["liked"], strict=True):
        (line,) = (line for line in lines if line.endswith(f"  {event}"))
        assert f"  {rater}  likes it" in line
        assert "put it here" in line
        assert "weight " in line


def test_what_happened_to_other_rows_is_told_too(made: Made) -> None:
    assert "sent by people" in why(made.uploaded).out
    assert "sent it as b" in why(made.uploaded).out
    corrected = why(made.corrected).out
    assert "class     b, was a" in corrected
    assert "it is b" in corrected
    removed = why(made.removed).out
    assert "training leaves it out" in removed
    assert "took it away" in removed
    reported = why(made.reported).out
    assert "it is no row" in reported
    assert "nothing like it is drawn again" in reported


def test_programs_get_the_same_as_json(made: Made) -> None:
    found = json.loads(why(made.liked, "--json").out)
    assert {key: found[key] for key in ("row", "source", "origin", "generation", "split", "label", "class", "weight")} == {
        "row": made.liked, "source": "feedback", "origin": "generated", "generation": 1, "split": "train", "label": 1,
        "class": "b", "weight": 1.0,
    }  # fmt: skip
    assert {**found["sample"], "liked": None} == {**made.sample.model_dump(), "liked": None}
    first = next(event for event in found["events"] if event["id"] == made.events["liked"][0])
    assert first == {
        "id": first["id"], "type": "vote", "rater": "ann", "at": first["at"], "sample": made.sample.model_dump(), "value": 1,
        "part": "row", "weight": first["weight"],
    }  # fmt: skip
    assert first["at"].endswith("Z")
    found = json.loads(why(made.reported, "--json").out)
    assert (found["source"], found["label"], found["weight"], found["reported"]) == (None, None, 0.0, True)


def test_a_row_that_is_none_is_unusable_input(made: Made) -> None:
    done = why("f" * 20)
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith(f"genloop: {'f' * 20}: no row of data/clean or data/curated")


def test_sealed_files_that_are_not_here_are_asked_for(made: Made) -> None:
    shutil.rmtree(paths.FEEDBACK)
    done = why(made.liked)
    assert done.code == 1
    assert "dvc pull" in done.err
