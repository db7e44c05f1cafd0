"""A fold ends in one state, wherever it was killed before: all that was said, once, with its pictures, kept and committed."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from operations import fold as folding
from pipelines.core import files, paths
from pipelines.core.errors import GenloopError
from pipelines.core.images import Limits
from pipelines.feedback import forgetting, samplers
from pipelines.feedback.sealed import event_images, manifest, seal, uploads
from pipelines.feedback.store.event_store import Store
from pipelines.registry import client
from pipelines.settings.load import load_params
from tests.conftest import REPOSITORY
from tests.support import kept_project
from tests.support.kept_project import git
from tests.support.votes import vote, votes
from workspace import dvc, snapshot


@pytest.fixture
def project(kept: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project under git whose registry is a function, and where DVC is replaced by what it leaves: its file."""
    monkeypatch.setattr(samplers, "of", lambda _: kept_project.draws)
    monkeypatch.setattr(snapshot, "add", pretend_to_add)
    monkeypatch.setattr(snapshot, "check_room", lambda: None)
    monkeypatch.setattr(dvc, "check_added", lambda _: None)
    return kept


def pretend_to_add() -> None:
    names = "".join(files.sha256(path) for path in sorted(paths.FEEDBACK.iterdir()))
    number, size = snapshot.present()
    digest = files.hashlib.md5(names.encode()).hexdigest()
    files.write(snapshot.POINTER, f"outs:\n- md5: {digest}.dir\n  nfiles: {number}\n  size: {size}\n  path: feedback\n")


def add(first: int, count: int) -> None:
    with Store.open() as store:
        store.add(votes(first, count))


def fold() -> folding.Folded:
    return folding.fold(load_params())


def check(count: int, folder: Path) -> None:
    """Nothing is lost and nothing doubled of e0 to e<count>, and all of it is kept."""
    listed = manifest.check()
    assert Counter(event.id for event in seal.read(paths.FEEDBACK)) == Counter(f"e{number}" for number in range(count))
    assert listed.events == count
    assert set(listed.files) == {path.name for path in paths.FEEDBACK.iterdir()}
    for batch in listed.batches:
        drawn = [picture.sample for picture in event_images.read(paths.FEEDBACK, [batch])]
        assert sorted(drawn, key=str) == sorted({event.sample for event in seal.events(paths.FEEDBACK, batch)}, key=str)
    assert snapshot.kept()
    assert git(folder, "status", "--short") == ""
    subjects = git(folder, "log", "--format=%s")
    assert sum(int(number) for number in re.findall(r"Fold (\d+) event", subjects)) == count, subjects


def test_what_is_new_is_folded_once_and_the_commit_says_what_it_was(project: Path) -> None:
    shutil.copy(REPOSITORY / "docs/samples.png", "one.png")
    digest = uploads.keep(Path("one.png").read_bytes(), Limits(**load_params().ingest.model_dump()))
    with Store.open() as store:
        store.add([*votes(0, 5), vote(5, type="upload", image=digest, sample=None, value=None, rater="zoe")])
    done = fold()
    assert done.events == {"vote": 5, "upload": 1}
    assert (done.raters, done.missing, done.forgotten, done.committed) == (4, {}, 0, True)
    (batch,) = done.batches
    said = git(project, "log", "-1", "--format=%B").strip().split("\n")
    assert said == [
        "Fold 6 events: 5 votes, 1 upload",
        "",
        "By 4 raters, from 2026-01-01 12:00 UTC to 2026-01-06 12:00 UTC.",
        "",
        f"batch {batch}: 6 events",
    ]
    assert "zoe" not in git(project, "show")
    before = {path.name: path.read_bytes() for path in paths.FEEDBACK.iterdir()}
    assert fold() == folding.Folded()
    add(6, 2)
    assert fold().events == {"vote": 2}
    assert {name: (paths.FEEDBACK / name).read_bytes() for name in before} == before
    assert git(project, "rev-list", "--count", "HEAD") == "3\n"


STEPS: list[tuple[Any, str]] = [
    (seal, "fold"),
    (event_images, "write"),
    (event_images, "complete"),
    (manifest, "update"),
    (snapshot, "keep"),
    (snapshot, "add"),
    (dvc, "check_added"),
    (snapshot.git, "must"),
]


def stop_at(module: Any, name: str, after: bool) -> None:
    """A fold; whatever comes to this step goes no further, as a kill would have it."""
    function = getattr(module, name)

    def stop(*arguments: Any, **named: Any) -> Any:
        if after:
            function(*arguments, **named)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, stop)
        with pytest.raises(KeyboardInterrupt):
            fold()


def test_a_stop_at_any_step_is_healed_by_the_next_fold(project: Path) -> None:
    said = 0
    for module, name in STEPS:
        for after in (False, True):
            add(said, 4)
            said += 4
            stop_at(module, name, after)
            add(said, 1)  # people go on talking
            said += 1
            done = fold()
            assert done.committed, name
            check(said, project)
            assert fold() == folding.Folded(), name


def test_two_stops_one_after_the_other_are_healed(project: Path) -> None:
    add(0, 3)
    stop_at(event_images, "complete", False)
    add(3, 3)
    stop_at(snapshot, "keep", False)
    done = fold()
    assert done.committed  # what the second had folded is named by its commit, although this one had nothing to fold
    assert (done.events, done.batches) == ({}, [])
    assert git(project, "log", "-1", "--format=%s") == "Fold 6 events: 6 votes\n"
    check(6, project)


def test_half_files_of_a_killed_fold_are_not_kept(project: Path) -> None:
    add(0, 3)
    paths.FEEDBACK.mkdir()
    (paths.FEEDBACK / ".events-x.parquet.99.partial").write_text("half")
    fold()
    check(3, project)


def test_a_registry_that_does_not_answer_leaves_the_events_sealed(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def shy(_: int) -> Any:
        raise GenloopError("the registry does not answer")

    add(0, 3)
    with monkeypatch.context() as offline:
        offline.setattr(samplers, "of", lambda _: shy)
        for _ in range(2):
            with pytest.raises(GenloopError, match="does not answer"):
                fold()
    assert len(list(seal.read(paths.FEEDBACK))) == 3
    assert manifest.read().files == {}
    assert fold().events == {"vote": 3}
    check(3, project)


def test_pictures_that_cannot_be_had_are_told(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Store.open() as store:
        store.add([*votes(0, 3), *(vote(n, sample={"version": 9, "seed": n, "label": 0}) for n in range(3, 5))])
    known = kept_project.draws

    def draws(version: int) -> Any:
        if version == 9:
            raise event_images.Unknown("version 9 is not in the registry")
        return known(version)

    monkeypatch.setattr(samplers, "of", lambda _: draws)
    assert fold().missing == {"version 9 is not in the registry": 2}


def test_a_fresh_clone_is_told_to_pull_before_anything_is_claimed(project: Path) -> None:
    add(0, 3)
    fold()
    shutil.rmtree(paths.FEEDBACK)
    add(3, 3)
    with pytest.raises(GenloopError, match="`dvc pull`"):
        fold()
    with Store.open() as store:
        assert store.counts().new == 3
    assert git(project, "status", "--short") == ""


def test_without_a_database_there_is_nothing_to_fold_and_none_is_made(project: Path) -> None:
    said: list[str] = []
    assert folding.fold(load_params(), said.append) == folding.Folded()
    assert not list(Path("data").glob("*.db"))
    assert said[0].startswith("there is no database yet: ")
    assert said[0].endswith("data/feedback.db")


def test_two_folds_at_once_fold_everything_once(project: Path) -> None:
    add(0, 20)

    def one(_: int) -> int:
        return sum(fold().events.values())

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(one, range(2))) == [0, 20]
    check(20, project)


def test_who_asked_is_forgotten_and_the_commit_says_so_without_a_name(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(0, 6)
    fold()
    (batch,) = manifest.read().batches
    known = {1: client.Learned([], []), 2: client.Learned([batch], ["champion"]), 3: client.Learned(["another"], [])}
    monkeypatch.setattr(client, "learned", lambda _: known)
    with Store.open() as store:
        store.add([vote(6, type="erase", sample=None, value=None, rater="r1")])
    done = fold()
    assert (done.events, done.forgotten, done.learned, done.committed) == ({}, 1, [2], True)
    assert git(project, "log", "-1", "--format=%s") == "Forget 1 rater\n"
    assert {event.rater for event in seal.read(paths.FEEDBACK)} == {"r0", "r2"}
    assert manifest.check().forgotten == [forgetting.digest("r1")]
    assert fold() == folding.Folded()


def test_a_merge_that_is_going_on_is_left_alone_and_committed_later(project: Path) -> None:
    add(0, 3)
    merge = project / ".git/MERGE_HEAD"
    merge.write_text(git(project, "rev-parse", "HEAD"))
    said: list[str] = []
    assert not folding.fold(load_params(), said.append).committed
    assert said == ["nothing is committed: a merge is going on; it is done the next time"]
    assert fold() == folding.Folded()
    merge.unlink()
    assert fold().committed
    check(3, project)


# The real thing: DVC, and processes that are killed.


def run_fold(*arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, kept_project.__file__, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def killed_at(steps: list[int], folder: Path) -> None:
    """A fold is killed at each of these steps, and now and then another one ends well."""
    said = 0
    for number, step in enumerate(steps, start=1):
        add(said, 5)
        said += 5
        done = run_fold(str(step))
        assert done.returncode in (-signal.SIGKILL, 0), done.stderr
        if number % 3 == 0:
            heal(said, folder)
    heal(said, folder)


def heal(said: int, folder: Path) -> None:
    done = run_fold()
    assert done.returncode == 0, done.stderr
    check(said, folder)


def test_a_fold_that_was_killed_is_healed_by_the_next(kept: Path) -> None:
    killed_at([60, 125], kept)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_kill_at_any_step_loses_and_doubles_nothing(kept: Path) -> None:
    add(0, 1)
    steps = int(run_fold().stdout.split()[0])
    assert steps > 100
    shutil.rmtree(paths.FEEDBACK)
    git(kept, "reset", "-q", "--hard", "HEAD^")
    Path("data/feedback.db").unlink()
    killed_at(random.Random(0).sample(range(1, steps), 40), kept)


def test_nothing_new_is_said_and_loads_no_dvc(kept: Path) -> None:
    add(0, 3)
    assert run_fold().returncode == 0
    program = "import sys; sys.modules['dvc'] = sys.modules['mlflow'] = None; import genloop; genloop.main()"
    command, environment = [sys.executable, "-c", program, "fold", "--json"], {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["batches"] == []
