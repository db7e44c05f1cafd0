"""genloop promote, as a user calls it, with a gate that says what the test wants."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock
from typer.testing import CliRunner

import genloop
from pipelines.core.errors import GenloopError
from pipelines.promotion import decisions, gate
from pipelines.registry.client import CHAMPION
from tests.conftest import REPOSITORY
from tests.support.fake_registry import Registry
from workspace import dvc, locks, stages, staleness, versioning


@pytest.fixture
def registry(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    shutil.copy(REPOSITORY / "params.yaml", project)
    (project / "dvc.yaml").write_text("stages: {}\n")
    found = Registry()
    found.install(monkeypatch)
    monkeypatch.setattr(staleness, "unmeasured", lambda _: False)
    before = signal.getsignal(signal.SIGTERM)
    yield found
    signal.signal(signal.SIGTERM, before)


def call(*arguments: str) -> SimpleNamespace:
    result = CliRunner().invoke(genloop.app, ["promote", *arguments])
    return SimpleNamespace(code=result.exit_code, out=result.stdout, err=result.stderr)


def require_approval() -> None:
    path = Path("params.yaml")
    path.write_text(path.read_text().replace("require_approval: false", "require_approval: true"))


def test_what_the_gate_lets_through_is_champion(registry: Registry) -> None:
    done = call()
    assert done.code == 0, done.err
    assert "the gate judges" in done.err
    lines = [line.split() for line in done.out.splitlines()]
    assert ["fid", "better", "-1.25", "-2", "to", "-0.5", "promote"] in lines
    assert done.out.splitlines()[-5:] == [
        "  fid: surely better",
        "  approval: nobody has judged enough yet",
        "benchmark abc, 1,500 samples of each, a noise floor of 4 trainings",
        "version 3 against champion 2: promote",
        "version 3 is champion now; `genloop rollback` takes it back",
    ]
    assert registry.aliases[CHAMPION] == 3
    (move,) = registry.moves
    assert "@" in move.by
    assert decisions.TAG in registry.tags[3]


@pytest.mark.parametrize("word", ["reject", "undecided"])
def test_where_the_gate_says_no_the_exit_code_is_3_and_nothing_moves(registry: Registry, word: str) -> None:
    registry.word = word  # type: ignore[assignment]
    done = call("--version", "1")
    assert done.code == 3
    assert f"version 1 against champion 2: {word}\n" in done.out
    assert "is champion now" not in done.out
    assert done.err == "the gate judges\n"
    assert registry.moves == []


def test_a_dry_run_says_the_same_and_changes_nothing(registry: Registry) -> None:
    done = call("--dry-run", "--json")
    assert done.code == 0
    found = json.loads(done.out)
    assert set(found) == {"verdict", "champion", "challenger", "benchmark_id", "rules", "samples", "noise"}
    assert (found["verdict"], found["champion"], found["challenger"]) == ("promote", 2, 3)
    assert set(found["rules"][0]) == {"metric", "kind", "margin", "difference", "low", "high", "verdict"}
    assert (registry.moves, registry.tags[3]) == ([], {})
    registry.word = "reject"
    assert call("--dry-run").code == 3


def test_programs_are_told_whether_it_was_promoted(registry: Registry) -> None:
    registry.word = "undecided"
    done = call("--json")
    assert done.code == 3
    assert (json.loads(done.out)["verdict"], json.loads(done.out)["promoted"]) == ("undecided", False)
    registry.word = "promote"
    assert json.loads(call("--json").out)["promoted"] is True


def test_a_person_may_overrule_the_gate_and_has_to_say_why(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.word = "reject"
    done = call("--force")
    assert (done.code, done.err) == (
        2,
        "genloop: --force: expected --reason TEXT with it; the history keeps why the gate was overruled\n",
    )
    assert call("--force", "--reason", "x", "--dry-run").code == 2
    monkeypatch.setattr(staleness, "unmeasured", lambda _: pytest.fail("who is in a hurry need not wait for trainings"))
    done = call("--force", "--reason", "the users want it")
    assert done.code == 0, done.err
    (move,) = registry.moves
    assert (move.verdict, move.reason) == ("forced", "the users want it")
    assert move.figures[0]["verdict"] == "reject"


def test_a_gate_that_fails_does_not_stop_who_overrules_it(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise GenloopError("version 2 cannot be drawn with")

    monkeypatch.setattr(gate, "judge", fail)
    assert (call().code, call().err) == (1, "genloop: version 2 cannot be drawn with\n")
    done = call("--force", "--reason", "the old one is broken", "--json")
    assert done.code == 0
    assert "the gate could not judge: version 2 cannot be drawn with" in done.err
    assert json.loads(done.out) == {"verdict": None, "champion": 2, "challenger": 3, "promoted": True}


def test_where_a_person_is_asked_for_somebody_has_to_say_yes(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    require_approval()
    done = call()
    assert done.code == 2
    assert "say --yes if it shall be promoted" in done.err
    assert registry.moves == []
    assert call("--yes", "--reason", "looks good").code == 0
    assert registry.moves[0].reason == "looks good"


def test_who_lost_is_told(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    judge = registry.judge

    def meanwhile(*arguments: object) -> object:
        registry.aliases[CHAMPION] = 1
        return judge(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(gate, "judge", meanwhile)
    done = call()
    assert (done.code, done.err) == (1, "the gate judges\ngenloop: somebody else was faster\n")


def test_the_noise_is_measured_where_it_is_not_known(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    did: list[str] = []
    monkeypatch.setattr(staleness, "unmeasured", lambda _: True)
    monkeypatch.setattr(stages, "repro", lambda name, *_: did.append(name))
    monkeypatch.setattr(dvc, "check_cache", lambda name: did.append("check"))
    monkeypatch.setattr(dvc, "noise", lambda: "stale")
    monkeypatch.setattr(versioning, "commit", lambda *_: did.append("commit"))
    call("--dry-run")
    assert did == []  # it changes nothing
    done = call()
    assert "measuring how far scores move with the seed alone: 8 trainings" in done.err
    assert did == ["noise/dvc.yaml:noise", "check", "commit"]
    registry.aliases[CHAMPION] = None
    call()
    assert len(did) == 3  # there is nothing to compare with


def test_while_a_run_goes_on_no_noise_is_measured(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staleness, "unmeasured", lambda _: True)
    locks.LOCK.parent.mkdir(exist_ok=True)
    with FileLock(locks.LOCK):
        done = call()
    assert done.code == 1
    assert "another run is going on in this project" in done.err
