"""genloop influence, as a user calls it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

import genloop
from pipelines.feedback.store import database
from pipelines.feedback.store.event_store import Store
from pipelines.registry import client
from pipelines.registry.client import Learned
from tests.feedback import followed
from tests.feedback.followed import Made
from tests.feedback.writer import vote

VERSIONS = {1: Learned([], []), 2: Learned(["x"], ["champion"]), 3: Learned(["x", "y"], []), 4: Learned(["z"], ["challenger"])}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return followed.make(tmp_path_factory.mktemp("curated"))


@pytest.fixture
def made(template: Made, project: Path, monkeypatch: pytest.MonkeyPatch) -> Made:
    shutil.copytree(template.folder, project, dirs_exist_ok=True)
    monkeypatch.delenv(database.VARIABLE, raising=False)
    monkeypatch.setattr(client, "learned", lambda _: VERSIONS)
    return template


def influence(*arguments: str) -> SimpleNamespace:
    result = CliRunner().invoke(genloop.app, ["influence", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return SimpleNamespace(code=result.exit_code, out=result.stdout, err=result.stderr)


def test_what_one_rater_said_and_what_came_of_it(made: Made) -> None:
    with Store.open() as store:
        store.add([vote("waiting", "ann")])
    found = json.loads(influence("ann", "--json").out)
    assert {name: span["count"] for name, span in found["events"].items()} == {"vote": 19, "label": 1, "report": 1}
    assert found["events"]["vote"]["first"].endswith("Z")
    assert (sum(found["folds"].values()), found["waiting"]) == (20, 1)
    assert made.liked in found["rows"]["added"]
    assert found["rows"]["corrected"] == [made.corrected]
    assert found["rows"]["reported"] == [made.reported]
    assert found["versions"] == [{"version": 2, "aliases": ["champion"]}, {"version": 3, "aliases": []}]
    assert found["standing"]["reliability"] > 0.5
    lines = influence("ann").out.splitlines()
    assert lines[0] == "ann"
    assert "  versions that have learned from this: 2 (champion), 3" in lines
    assert f"  rows corrected: 1 ({made.corrected[:12]})" in lines
    assert "1 not folded yet" in influence("ann").out


def test_a_rater_whom_nobody_knows_is_unusable_input(made: Made) -> None:
    done = influence("anne")
    assert (done.code, done.out) == (2, "")
    assert done.err == "genloop: anne: has said nothing; did you mean ann?\n"
    assert not Path("data/feedback.db").exists()  # asking made none
