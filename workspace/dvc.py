"""Reads the graphs of dvc.yaml and noise/dvc.yaml: which stages are stale, whether outputs are safe. Never runs anything."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from ruamel.yaml import YAML

from pipelines.core.errors import GenloopError, InputError

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import PipelineStage

State = Literal["fresh", "stale", "never"]

GRAPH = Path("dvc.yaml")
RECORD = Path("dvc.lock")
NOISE = "noise/dvc.yaml:noise"  # as DVC calls the stage that is no part of every run
NOISE_RECORD = Path("noise/dvc.lock")
PATIENCE = 30.0  # seconds to wait for another DVC process; each holds the lock for about one


def stages() -> list[str]:
    """Names in the order in which they run."""
    with repository() as repo:
        return [stage.name for stage in ordered(repo)]


def status() -> dict[str, State]:
    """Stage -> `never` ran, `stale` (itself, or a stage that it depends on, would run now), or `fresh`."""
    with repository() as repo:
        recorded = record()
        states: dict[str, State] = {}
        for stage in ordered(repo):
            before = (states.get(needed.addressing, "fresh") for needed in repo.index.graph.successors(stage))
            if stage.name not in recorded:
                states[stage.name] = "never"
            elif any(state != "fresh" for state in before) or changed(stage):
                states[stage.name] = "stale"
            else:
                states[stage.name] = "fresh"
        return states


def noise() -> State:
    """Of the stage `noise`: whether what it found is of the benchmark, the configuration and the code as they are now."""
    with repository() as repo:
        if "noise" not in record(NOISE_RECORD):
            return "never"
        return "stale" if changed(named(repo, NOISE)) else "fresh"


def check_cache(name: str) -> None:
    """Every output of the stage is whole in DVC's cache. On a full disk DVC records outputs that it could not keep.

    Args:
        name: of a stage in dvc.yaml, or NOISE.

    Raises:
        GenloopError: the cache lacks something.
    """
    with repository() as repo:
        stage = named(repo, name)
        lacking = [path for out in stage.outs if out.use_cache for path in unsafe(out)]
    demand(name, lacking)


def check_added(path: Path) -> None:
    """The same of what `dvc add` was given; and DVC sees it, for what git is told to ignore it passes over without a word."""
    with repository() as repo:
        found = [out for out in repo.index.outs if Path(out.fs_path) == path.absolute()]
        lacking = [file for out in found for file in unsafe(out)]
    if not found:
        raise GenloopError(
            f"{path}: DVC passes over {path}.dvc, so it would neither push nor pull it; most often .gitignore has a line like "
            f"`/{path.parent}/*`: write `/{path.parent}/?*` instead"
        )
    demand(str(path), lacking)


def demand(name: str, lacking: list[str]) -> None:
    if lacking:
        raise GenloopError(
            f"{name}: DVC's cache lacks {len(lacking)} of its output files, the first is {lacking[0]}; "
            "most often the disk is full: make room and run again"
        )


@contextmanager
def repository() -> Iterator[Repo]:
    """The DVC repository of the working directory, locked for reading."""
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.lock import LockError
    from dvc.repo import Repo

    for name in ("dvc", "dvc_data", "dvc_objects"):  # what matters is raised; the rest would drown the stages' words
        logging.getLogger(name).setLevel(logging.CRITICAL)
    until = time.monotonic() + PATIENCE
    try:
        with Repo() as repo:
            while True:
                try:
                    repo.lock.lock()
                    break
                except LockError:
                    if time.monotonic() > until:
                        raise GenloopError("another DVC process holds this project; wait for it and run again") from None
            try:
                yield repo
            finally:
                repo.lock.unlock()
    except NotDvcRepoError:
        raise InputError(f"{Path.cwd()}: no DVC repository; make it one: git init && dvc init") from None
    except DvcException as error:
        raise InputError(f"{GRAPH}: {error}") from None


def ordered(repo: Repo) -> list[PipelineStage]:
    """The stages of dvc.yaml, each after those that it depends on, else as they are written there."""
    import networkx
    from dvc.stage import PipelineStage

    written = {stage.addressing: place for place, stage in enumerate(repo.index.stages)}
    order = networkx.lexicographical_topological_sort(repo.index.graph.reverse(), key=lambda stage: written[stage.addressing])
    return [stage for stage in order if isinstance(stage, PipelineStage) and stage.path_in_repo == GRAPH.name]


def named(repo: Repo, name: str) -> PipelineStage:
    (stage,) = (stage for stage in repo.index.stages if stage.addressing == name)
    return stage


def record(path: Path = RECORD) -> set[str]:
    """Stages that have run and been recorded."""
    if not path.is_file():
        return set()
    return set((YAML(typ="safe").load(path) or {}).get("stages", {}))


def changed(stage: PipelineStage) -> bool:
    from dvc.lock import LockError

    try:
        return bool(stage.status())
    except LockError:  # it is running at this moment
        return True


def unsafe(out) -> Iterator[str]:  # type: ignore[no-untyped-def]
    """Files of an output that the cache lacks, or has in another size than the workspace."""
    from dvc_data.hashfile.tree import Tree

    if (whole := out.get_obj()) is None:
        yield str(out)
        return
    files = ((key, entry.value) for key, _, entry in whole) if isinstance(whole, Tree) else [((), out.hash_info.value)]
    for key, digest in files:
        path = Path(out.fs_path, *key)
        kept = Path(out.cache.oid_to_path(digest))
        if not kept.is_file() or (path.is_file() and kept.stat().st_size != path.stat().st_size):
            yield str(path.relative_to(Path.cwd()))
