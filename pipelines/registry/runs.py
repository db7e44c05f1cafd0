"""MLflow's runs and logged models that nothing needs any more, and their deletion.

Needed are those of registered versions, of any model, and the runs that these are below; the trials of a study that is open;
and what is being made. Runs that Genloop did not make, and those of other experiments, are left as they are.

`mlflow gc` would not do: it also deletes, for good, the experiments that people have put into MLflow's bin.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pipelines.core.errors import GenloopError
from pipelines.core.temporary_folder import TemporaryFolder
from pipelines.registry import places
from pipelines.registry.client import Registry
from pipelines.registry.versions import COMMIT, DATA, OWN, PARENT_RUN, STUDY, TRIAL, WORKSPACE
from workspace import records

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel, Run
    from mlflow.entities.model_registry import ModelVersion

PAGE = 1000  # of what is asked of MLflow at once


@dataclass(frozen=True)
class StoredEntry:
    """A run or a logged model. place: of its artifacts. size: of these, in bytes."""

    kind: Literal["run", "model"]
    id: str
    place: str
    size: int


def version_data(registry: Registry) -> tuple[set[str], set[str]]:
    """The commits that registered versions were made at, and the hashes of their data, by their tags and what they kept."""
    commits, found = set[str](), set[str]()
    for version in versions(registry):
        found |= {value for name, value in version.tags.items() if name.startswith(DATA)}
        commits.add(version.tags.get(COMMIT, "none"))
        if version.run_id and COMMIT in version.tags:
            with TemporaryFolder() as folder:
                kept = kept_files(registry, version.run_id, Path(folder))
                found |= records.in_folder(kept) if kept else set()
    return commits - {"none"}, found


def unneeded(registry: Registry, since: datetime) -> list[StoredEntry]:
    """Models and runs that nothing needs, a model before its run. since: what began later and has not ended is being made.

    Raises:
        GenloopError: a store does not answer. Nothing can be said then.
    """
    if not registry.reachable():
        return []
    with registry.mlflow_errors():
        experiment = registry.client.get_experiment_by_name(registry.experiment_name)
        if experiment is None:
            return []
        in_use = versions(registry)
        runs = unneeded_runs(all_runs(registry, experiment.experiment_id), in_use, since)
        ids = {run.info.run_id for run in runs}
        models = unneeded_models(registry, experiment.experiment_id, in_use, ids)
    entries = [entry(registry, "model", model.model_id, model.artifact_location) for model in models]
    active = {run.info.run_id for run in runs if run.info.lifecycle_stage == "active"}
    entries += [entry(registry, "run", run.info.run_id, run.info.artifact_uri) for run in runs]
    # Of what is deleted already, a server keeps the row; there is nothing left to free then.
    return [one for one in entries if one.size or deletes_rows(registry) or one.kind == "model" or one.id in active]


def delete(registry: Registry, stored: StoredEntry) -> None:
    """Delete a run or a model with its artifacts; done again after a kill, it goes on.

    A server's API cannot delete rows: they stay in its bin, where `mlflow gc` deletes them.
    """
    from mlflow.exceptions import MlflowException

    client = registry.client
    try:
        if stored.kind == "run":
            with registry.mlflow_errors():
                client.delete_run(stored.id)  # first, so that nobody is shown a run without its files
            delete_artifacts(registry, stored)
            if deletes_rows(registry):
                store(registry)._hard_delete_run(stored.id)
        else:
            delete_artifacts(registry, stored)  # first, because a server does not tell which models are in its bin
            with registry.mlflow_errors():
                client.delete_logged_model(stored.id)
            if deletes_rows(registry):
                store(registry)._hard_delete_logged_model(stored.id)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise GenloopError(f"MLflow does not delete the {stored.kind} {stored.id}: {error}") from None


def deletes_rows(registry: Registry) -> bool:
    """Whether rows can be deleted for good: in a database, and not through a server."""
    return hasattr(store(registry), "_hard_delete_run")


def store(registry: Registry) -> Any:
    return registry.client._tracking_client.store


def versions(registry: Registry) -> list[ModelVersion]:
    """Those of all models; none where there is no registry yet."""
    if not registry.reachable():
        return []
    with registry.mlflow_errors():
        return list(pages(lambda token: registry.client.search_model_versions(max_results=PAGE, page_token=token)))


def all_runs(registry: Registry, experiment: str) -> list[Run]:
    """Those in MLflow's bin too."""
    from mlflow.entities import ViewType

    client = registry.client
    return list(pages(lambda token: client.search_runs([experiment], "", ViewType.ALL, PAGE, page_token=token)))


def pages(ask: Callable[[str | None], Any]) -> Iterator[Any]:
    """All of what MLflow answers page by page."""
    token = None
    while True:
        page = ask(token)
        yield from page
        token = page.token
        if not token:
            return


def unneeded_runs(runs: list[Run], in_use: list[ModelVersion], since: datetime) -> list[Run]:
    by_id = {run.info.run_id: run for run in runs}
    active = [run for run in runs if run.info.lifecycle_stage == "active"]  # what people have deleted, only versions still need
    studies = {run.data.tags[STUDY]: run for run in active if STUDY in run.data.tags}
    files = source_paths(in_use)
    needed = {version.run_id for version in in_use if version.run_id}
    needed |= {run.info.run_id for run in studies.values()}  # of a study that has ended: its result
    needed |= {run.info.run_id for run in runs if not any(name.startswith(OWN) for name in run.data.tags)}
    for run in active:
        study = studies.get(run.data.tags.get(TRIAL, "").rpartition("/")[0])
        is_open = study is not None and study.info.status != "FINISHED"
        unfinished = run.info.status in ("RUNNING", "SCHEDULED") and run.info.start_time >= since.timestamp() * 1000
        if is_open or unfinished or is_in_use(run.info.artifact_uri, files):
            needed.add(run.info.run_id)
    above = set(needed)
    while above:  # runs that needed runs are below
        above = {by_id[one].data.tags.get(PARENT_RUN, "") for one in above if one in by_id} - needed
        needed |= above
    return [run for run in runs if run.info.run_id not in needed]


def unneeded_models(registry: Registry, experiment: str, in_use: list[ModelVersion], runs: set[str]) -> list[LoggedModel]:
    """Those that unneeded runs have logged."""
    search = registry.client.search_logged_models
    found = list(pages(lambda token: search([experiment], max_results=PAGE, page_token=token)))
    if deletes_rows(registry):  # what a kill, or a person, has left in the bin
        discarded = store(registry)._get_deleted_logged_models()
        found += [store(registry).get_logged_model(one, allow_deleted=True) for one in discarded]
    needed, files = {version.model_id for version in in_use if version.model_id}, source_paths(in_use)
    return [
        model
        for model in found
        if model.source_run_id in runs and model.model_id not in needed and not is_in_use(model.artifact_location, files)
    ]


def source_paths(in_use: list[ModelVersion]) -> list[str]:
    """Where the files of versions are, as far as they say so by a path."""
    return [path_of(version.source) for version in in_use if version.source and not version.source.startswith("models:/")]


def is_in_use(place: str, files: list[str]) -> bool:
    own = path_of(place)
    return any(path.startswith(own) for path in files)


def path_of(place: str) -> str:
    """The same for a path and for its URI."""
    return str(places.local_path(place) or place).rstrip("/") + "/"


def kept_files(registry: Registry, run_id: str, folder: Path) -> Path | None:
    """The copies of the project's files that a version's run has kept, copied into `folder`; None where it has none."""
    from mlflow.exceptions import MlflowException

    try:
        with registry.mlflow_errors():
            if WORKSPACE not in {file.path for file in registry.client.list_artifacts(run_id)}:
                return None
            return Path(registry.client.download_artifacts(run_id, WORKSPACE, str(folder)))
    except MlflowException:  # the run was deleted, and its version was not
        return None


def entry(registry: Registry, kind: Literal["run", "model"], name: str, place: str) -> StoredEntry:
    with artifact_errors(place):
        return StoredEntry(kind, name, place, size(repository(registry, place)))


def size(artifacts: Any, path: str | None = None) -> int:
    """The bytes of all artifacts below a path."""
    return sum(size(artifacts, file.path) if file.is_dir else file.file_size or 0 for file in artifacts.list_artifacts(path))


def delete_artifacts(registry: Registry, stored: StoredEntry) -> None:
    with artifact_errors(stored.place):
        repository(registry, stored.place).delete_artifacts()
    folder = places.local_path(stored.place)
    if folder is not None and stored.id in folder.parts:  # MLflow leaves the folder that theirs was in
        with contextlib.suppress(OSError):
            folder.parent.rmdir()


def repository(registry: Registry, place: str) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(place, tracking_uri=registry.address)


@contextlib.contextmanager
def artifact_errors(place: str) -> Iterator[None]:
    """Errors of the store of artifacts as a GenloopError: of MLflow's, of the file system's, of a cloud's library."""
    try:
        yield
    except Exception as error:
        words = str(error).strip().splitlines() or [type(error).__name__]
        raise GenloopError(f"the artifacts in {place} cannot be reached: {words[0][:300]}") from error
