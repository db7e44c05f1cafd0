"""What of a project goes into a backup besides git and DVC's objects, and what a restored project must say of itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from operations.drift import known_file
from pipelines.core.project import Project
from pipelines.feedback.store import tables, transfer
from pipelines.registry import places, runs
from pipelines.registry.client import Registry
from pipelines.registry.versions import ALIASES, DATA, KEY
from pipelines.scoring.drift import report_file
from workspace import bundle, scratch, snapshot
from workspace.bundle import RepositoryState

FILES, ARTIFACTS = "project", places.ARTIFACTS  # folders of a backup
BUNDLE, SHALLOW = "git.bundle", "git.shallow"
EVENTS, REGISTRY, STUDIES = "databases/feedback.db", "databases/mlflow.db", "databases/tune.db"
SECRET, BEFORE_FEEDBACK = "studio.secret", "before-feedback"  # in `logs`; all else there is of one machine
OWN_FOLDERS = ("data", "mlruns", "checkpoints", "logs", ".venv")  # where one is a link, git takes it for a file
IN_DATA = ("*.dvc", "feedback.json", "noise.json", ".gitignore")  # what in data/ is git's


@dataclass(frozen=True)
class VersionNeeds:
    """What the registered versions need besides their own files. commits: of git. hashes: of outputs, DVC's."""

    commits: set[str]
    hashes: set[str]


def changed_files(project: Project, state: RepositoryState | None) -> tuple[list[Path], list[Path], list[str]]:
    """Files that are not as in the last commit, relative: tracked ones, new ones, and names of those that are deleted.

    Without a commit all files of the project are new.
    """
    if state is None:
        data = [path for pattern in IN_DATA for path in project.data.glob(pattern)]
        return [], [project.relative(path) for path in (*scratch.project_files(project, project.logs), *data)], []
    options = ("--name-only", "--no-renames", "--relative", "--ignore-submodules=all", "-z", state.head, "--")
    changed = [Path(name) for name in bundle.output(project, "diff", *options).split("\0") if name]
    others = bundle.output(project, "ls-files", "--others", "--exclude-standard", "-z")
    present = [path for path in changed if is_file(project.root / path)]
    new = [Path(name) for name in others.split("\0") if name and name not in OWN_FOLDERS]
    deleted = [str(path) for path in changed if path not in set(present)]
    return present, [path for path in new if is_file(project.root / path) and path not in set(present)], deleted


def is_file(path: Path) -> bool:
    return path.is_symlink() or path.is_file()


def nested_repositories(project: Project, state: RepositoryState | None) -> list[str]:
    """Folders in the project that are repositories of their own."""
    if state is None:
        return []
    staged = bundle.output(project, "ls-files", "--stage", "-z").split("\0")
    submodules = [line.partition("\t")[2] for line in staged if line.startswith("160000 ")]
    others = bundle.output(project, "ls-files", "--others", "--exclude-standard", "-z").split("\0")
    return sorted({*submodules, *(name.rstrip("/") for name in others if name.endswith("/"))})


def unrecorded_feedback(project: Project) -> list[Path]:
    """Files of data/feedback, relative, where DVC has not kept them as they are: a fold was killed, or could not."""
    if not project.feedback.is_dir() or snapshot.recorded_size(project.feedback_pointer) == snapshot.size(project.feedback):
        return []
    return [project.relative(path) for path in sorted(project.feedback.rglob("*")) if path.is_file()]


def own_files(project: Project) -> Iterator[Path]:
    """Files, relative, that git ignores and DVC does not know, and that a restored project needs."""
    found = [project.root / ".dvc" / "config.local", project.logs / SECRET]
    found += [report_file(project), known_file(project)]  # what comes next is compared with the same rows
    found += [path for path in walk(project.uploads) if not path.name.endswith(".partial")]
    yield from (project.relative(path) for path in found if path.is_file())


def before_feedback(project: Project) -> list[Path]:
    """The settings as they were before a run of the flow `feedback` that is going on, relative: they belong to params.yaml."""
    found = walk(project.logs / BEFORE_FEEDBACK)
    return [project.relative(path) for path in found if path.is_file() and not path.name.endswith(".partial")]


def artifacts(store: Path) -> list[Path]:
    """Files of MLflow's runs and models, which lie beside a store that is a file."""
    return list(walk(store.parent / ARTIFACTS))


def walk(folder: Path) -> Iterator[Path]:
    """Every file below the folder, links among them, in a fixed order."""
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.is_dir() and not path.is_symlink():
            yield from walk(path)
        else:
            yield path


def version_needs(registry: Registry, uncached: Collection[str]) -> VersionNeeds:
    """Of all models, as `gc` asks for it. uncached: outputs that DVC keeps no copy of."""
    if not registry.reachable():
        return VersionNeeds(set(), set())
    commits, hashes = runs.version_data(registry)
    names = {f"{DATA}{name}" for name in uncached}
    without = {value for version in runs.versions(registry) for name, value in version.tags.items() if name in names}
    return VersionNeeds(commits, hashes - without)


def registry_facts(registry: Registry, artifacts: Path | None) -> dict[str, Any]:
    """Which versions there are, what each was made of, whose files are in `artifacts`, and to which the aliases point."""
    numbers = registry.numbers() if registry.reachable() else []
    aliases = registry.aliases() if numbers else {}
    return {
        "model": registry.name,
        "versions": {str(number): registry.version(number).tags.get(KEY) for number in numbers},
        "whole": [number for number in numbers if artifacts and registry.has_files_in(number, artifacts)],
        "aliases": {alias: aliases[alias] for alias in ALIASES if alias in aliases},
    }


def event_facts(url: str) -> dict[str, Any]:
    """Of every table of the database of events the number of rows and their digest; the history is two of them."""
    found = {name: asdict(table) for name, table in transfer.digests_of(url).items()}
    return {"revision": tables.REVISION, "tables": found}
