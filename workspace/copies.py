"""What in a project that was copied or moved still belongs to the folder that it came from: programs, code, git's worktree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from pipelines.core import project as core
from pipelines.core.files import same
from pipelines.core.project import Project

NEW_ENVIRONMENT = "`rm -rf .venv && make env` makes one for this project"


def warnings(project: Project) -> Iterator[str]:
    """What is said before a command begins: other code runs than the user sees, or commits would go elsewhere."""
    yield from filter(None, (foreign_code(project), foreign_worktree(project)))


def faults(project: Project) -> list[str]:
    """The same and more, for `doctor`."""
    environment = foreign_code(project) or foreign_environment(project)
    return [fault for fault in (environment, foreign_worktree(project)) if fault]


def foreign_code(project: Project) -> str | None:
    """Says so where the project has code of its own, and other code runs: a copied .venv leads to the original's."""
    if not (project.root / "pipelines" / "__init__.py").is_file() or same(core.CODE, project.root):
        return None
    words = f"the code that runs is that of {core.CODE}, not this project's"
    if not program(project).is_file():
        return f"{words}; `make env` makes an environment for this project"
    if foreign_environment(project) is None:
        return f"{words}; .venv/bin/genloop runs this project's"
    return f"{words}, because .venv was copied; {NEW_ENVIRONMENT}"


def foreign_environment(project: Project) -> str | None:
    """Says so where the programs in .venv lead to another folder's, as they do after a project was copied or moved."""
    try:
        with program(project).open(encoding="utf-8", errors="replace") as file:
            start = file.readline() + file.readline()  # the second line, where the path is long or has spaces
    except OSError:
        return None
    folder = re.search(r"^[^/\n]*(/.*)/python", start, re.MULTILINE)
    if folder is None or same(Path(folder[1]), program(project).parent):
        return None
    return f".venv was made for another folder, {Path(folder[1]).parents[1]}; {NEW_ENVIRONMENT}"


def program(project: Project) -> Path:
    return project.root / ".venv" / "bin" / "genloop"


def foreign_worktree(project: Project) -> str | None:
    """Says so where the project is a copy of a git worktree: its `.git` is a file that names the original's place in git."""
    pointer = project.root / ".git"
    try:
        place = pointer.read_text(encoding="utf-8").removeprefix("gitdir:").strip()
        original = Path((project.root / place / "gitdir").read_text(encoding="utf-8").strip())
    except (OSError, UnicodeDecodeError):  # no worktree
        return None
    if not original.exists() or same(original, pointer):
        return None
    return (
        f".git is that of the worktree {original.parent}, so commits here would move the branch there; remove .git, "
        "or make the copy by `git worktree add` or `git clone`"
    )
