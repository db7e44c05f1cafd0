"""DVC's cache on this machine: what only earlier versions of an output are made of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pipelines.core import paths
from workspace import dvc

Out = Any  # dvc.output.Output, which carries no types


def of_feedback(stages: tuple[str, ...]) -> set[Path]:
    """Objects of data/feedback and of the outputs of these stages, as they were last recorded."""
    folder = paths.FEEDBACK.absolute()
    return objects(lambda out: Path(out.fs_path) == folder or getattr(out.stage, "name", None) in stages)


def remove(before: set[Path]) -> int:
    """Delete those of these objects that no output is made of any more; how many there were."""
    gone = [path for path in before - objects(lambda out: True) if path.is_file()]
    for path in gone:
        path.unlink()
    return len(gone)


def remotes() -> list[str]:
    """Names of the places where `dvc push` may have put what is deleted here."""
    with dvc.repository() as repo:
        return sorted(repo.config["remote"])


def objects(wanted: Callable[[Out], bool]) -> set[Path]:
    with dvc.repository() as repo:
        outs = [out for out in repo.index.outs if out.use_cache and out.hash_info and wanted(out)]
        return {Path(out.cache.oid_to_path(digest)) for out in outs for digest in digests(out)}


def digests(out: Out) -> Iterator[str]:
    from dvc_data.hashfile.tree import Tree

    yield out.hash_info.value
    if isinstance(whole := out.get_obj(), Tree):
        yield from (entry.value for _, _, entry in whole)
