"""genloop doctor looks at everything, whatever is broken: a check that fails is reported, and the next one follows."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import genloop
from commands import doctor
from operations import preflight, staleness, versioning
from pipelines.core.project import Project
from pipelines.feedback.store.event_store import EventStore
from tests.conftest import REPOSITORY

BEFORE_A_RUN = [check.__name__ for check in (*doctor.CHECKS_OF_SETTINGS, *doctor.checks_before_a_run())]
ALL = [*(check.__name__ for check in doctor.CHECKS), *BEFORE_A_RUN]


def call(project: Project) -> SimpleNamespace:
    """Exit code, and state and words by check, as `--json` prints them; the same checks are listed without it."""
    environment = dict(project.environment)
    asked = CliRunner().invoke(genloop.app, ["doctor", "--json", "--project", str(project.root)], env=environment)
    assert asked.exception is None or isinstance(asked.exception, SystemExit), asked.exception
    findings = json.loads(asked.stdout)
    assert all(set(finding) == {"check", "state", "words"} and "\n" not in finding["words"] for finding in findings)
    assert asked.exit_code == any(finding["state"] == "fail" for finding in findings)
    by_check = {finding["check"]: (finding["state"], finding["words"]) for finding in findings}
    return SimpleNamespace(code=asked.exit_code, checks=[finding["check"] for finding in findings], **by_check)


@pytest.fixture
def graphed(kept: Project) -> Project:
    """`kept` with one stage that never ran, and a registry of its own."""
    (kept.root / "dvc.yaml").write_text("stages:\n  ingest:\n    cmd: 'true'\n")
    return kept


def test_all_is_looked_at_and_a_line_each_is_printed(graphed: Project) -> None:
    found = call(graphed)
    assert found.checks == ALL
    assert found.graph == ("ok", "1 stages, to run: ingest")
    assert found.code == 0, found
    printed = CliRunner().invoke(genloop.app, ["doctor", "--project", str(graphed.root)]).stdout.splitlines()
    assert [line.split()[1] for line in printed] == ALL
    assert {line.split()[0] for line in printed} <= {"ok", "warn"}


@pytest.mark.parametrize("error", [ZeroDivisionError("by\nzero"), RuntimeError(), SystemExit(3), MemoryError("much")])
def test_a_check_that_fails_itself_is_reported_and_the_next_ones_follow(
    graphed: Project, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def disk(project: Project) -> doctor.Result:
        print("a library prints")
        raise error

    def markers(plan: preflight.RunPlan) -> preflight.Result:
        raise error

    monkeypatch.setattr(doctor, "CHECKS", tuple(disk if check is doctor.disk else check for check in doctor.CHECKS))
    changed = {markers if check is preflight.markers else check: stages for check, stages in preflight.CHECKS.items()}
    monkeypatch.setattr(preflight, "CHECKS", changed)
    found = call(graphed)
    assert (found.code, found.checks) == (1, ALL)
    words = " ".join(f"the check itself failed: {type(error).__name__}: {error}".split())
    assert found.disk == found.markers == ("fail", words)


def test_a_check_that_takes_too_long_is_reported_and_the_next_ones_follow(
    graphed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    stop = threading.Event()

    def disk(project: Project) -> doctor.Result:
        stop.wait(60)
        return "ok", ""

    monkeypatch.setattr(doctor, "CHECKS", (disk, doctor.python))
    monkeypatch.setattr(doctor, "CHECKS_OF_SETTINGS", ())
    monkeypatch.setattr(doctor, "finding_of", lambda *arguments, short=doctor.finding_of: short(*arguments[:3], 0.3))
    monkeypatch.setattr(preflight, "CHECKS", {})
    started = time.monotonic()
    found = call(graphed)
    stop.set()
    assert time.monotonic() - started < 5
    assert found.disk == ("fail", "no answer within 0.3 seconds")
    assert found.checks == ["disk", "python"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"train: {steps: 1\n", "params.yaml: not usable YAML: "),
        (b"a: 1\na: 2\n", "duplicate key: `a` stands in line 1 and again in line 2"),
        (b"\xff\xfe", "this is text in UTF-16"),
        (b"", "there are no settings in it"),
    ],
)
def test_unusable_settings_keep_nothing_else_from_being_looked_at(graphed: Project, content: bytes, words: str) -> None:
    graphed.params_file.write_bytes(content)
    found = call(graphed)
    assert found.checks == [*(check.__name__ for check in doctor.CHECKS), "others"]
    assert (found.params[0], words in found.params[1]) == ("fail", True), found.params
    assert found.others == ("warn", f"not checked, because params.yaml cannot be used: {', '.join(BEFORE_A_RUN)}")
    assert found.python[0] == "ok"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"this is no database at all, but text" * 100, "file is not a database; restore it from a backup"),
        (b"", "feedback.db, empty; the first event makes its tables"),
    ],
)
def test_a_database_that_is_none_is_said_and_left_as_it_is(graphed: Project, content: bytes, words: str) -> None:
    file = graphed.data / "feedback.db"
    file.write_bytes(content)
    found = call(graphed)
    assert (found.database[0], words in found.database[1]) == ("fail" if content else "ok", True), found.database
    assert file.read_bytes() == content


def test_a_damaged_database_is_said(graphed: Project) -> None:
    file = graphed.data / "feedback.db"
    EventStore.open(graphed.database_url).close()
    assert call(graphed).database[0] == "ok"
    assert call(graphed).database[1].endswith(", the newest")
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xaa" * (len(content) - 4096)
    file.write_bytes(content)
    assert call(graphed).database[0] == "fail"


def test_a_database_of_a_newer_or_older_genloop_is_said_and_left_as_it_is(graphed: Project) -> None:
    EventStore.open(graphed.database_url).close()
    for revision, state, words in (("9999", "fail", "of a newer Genloop"), ("0000", "ok", "tables of revision 0000; the next")):
        with sqlite3.connect(graphed.data / "feedback.db") as connection:
            connection.execute("UPDATE genloop_version SET version_num = ?", [revision])
        connection.close()
        found = call(graphed).database
        assert (found[0], words in found[1]) == (state, True), found


def test_conflict_markers_are_a_fault_and_no_end(graphed: Project) -> None:
    graphed.dvc_lock.write_text("<<<<<<< HEAD\nstages: {}\n=======\nschema: '2.0'\n>>>>>>> theirs\n")
    found = call(graphed)
    assert found.checks == ALL
    assert (found.markers[0], "dvc.lock" in found.markers[1]) == ("fail", True)


def add_remote(project: Project, text: str, default: str | None = None) -> None:
    core = f"    remote = {default}\n" if default else ""
    config = (project.root / ".dvc/config").read_text()
    (project.root / ".dvc/config").write_text(config + core + text)


@pytest.mark.parametrize(
    ("text", "default", "found"),
    [
        ("", None, ("ok", f"none; data and models are in this folder only ({versioning.ADVICE})")),
        (
            "['remote \"store\"']\n    url = gs://bucket/dvc\n    verify = true\n",
            "store",
            ("ok", "store (gs://bucket/dvc), verify is on"),
        ),
        (
            "['remote \"store\"']\n    url = /srv/dvc\n",
            "store",
            (
                "warn",
                "store (/srv/dvc), verify is off; bytes are not checked when pulled: `dvc remote modify store verify true`",
            ),
        ),
        (
            "['remote \"a\"']\n    url = ssh://ann:secret@host/dvc\n    verify = true\n"
            "['remote \"b\"']\n    url = gs://b\n    verify = false\n",
            "b",
            (
                "warn",
                "a (ssh://ann:…@host/dvc), verify is on, b (gs://b), verify is off; bytes are not checked when pulled: `dvc "
                "remote modify b verify true`",
            ),
        ),
        (
            "['remote \"store\"']\n    url = /srv/dvc\n    verify = true\n",
            None,
            ("warn", "store (/srv/dvc), verify is on; none is the default, so nothing is pushed: `dvc remote default store`"),
        ),
    ],
)  # fmt: skip
def test_the_remotes_are_named_whatever_the_working_directory(
    graphed: Project, text: str, default: str | None, found: tuple[str, str]
) -> None:
    """The working directory of this test is in no project."""
    add_remote(graphed, text, default)
    assert call(graphed).remote == found


def test_the_remotes_are_named_from_a_folder_of_the_project(graphed: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    add_remote(graphed, "['remote \"store\"']\n    url = ../outside\n    verify = true\n", "store")
    monkeypatch.chdir(graphed.data)
    asked = CliRunner().invoke(genloop.app, ["doctor", "--json"], env=dict(graphed.environment))
    (found,) = [finding for finding in json.loads(asked.stdout) if finding["check"] == "remote"]
    assert (found["state"], found["words"].endswith("outside), verify is on")) == ("ok", True), found


def test_what_only_fresh_stages_need_is_no_fault(graphed: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    text = graphed.params_file.read_text().replace("  - type: digits ", "  - type: npz\n    path: gone.npz #")
    graphed.params_file.write_text(text)
    assert call(graphed).sources[0] == "fail"
    monkeypatch.setattr(staleness, "stale_stages", lambda *_: {"train": False})
    assert call(graphed).sources[0] == "warn"


@pytest.mark.parametrize("variables", [{"HOME": None}, {"HOME": "/nonexistent"}, {"PATH": "/nowhere"}])
def test_without_home_or_git_it_goes_on(graphed: Project, variables: dict[str, str | None]) -> None:
    environment = {**graphed.environment, **{name: value for name, value in variables.items() if value is not None}}
    for name, value in variables.items():
        if value is None:
            environment.pop(name, None)
    command = [sys.executable, str(REPOSITORY / "genloop.py"), "doctor", "--json", "--project", str(graphed.root)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    findings = json.loads(done.stdout)
    assert [finding["check"] for finding in findings] == ALL, done.stderr
    assert "Traceback" not in done.stderr
    (git,) = [finding for finding in findings if finding["check"] == "git"]
    assert git["state"] == ("warn" if "PATH" in variables else "ok"), git


def test_a_registry_that_does_not_answer_is_reported(graphed: Project) -> None:
    found = call(graphed.with_variables({"MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}))
    assert found.checks == ALL
    assert (found.registry[0], found.experiment[0]) == ("fail", "warn")  # no stage of this project would register now
    assert found.registry[1].startswith("MLflow at http://127.0.0.1:9 does not answer (")
