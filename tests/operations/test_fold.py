"""A fold ends in one state, wherever it was killed before: all that was said, once, with its pictures, kept and committed."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from operations import fold as folding
from pipelines.core import files, shards
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.images import Limits
from pipelines.core.project import Project
from pipelines.feedback import forgetting
from pipelines.feedback.events import Event
from pipelines.feedback.sealed import event_images, manifest, seal, uploads
from pipelines.feedback.store.event_store import EventStore
from pipelines.registry.versions import NoVersionError, VersionBatches
from pipelines.settings.load import load_params
from tests.conftest import REPOSITORY
from tests.support import kept_project, sealed_events
from tests.support.kept_project import LabelSampler, SamplerRegistry, git
from tests.support.votes import vote, votes
from workspace import dvc, snapshot


@pytest.fixture
def project(kept: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A project under git, where DVC is replaced by what it leaves: its file."""
    monkeypatch.setattr(snapshot, "add", pretend_to_add)
    monkeypatch.setattr(snapshot, "check_room", lambda _: None)
    monkeypatch.setattr(dvc, "check_added", lambda *_: None)
    return kept


def pretend_to_add(project: Project) -> None:
    names = "".join(files.sha256(path) for path in sorted(project.feedback.iterdir()))
    number, size = snapshot.size(project.feedback)
    digest = files.hashlib.md5(names.encode()).hexdigest()
    content = f"outs:\n- md5: {digest}.dir\n  nfiles: {number}\n  size: {size}\n  path: feedback\n"
    files.write(project.feedback_pointer, content)


def add(project: Project, first: int, count: int) -> None:
    with EventStore.open(project.database_url) as store:
        store.add(votes(first, count))


def fold(project: Project, registry: Any = None, log: Callable[[str], None] = lambda line: None) -> folding.FoldResult:
    return folding.fold(project, load_params(project.params_file), registry or SamplerRegistry(), log)


def check(project: Project, count: int) -> None:
    """Nothing is lost and nothing doubled of e0 to e<count>, and all of it is kept."""
    folder = project.feedback
    listed = manifest.check(folder, project.manifest)
    assert Counter(event.id for event in sealed_events.read(folder)) == Counter(f"e{number}" for number in range(count))
    assert listed.events == count
    assert set(listed.files) == {path.name for path in folder.iterdir()}
    for batch in listed.batches:
        drawn = [picture.sample for picture in event_images.read(folder, [batch])]
        assert sorted(drawn, key=str) == sorted({event.sample for event in seal.events(folder, batch)}, key=str)
    assert snapshot.up_to_date(project)
    assert git(project.root, "status", "--short") == ""
    subjects = git(project.root, "log", "--format=%s")
    assert sum(int(number) for number in re.findall(r"Fold (\d+) event", subjects)) == count, subjects


def test_what_is_new_is_folded_once_and_the_commit_says_what_it_was(project: Project) -> None:
    shutil.copy(REPOSITORY / "docs/samples.png", project.root / "one.png")
    limits = Limits(**load_params(project.params_file).ingest.model_dump())
    digest = uploads.keep(project.uploads, (project.root / "one.png").read_bytes(), limits)
    with EventStore.open(project.database_url) as store:
        store.add([*votes(0, 5), vote(5, type="upload", image=digest, sample=None, value=None, rater="zoe")])
    done = fold(project)
    assert done.events == {"vote": 5, "upload": 1}
    assert (done.raters, done.missing, done.forgotten, done.committed) == (4, {}, 0, True)
    (batch,) = done.batches
    said = git(project.root, "log", "-1", "--format=%B").strip().split("\n")
    assert said == [
        "Fold 6 events: 5 votes, 1 upload",
        "",
        "By 4 raters, from 2026-01-01 12:00 UTC to 2026-01-06 12:00 UTC.",
        "",
        f"batch {batch}: 6 events",
    ]
    assert "zoe" not in git(project.root, "show")
    before = {path.name: path.read_bytes() for path in project.feedback.iterdir()}
    assert fold(project) == folding.FoldResult()
    add(project, 6, 2)
    assert fold(project).events == {"vote": 2}
    assert {name: (project.feedback / name).read_bytes() for name in before} == before
    assert git(project.root, "rev-list", "--count", "HEAD") == "3\n"


STEPS: list[tuple[Any, str]] = [
    (seal, "fold"),
    (event_images, "write"),
    (event_images, "complete"),
    (manifest, "update"),
    (snapshot, "take"),
    (snapshot, "add"),
    (dvc, "check_added"),
    (snapshot.git, "retry"),
]


def stop_at(project: Project, module: Any, name: str, after: bool) -> None:
    """A fold; whatever comes to this step goes no further, as a kill would have it."""
    function = getattr(module, name)

    def stop(*arguments: Any, **named: Any) -> Any:
        if after:
            function(*arguments, **named)
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, stop)
        with pytest.raises(KeyboardInterrupt):
            fold(project)


@pytest.mark.slow
def test_a_stop_at_any_step_is_healed_by_the_next_fold(project: Project) -> None:
    said = 0
    for module, name in STEPS:
        for after in (False, True):
            add(project, said, 4)
            said += 4
            stop_at(project, module, name, after)
            add(project, said, 1)  # people go on talking
            said += 1
            done = fold(project)
            assert done.committed, name
            check(project, said)
            assert fold(project) == folding.FoldResult(), name


def test_two_stops_one_after_the_other_are_healed(project: Project) -> None:
    add(project, 0, 3)
    stop_at(project, event_images, "complete", False)
    add(project, 3, 3)
    stop_at(project, snapshot, "take", False)
    done = fold(project)
    assert done.committed  # what the second had folded is named by its commit, although this one had nothing to fold
    assert (done.events, done.batches) == ({}, [])
    assert git(project.root, "log", "-1", "--format=%s") == "Fold 6 events: 6 votes\n"
    check(project, 6)


def test_half_files_of_a_killed_fold_are_not_kept(project: Project) -> None:
    add(project, 0, 3)
    project.feedback.mkdir()
    (project.feedback / ".events-x.parquet.99.partial").write_text("half")
    fold(project)
    check(project, 3)


def label(number: int, **other: Any) -> Event:
    return vote(number, type="label", sample=None, value=None, row="a" * 64, label=1, **other)


@pytest.mark.parametrize("classes", [["ant", "bee"], ["bee", "ant", "cow"], []])
def test_the_classes_of_the_data_are_sealed_with_the_labels_that_people_gave(project: Project, classes: list[str]) -> None:
    with shards.ShardWriter(project.clean, classes=classes):
        pass
    with EventStore.open(project.database_url) as store:
        store.add([label(0), vote(1)])
    lines: list[str] = []
    (batch,) = fold(project, log=lines.append).batches
    assert seal.class_names(project.feedback, batch) == classes
    assert not [line for line in lines if "names" in line]
    assert [one.class_name for one in event_images.read(project.feedback, [batch])] == ["b"]  # by the version


UPLOAD = {"sample": None, "value": None, "type": "upload", "image": "b" * 64}


@pytest.mark.parametrize(
    ("event", "told"), [(label(0), True), (vote(0, **UPLOAD, label=1), True), (vote(0, **UPLOAD), False), (vote(0), False)]
)
def test_labels_are_sealed_without_names_where_there_is_no_data_and_the_fold_says_so(
    project: Project, event: Event, told: bool
) -> None:
    project.uploads.mkdir()  # what was sent is lost
    with EventStore.open(project.database_url) as store:
        store.add([event])
    lines: list[str] = []
    batches = fold(project, log=lines.append).batches
    assert [seal.class_names(project.feedback, batch) for batch in batches] == [None] * len(batches)
    assert any(line.startswith("no classes in data/clean") for line in lines) == told


class FailingRegistry(SamplerRegistry):
    """It does not answer, or has no version 9."""

    def __init__(self, answers: bool) -> None:
        self.answers = answers

    def load(self, number: int | None = None) -> LabelSampler:
        if not self.answers:
            raise GenloopError("the registry does not answer")
        if number == 9:
            raise NoVersionError("there is no version 9")
        return super().load(number)


def test_a_registry_that_does_not_answer_leaves_the_events_sealed(project: Project) -> None:
    add(project, 0, 3)
    for _ in range(2):
        with pytest.raises(GenloopError, match="does not answer"):
            fold(project, FailingRegistry(answers=False))
    assert len(list(sealed_events.read(project.feedback))) == 3
    assert manifest.read(project.manifest).files == {}
    assert fold(project).events == {"vote": 3}
    check(project, 3)


def test_pictures_that_cannot_be_had_are_told(project: Project) -> None:
    with EventStore.open(project.database_url) as store:
        store.add([*votes(0, 3), *(vote(n, sample={"version": 9, "seed": n, "label": 0}) for n in range(3, 5))])
    assert fold(project, FailingRegistry(answers=True)).missing == {"version 9 is not in the registry": 2}


def test_a_fresh_clone_is_told_to_pull_before_anything_is_claimed(project: Project) -> None:
    add(project, 0, 3)
    fold(project)
    shutil.rmtree(project.feedback)
    add(project, 3, 3)
    with pytest.raises(GenloopError, match="`dvc pull`"):
        fold(project)
    with EventStore.open(project.database_url) as store:
        assert store.counts().new == 3
    assert git(project.root, "status", "--short") == ""


def test_without_a_database_there_is_nothing_to_fold_and_none_is_made(project: Project) -> None:
    said: list[str] = []
    assert fold(project, log=said.append) == folding.FoldResult()
    assert not list(project.data.glob("*.db"))
    assert said[0].startswith("there is no database yet: ")
    assert said[0].endswith("data/feedback.db")


def test_two_folds_at_once_fold_everything_once(project: Project) -> None:
    add(project, 0, 20)

    def one(_: int) -> int:
        return sum(fold(project).events.values())

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(one, range(2))) == [0, 20]
    check(project, 20)


def test_who_asked_is_forgotten_and_the_commit_says_so_without_a_name(project: Project) -> None:
    add(project, 0, 6)
    fold(project)
    (batch,) = manifest.read(project.manifest).batches
    registry = SamplerRegistry()
    known = {1: VersionBatches([], []), 2: VersionBatches([batch], ["champion"]), 3: VersionBatches(["another"], [])}
    registry.training_batches = lambda: known  # type: ignore[method-assign]
    with EventStore.open(project.database_url) as store:
        store.add([vote(6, type="erase", sample=None, value=None, rater="r1")])
    done = fold(project, registry)
    assert (done.events, done.forgotten, done.learned, done.committed) == ({}, 1, [2], True)
    assert git(project.root, "log", "-1", "--format=%s") == "Forget 1 rater\n"
    assert {event.rater for event in sealed_events.read(project.feedback)} == {"r0", "r2"}
    assert manifest.check(project.feedback, project.manifest).forgotten == [forgetting.digest("r1")]
    assert fold(project) == folding.FoldResult()


def test_a_merge_that_is_going_on_is_left_alone_and_committed_later(project: Project) -> None:
    add(project, 0, 3)
    merge = project.root / ".git/MERGE_HEAD"
    merge.write_text(git(project.root, "rev-parse", "HEAD"))
    said: list[str] = []
    assert not fold(project, log=said.append).committed
    assert said == ["nothing is committed: a merge is going on; `git commit` ends it, and the next fold or run commits"]
    assert fold(project) == folding.FoldResult()
    merge.unlink()
    assert fold(project).committed
    check(project, 3)


def test_conflict_markers_stop_a_fold_before_it_changes_anything(project: Project) -> None:
    """Both sides' folds are in the manifest then: to put back what git has would lose one side's."""
    add(project, 0, 3)
    fold(project)
    add(project, 3, 2)
    listed = project.manifest.read_text()
    project.manifest.write_text(f"<<<<<<< HEAD\n{listed}=======\n{listed}>>>>>>> other\n")
    before = sorted(path.name for path in project.feedback.iterdir())
    with pytest.raises(InputError, match=r"data/feedback\.json: conflict markers of a merge"):
        fold(project)
    assert sorted(path.name for path in project.feedback.iterdir()) == before
    project.manifest.write_text(listed)
    fold(project)
    check(project, 5)


# The real thing: DVC, and processes that are killed.


def run_fold(project: Project, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**project.environment, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, kept_project.__file__, str(project.root), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def killed_at(project: Project, steps: list[int]) -> None:
    """A fold is killed at each of these steps, and now and then another one ends well."""
    said = 0
    for number, step in enumerate(steps, start=1):
        add(project, said, 5)
        said += 5
        done = run_fold(project, str(step))
        assert done.returncode in (-signal.SIGKILL, 0), done.stderr
        if number % 3 == 0:
            heal(project, said)
    heal(project, said)


def heal(project: Project, said: int) -> None:
    done = run_fold(project)
    assert done.returncode == 0, done.stderr
    check(project, said)


def test_a_fold_that_was_killed_is_healed_by_the_next(kept: Project) -> None:
    killed_at(kept, [60, 125])


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_kill_at_any_step_loses_and_doubles_nothing(kept: Project) -> None:
    add(kept, 0, 1)
    steps = int(run_fold(kept).stdout.split()[0])
    assert steps > 100
    shutil.rmtree(kept.feedback)
    git(kept.root, "reset", "-q", "--hard", "HEAD^")
    (kept.data / "feedback.db").unlink()
    killed_at(kept, random.Random(0).sample(range(1, steps), 40))


def test_nothing_new_is_said_and_loads_no_dvc(kept: Project) -> None:
    add(kept, 0, 3)
    assert run_fold(kept).returncode == 0
    program = "import sys; sys.modules['dvc'] = sys.modules['mlflow'] = None; import genloop; genloop.main()"
    command, environment = (
        [sys.executable, "-c", program, "fold", "--json"],
        {**kept.environment, "PYTHONPATH": str(REPOSITORY)},
    )
    done = subprocess.run(command, cwd=kept.root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["batches"] == []
