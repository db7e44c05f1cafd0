"""Two clones that both ran, or both folded, merge without a conflict, and what comes of it is what each of them meant."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from operations import fold, forget
from pipelines.core.progress import say
from pipelines.core.project import Project
from pipelines.feedback.sealed import manifest, seal
from pipelines.feedback.store.event_store import EventStore
from pipelines.settings.load import load_params
from tests.conftest import REPOSITORY, project_in
from tests.support.kept_project import SamplerRegistry, git
from tests.support.votes import votes
from workspace import conflicts, dvc, merge_driver
from workspace.git import MERGE_DRIVER, set_merge_driver

OUTS = "\n    outs:\n    - path: {name}\n      hash: md5\n      md5: '{md5}'\n      size: 3\n"


def lock(**hashes: str) -> str:
    """dvc.lock with these stages, as DVC writes it."""
    stages = "".join(f"  {name}:\n    cmd: python {name}.py" + OUTS.format(name=name, md5=md5) for name, md5 in hashes.items())
    return f"schema: '2.0'\nstages:\n{stages}"


def listing(forgotten: list[str], **files: str) -> str:
    """data/feedback.json with these files and their checksums."""
    listed = {f"events-{batch}.parquet": {"sha256": sha256, "rows": 1} for batch, sha256 in files.items()}
    return json.dumps({"files": listed, "forgotten": forgotten}, indent=2) + "\n"


def driven(folder: Path, path: str, *texts: str) -> str:
    """What the driver makes of base, ours and theirs."""
    names = []
    for name, text in zip(("base", "ours", "theirs"), texts, strict=True):
        (folder / name).write_text(text)
        names.append(str(folder / name))
    assert merge_driver.main(path, *names) == 0
    return (folder / "ours").read_text()


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        # what one side alone ran is as that side has it
        ({"a": "0", "b": "0"}, {"a": "1", "b": "0"}, {"a": "0", "b": "2"}, {"a": "1", "b": "2"}),
        ({"a": "0", "b": "0"}, {"a": "0", "b": "0"}, {"a": "2", "b": "2"}, {"a": "2", "b": "2"}),
        # what both ran is as ours, whole
        ({"a": "0", "b": "0"}, {"a": "1", "b": "0"}, {"a": "2", "b": "2"}, {"a": "1", "b": "2"}),
        ({"a": "0"}, {"a": "1", "b": "1"}, {"a": "2", "b": "2", "c": "2"}, {"a": "1", "b": "1", "c": "2"}),
        # a stage that one side no longer has is gone; both agree; neither had one before
        ({"a": "0", "b": "0"}, {"a": "1"}, {"a": "0", "b": "0"}, {"a": "1"}),
        ({"a": "0"}, {"a": "3"}, {"a": "3"}, {"a": "3"}),
        (None, {"a": "1"}, {"b": "2"}, {"a": "1", "b": "2"}),
    ],
)
def test_records_of_stages_are_merged_stage_by_stage(
    tmp_path: Path, base: dict[str, str] | None, ours: dict[str, str], theirs: dict[str, str], merged: dict[str, str]
) -> None:
    before = "" if base is None else lock(**base)
    assert driven(tmp_path, "dvc.lock", before, lock(**ours), lock(**theirs)) == lock(**merged)
    assert driven(tmp_path, "sub/noise/dvc.lock", before, lock(**ours), lock(**theirs)) == lock(**merged)


@pytest.mark.parametrize(
    ("base", "ours", "theirs", "merged"),
    [
        (listing([], a="0"), listing([], a="0", c="1"), listing([], a="0", b="2"), listing([], a="0", b="2", c="1")),
        # a rater was forgotten on one side: the file that was written anew there wins; on both: everybody stays forgotten
        (listing([], a="0"), listing([], a="0", b="1"), listing(["x"], a="9"), listing(["x"], a="9", b="1")),
        (listing([], a="0"), listing(["y"], a="8"), listing(["x"], a="9"), listing(["x", "y"], a="8")),
        ("", listing([], b="1"), listing(["x"], a="2"), listing(["x"], a="2", b="1")),
    ],
)
def test_lists_of_sealed_files_are_merged_file_by_file(tmp_path: Path, base: str, ours: str, theirs: str, merged: str) -> None:
    assert driven(tmp_path, "data/feedback.json", base, ours, theirs) == merged


def test_what_cannot_be_read_is_left_to_git(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, text in {"base": lock(a="0"), "ours": "<<<<<<< HEAD\n" + lock(a="1"), "theirs": lock(a="2")}.items():
        (tmp_path / name).write_text(text)
    names = [str(tmp_path / name) for name in ("base", "ours", "theirs")]
    assert merge_driver.main("dvc.lock", *names) == 1
    assert capsys.readouterr().err.startswith("genloop: dvc.lock is not merged: ")
    assert (tmp_path / "ours").read_text().startswith("<<<<<<< HEAD")


# Two clones of one repository, with the remotes of git and of DVC that they share.


def call_dvc(project: Project, command: str) -> None:
    """`dvc push`, or `dvc pull`, in this process, because one of DVC's takes a second to start."""
    with Repo(str(project.root)) as repo:
        getattr(repo, command)()


@dataclass(frozen=True)
class Team:
    """Ann and Bob: each has a project of their own."""

    ann: Project
    bob: Project


@pytest.fixture(scope="module")
def team_template(kept_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both clones, and what they push to; all know each other by relative paths."""
    folder = tmp_path_factory.mktemp("team")
    seed = folder / "seed"
    shutil.copytree(kept_template, seed)
    shutil.copy(REPOSITORY / ".gitattributes", seed)
    store = "['remote \"store\"']\n    url = ../../store"
    (seed / ".dvc/config").write_text(f"[core]\n    analytics = false\n    remote = store\n{store}\n")
    for name in ("a", "b"):
        (seed / f"{name}.py").write_text(f"open('{name}.txt', 'w').write(open('{name}.in').read())\n")
        (seed / f"{name}.in").write_text("0\n")
    stages = [f"  {name}: {{cmd: python {name}.py, deps: [{name}.py, {name}.in], outs: [{name}.txt]}}" for name in ("a", "b")]
    (seed / "dvc.yaml").write_text("\n".join(["stages:", *stages]) + "\n")
    assert dvc.run_command(project_in(seed), "repro", "--quiet") is None
    call_dvc(project_in(seed), "push")
    git(seed, "add", "-A")
    git(seed, "commit", "-q", "-m", "Team")
    git(folder, "clone", "-q", "--bare", "seed", "origin.git")
    for name in ("ann", "bob"):
        git(folder, "clone", "-q", "origin.git", name)
        origin = {"remote.origin.url": "../origin.git", "pull.rebase": "false"}
        for key, value in {"user.name": name, "user.email": f"{name}@example.org", **origin}.items():
            git(folder / name, "config", key, value)
        set_merge_driver(project_in(folder / name), lambda line: None)
    return folder


@pytest.fixture
def team(team_template: Path, tmp_path: Path, elsewhere: Path) -> Team:
    shutil.copytree(team_template, tmp_path / "team")
    return Team(project_in(tmp_path / "team/ann"), project_in(tmp_path / "team/bob"))


def run_stages(project: Project, **inputs: str) -> None:
    """Change inputs, run what is stale, commit it, and push the data."""
    for name, text in inputs.items():
        (project.root / f"{name}.in").write_text(f"{text}\n")
    assert dvc.run_command(project, "repro", "--quiet") is None
    call_dvc(project, "push")
    git(project.root, "commit", "-q", "-a", "-m", "Run")


def outputs(project: Project) -> dict[str, str]:
    """The content of the outputs as dvc.lock records them."""
    call_dvc(project, "pull")
    return {name: (project.root / f"{name}.txt").read_text().strip() for name in ("a", "b")}


@pytest.mark.parametrize("rebase", [False, True])
def test_two_who_ran_other_stages_have_the_results_of_both(team: Team, rebase: bool) -> None:
    run_stages(team.ann, a="ann")
    git(team.ann.root, "push", "-q")
    run_stages(team.bob, b="bob")
    git(team.bob.root, "pull", "-q", *(["--rebase"] if rebase else []))
    assert git(team.bob.root, "status", "--short") == ""
    assert outputs(team.bob) == {"a": "ann", "b": "bob"}
    assert dvc.status(team.bob) == {"a": "fresh", "b": "fresh"}


def test_what_both_ran_with_other_inputs_is_valid_and_where_it_does_not_fit_stale(team: Team) -> None:
    run_stages(team.ann, a="ann", b="ann")
    git(team.ann.root, "push", "-q")
    run_stages(team.bob, a="bob")
    git(team.bob.root, "pull", "-q", "--strategy-option=theirs")  # of a.in, which conflicts in earnest
    assert outputs(team.bob) == {"a": "bob", "b": "ann"}
    assert dvc.status(team.bob) == {"a": "stale", "b": "fresh"}


def in_conflict(team: Team, *how: str) -> None:
    """Ann and Bob have run the same stage, Bob's git knows no driver, and he pulls."""
    run_stages(team.ann, a="ann")
    git(team.ann.root, "push", "-q")
    git(team.bob.root, "config", "--unset", MERGE_DRIVER)
    (team.bob.root / "a.in").write_text("ann\n")  # the same input, so that the conflict is in dvc.lock alone
    (team.bob.root / "a.py").write_text("open('a.txt', 'w').write(open('a.in').read() * 2)\n")
    run_stages(team.bob)
    with pytest.raises(AssertionError):
        git(team.bob.root, "pull", "-q", *how)
    assert git(team.bob.root, "status", "--short", "dvc.lock") == "UU dvc.lock\n"


@pytest.mark.parametrize(
    ("how", "end"), [((), "git commit"), (("--rebase",), "git rebase --continue")], ids=["merge", "rebase"]
)
def test_the_way_out_of_conflict_markers_is_a_way_out(team: Team, how: tuple[str, ...], end: str) -> None:
    in_conflict(team, *how)
    words = conflicts.describe(team.bob)
    assert words is not None
    assert words.startswith("dvc.lock: conflict markers of a merge; ")
    command = "git checkout --merge dvc.lock && git add dvc.lock"
    assert words.endswith(f": {command}; then {end}")
    for part in (*command.split(" && "), end):
        git(team.bob.root, "-c", "core.editor=true", *part.split()[1:])
    assert conflicts.describe(team.bob) is None
    assert git(team.bob.root, "status", "--short") == ""
    assert set(dvc.status(team.bob)) == {"a", "b"}


def test_markers_that_were_committed_are_put_back(team: Team) -> None:
    in_conflict(team)
    before = git(team.bob.root, "rev-parse", "--short", "HEAD").strip()
    git(team.bob.root, "commit", "-q", "-a", "-m", "Markers and all")
    words = conflicts.describe(team.bob) or ""
    commit = words.split()[-3]
    assert words == (
        f"dvc.lock: conflict markers of a merge; dvc.lock was whole in an earlier commit: git checkout {commit} -- dvc.lock"
    )
    assert commit in git(team.bob.root, "log", "--format=%h", f"{before}..", "--", "dvc.lock") + before
    git(team.bob.root, *words.rpartition(": git ")[2].split())
    assert conflicts.describe(team.bob) is None


def test_without_the_environment_git_shows_the_conflict_as_ever(team: Team) -> None:
    in_conflict(team)
    git(team.bob.root, "merge", "--abort")
    driver = git(team.ann.root, "config", MERGE_DRIVER).strip()
    git(team.bob.root, "config", MERGE_DRIVER, driver.replace(" -P -m", " --nowhere -P -m"))
    with pytest.raises(AssertionError):
        git(team.bob.root, "pull", "-q")
    assert conflicts.marked_line(team.bob.dvc_lock)


def folded(project: Project, first: int, count: int) -> str:
    """Fold new votes; returns the name of their batch."""
    registry: Any = SamplerRegistry()
    with EventStore.open(project.database_url) as store:
        store.add(votes(first, count))
    (batch,) = fold.fold(project, load_params(project.params_file), registry, say).batches
    return batch


def test_two_who_folded_have_the_events_of_both_and_go_on_folding(team: Team) -> None:
    a, b = folded(team.ann, 0, 3), folded(team.bob, 10, 2)
    for project in (team.ann, team.bob):
        call_dvc(project, "push")
    git(team.ann.root, "push", "-q")
    git(team.bob.root, "pull", "-q")
    assert git(team.bob.root, "status", "--short") == ""
    call_dvc(team.bob, "pull")
    c = folded(team.bob, 20, 1)
    call_dvc(team.bob, "push")
    git(team.bob.root, "push", "-q")
    git(team.ann.root, "pull", "-q")
    call_dvc(team.ann, "pull")
    for project in (team.ann, team.bob):
        manifest.check(project.feedback, project.manifest)
        events = {batch: [event.id for event in seal.events(project.feedback, batch)] for batch in (a, b, c)}
        assert events == {
            a: [event.id for event in votes(0, 3)],
            b: [event.id for event in votes(10, 2)],
            c: [event.id for event in votes(20, 1)],
        }
        assert manifest.read(project.manifest).batches == sorted([a, b, c])


@pytest.fixture
def shared_batch(team: Team) -> str:
    """A batch that both have: two events each of r0, r1 and r2."""
    batch = folded(team.ann, 0, 6)
    call_dvc(team.ann, "push")
    git(team.ann.root, "push", "-q")
    git(team.bob.root, "pull", "-q")
    call_dvc(team.bob, "pull")
    return batch


def raters(project: Project, batch: str) -> list[str]:
    manifest.check(project.feedback, project.manifest)
    return [event.rater for event in seal.events(project.feedback, batch)]


def test_a_rater_who_was_forgotten_while_another_folded_stays_forgotten(team: Team, shared_batch: str) -> None:
    forget.forget(team.ann, "r0", say)
    call_dvc(team.ann, "push")
    git(team.ann.root, "push", "-q")
    own = folded(team.bob, 10, 1)
    git(team.bob.root, "pull", "-q")
    call_dvc(team.bob, "pull")
    assert raters(team.bob, shared_batch) == ["r1", "r2"] * 2
    assert raters(team.bob, own) == ["r1"]


def test_two_who_forgot_a_rater_each_have_forgotten_both_after_the_next_fold(team: Team, shared_batch: str) -> None:
    forget.forget(team.ann, "r0", say)
    call_dvc(team.ann, "push")
    git(team.ann.root, "push", "-q")
    forget.forget(team.bob, "r1", say)
    git(team.bob.root, "pull", "-q")
    call_dvc(team.bob, "pull")
    folded(team.bob, 11, 1)
    assert raters(team.bob, shared_batch) == ["r2"] * 2
    assert len(manifest.read(team.bob.manifest).forgotten) == 2


def test_where_the_files_of_before_are_nowhere_any_more_it_is_said(team: Team, shared_batch: str) -> None:
    shutil.rmtree(team.ann.root.parent / "store")
    for project, rater in ((team.ann, "r0"), (team.bob, "r1")):
        forget.forget(project, rater, say)  # which deletes them from DVC's cache
    call_dvc(team.ann, "push")
    git(team.ann.root, "push", "-q")
    with pytest.raises(
        AssertionError, match=r"feedback\.dvc is not merged: neither DVC's cache here nor its remote has the list"
    ):
        git(team.bob.root, "pull", "-q")


def test_what_was_folded_elsewhere_and_not_pushed_is_named(team: Team) -> None:
    """Bob's DVC cannot have Ann's files: the pointer stays in conflict, and the same command helps once she has pushed them."""
    folded(team.ann, 0, 3)
    git(team.ann.root, "push", "-q")
    folded(team.bob, 10, 2)
    with pytest.raises(AssertionError, match=r"genloop: data/feedback\.dvc is not merged: "):
        git(team.bob.root, "pull", "-q")
    call_dvc(team.ann, "push")
    words = conflicts.describe(team.bob)
    assert words is not None
    assert words.startswith("data/feedback.dvc: conflict markers")
    git(team.bob.root, "checkout", "--merge", "data/feedback.dvc")
    git(team.bob.root, "add", "data/feedback.dvc")
    assert conflicts.describe(team.bob) is None
    call_dvc(team.bob, "pull")
    assert manifest.check(team.bob.feedback, team.bob.manifest).events == 5
