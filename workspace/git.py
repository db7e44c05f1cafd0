"""git, as folds and runs use it: commits of named files, without anything else that the user has changed or staged."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from shlex import quote

from pipelines.core.errors import GenloopError
from pipelines.core.project import CODE, Project


@dataclass(frozen=True)
class Operation:
    """What git is in the middle of. end: the command that ends it."""

    name: str
    end: str


# Unfinished while such a file is in git's folder; a commit of ours would end them, or become a part of them.
UNFINISHED = {
    "rebase-merge": Operation("a rebase", "git rebase --continue"),
    "rebase-apply": Operation("a rebase", "git rebase --continue"),
    "MERGE_HEAD": Operation("a merge", "git commit"),
    "CHERRY_PICK_HEAD": Operation("a cherry-pick", "git cherry-pick --continue"),
    "REVERT_HEAD": Operation("a revert", "git revert --continue"),
    "BISECT_LOG": Operation("a bisection", "git bisect reset"),
}
MERGE_DRIVER = "merge.genloop.driver"  # git's setting that .gitattributes refers to as `genloop`
# Nothing may wait for a person: no hook, and no signature, which may need a passphrase.
NO_PROMPTS = ("-c", f"core.hooksPath={os.devnull}", "-c", "commit.gpgSign=false")
FALLBACK_AUTHOR = ("-c", "user.name=Genloop", "-c", "user.email=genloop@localhost")
LOCK_TIMEOUT = 20.0  # seconds to wait for another git process
BLOBS = 500  # files that are read from git at once


def has_changes(project: Project, files: Sequence[Path]) -> bool:
    """Whether a commit of these files is possible and would not be empty."""
    return obstacle(project, files) is None and bool(changed(project, files))


def changed(project: Project, files: Sequence[Path]) -> list[Path]:
    """Those of these files that differ from the last commit, or are not in it."""
    return [
        file
        for file in files
        if git(project, "status", "--porcelain", "--untracked-files=all", "--", *relative_names(project, [file])).stdout
    ]


def show(project: Project, file: Path, commit: str = "HEAD") -> str | None:
    """The content of a file in a commit, by default the last one; None where the commit lacks it."""
    shown = git(project, "show", f"{commit}:./{project.relative(file)}")
    return None if shown.returncode else shown.stdout


def head(project: Project) -> str | None:
    """The last commit, if there is one."""
    parsed = git(project, "rev-parse", "--verify", "--quiet", "HEAD")
    return None if parsed.returncode else parsed.stdout.strip()


def dirty(project: Project) -> bool:
    """Whether tracked files differ from the last commit, or pipelines/ has new ones."""
    changed = git(project, "status", "--porcelain", "--untracked-files=no").stdout
    return bool(changed or git(project, "status", "--porcelain", "--untracked-files=all", "--", "pipelines").stdout)


def missing_commit(project: Project) -> str | None:
    """Why a version cannot name the commit that it was made at, with git's own remedy; None where it can."""
    if head(project) is not None:
        return None
    found = git(project, "rev-parse", "--git-dir")
    return error_message(found) if found.returncode else "there is no commit yet; `git add . && git commit` makes the first"


def is_shallow(project: Project) -> bool:
    """Whether older commits are missing, as in a clone with --depth."""
    return git(project, "rev-parse", "--is-shallow-repository").stdout.strip() == "true"


def has_repository(project: Project) -> bool:
    """Whether the project is in a git repository as DVC looks for one: without asking git, which may be missing, or refuse."""
    return any((folder / ".git").exists() for folder in (project.root, *project.root.parents))


def has_unpushed(project: Project) -> bool:
    """Whether there is a commit that has not been pushed, as far as this clone knows."""
    counted = git(project, "rev-list", "--count", "@{upstream}..HEAD")
    return head(project) is not None and (counted.returncode != 0 or counted.stdout.strip() != "0")


def files(project: Project, *patterns: str) -> list[Path] | None:
    """The files that belong to the project, committed or not, relative to its root; None outside of git.

    Deleted files are listed too, until their deletion is committed.
    """
    listed = git(project, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", *patterns)
    return None if listed.returncode else sorted({Path(name) for name in listed.stdout.split("\0") if name})


def commit(project: Project, files: Sequence[Path], message: str, log: Callable[[str], None]) -> bool:
    """Commit those of these files that exist; returns whether it did, else `log` gets the reason."""
    files = [file for file in files if file.exists()]
    if (reason := obstacle(project, files)) is not None:
        log(f"nothing is committed: {reason}")
        return False
    if not has_changes(project, files):
        log("nothing is committed: git has these files as they are")
        return False
    set_merge_driver(project, log)
    retry(project, "add", "--", *relative_names(project, files))
    options = ("--quiet", "--only", "--file=-", "--", *relative_names(project, files))
    retry(project, *NO_PROMPTS, *author(project), "commit", *options, text=message)
    if git(project, "symbolic-ref", "--quiet", "HEAD").returncode:
        log("committed, but on no branch, because HEAD is detached; `git branch NAME` gives the commit one")
    return True


def obstacle(project: Project, files: Sequence[Path]) -> str | None:
    """Why these files cannot be committed now; None where they can."""
    parsed = git(project, "rev-parse", "--is-inside-work-tree")
    if parsed.returncode:
        return error_message(parsed)
    if operation := unfinished(project):
        return f"{operation.name} is going on; `{operation.end}` ends it, and the next fold or run commits"
    return ignored(project, files)


def unfinished(project: Project) -> Operation | None:
    """What git is in the middle of, if anything."""
    parsed = git(project, "rev-parse", *(word for name in UNFINISHED for word in ("--git-path", name)))
    places = zip(parsed.stdout.splitlines(), UNFINISHED.values(), strict=False)
    return next((operation for place, operation in places if (project.root / place).exists()), None)


def ignored(project: Project, files: Sequence[Path], tracked: bool = False) -> str | None:
    """Which of these files git ignores, because of which line; None where it ignores none.

    tracked: also those that git has in spite of the line, because DVC goes by the line alone.
    """
    command = ("check-ignore", *["--no-index"] * tracked)
    names = git(project, *command, "--", *relative_names(project, files)).stdout.splitlines()
    if not names:
        return None
    # SOURCE:NUMBER:LINE, a tab, and the name
    source, _, line = git(project, *command, "--verbose", "--", names[0]).stdout.partition("\t")[0].rpartition(":")
    place = source.rpartition(":")[0]
    lines = " and ".join(f"`!/{name}`" for name in names)
    return f"git ignores {', '.join(names)}, because {place} has the line `{line}`; add to .gitignore: {lines}"


def unmerged(project: Project, files: Sequence[Path]) -> list[Path]:
    """Those of these files that a merge has left in conflict."""
    listed = git(project, "diff", "--name-only", "--relative", "-z", "--diff-filter=U", "--", *relative_names(project, files))
    names = {name for name in listed.stdout.split("\0") if name}
    return [file for file in files if str(project.relative(file)) in names]


def set_merge_driver(project: Project, log: Callable[[str], None]) -> None:
    """Let git in this clone merge by workspace/merge_driver.py what .gitattributes says; no clone inherits such a setting."""
    python = f"PYTHONPATH={quote(str(CODE))} {quote(sys.executable)} -P -m workspace.merge_driver".replace("%", "%%")
    # Where that fails, as when the environment was deleted, git's ordinary merge shows the conflict.
    driver = f"{python} %P %O %A %B || git merge-file -L ours -L base -L theirs %A %O %B"
    before = git(project, "config", "--local", "--get", MERGE_DRIVER).stdout.strip()
    if before == driver or not has_merge_driver(project, project.dvc_lock):
        return
    if git(project, "config", "--local", MERGE_DRIVER, driver).returncode == 0 and not before:
        log(f"from now on git merges what runs and folds commit here stage by stage (git config {MERGE_DRIVER})")


def has_merge_driver(project: Project, file: Path) -> bool:
    """Whether .gitattributes gives the file to our merge driver."""
    found = git(project, "check-attr", "merge", "--", str(project.relative(file))).stdout
    return found.strip().endswith(": merge: genloop")


def commits_of(project: Project, file: Path) -> list[str]:
    """The last commits that changed a file, the newest first."""
    return git(project, "log", "--format=%h", "--max-count=50", "--", str(project.relative(file))).stdout.split()


def committed_at(project: Project, file: Path) -> datetime | None:
    """When a file was last committed, UTC; None where it differs from that by now, or was never committed."""
    if changed(project, [file]):
        return None
    stamp = git(project, "log", "--format=%ct", "--max-count=1", "--", str(project.relative(file))).stdout.strip()
    return datetime.fromtimestamp(int(stamp), UTC) if stamp.isdecimal() else None


def check_readable(project: Project) -> None:
    """Raises GenloopError where the project is in a repository that git does not read, or there is no git to read it."""
    found = git(project, "rev-parse", "--git-dir")
    if found.returncode and has_repository(project):
        raise GenloopError(f"git: {error_message(found)}")


def tips(project: Project) -> list[str]:
    """The commits that branches, remote branches, tags, stashes and worktrees point to."""
    references = git(project, "for-each-ref", "--format=%(objectname)").stdout.split()
    listed = git(project, "worktree", "list", "--porcelain").stdout.splitlines()
    heads = [line.removeprefix("HEAD ") for line in listed if line.startswith("HEAD ") and line.strip("HEAD 0")]
    stashed = git(
        project, "reflog", "show", "--format=%H", "refs/stash"
    ).stdout.split()  # the reference is the newest one alone
    return sorted({*references, *heads, *stashed, *filter(None, [head(project)])})


def worktrees(project: Project) -> list[Path]:
    """This project's folder in every worktree of the repository, its own among them; none outside of git."""
    listed = git(project, "worktree", "list", "--porcelain").stdout.splitlines()
    prefix = git(project, "rev-parse", "--show-prefix").stdout.strip()
    return [Path(line.removeprefix("worktree "), prefix) for line in listed if line.startswith("worktree ")]


def blobs(project: Project, commit: str, is_wanted: Callable[[str], bool]) -> set[str]:
    """The ids of the project's files in a commit whose names are wanted; none where the repository lacks the commit."""
    listed = git(project, "ls-tree", "-r", "-z", commit)
    if listed.returncode and git(project, "rev-parse", "--verify", "--quiet", f"{commit}^{{tree}}").returncode == 0:
        raise GenloopError(f"git: {error_message(listed)}")
    entries = (entry.partition("\t") for entry in listed.stdout.split("\0") if entry)
    return {about.split()[2] for about, _, name in entries if is_wanted(name)}


def all_blobs(project: Project, patterns: Sequence[str]) -> set[str]:
    """The ids of all files of these names in all commits that `tips` lead to. patterns: of git."""
    # By what each commit changed. Without --full-history and -m a merge would hide the side that it did not take.
    options = ("--all", "--full-history", "-m", "--root", "--raw", "--no-abbrev", "--no-renames", "--format=")
    listed = git(project, "log", *options, "--", *patterns)
    if listed.returncode:
        raise GenloopError(f"git: {error_message(listed)}")
    # :MODE MODE BEFORE AFTER STATUS, a tab, and the name
    changes = [line.split() for line in listed.stdout.splitlines() if line.startswith(":")]
    return {change[3] for change in changes if change[3].strip("0")}


def contents(project: Project, blobs: Iterable[str]) -> Iterator[str]:
    """The contents of files by their ids, several together, with lines of git's between them."""
    names = sorted(blobs)
    for first in range(0, len(names), BLOBS):
        done = git(project, "cat-file", "--batch", text="\n".join(names[first : first + BLOBS]) + "\n")
        if done.returncode or re.search(r"^[0-9a-f]{40,64} missing$", done.stdout, re.MULTILINE):
            raise GenloopError(f"git has lost files of its history: {error_message(done)}; `git fsck` tells more")
        yield done.stdout


def relative_names(project: Project, files: Sequence[Path]) -> list[str]:
    return [str(project.relative(file)) for file in files]


def author(project: Project) -> Sequence[str]:
    """Options for a commit where no name is configured in git, which would guess one or refuse."""
    names = ("GIT_AUTHOR_IDENT", "GIT_COMMITTER_IDENT")
    named = all(git(project, "-c", "user.useConfigOnly=true", "var", name).returncode == 0 for name in names)
    return () if named else FALLBACK_AUTHOR


def retry(project: Project, *arguments: str, text: str = "") -> None:
    deadline = time.monotonic() + LOCK_TIMEOUT
    while (done := git(project, *arguments, text=text)).returncode:
        if "index.lock" not in done.stderr or time.monotonic() > deadline:
            advice = "; if no git is running, delete that file" if "index.lock" in done.stderr else ""
            raise GenloopError(f"git: {error_message(done)}{advice}; nothing is lost, and the next fold or run commits it")
        time.sleep(0.5)


def git(project: Project, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """`git ARGUMENTS` in the project's folder. text: for its standard input."""
    try:
        return subprocess.run(
            ["git", *arguments],
            cwd=project.root,
            env={**project.environment, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
            input=text,
            capture_output=True,
            text=True,
            errors="surrogateescape",  # names of files are bytes
            start_new_session=True,
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(arguments, 127, "", "git is not installed")


def error_message(done: subprocess.CompletedProcess[str]) -> str:
    """What git printed about a failure, in one line: the fault, a server's reason, and the command that git advises."""
    lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"it ended with {done.returncode}"]
    rejected = [line.strip(" !") for line in lines if "rejected]" in line]
    faults = rejected or [line for line in lines if line.startswith(("fatal: ", "error: "))] or lines
    fault = faults[0].removeprefix("fatal: ").removeprefix("error: ").rstrip(".")
    if fault.startswith("not a git repository"):
        return "not a git repository; `git init`, `git add .` and `git commit` make it one"
    remote = [line.removeprefix("remote: error: ") for line in lines if line.startswith("remote: error: ")]
    advice = [f"git advises: {line.strip()}" for line in lines if re.match(r"\s+git ", line)]
    return "; ".join([fault, *remote, *advice])
