"""genloop promote, as a user calls it, with a gate that says what the test wants."""

from __future__ import annotations

import io
import json
import shutil
import sys
from collections import Counter
from contextlib import nullcontext
from pathlib import Path
from types import FrameType
from typing import Any

import mlflow
import pytest
from filelock import FileLock

from commands import promote as command
from operations import promote, versioning
from pipelines.core import files
from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from pipelines.promotion import decisions, gate, history
from pipelines.promotion.ledger import Move
from pipelines.registry.client import Registry
from pipelines.registry.versions import CHALLENGER, CHAMPION
from pipelines.settings.load import update_params
from tests.conftest import REPOSITORY
from tests.promotion import fakes
from tests.support import fake_registry
from tests.support.calls import Called
from tests.support.calls import call as call_command
from tests.support.fake_registry import BlackSampler, FakeGate, FakeRegistry
from workspace import dvc, stages

REAL_JUDGE, REAL_UNMEASURED = gate.judge, promote.needs_noise_floor
# For painters of eight pixels a side that 200 samples were kept of.
SETTINGS = (
    "promotion.rules=[{metric: kid, kind: better}, {metric: memorisation, kind: at_most, margin: 0.9}]",
    f"evaluate.seed={fakes.FIRST}",
    "evaluate.samples=200",
    "image.size=8",
)


@pytest.fixture
def configured(project: Project) -> Project:
    shutil.copy(REPOSITORY / "params.yaml", project.root)
    (project.root / "dvc.yaml").write_text("stages: {}\n")
    return project


@pytest.fixture
def known() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
def judge(configured: Project, known: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> FakeGate:
    """Everybody gets the registry `known`, and needs no noise floor."""
    monkeypatch.setattr(promote, "needs_noise_floor", lambda *_: False)
    return fake_registry.install(monkeypatch, configured, known)


def call(project: Project, *arguments: str) -> Called:
    return call_command(project, "promote", *arguments)


def moves(project: Project, registry: Any) -> list[Move]:
    """Those but the first, which the history has noticed."""
    return [move for move in history.moves(project, registry) if move.kind != "outside"]


def require_approval(project: Project) -> None:
    path = project.params_file
    path.write_text(path.read_text().replace("require_approval: false", "require_approval: true"))


def test_what_the_gate_lets_through_is_champion(configured: Project, judge: FakeGate, known: FakeRegistry) -> None:
    done = call(configured)
    assert done.code == 0, done.err
    assert "the gate judges" in done.err
    lines = [line.split() for line in done.out.splitlines()]
    assert ["fid_unbiased", "better", "-1.25", "-2", "to", "-0.5", "promote"] in lines
    assert done.out.splitlines()[-5:] == [
        "  fid: surely better",
        "  approval: nobody has judged enough yet",
        "benchmark abc, 1,500 samples of each, a noise floor of 4 trainings",
        "version 3 against champion 2: promote",
        "version 3 is champion now; `genloop rollback` takes it back",
    ]
    assert known.pointers == {CHAMPION: 3}
    (move,) = moves(configured, known)
    assert "@" in move.by
    assert decisions.TAG in known.tags[3]


@pytest.mark.parametrize("verdict", ["reject", "undecided"])
def test_where_the_gate_says_no_the_exit_code_is_3_and_nothing_moves(
    configured: Project, judge: FakeGate, known: FakeRegistry, verdict: Any
) -> None:
    judge.verdict = verdict
    done = call(configured, "--version", "1")
    assert done.code == 3
    assert f"version 1 against champion 2: {verdict}\n" in done.out
    assert "is champion now" not in done.out
    assert done.err == "the gate judges\n"
    assert moves(configured, known) == []


def test_a_dry_run_says_the_same_and_changes_nothing(configured: Project, judge: FakeGate, known: FakeRegistry) -> None:
    done = call(configured, "--dry-run", "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert set(found) == {"verdict", "champion", "challenger", "benchmark_id", "rules", "samples", "noise"}
    assert (found["verdict"], found["champion"], found["challenger"]) == ("promote", 2, 3)
    assert set(found["rules"][0]) == {"metric", "kind", "margin", "difference", "low", "high", "verdict"}
    assert (moves(configured, known), known.tags[3], known.alias(CHAMPION)) == ([], {}, 2)
    judge.verdict = "reject"
    assert call(configured, "--dry-run").code == 3


def test_programs_are_told_whether_it_was_promoted(configured: Project, judge: FakeGate) -> None:
    judge.verdict = "undecided"
    done = call(configured, "--json")
    assert done.code == 3
    assert (json.loads(done.out)["verdict"], json.loads(done.out)["promoted"]) == ("undecided", False)
    judge.verdict = "promote"
    assert json.loads(call(configured, "--json").out)["promoted"] is True


def test_a_person_may_overrule_the_gate_and_has_to_say_why(
    configured: Project, judge: FakeGate, known: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge.verdict = "reject"
    done = call(configured, "--force")
    assert (done.code, done.err) == (
        2,
        "genloop: --force: expected --reason TEXT with it; the history keeps why the gate was overruled\n",
    )
    assert call(configured, "--force", "--reason", "x", "--dry-run").code == 2
    monkeypatch.setattr(promote, "needs_noise_floor", lambda *_: pytest.fail("--force needs no noise floor"))
    done = call(configured, "--force", "--reason", "the users want it")
    assert done.code == 0, done.err
    (move,) = moves(configured, known)
    assert (move.kind, move.reason) == ("forced", "the users want it")
    assert move.figures is not None
    assert move.figures["verdict"] == "reject"


def test_a_gate_that_fails_does_not_stop_who_overrules_it(
    configured: Project, judge: FakeGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise GenloopError("version 2 cannot be drawn with")

    monkeypatch.setattr(gate, "judge", fail)
    done = call(configured)
    assert (done.code, done.err) == (1, "genloop: version 2 cannot be drawn with\n")
    done = call(configured, "--force", "--reason", "the old one is broken", "--json")
    assert done.code == 0
    assert "the gate could not judge: version 2 cannot be drawn with" in done.err
    assert json.loads(done.out) == {"verdict": None, "champion": 2, "challenger": 3, "promoted": True}


def test_where_a_person_is_asked_for_somebody_has_to_say_yes(configured: Project, judge: FakeGate, known: FakeRegistry) -> None:
    require_approval(configured)
    done = call(configured)
    assert done.code == 2
    assert "say --yes to promote it" in done.err
    assert moves(configured, known) == []
    assert call(configured, "--yes", "--reason", "looks good").code == 0
    assert moves(configured, known)[0].reason == "looks good"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("answer", "champion"), [("y\n", 3), ("\n", 2), ("n\n", 2), ("", 2)])
def test_a_person_at_a_terminal_is_asked(
    configured: Project,
    judge: FakeGate,
    known: FakeRegistry,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    answer: str,
    champion: int,
) -> None:
    require_approval(configured)
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    with nullcontext() if champion == 3 else pytest.raises(GenloopError, match="nothing is promoted"):
        command.promote(configured, None, dry_run=False, force=False, reason=None, yes=False, as_json=False)
    assert "Promote version 3, in place of 2? [y/N]:" in capsys.readouterr().err
    assert known.alias(CHAMPION) == champion


def test_who_lost_is_told(configured: Project, judge: FakeGate, known: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> None:
    def meanwhile(*arguments: Any) -> object:
        known.set_alias(CHAMPION, 1)
        return judge.judge(*arguments)

    monkeypatch.setattr(gate, "judge", meanwhile)
    done = call(configured)
    assert done.code == 1
    assert done.err.startswith(
        "the gate judges\ngenloop: version 3 was to follow version 2, but champion is version 1: unknown moved it there"
    )
    assert known.pointers == {CHAMPION: 1, CHALLENGER: 3}


def test_the_noise_is_measured_where_it_is_not_known(
    configured: Project, judge: FakeGate, known: FakeRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    did: list[str] = []
    monkeypatch.setattr(promote, "needs_noise_floor", lambda project, params, contest: contest.champion is not None)
    monkeypatch.setattr(stages, "repro", lambda project, name, *_: did.append(name))
    monkeypatch.setattr(dvc, "check_cache", lambda project, name: did.append("check"))
    monkeypatch.setattr(dvc, "noise_state", lambda project: "stale")
    monkeypatch.setattr(versioning, "commit", lambda *_: did.append("commit"))
    call(configured, "--dry-run")
    assert did == []  # it changes nothing
    done = call(configured)
    assert "measuring how far scores move with the seed alone: 8 trainings" in done.err
    assert did == ["noise/dvc.yaml:noise", "check", "commit"]
    known.set_alias(CHALLENGER, 1)
    known.set_alias(CHAMPION, None)
    assert call(configured).code == 0
    assert len(did) == 3  # there is nothing to compare with


def test_while_a_run_goes_on_no_noise_is_measured(
    configured: Project, judge: FakeGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(promote, "needs_noise_floor", lambda *_: True)
    configured.logs.mkdir(exist_ok=True)
    with FileLock(configured.logs / "run.lock"):
        done = call(configured)
    assert done.code == 1
    assert "another run is going on in this project" in done.err


def test_mlflow_is_opened_once_and_asked_for_a_version_once(
    configured: Project, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The real registry, whose versions hold no model; the gate is a fake one."""
    registry.set_alias(CHAMPION, 2)
    registry.set_alias(CHALLENGER, 3)
    opened, versions = Counter[str](), Counter[str]()

    class CountedClient(mlflow.MlflowClient):
        def __init__(self, *arguments: Any) -> None:
            opened["client"] += 1
            super().__init__(*arguments)

        def get_model_version(self, name: str, version: str) -> Any:
            versions[version] += 1
            return super().get_model_version(name, version)

    files.write(configured.reports / "reference.json", '{"benchmark_id": "abc"}')
    monkeypatch.setattr(promote, "needs_noise_floor", lambda *_: False)
    monkeypatch.setattr(gate, "judge", FakeGate().judge)
    monkeypatch.setattr(mlflow, "MlflowClient", CountedClient)
    monkeypatch.setattr(Registry, "load_model", lambda *_: BlackSampler())
    done = call(configured)
    assert done.code == 0, done.err
    assert registry.aliases() == {CHAMPION: 3}
    assert opened == {"client": 1}
    assert max(versions.values(), default=0) <= 1  # a registry in a file is read without MLflow


ROOMS = ("commands", "operations", "pipelines/promotion", "pipelines/registration", "pipelines/registry")


def test_the_way_from_the_command_to_the_alias_is_short(
    configured: Project, judge: FakeGate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files that decide and move, whose functions are entered; what they are built on, as scores and settings, is left out."""
    painters = fakes.install(monkeypatch)
    painters.add(1, 115.0)
    painters.add(2, 125.0)
    painters.set_alias(CHAMPION, 1)
    painters.set_alias(CHALLENGER, 2)
    entered: set[str] = set()

    def follow(frame: FrameType, event: str, _: object) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(REPOSITORY) and frame.f_code.co_name != "<module>":
            entered.add(str(path.relative_to(REPOSITORY)))

    fake_registry.install(monkeypatch, configured, painters)
    monkeypatch.setattr(gate, "judge", REAL_JUDGE)
    monkeypatch.setattr(promote, "needs_noise_floor", REAL_UNMEASURED)
    monkeypatch.setattr(dvc, "noise_state", lambda project: "fresh")
    update_params(configured.params_file, settings=SETTINGS)
    sys.setprofile(follow)
    try:
        command.promote(configured, None, dry_run=False, force=False, reason=None, yes=False, as_json=True)
    finally:
        sys.setprofile(None)
    assert painters.alias(CHAMPION) == 2
    way = {path for path in entered if path.startswith(ROOMS)} | {"pipelines/registry/client.py"}  # a fake one was entered
    assert way == {
        "commands/promote.py",
        "operations/promote.py",
        "pipelines/promotion/decisions.py",
        "pipelines/promotion/gate.py",
        "pipelines/promotion/rules.py",
        "pipelines/promotion/moves.py",
        "pipelines/promotion/ledger.py",
        "pipelines/registry/client.py",
    }
