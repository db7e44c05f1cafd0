"""DVC: which stages of dvc.yaml and noise/dvc.yaml are stale, whether their outputs are safe, and the command `dvc`."""

from __future__ import annotations

import hashlib
import logging
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipelines.core import files
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.core.temporary_folder import TemporaryFolder
from workspace import conflicts, git, processes

if TYPE_CHECKING:
    from dvc.repo import Repo
    from dvc.stage import PipelineStage, Stage

State = Literal["fresh", "stale", "never"]
Out = Any  # dvc.output.Output, which carries no types

GRAPH = "dvc.yaml"
NOISE = "noise/dvc.yaml:noise"  # DVC's name of the stage that only promotion needs
REMOTE = "genloop-remote-url"  # DVC's name of the remote that the variable of this name names
SYSTEM_SETTINGS = "DVC_SYSTEM_CONFIG_DIR"
WITHOUT_GIT = Path(__file__).with_name("without_git")  # a folder with settings of DVC
LOCK_TIMEOUT = 30.0  # seconds; another DVC process holds the lock for about one


def stages(project: Project) -> list[str]:
    """Names in the order in which they run."""
    with repository(project) as repo:
        return [stage.name for stage in pipeline_stages(repo)]


def status(project: Project) -> dict[str, State]:
    """Stage -> `never` ran, `stale` (itself, or a stage that it depends on, would run now), or `fresh`."""
    with repository(project) as repo:
        recorded = read_lock(project.dvc_lock)
        states: dict[Stage, State] = {}
        for stage in pipeline_stages(repo):
            before = (states.get(needed, "fresh") for needed in repo.index.graph.successors(stage))
            if stage.name not in recorded:
                states[stage] = "never"
            elif any(state != "fresh" for state in before) or is_changed(stage):
                states[stage] = "stale"
            else:
                states[stage] = "fresh"
        return {stage.name: state for stage, state in states.items()}


def noise_state(project: Project) -> State:
    """The state of the stage `noise`: whether its result is of the present benchmark, configuration and code."""
    with repository(project) as repo:
        if "noise" not in read_lock(project.noise_lock):
            return "never"
        return "stale" if is_changed(find_stage(repo, NOISE)) else "fresh"


def check_cache(project: Project, name: str) -> None:
    """Raises GenloopError where an output of the stage is not whole in DVC's cache: a full disk is no error for DVC."""
    with repository(project) as repo:
        stage = find_stage(repo, name)
        missing = [path for out in stage.outs if out.use_cache for path in missing_files(out)]
    raise_missing(name, missing)


def check_added(project: Project, path: Path) -> None:
    """Raises GenloopError where the cache lacks files of `path` after `dvc add`, or DVC overlooks it because git ignores it."""
    with repository(project) as repo:
        added = [out for out in repo.index.outs if Path(out.fs_path) == path]
        missing = [file for out in added for file in missing_files(out)]
    path = project.relative(path)
    if not added:
        raise GenloopError(
            f"{path}: DVC overlooks {path}.dvc, so it would neither push nor pull it; most often .gitignore has a line like "
            f"`/{path.parent}/*`: write `/{path.parent}/?*` instead"
        )
    raise_missing(str(path), missing)


def raise_missing(name: str, missing: list[str]) -> None:
    if missing:
        raise GenloopError(
            f"{name}: DVC's cache lacks {len(missing)} of its output files, the first is {missing[0]}; "
            "most often the disk is full: make room and run again"
        )


def run_command(project: Project, *arguments: str) -> str | None:
    """Run `dvc ARGUMENTS` without a terminal; returns None if it succeeded, else its error message."""
    with tempfile.TemporaryFile("w+") as output:
        process = processes.start(with_config(project), [sys.executable, "-m", "dvc", *arguments], stdout=output, stderr=output)
        try:
            if process.wait() == 0:
                return None
        finally:
            processes.stop(process)
        output.seek(0)
        lines = [line.removeprefix("ERROR: ").strip() for line in output if line.strip()]
        return "; ".join(lines[:3]) or f"ended with {process.returncode}"


def with_config(project: Project) -> Project:
    """The project with the environment in which DVC works: it knows the remote, and outside of git is told to do without.

    DVC has no variables for settings, but one for the folder of those of the machine, and the project's come on top.
    So commands that ask a remote are given `remote_options` too.
    """
    if not project.remote_url:
        return project if git.has_repository(project) else project.with_variables({SYSTEM_SETTINGS: str(WITHOUT_GIT)})
    return project.with_variables({SYSTEM_SETTINGS: str(write_settings(project))})


def write_settings(project: Project) -> Path:
    """The folder of a file with `settings` and those of the machine, where git looks away. It holds no credentials of S3."""
    from configobj import ConfigObj
    from dvc.dirs import system_config_dir

    machine = Path(project.environment.get(SYSTEM_SETTINGS) or system_config_dir()) / "config"
    merged = ConfigObj(str(machine) if machine.is_file() else None)
    sections = settings(project)
    remotes = sections.pop("remote")
    merged.merge(sections | {f'remote "{name}"': options for name, options in remotes.items()})
    merged.filename = None
    text = "\n".join(merged.write()) + "\n"
    folder = project.root / ".dvc" / "tmp" / f"genloop-{hashlib.sha256(text.encode()).hexdigest()[:12]}"
    if not (folder / "config").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        files.write(folder / "config", text)
    return folder


def settings(project: Project) -> dict[str, dict[str, Any]]:
    """DVC's settings that are not in the project: for outside of git, and the remote that the environment names."""
    found: dict[str, dict[str, Any]] = {"core": {}} if git.has_repository(project) else {"core": {"no_scm": True}}
    if project.remote_url:
        found["core"]["remote"] = REMOTE
        found["remote"] = {REMOTE: {"url": project.remote_url, "verify": True}}  # else DVC restores damaged files silently
    return found


def remote_options(project: Project) -> list[str]:
    """Options of `dvc push` and the like for the remote that the environment names, whatever the project's default is."""
    return ["--remote", REMOTE] if project.remote_url else []


@contextmanager
def repository(project: Project) -> Iterator[Repo]:
    """The project's DVC repository, locked for reading; it needs no git. Raises InputError where a merge is not finished."""
    from dvc.exceptions import DvcException, NotDvcRepoError
    from dvc.lock import LockError

    for name in ("dvc", "dvc_data", "dvc_objects"):  # errors are raised; other messages would hide those of the stages
        logging.getLogger(name).setLevel(logging.CRITICAL)
    conflicts.check(project)
    check_not_ignored(project)
    deadline = time.monotonic() + LOCK_TIMEOUT
    try:
        with open_repository(project) as repo:
            while True:
                try:
                    repo.lock.lock()
                    break
                except LockError:
                    if time.monotonic() > deadline:
                        raise GenloopError("another DVC process holds this project; wait for it and run again") from None
            try:
                yield repo
            finally:
                repo.lock.unlock()
    except NotDvcRepoError:
        raise InputError(f"{project.root}: no DVC repository; make it one: git init && dvc init") from None
    except DvcException as error:
        lacking = re.search(r"Could not find '([\w.]+)'", str(error))
        advice = "; params.yaml has no {}: add it, as the params.yaml that comes with this Genloop has it"
        raise InputError(f"{GRAPH}: {error}{advice.format(lacking[1]) if lacking else ''}") from None


@contextmanager
def open_repository(project: Project) -> Iterator[Repo]:
    """DVC's repository; where DVC cannot write its temporary files and locks, with a folder for them elsewhere, removed after.

    Such locks keep nobody out. A run in the same project, by somebody who may write it, can make what is read look stale.
    """
    from dvc.repo import Repo

    usual = project.root / ".dvc" / "tmp"
    if all(files.writable(place) for place in (usual, usual / "lock", usual / "rwlock", usual / "rwlock.lock")):
        with Repo(str(project.root), config=settings(project)) as repo:
            yield repo
        return
    with TemporaryFolder() as folder:
        if (usual / "btime").exists():
            shutil.copy2(usual / "btime", folder)  # by its time DVC finds the hashes that it has kept of the project's files
        read_only = type("ReadOnlyRepo", (Repo,), {"tmp_dir": folder})
        without_git = settings(project)
        without_git["core"]["no_scm"] = True  # for git it would add the folder to .gitignore
        with read_only(str(project.root), config=without_git) as repo:
            yield repo


def check_not_ignored(project: Project) -> None:
    """Raises InputError where git ignores a file of the graph: DVC would overlook stages without a word, or refuse to work."""
    graphs = (project.root / GRAPH, project.root / "noise" / GRAPH)
    if reason := git.ignored(project, [*graphs, project.dvc_lock, project.noise_lock], tracked=True):
        raise InputError(f"DVC cannot work: {reason}")


def pipeline_stages(repo: Repo) -> list[PipelineStage]:
    """The stages of dvc.yaml, each after those that it depends on, otherwise in the order of the file."""
    import networkx

    position = {stage: place for place, stage in enumerate(repo.index.stages)}
    order = networkx.lexicographical_topological_sort(repo.index.graph.reverse(), key=position.__getitem__)
    return [stage for stage in order if in_file(stage, GRAPH)]


def find_stage(repo: Repo, name: str) -> PipelineStage:
    file, _, name = name.rpartition(":")
    (stage,) = (stage for stage in repo.index.stages if in_file(stage, file or GRAPH) and stage.name == name)
    return stage


def in_file(stage: Stage, file: str) -> bool:
    """Whether the stage is written in that dvc.yaml. DVC's own names of stages depend on the working directory."""
    from dvc.stage import PipelineStage

    return isinstance(stage, PipelineStage) and Path(stage.path_in_repo) == Path(file)


def read_lock(file: Path) -> dict[str, Any]:
    """The records of a dvc.lock by stage."""
    return parse_lock(file.read_text(encoding="utf-8") if file.is_file() else None)


def parse_lock(text: str | None) -> dict[str, Any]:
    try:
        return (YAML(typ="safe", pure=True).load(text or "") or {}).get("stages") or {}
    except YAMLError:  # a merge left its conflict markers in it
        return {}


def is_changed(stage: PipelineStage) -> bool:
    from dvc.lock import LockError

    try:
        return bool(stage.status())
    except LockError:  # it is running at this moment
        return True


def missing_files(out: Out) -> Iterator[str]:
    """Files of an output that the cache lacks, or has in another size than the workspace."""
    if out.get_obj() is None:
        yield relative_path(out)
        return
    for key, digest in digests(out).items():
        path = Path(out.fs_path, *key)
        cached = Path(out.cache.oid_to_path(digest))
        if not cached.is_file() or (path.is_file() and cached.stat().st_size != path.stat().st_size):
            yield relative_path(out, *key)


def digests(out: Out) -> dict[tuple[str, ...], str]:
    """The hashes of an output's files by path in it; the key of an output that is one file is ()."""
    from dvc_data.hashfile.tree import Tree

    content = out.get_obj()
    return {key: entry.value for key, _, entry in content} if isinstance(content, Tree) else {(): out.hash_info.value}


def relative_path(out: Out, *key: str) -> str:
    """The path of an output, or of a file in it, relative to the project's root."""
    return str(Path(out.fs_path, *key).relative_to(out.repo.root_dir))
