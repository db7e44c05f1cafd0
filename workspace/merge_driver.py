"""Merges two versions of a file that Genloop commits: git's merge driver `genloop`, for the files in .gitattributes.

    python -m workspace.merge_driver PATH BASE OURS THEIRS

BASE, OURS and THEIRS are temporary files, BASE empty where both sides have added the file; the result replaces OURS. The exit
code is 1 where they cannot be merged. The working directory is the top of the repository, and PATH is relative to it.

Where two people have both run, or both folded, these files conflict line by line, but not by what they say: dvc.lock lists what
each stage was made of, and a stage whose record does not match the workspace just runs again; sealed files of feedback are only
added, or written anew when a rater is forgotten, which the next fold completes.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Hashable, Mapping
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ruamel.yaml import YAML

from pipelines.core.project import Project
from workspace import dvc

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree

Key = TypeVar("Key", bound=Hashable)
Texts = tuple[str, str, str]  # base, ours, theirs
PUSH = "`dvc push` where they were folded, then merge again"


def main(path: str, *names: str) -> int:
    files = [Path(name) for name in names]
    base, ours, theirs = (file.read_text(encoding="utf-8") for file in files)
    try:
        merged = MERGES[Path(path).name](Path(path), (base, ours, theirs))
    except Exception as error:  # of DVC, of its remote, of files that are not what they should be: git then shows the conflict
        print(f"genloop: {path} is not merged: {' '.join(str(error).split()) or type(error).__name__}", file=sys.stderr)
        return 1
    files[1].write_text(merged, encoding="utf-8")
    return 0


def merge(base: Mapping[Key, Any], ours: Mapping[Key, Any], theirs: Mapping[Key, Any]) -> dict[Key, Any]:
    """What one side alone has changed, added or removed is as on that side; what both have changed is as in ours."""
    merged = {key: theirs.get(key) if ours.get(key) == base.get(key) else ours.get(key) for key in {**ours, **theirs}}
    return {key: value for key, value in merged.items() if value is not None}


def merge_locks(path: Path, texts: Texts) -> str:
    """dvc.lock: stage by stage."""
    editor = YAML()
    base, ours, theirs = (editor.load(text) or {} for text in texts)
    ours["stages"] = merge(*(lock.get("stages") or {} for lock in (base, ours, theirs)))
    return dump(editor, ours)


def merge_manifests(path: Path, texts: Texts) -> str:
    """data/feedback.json: file by file; whoever was forgotten on one side is forgotten."""
    base, ours, theirs = (json.loads(text or '{"files": {}, "forgotten": []}') for text in texts)
    listed = merge(base["files"], ours["files"], theirs["files"])
    forgotten = sorted({*ours["forgotten"], *theirs["forgotten"]})
    return json.dumps({"files": dict(sorted(listed.items())), "forgotten": forgotten}, indent=2) + "\n"


def merge_pointers(path: Path, texts: Texts) -> str:
    """data/feedback.dvc: the folder with the files of both sides; those that the cache here lacks are fetched."""
    from dvc.repo import Repo
    from dvc_data.hashfile.tree import Tree, du

    editor = YAML()
    base, ours, theirs = (editor.load(text) for text in texts)
    project = Project.find(path.parents[1])
    with Repo(str(project.root), config=dvc.settings(project)) as repo:
        trees = [load_tree(repo, pointer["outs"][0]["md5"]) if pointer else Tree() for pointer in (base, ours, theirs)]
        merged, cache = Tree(), repo.cache.local
        for key, (meta, digest) in merge(*(tree.as_dict() for tree in trees)).items():
            merged.add(key, meta, digest)
        merged.digest()
        fetch(repo, [digest for _, _, digest in merged])
        cache.add(merged.path, merged.fs, merged.oid)
        size = du(cache, merged)
    if size is None:
        raise FileNotFoundError(f"neither DVC's cache here nor its remote has all sealed files; {PUSH}")
    ours["outs"][0].update(md5=merged.oid, size=size, nfiles=len(merged))
    return dump(editor, ours)


def load_tree(repo: Repo, digest: str) -> Tree:
    """The list of a folder's files, by its hash; raises FileNotFoundError where it is nowhere."""
    from dvc_data.hashfile import load
    from dvc_data.hashfile.hash_info import HashInfo
    from dvc_data.hashfile.tree import Tree

    folder = HashInfo("md5", digest)
    fetch(repo, [folder])
    if not repo.cache.local.exists(digest):
        raise FileNotFoundError(f"neither DVC's cache here nor its remote has the list of files {digest}; {PUSH}")
    found = load(repo.cache.local, folder)
    assert isinstance(found, Tree)
    return found


def fetch(repo: Repo, digests: list[HashInfo]) -> None:
    """Fetch from DVC's remote the objects that the cache lacks."""
    if missing := [digest for digest in digests if not repo.cache.local.exists(digest.value)]:
        repo.cloud.pull(missing)


def merge_measurements(path: Path, texts: Texts) -> str:
    """data/noise.json: ours, as the record in noise/dvc.lock is where both sides have measured."""
    return texts[1]


def dump(editor: YAML, document: Any) -> str:
    stream = StringIO()
    editor.dump(document, stream)
    return stream.getvalue()


MERGES: dict[str, Callable[[Path, Texts], str]] = {
    "dvc.lock": merge_locks,
    "feedback.json": merge_manifests,
    "feedback.dvc": merge_pointers,
    "noise.json": merge_measurements,
}

if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
