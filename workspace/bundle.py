"""A git repository as one file: all its refs, and commits that no ref leads to and that must not be lost all the same."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from pipelines.core.temporary_folder import TemporaryFolder
from workspace import git

UNREACHABLE = "refs/genloop/commits/"  # + a commit: the ref by which it is in the bundle, and then in what is made of it
CONFIG = r"^(remote|branch|user)\."  # of git's settings in a clone; all others are of the machine
OPTIONS = ("-c", "pack.threads=1")  # the same repository gives the same bytes
HEADS, TAGS = "refs/heads/", "refs/tags/"


@dataclass(frozen=True)
class RepositoryState:
    """A repository at one instant.

    head: a commit. branch: the ref that HEAD names; None where it is detached. refs: name -> object. config: [key, value].
    prefix: the project's folder in the repository, as in `models/faces/`; empty where it is the repository itself.
    """

    head: str
    branch: str | None
    refs: dict[str, str]
    config: list[list[str]]
    prefix: str
    format: str

    @property
    def revisions(self) -> list[str]:
        """The objects of HEAD, branches and tags, each once."""
        named = [sha for name, sha in self.refs.items() if name.startswith((HEADS, TAGS, UNREACHABLE))]
        return list(dict.fromkeys([self.head, *named]))


def read(project: Project) -> RepositoryState | None:
    """The state of the project's repository; None outside of git, and before the first commit."""
    head = git.head(project)
    if head is None:
        return None
    branch = git.git(project, "symbolic-ref", "--quiet", "HEAD").stdout.strip() or None
    listed = output(project, "for-each-ref", "--format=%(objectname) %(refname)").splitlines()
    refs = {name: sha for sha, _, name in (line.partition(" ") for line in listed)}
    pairs = git.git(project, "config", "--local", "--null", "--get-regexp", CONFIG).stdout.split("\0")
    config = [[key, value] for key, _, value in (pair.partition("\n") for pair in pairs) if key]
    prefix = output(project, "rev-parse", "--show-prefix").strip()
    return RepositoryState(head, branch, refs, config, prefix, output(project, "rev-parse", "--show-object-format").strip())


def with_commits(project: Project, state: RepositoryState, commits: Collection[str]) -> RepositoryState:
    """The state with refs to its HEAD and to these commits, where they exist and no ref leads to them."""
    lost = {commit for commit in (state.head, *commits) if is_unreachable(project, commit)}
    return replace(state, refs=state.refs | {UNREACHABLE + commit: commit for commit in sorted(lost)})


def is_unreachable(project: Project, commit: str) -> bool:
    """Whether the repository has this commit, and no ref leads to it."""
    found = git.git(project, "for-each-ref", "--count=1", "--format=%(refname)", f"--contains={commit}")
    return found.returncode == 0 and not found.stdout.strip()  # it fails for a commit that does not exist


def size(project: Project) -> int:
    """About how many bytes a bundle of all refs will have."""
    counted = dict(line.split(": ") for line in git.git(project, "count-objects", "-v").stdout.splitlines() if ": " in line)
    return 1024 * sum(int(counted.get(name, 0)) for name in ("size", "size-pack"))


def write(project: Project, state: RepositoryState, file: Path) -> None:
    """Write a bundle of the state. The repository itself gets no ref, and no file."""
    with borrowing(project, state) as copy:
        refs = "".join(f"create {name} {sha}\n" for name, sha in state.refs.items())
        output(copy, "update-ref", "--stdin", text=refs)
        output(copy, *OPTIONS, "bundle", "create", "--quiet", str(file), "--all")


@contextmanager
def borrowing(project: Project, state: RepositoryState) -> Iterator[Project]:
    """An empty repository in a temporary folder that finds all objects of the project's."""
    with TemporaryFolder() as folder:
        copy = Project(Path(folder), project.environment)
        output(copy, "init", "--quiet", "--bare", "--template=", f"--object-format={state.format}")
        alternates = copy.root / "objects" / "info" / "alternates"
        alternates.parent.mkdir(parents=True, exist_ok=True)
        alternates.write_text(f"{git_path(project, 'objects')}\n", encoding="utf-8")
        if (shallow := shallow_file(project)).is_file():
            shutil.copyfile(shallow, copy.root / "shallow")
        yield copy


def shallow_file(project: Project) -> Path:
    """The file in which git notes the commits whose parents a shallow clone lacks."""
    return git_path(project, "shallow")


def unpack(copy: Project, file: Path, state: RepositoryState, shallow: Path | None) -> None:
    """Make the repository in the empty folder of `copy`, with HEAD where it was and its files checked out."""
    output(copy, "init", "--quiet", "--template=", f"--object-format={state.format}")
    if shallow:
        shutil.copyfile(shallow, shallow_file(copy))
    output(copy, "fetch", "--quiet", "--update-head-ok", "--no-write-fetch-head", str(file), "+refs/*:refs/*")
    if state.branch:
        output(copy, "symbolic-ref", "HEAD", state.branch)
    else:
        output(copy, "update-ref", "--no-deref", "HEAD", state.head)
    output(copy, "reset", "--quiet", "--hard")
    for key, value in state.config:
        output(copy, "config", "--local", "--add", key, value)
    if (found := git.head(copy)) != state.head:
        raise GenloopError(f"git: expected HEAD at {state.head}, came {found}; the bundle is not of this backup")


def git_path(project: Project, name: str) -> Path:
    return (project.root / output(project, "rev-parse", "--git-path", name).strip()).resolve()


def output(project: Project, *arguments: str, text: str = "") -> str:
    """What git prints; raises GenloopError where it fails."""
    done = git.git(project, *git.NO_PROMPTS, *arguments, text=text)
    if done.returncode:
        command = next(word for word in arguments if word[0] != "-" and "=" not in word)
        raise GenloopError(f"git {command}: {git.error_message(done)}")
    return done.stdout
