"""git, as folds and runs use it: commits of named files, without anything else that the user has changed or staged."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pipelines.core.errors import GenloopError
from pipelines.core.project import Project

# Operations that are unfinished while such a file is in git's folder; a commit would end them, or become a part of them.
UNFINISHED = {
    "MERGE_HEAD": "a merge",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "BISECT_LOG": "a bisection",
}
# Nothing may wait for a person: no hook, and no signature, which may need a passphrase.
NO_PROMPTS = ("-c", f"core.hooksPath={os.devnull}", "-c", "commit.gpgSign=false")
FALLBACK_AUTHOR = ("-c", "user.name=Genloop", "-c", "user.email=genloop@localhost")
LOCK_TIMEOUT = 20.0  # seconds to wait for another git process


def has_changes(project: Project, files: Sequence[Path]) -> bool:
    """Whether a commit of these files is possible and would not be empty."""
    arguments = ("status", "--porcelain", "--untracked-files=all", "--", *relative_names(project, files))
    return obstacle(project, files) is None and bool(git(project, *arguments).stdout)


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
    retry(project, "add", "--", *relative_names(project, files))
    options = ("--quiet", "--only", "--file=-", "--", *relative_names(project, files))
    retry(project, *NO_PROMPTS, *author(project), "commit", *options, text=message)
    if git(project, "symbolic-ref", "--quiet", "HEAD").returncode:
        log("committed, but on no branch, because HEAD is detached; `git branch NAME` gives the commit one")
    return True


def obstacle(project: Project, files: Sequence[Path]) -> str | None:
    """Why these files cannot be committed now; None where they can."""
    parsed = git(project, "rev-parse", *(word for name in UNFINISHED for word in ("--git-path", name)))
    if parsed.returncode:
        return error_message(parsed)
    for place, operation in zip(parsed.stdout.splitlines(), UNFINISHED.values(), strict=True):
        if (project.root / place).exists():
            return f"{operation} is going on; the next fold or run commits"
    ignored = git(project, "check-ignore", "--", *relative_names(project, files)).stdout.split()
    return f"git ignores {ignored[0]}" if ignored else None


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
            raise GenloopError(f"git: {error_message(done)}; nothing is lost, and the next fold or run commits it")
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
    """The first line that git printed about a failure, without its prefix."""
    lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"it ended with {done.returncode}"]
    return lines[0].removeprefix("fatal: ").removeprefix("error: ")
