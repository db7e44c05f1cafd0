"""Commands in a project that cannot be written: those that read work, the others stop in one line before any work."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipelines.core.project import Project
from pipelines.feedback.store.event_store import EventStore
from tests.conftest import REPOSITORY
from tests.support import read_only
from tests.support.votes import votes

Command = Callable[..., subprocess.CompletedProcess[str]]
CODE = "import sys; from genloop import main; sys.argv[0] = 'genloop'; main()"


@pytest.fixture
def command(kept: Project, empty_registry: Path, tmp_path: Path) -> Iterator[Command]:
    """Runs genloop in a closed project with three events and a registry, without the right to pass over modes."""
    with EventStore.open(kept.database_url) as store:
        store.add(votes(0, 3))
    (kept.root / "mlflow.db").write_bytes(empty_registry.read_bytes())
    (tmp_path / "home").mkdir()
    read_only.close(kept.root)
    before = read_only.names(kept.root)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-c", CODE, *arguments, "--project", str(kept.root)],
            env={**kept.environment, "HOME": str(tmp_path / "home"), "PYTHONPATH": str(REPOSITORY)},
            preexec_fn=read_only.drop_rights,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert read_only.names(kept.root) == before
        assert "Traceback" not in done.stderr
        return done

    yield run
    read_only.open_again(kept.root)


def test_what_only_reads_works(command: Command) -> None:
    done = command("status", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    fixed = {"champion": None, "challenger": None, "events": {"new": 3, "folded": 0}, "stages": {}}
    assert {name: found[name] for name in fixed} == fixed
    done = command("history")
    assert (done.returncode, done.stdout, done.stderr) == (0, "no version has been champion yet\n", "")
    done = command("influence", "r1")
    assert done.returncode == 0, done.stderr
    assert "1 not folded yet" in done.stdout
    done = command("why", "0123abcd")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "begins like this" in done.stderr


def test_doctor_says_what_cannot_be_written(command: Command) -> None:
    found = {line.split()[1]: line for line in command("doctor").stdout.splitlines()}
    assert found["writing"].startswith("warn  writing     the project in ")
    assert [found[name][:4].strip() for name in ("graph", "remote", "database", "registry")] == ["ok"] * 4


@pytest.mark.parametrize(
    "arguments",
    [
        ["run"], ["run", "--set", "train.steps=7"], ["fold"], ["forget", "r1", "--yes"], ["import-feedback", "events.jsonl"],
        ["promote"], ["rollback"], ["rebuild", "1"],
    ],
)  # fmt: skip
def test_what_writes_stops_in_one_line_before_any_work(command: Command, arguments: list[str]) -> None:
    done = command(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("genloop: the project in ")
    assert "cannot be written, by its mode" in done.stderr
    assert "commands that read (status, history, why, score, generate --out in another folder) work as it is" in done.stderr
