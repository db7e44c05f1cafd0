"""The records that name objects of DVC's cache: dvc.lock and .dvc files, in the workspace and in git's commits.

What must never be deleted is found by searching them for everything that could be a hash: a record that was written by another
version of DVC, or has conflict markers in it, names its objects all the same, and ten thousand of them are read in seconds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipelines.core.project import Project
from workspace import git

HASH = re.compile(r"\b[0-9a-f]{32}\b(?:\.dir\b)?")
PATTERNS = (":(glob)**/dvc.lock", ":(glob)**/*.dvc")  # of git


def hashes(text: str) -> set[str]:
    """Everything in a text that could be the hash of an object; that of a folder ends in `.dir`."""
    return set(HASH.findall(text))


def is_record(name: str) -> bool:
    path = PurePosixPath(name)
    return path.name == "dvc.lock" or path.suffix == ".dvc"


def of_outputs(text: str) -> set[str]:
    """Hashes of a record's outputs, without those of the code that they depend on, of which there are no objects.

    Of a text that is no whole record, everything that could be a hash.
    """
    try:
        record = YAML(typ="safe").load(text)
        stages = record["stages"].values() if "stages" in record else [record]
        return hashes(json.dumps([stage.get("outs") for stage in stages]))
    except (YAMLError, AttributeError, TypeError):
        return hashes(text)


def in_folder(folder: Path) -> set[str]:
    """Hashes of outputs in the records of a folder that is no project, such as one that a version has kept."""
    found = (path for path in folder.rglob("*") if path.is_file() and is_record(path.name))
    return {digest for path in found for digest in of_outputs(path.read_text(encoding="utf-8", errors="replace"))}


def in_workspace(project: Project) -> set[str]:
    """Hashes in the records of the workspace, and of other worktrees of its repository, committed or not."""
    found = set[str]()
    for root in git.worktrees(project) or [project.root]:
        listed = git.files(Project(root, project.environment), *PATTERNS) if root.is_dir() else []
        usual = [root / "dvc.lock", root / "noise/dvc.lock", *root.glob("data/*.dvc")]
        for path in {*usual, *(root / name for name in listed or [])}:
            if path.is_file():
                found |= hashes(path.read_text(encoding="utf-8", errors="replace"))
    return found


def in_commits(project: Project, commits: Iterable[str], past: bool) -> set[str]:
    """Hashes in the records of these commits, and of those that branches, tags, stashes and worktrees point to.

    past: and of all commits before the latter. GenloopError: git does not tell.
    """
    git.check_readable(project)
    tips = git.tips(project)
    blobs = git.all_blobs(project, PATTERNS) if past and tips else set()
    for commit in {*commits, *tips}:
        blobs |= git.blobs(project, commit, is_record)
    return {digest for text in git.contents(project, blobs) for digest in hashes(text)}
