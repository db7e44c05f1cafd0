"""genloop forget, as a user calls it."""

from __future__ import annotations

import io
import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import genloop
from commands import forget as command
from operations import forget as forgetting
from operations.forget import Done
from pipelines.core.errors import GenloopError, InputError
from pipelines.feedback.forgetting import Forgotten
from pipelines.feedback.store import database
from pipelines.feedback.store.event_store import Store
from pipelines.registry import client
from pipelines.registry.client import Learned
from pipelines.settings.overlay import update_params
from tests.feedback import followed
from tests.feedback.followed import Made
from workspace import dvc_cache


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return followed.make(tmp_path_factory.mktemp("curated"))


@pytest.fixture
def asked(template: Made, project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Who was asked to be forgotten, with the flow itself left out; tests/flows/test_forgetting.py has that."""
    shutil.copytree(template.folder, project, dirs_exist_ok=True)
    monkeypatch.delenv(database.VARIABLE, raising=False)
    monkeypatch.setattr(client, "learned", lambda _: {1: Learned([], []), 2: Learned(["x"], ["champion"])})
    monkeypatch.setattr(dvc_cache, "remotes", lambda: ["far"])
    found: list[str] = []

    def forget(rater: str, log: object) -> Done:
        found.append(rater)
        known = rater in followed.PEOPLE
        return Done(Forgotten(21 * known, ["0" * 64] * known, ["x", "y"] * known), known, ["curate"] * known, 3 * known)

    monkeypatch.setattr(forgetting, "forget", forget)
    before = signal.getsignal(signal.SIGTERM)
    yield found
    signal.signal(signal.SIGTERM, before)


def forget(*arguments: str) -> SimpleNamespace:
    result = CliRunner().invoke(genloop.app, ["forget", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return SimpleNamespace(code=result.exit_code, out=result.stdout, err=result.stderr)


def test_without_a_terminal_it_has_to_be_said_that_it_is_meant(asked: list[str]) -> None:
    done = forget("ann")
    assert (done.code, done.out, asked) == (2, "", [])
    assert "genloop: ann: 20 events in 2 folds; versions that have learned from them: 2 (champion)" in done.err
    assert "say --yes" in done.err


def test_at_a_terminal_it_is_asked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    command.ask("ann", "34 events")
    assert capsys.readouterr().err == "Forget ann? 34 events [y/N] "
    for answer in ("", "\n", "n\n", "yeah\n"):
        monkeypatch.setattr("sys.stdin", Terminal(answer))
        with pytest.raises(GenloopError, match="nothing is forgotten"):
            command.ask("ann", "34 events")


def test_what_was_done_is_said_and_who_had_learned_from_it(asked: list[str]) -> None:
    done = forget("ann", "--yes")
    assert (done.code, asked) == (0, ["ann"])
    assert "forgot 21 events and 1 image, out of 2 folds" in done.out
    assert "versions that had learned from them: 2 (champion)" in done.out
    assert "`dvc gc --workspace`" in done.out
    assert "`dvc gc --workspace --cloud --remote far`" in done.out
    assert "2 (champion)" in done.err  # before anything was done, too


def test_programs_get_the_same_as_json(asked: list[str]) -> None:
    found = json.loads(forget("ann", "--yes", "--json").out)
    assert len(found.pop("still")) == 5
    assert found == {
        "rater": "ann", "events": 21, "images": 1, "folds": ["x", "y"], "versions": [{"version": 2, "aliases": ["champion"]}],
        "committed": True, "stages": ["curate"], "superseded": 3,
    }  # fmt: skip


def test_somebody_who_has_said_nothing_is_kept_away_all_the_same(asked: list[str]) -> None:
    done = forget("nobody", "--yes")
    assert (done.code, asked) == (0, ["nobody"])
    assert done.out.startswith("nobody: there was nothing to forget; what is said in this name is not taken any more")


def test_events_that_wait_are_counted_too(asked: list[str]) -> None:
    from tests.feedback.writer import vote

    with Store.open() as store:
        store.add([vote("waiting", "ann")])
    assert "ann: 21 events in 2 folds" in forget("ann").err


@pytest.mark.parametrize("name", ["", "a b", "x" * 129, "-x y"])
def test_what_can_be_nobody_s_name_is_unusable_input(asked: list[str], name: str) -> None:
    with pytest.raises(InputError, match="RATER: expected 1 to 128 letters"):
        command.forget(name, True, False)
    assert asked == []


def test_the_settings_that_hold_the_name_or_its_model_are_named(asked: list[str]) -> None:
    update_params((), ["feedback.experts=[ann]", "train.init=champion"])
    out = forget("ann", "--yes").out
    assert "feedback.experts names ann" in out
    assert "genloop run --set train.init=scratch" in out
