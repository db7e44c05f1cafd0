"""Conflict markers that a merge has left in the files of a project, and the way out of each."""

from __future__ import annotations

from pathlib import Path

from pipelines.core.errors import InputError
from pipelines.core.project import Project
from workspace import git

MARKER = b"<<<<<<< "  # at the beginning of a line


def check(project: Project) -> None:
    """Raises InputError where a file that stages, DVC or Genloop read has conflict markers, with the way out."""
    if found := describe(project):
        raise InputError(found)


def describe(project: Project) -> str | None:
    """Which files have conflict markers, and what to do; None where no file has."""
    files = [file for file in candidates(project) if marked_line(file)]
    if not files:
        return None
    unmerged = git.unmerged(project, files)
    committed = [file for file in files if file not in unmerged]
    merged = [file for file in unmerged if file in merged_files(project)]
    edited = [file for file in unmerged if file not in merged]
    ways = [*([merge_again(project, merged)] if merged else []), *(edit(project, file) for file in edited)]
    if unmerged:
        operation = git.unfinished(project)
        ways += [f"then {operation.end}"] if operation else []
    ways += [put_back(project, file) for file in committed]
    return f"{names(project, files)}: conflict markers of a merge; {'; '.join(ways)}"


def candidates(project: Project) -> list[Path]:
    graphs = [project.root / "dvc.yaml", project.root / "noise/dvc.yaml"]
    pointers = [*sorted(project.root.glob("*.dvc")), *sorted(project.data.glob("*.dvc"))]
    files = [project.params_file, *graphs, *merged_files(project), *pointers]
    return [file for file in dict.fromkeys(files) if file.is_file()]


def merged_files(project: Project) -> list[Path]:
    """The files that our merge driver merges."""
    return [project.dvc_lock, project.noise_lock, project.manifest, project.feedback_pointer, project.noise_floor]


def marked_line(file: Path) -> int | None:
    """The number of the first line with a conflict marker."""
    lines = enumerate(file.read_bytes().splitlines(), 1)
    return next((number for number, line in lines if line.startswith(MARKER)), None)


def merge_again(project: Project, files: list[Path]) -> str:
    """The command that merges the files by our merge driver; it works at any time before the merge is ended."""
    git.set_merge_driver(project, lambda line: None)
    lacking = [file for file in files if not git.has_merge_driver(project, file)]
    lines = "".join(f"`{project.relative(file)} merge=genloop` must be a line of .gitattributes; " for file in lacking)
    listed = " ".join(git.relative_names(project, files))
    return f"{lines}Genloop merges by what they say: git checkout --merge {listed} && git add {listed}"


def edit(project: Project, file: Path) -> str:
    name = project.relative(file)
    return f"choose what {name} shall say, from line {marked_line(file)} on, then git add {name}"


def put_back(project: Project, file: Path) -> str:
    """For markers that were committed, or that git knows nothing of."""
    whole = (commit for commit in git.commits_of(project, file) if not has_markers(git.show(project, file, commit)))
    commit, name = next(whole, None), project.relative(file)
    if file == project.params_file:  # an older one would lose the settings of today
        return edit(project, file)
    return f"{name} was whole in an earlier commit: git checkout {commit} -- {name}" if commit else f"edit {name}"


def has_markers(text: str | None) -> bool:
    return text is None or any(line.encode().startswith(MARKER) for line in text.splitlines())


def names(project: Project, files: list[Path]) -> str:
    return ", ".join(git.relative_names(project, files))
