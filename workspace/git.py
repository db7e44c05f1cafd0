"""git, as folds and runs use it: a commit of a few files, and of nothing else that the user has changed or staged."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from pipelines.core.errors import GenloopError

# What is going on where one of these lies in git's folder; a commit now would end it, or land in the middle of it.
UNFINISHED = {
    "MERGE_HEAD": "a merge",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "BISECT_LOG": "a bisection",
}
# Nothing may wait for a person: no hook, no passphrase of a signature.
QUIET = ("-c", f"core.hooksPath={os.devnull}", "-c", "commit.gpgSign=false")
NOBODY = ("-c", "user.name=Genloop", "-c", "user.email=genloop@localhost")
PATIENCE = 20.0  # seconds to wait for another git


def changed(files: Sequence[Path]) -> bool:
    """Whether a commit of these files would hold anything. Where there can be no commit, it would not."""
    return why_not(files) is None and bool(git("status", "--porcelain", "--untracked-files=all", "--", *map(str, files)).stdout)


def committed(file: Path, commit: str = "HEAD") -> str | None:
    """What that commit has as this file, if it has it; by default the last one."""
    asked = git("show", f"{commit}:./{file}")
    return None if asked.returncode else asked.stdout


def head() -> str | None:
    """The last commit, if there is one."""
    asked = git("rev-parse", "--verify", "--quiet", "HEAD")
    return None if asked.returncode else asked.stdout.strip()


def dirty() -> bool:
    """Whether something differs from the last commit: files that git has, and new code of the pipeline."""
    changed = git("status", "--porcelain", "--untracked-files=no").stdout
    return bool(changed or git("status", "--porcelain", "--untracked-files=all", "--", "pipelines").stdout)


def ahead() -> bool:
    """Whether there is a commit that has not been pushed, as far as git knows here."""
    asked = git("rev-list", "--count", "@{upstream}..HEAD")
    return head() is not None and (asked.returncode != 0 or asked.stdout.strip() != "0")


def commit(files: Sequence[Path], message: str, log: Callable[[str], None]) -> bool:
    """Commit these files as they are, those that there are; whether there is such a commit now.

    Where there can be none, or they have not changed, the reason is told to `log`.

    Raises:
        GenloopError: git should have, and could not.
    """
    files = [file for file in files if file.exists()]
    if (reason := why_not(files)) is not None:
        log(f"nothing is committed: {reason}")
        return False
    if not changed(files):
        log("nothing is committed: git has these files as they are")
        return False
    names = [str(file) for file in files]
    must("add", "--", *names)
    must(*QUIET, *author(), "commit", "--quiet", "--only", "--file=-", "--", *names, words=message)
    if git("symbolic-ref", "--quiet", "HEAD").returncode:
        log("committed, but on no branch, for HEAD is detached; `git branch NAME` gives the commit one")
    return True


def why_not(files: Sequence[Path]) -> str | None:
    """Why these files cannot be committed now; None where they can."""
    asked = git("rev-parse", *(word for name in UNFINISHED for word in ("--git-path", name)))
    if asked.returncode:
        return first_line(asked)
    for place, what in zip(asked.stdout.splitlines(), UNFINISHED.values(), strict=True):
        if Path(place).exists():
            return f"{what} is going on; it is done the next time"
    ignored = git("check-ignore", "--", *map(str, files)).stdout.split()
    return f"git is told to ignore {ignored[0]}" if ignored else None


def author() -> Sequence[str]:
    """Options for a commit where git has been told nobody's name: without them it would guess one, or refuse."""
    known = git("-c", "user.useConfigOnly=true", "var", "GIT_AUTHOR_IDENT").returncode == 0
    return () if known and git("-c", "user.useConfigOnly=true", "var", "GIT_COMMITTER_IDENT").returncode == 0 else NOBODY


def must(*arguments: str, words: str = "") -> None:
    until = time.monotonic() + PATIENCE
    while (done := git(*arguments, words=words)).returncode:
        if "index.lock" not in done.stderr or time.monotonic() > until:
            raise GenloopError(f"git: {first_line(done)}; nothing is lost, and it is committed the next time")
        time.sleep(0.5)


def git(*arguments: str, words: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        return subprocess.run(
            ["git", *arguments], input=words, capture_output=True, text=True, env=environment, start_new_session=True
        )
    except FileNotFoundError:
        return subprocess.CompletedProcess(arguments, 127, "", "git is not installed")


def first_line(done: subprocess.CompletedProcess[str]) -> str:
    """What git has to say, without the word that it begins with."""
    lines = [line for line in done.stderr.splitlines() if line.strip()] or [f"it ended with {done.returncode}"]
    return lines[0].removeprefix("fatal: ").removeprefix("error: ")
