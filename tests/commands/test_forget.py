"""genloop forget, as a user calls it."""

from __future__ import annotations

import io
import json
import shutil
from dataclasses import dataclass, field

import pytest

from commands import forget as command
from operations import forget as forgetting
from operations.forget import ForgetResult
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.feedback.forgetting import RaterRemoval
from pipelines.feedback.store.event_store import EventStore
from pipelines.registry.client import Registry
from pipelines.registry.versions import VersionBatches
from pipelines.settings.load import update_params
from tests.feedback import lineage_project
from tests.feedback.lineage_project import LineageProject
from tests.support.calls import Called, call
from workspace import dvc_cache


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> LineageProject:
    return lineage_project.make(tmp_path_factory.mktemp("curated"))


@dataclass
class Asked:
    """Who was asked to be forgotten in a project."""

    project: Project
    raters: list[str] = field(default_factory=list)

    def forget(self, project: Project, rater: str, log: object) -> ForgetResult:
        assert project.root == self.project.root
        self.raters.append(rater)
        known = rater in lineage_project.PEOPLE
        forgotten = RaterRemoval(21 * known, ["0" * 64] * known, ["x", "y"] * known)
        return ForgetResult(forgotten, known, ["curate"] * known, 3 * known)

    def call(self, *arguments: str) -> Called:
        return call(self.project, "forget", *arguments)


@pytest.fixture
def asked(template: LineageProject, project: Project, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """The command, with the operation itself left out; tests/operations/test_forget.py has that."""
    shutil.copytree(template.folder, project.root, dirs_exist_ok=True)
    monkeypatch.setattr(
        Registry, "training_batches", lambda _: {1: VersionBatches([], []), 2: VersionBatches(["x"], ["champion"])}
    )
    monkeypatch.setattr(dvc_cache, "remotes", lambda _: {"far": {}})
    found = Asked(project)
    monkeypatch.setattr(forgetting, "forget", found.forget)
    return found


def test_without_a_terminal_it_has_to_be_said_that_it_is_meant(asked: Asked) -> None:
    done = asked.call("ann")
    assert (done.code, done.out, asked.raters) == (2, "", [])
    assert "genloop: ann: 20 events in 2 folds; versions that have learned from them: 2 (champion)" in done.err
    assert "say --yes" in done.err


def test_at_a_terminal_it_is_asked(asked: Asked, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("y\n"))
    command.forget(asked.project, "ann", False, False)
    about = "20 events in 2 folds; versions that have learned from them: 2 (champion)"
    assert capsys.readouterr().err == f"Forget ann? {about} [y/N]:forget: {about}\n"
    assert asked.raters == ["ann"]
    for answer in ("", "\n", "n\n", "yeah\n"):
        monkeypatch.setattr("sys.stdin", Terminal(answer))
        with pytest.raises(GenloopError, match="nothing is forgotten"):
            command.forget(asked.project, "ann", False, False)
    assert asked.raters == ["ann"]


def test_what_was_done_is_said_and_who_had_learned_from_it(asked: Asked) -> None:
    done = asked.call("ann", "--yes")
    assert (done.code, asked.raters) == (0, ["ann"])
    assert "forgot 21 events and 1 image, out of 2 folds" in done.out
    assert "versions that had learned from them: 2 (champion)" in done.out
    assert "`dvc gc --workspace`" in done.out
    assert "`dvc gc --workspace --cloud --remote far`" in done.out
    assert "2 (champion)" in done.err  # before anything was done, too


def test_programs_get_the_same_as_json(asked: Asked) -> None:
    found = json.loads(asked.call("ann", "--yes", "--json").out)
    assert len(found.pop("still")) == 6
    assert found == {
        "rater": "ann", "events": 21, "images": 1, "folds": ["x", "y"], "versions": [{"version": 2, "aliases": ["champion"]}],
        "committed": True, "stages": ["curate"], "superseded": 3,
    }  # fmt: skip


def test_somebody_who_has_said_nothing_is_kept_away_all_the_same(asked: Asked) -> None:
    done = asked.call("nobody", "--yes")
    assert (done.code, asked.raters) == (0, ["nobody"])
    assert done.out.startswith("nobody: there was nothing to forget; events of this rater are rejected from now on")
    assert "cannot be undone; whoever comes under this name later needs another one" in done.out
    assert done.err == "forget: no event is by a rater of this name; to forget it removes nothing and bars the name for good\n"


@pytest.mark.parametrize(("name", "hint"), [("anne", " (did you mean ann?)"), ("Bob", " (did you mean bob?)"), ("xavier", "")])
def test_a_name_that_nobody_has_is_asked_about_with_the_names_that_are_like_it(asked: Asked, name: str, hint: str) -> None:
    done = asked.call(name)
    assert (done.code, done.out, asked.raters) == (2, "", [])
    about = f"no event is by a rater of this name{hint}; to forget it removes nothing and bars the name for good"
    assert done.err == f"genloop: {name}: {about}; there is no terminal to ask at, so say --yes to forget it\n"


def test_who_was_forgotten_before_is_no_unknown_name(asked: Asked) -> None:
    with EventStore.open(asked.project.database_url) as store:
        store.erase("xavier")
    assert "xavier: was forgotten before, and no event of this name has come since;" in asked.call("xavier").err


def test_events_that_wait_are_counted_too(asked: Asked) -> None:
    from tests.feedback.writer import vote

    with EventStore.open(asked.project.database_url) as store:
        store.add([vote("waiting", "ann")])
    assert "ann: 21 events in 2 folds" in asked.call("ann").err


@pytest.mark.parametrize("name", ["", "a b", "x" * 129, "-x y"])
def test_what_can_be_nobody_s_name_is_unusable_input(asked: Asked, name: str) -> None:
    with pytest.raises(InputError, match="RATER: expected 1 to 128 letters"):
        command.forget(asked.project, name, True, False)
    assert asked.raters == []


def test_the_settings_that_hold_the_name_or_its_model_are_named(asked: Asked) -> None:
    update_params(asked.project.params_file, (), ["feedback.experts=[ann]", "train.init=champion"])
    out = asked.call("ann", "--yes").out
    assert "feedback.experts names ann" in out
    assert "genloop run --set train.init=scratch" in out
