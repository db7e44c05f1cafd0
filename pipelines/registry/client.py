"""The registry of a project: one object, the only way to MLflow's runs, registered versions and aliases."""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from filelock import FileLock

from pipelines.core import buckets, files, postgresql
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.progress import say
from pipelines.core.project import Project
from pipelines.core.temporary_folder import TemporaryFolder
from pipelines.core.urls import hide_password
from pipelines.registry import answers, places, store_file
from pipelines.registry.sampler import Sampler
from pipelines.registry.store_file import UnknownStoreError
from pipelines.registry.versions import (
    ALIASES,
    CHAMPION,
    FEEDBACK,
    KEY,
    NoVersionError,
    Version,
    VersionBatches,
    VersionOutline,
)
from pipelines.settings.load import load_params
from pipelines.settings.schema import Params, RegistryParams

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

T = TypeVar("T")

MODEL_FOLDER = "artifacts/model"  # among a version's files: where MLflow puts what `publish` gives it as `model`
ARTIFACT_ROOT = "MLFLOW_DEFAULT_ARTIFACT_ROOT"
LOCK = 0x67656E6D6C66  # the key of our work on MLflow's tables among PostgreSQL's advisory locks
GLOBAL = threading.RLock()  # MLflow's fluent functions know one place for the whole process


class Registry:
    """Versions of the project's model. Nothing is imported, opened or asked before the first question.

    >>> registry = Registry.open(project, params.registry)
    >>> registry.alias(CHAMPION), registry.versions()
    """

    def __init__(self, project: Project, model: str, experiment: str) -> None:
        self.project, self.name, self.experiment_name = project, model, experiment
        self.uri = project.tracking_uri
        self._copy: TemporaryFolder | None = None
        self._claimed = False
        self._runs: dict[str, Run] = {}  # a finished run does not change
        self._buckets: set[str] = set()  # those that have answered

    @classmethod
    def open(cls, project: Project, settings: RegistryParams) -> Registry:
        return cls(project, settings.model, settings.experiment)

    @property
    def local(self) -> bool:
        return self.uri.startswith("sqlite:")

    @property
    def store(self) -> Path | None:
        """The file of a local registry, whether or not it exists yet."""
        path = self.uri.removeprefix("sqlite:///").partition("?")[0]
        return Path(path) if self.local and path.startswith("/") else None

    @property
    def place(self) -> str:
        """Where MLflow's stores are, for people: without a password."""
        return hide_password(self.uri)

    @property
    def artifact_root(self) -> str | None:
        """Where the runs of a new experiment keep artifacts; None where MLflow's server decides that."""
        if not self.local and not postgresql.is_postgresql(self.uri):
            return None
        folder = self.store.parent if self.store else self.project.root
        return self.project.artifact_root or (folder / places.ARTIFACTS).as_uri()

    def reachable(self) -> bool:
        """Whether there is a registry to ask: a local one that does not exist yet is not made by asking."""
        return self.store is None or self.store.exists()

    @cached_property
    def client(self) -> MlflowClient:
        """A local database is made under a lock, because several processes may come first. One that was copied or moved is
        claimed first.

        Raises:
            GenloopError: the stores do not answer.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import logging

            import mlflow

            for name in ("mlflow", "alembic"):
                logging.getLogger(name).setLevel(logging.ERROR)
            answers.check(self.uri)
            with self.setup_lock(), self.mlflow_errors():  # the first question to each store makes its tables
                is_new = not self.reachable()
                self.claim_store()
                client = mlflow.MlflowClient(self.address)
                client.search_experiments(max_results=1)
                client.search_registered_models(max_results=1)
                if self.store and is_new:
                    places.place_default(self.store)
        return client

    @property
    def address(self) -> str:
        """Where MLflow is asked: at `uri`, or at a copy of a store that cannot be written."""
        return f"sqlite:///{self._copy.name}/mlflow.db" if self._copy else self.uri

    def claim_store(self) -> None:
        """Have a local store name its artifacts where they are now; see `places`. GenloopError where it is no database.

        One that was copied or moved and cannot be written, as in a project that a container mounts, is rewritten in a copy.
        """
        if self.store is None or not self.store.exists():
            return
        try:
            if self.can_write(self.store):
                previous = places.claim(self.store)
            elif places.is_foreign(self.store):
                self._copy = TemporaryFolder()
                places.claim_in_copy(self.store, Path(self._copy.name, "mlflow.db"))
                return
            else:
                return
        except sqlite3.OperationalError:
            return  # whoever opens it says why
        except sqlite3.DatabaseError as error:
            raise GenloopError(f"{self.store} is no database, or is damaged ({error}); restore it from a backup") from None
        if previous:
            say(f"{self.store.name} was made in {previous}; the places of its artifacts now are in {self.store.parent}")

    def setup_lock(self) -> contextlib.AbstractContextManager[None]:
        """`lock`, but nothing for a store that cannot be written anyway: a project may be mounted read-only, to be read."""
        read_only = self.store is not None and self.store.exists() and not self.can_write(self.store)
        return contextlib.nullcontext() if read_only else self.lock()

    @staticmethod
    def can_write(store: Path) -> bool:
        return files.writable(store) and files.writable(store.parent)  # SQLite writes its journal beside it

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """One process at a time on a store that we open ourselves: MLflow's own set-up and its aliases know no locking."""
        if postgresql.is_postgresql(self.uri):
            with postgresql.lock(self.uri, answers.VARIABLE, LOCK):
                yield
            return
        if not self.local:
            yield
            return
        self.project.logs.mkdir(exist_ok=True)
        with FileLock(self.project.logs / "mlflow.lock", is_singleton=True):  # who holds it may ask again
            yield

    @contextlib.contextmanager
    def mlflow_errors(self) -> Iterator[None]:
        """Errors of MLflow as a GenloopError in words. A version that does not exist is for the caller to report."""
        from mlflow.exceptions import MlflowException

        try:
            yield
        except ModuleNotFoundError as error:  # that MLflow needs for this kind of store, as psycopg2 for PostgreSQL
            raise GenloopError(f"MLflow needs the package {error.name} for MLFLOW_TRACKING_URI; install it") from None
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                raise
            first = str(error).splitlines()[0].replace(self.uri, self.place)[:300]
            raise GenloopError(
                f"MLflow at {self.place} does not answer as it should: {first}; see {answers.VARIABLE}"
            ) from None
        except Exception as error:  # artifacts in a bucket are read and written by this process
            if not buckets.is_fault(error):
                raise
            raise GenloopError(f"artifacts of MLflow: {buckets.explain(error)}") from None

    @contextlib.contextmanager
    def fluent(self) -> Iterator[None]:
        """Have MLflow's fluent functions use these stores inside the block. The setting is global, so it is restored after."""
        assert self.client  # its stores exist
        import mlflow

        with GLOBAL:
            before = mlflow.get_tracking_uri() if mlflow.is_tracking_uri_set() else None
            mlflow.set_tracking_uri(self.address)
            try:
                yield
            finally:
                mlflow.set_tracking_uri(before)  # type: ignore[arg-type]  # None is as it was before anybody chose

    def experiment(self) -> str:
        """The id of the experiment, which is made where there is none."""
        experiment = self.client.get_experiment_by_name(self.experiment_name)
        if experiment:
            return str(experiment.experiment_id)
        return str(self.client.create_experiment(self.experiment_name, artifact_location=self.artifact_root))

    def artifact_location(self) -> str | None:
        """Where the next run keeps its artifacts; None where MLflow's server decides that when it makes the experiment."""
        with self.mlflow_errors():
            experiment = self.client.get_experiment_by_name(self.experiment_name) if self.reachable() else None
        return str(experiment.artifact_location) if experiment else self.artifact_root

    def check_artifacts(self) -> str:
        """Where the next run keeps its artifacts, in words. Raises as `check_bucket` does where that is a bucket."""
        location = self.artifact_location()
        if location is None or location.startswith("mlflow-artifacts:"):
            return "the server of MLflow keeps them"
        if buckets.is_bucket(location):
            self.check_bucket(location)
            return f"{location} answers"
        return location

    def check_bucket(self, location: str) -> bool:
        """Whether there is anything in a bucket.

        Raises InputError where the bucket cannot be used, and GenloopError where its server does not answer.
        """
        source = ARTIFACT_ROOT if location == self.project.artifact_root else "artifacts of MLflow"
        return buckets.check(location, source, self.project.environment.get("MLFLOW_S3_ENDPOINT_URL"))

    def find(self, key: str) -> int | None:
        """The version that was made of `key`, if there is one."""
        with suppress(UnknownStoreError):
            return self._read(lambda database: store_file.find(database, self.name, KEY, key))
        with self.mlflow_errors():
            found = self.client.search_model_versions(f"name = '{self.name}' and tags.`{KEY}` = '{key}'")
        return int(found[0].version) if found else None

    def numbers(self) -> list[int]:
        """All versions, in order."""
        with suppress(UnknownStoreError):
            return self._read(lambda database: store_file.numbers(database, self.name))
        with self.mlflow_errors():
            return sorted(int(found.version) for found in self.client.search_model_versions(f"name = '{self.name}'"))

    def outlines(self) -> list[VersionOutline]:
        """All versions, in order, by one question, however many there are."""
        if not self.reachable():
            return []
        with self.mlflow_errors():
            found = self.client.search_model_versions(f"name = '{self.name}'")
        times = {int(one.version): datetime.fromtimestamp(one.creation_timestamp / 1000, UTC) for one in found}
        tags = {int(one.version): dict(one.tags) for one in found}
        return [VersionOutline(number, times[number], tags[number]) for number in sorted(times)]

    def aliases(self) -> dict[str, int]:
        """The version of every alias."""
        if not self.reachable():
            return {}
        with suppress(UnknownStoreError):
            return self._read(lambda database: store_file.aliases(database, self.name))
        with self.mlflow_errors():
            models = self.client.search_registered_models(f"name = '{self.name}'")
        return {alias: int(number) for alias, number in (models[0].aliases if models else {}).items()}

    def alias(self, alias: str) -> int | None:
        """The version that `alias` points to, if there is one."""
        return self.aliases().get(alias)

    def aliases_of(self, number: int) -> list[str]:
        """Which of `champion` and `challenger` point to a version."""
        aliases = self.aliases()
        return [alias for alias in ALIASES if aliases.get(alias) == number]

    def version(self, number: int) -> Version:
        """Raises NoVersionError where the model has no such version."""
        if not self.reachable():
            raise NoVersionError(f"no registered model {self.name!r} at {self.place}; `genloop run` makes one")
        with suppress(UnknownStoreError):
            if (stored := self._read(lambda database: store_file.version(database, self.name, number))) is not None:
                return stored
        client = self.client
        from mlflow.exceptions import MlflowException

        try:
            with self.mlflow_errors():
                found = client.get_model_version(self.name, str(number))
                run = self._run(found.run_id) if found.run_id else None
        except MlflowException:
            raise self._no_version(number, self.numbers()) from None
        created = datetime.fromtimestamp(found.creation_timestamp / 1000, UTC)
        metrics, settings = (dict(run.data.metrics), dict(run.data.params)) if run else ({}, {})
        return Version(number, found.run_id, created, dict(found.tags), metrics, settings)

    def has(self, number: int) -> bool:
        """Whether the model has this version."""
        return self.reachable() and number in self.numbers()

    def has_files_in(self, number: int, folder: Path) -> bool:
        """Whether the files of a version are there, below this folder."""
        own = self._folder(number)
        return own is not None and own.resolve().is_relative_to(folder.resolve()) and (own / "MLmodel").is_file()

    def generation(self, number: int) -> int:
        return self.version(number).generation

    def identity(self, number: int) -> str | None:
        """What a version was made of, in hex: the same number is another model in another registry."""
        return self.version(number).tags.get(KEY)

    def versions(self) -> dict[str, dict[str, Any] | None]:
        """What the aliases point to: {"champion": {"version", "metrics", "benchmark_id"} or None, "challenger": …}."""
        aliases = self.aliases()
        versions: dict[str, dict[str, Any] | None] = dict.fromkeys(ALIASES)
        for alias in ALIASES:
            if alias in aliases:
                version = self.version(aliases[alias])
                benchmark_id = version.tags.get("genloop.benchmark_id")
                versions[alias] = {"version": version.number, "metrics": version.metrics, "benchmark_id": benchmark_id}
        return versions

    def training_batches(self) -> dict[int, VersionBatches]:
        """By version, the batches of feedback that it was trained on, and its aliases; no batches where its run names none."""
        if not self.reachable():
            return {}
        aliases = self.aliases()
        with self.mlflow_errors():
            versions = self.client.search_model_versions(f"name = '{self.name}'")
            runs = {int(version.version): version.run_id for version in versions}
            return {
                number: VersionBatches(self._folds(runs[number]), sorted(name for name in aliases if aliases[name] == number))
                for number in sorted(runs)
            }

    def load(self, number: int | None = None) -> Any:
        """The champion, or another version, ready to generate; `version` tells which it is.

        Raises:
            InputError: there is no such version.
            GenloopError: its files are missing, or do not load.
        """
        number = self._number(number)
        folder = self._folder(number)
        try:
            # By its folder, where it has one: to what is loaded as `models:/` MLflow adds a file.
            sampler = self.load_model(str(folder or f"models:/{self.name}/{number}"))
        except GenloopError:
            raise
        except Exception as error:  # of MLflow's, of the file system's, of the version's own code
            self._check_files(number, folder)
            words = str(error).strip().splitlines() or ["no words"]
            raise GenloopError(
                f"version {number} of {self.name!r} does not load: {type(error).__name__}: {words[0][:300]}; "
                "restore its files, or choose another version"
            ) from error
        sampler.version = number
        return sampler

    def description(self, number: int | None = None) -> dict[str, Any]:
        """What model.json of the champion, or of another version, says: family, classes and images. Raises as `load` does."""
        number = self._number(number)
        with self._own_files(number) as folder:
            description: dict[str, Any] = json.loads((folder / "model.json").read_bytes())
        return description

    def load_model(self, model_uri: str) -> Any:
        """The version's own sampler, `pipelines/registry/pyfunc.py` as it was; of a model that Genloop has not registered, what
        MLflow makes of it."""
        from pipelines.core import backend

        backend.load()
        with self.fluent(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import mlflow

            model = mlflow.pyfunc.load_model(model_uri).unwrap_python_model()
        return Sampler(model, self.project.root) if hasattr(model, "draw") else model

    def fetch(self, folder: Path, number: int | None = None) -> int | None:
        """Copy the own files of a version, model.json and what lies beside it, into `folder`; by default the champion's.

        Returns:
            Which version that is; None where there is no such version.
        """
        number = number or self.alias(CHAMPION)
        if number is None or not self.has(number):
            return None
        with self._own_files(number) as own:
            shutil.copytree(own, folder, ignore=lambda parent, names: ["code"] if Path(parent) == own else [])
        return number

    def artifact(self, version: Version, name: str, folder: Path) -> Path | None:
        """A file that the version's run has kept, copied into `folder`; None where it has none of that name."""
        with self.mlflow_errors():
            return self._download(version.run_id, name, folder)

    def tag(self, number: int, tags: dict[str, str]) -> None:
        with self.mlflow_errors():
            for key, value in tags.items():
                self.client.set_model_version_tag(self.name, str(number), key, value)

    def set_alias(self, alias: str, number: int | None) -> None:
        """Let `alias` point to a version, or to none, whatever it pointed to before; callers compare."""
        with self.lock(), self.mlflow_errors():
            if number is None:
                self.client.delete_registered_model_alias(self.name, alias)
            else:
                self.client.set_registered_model_alias(self.name, alias, str(number))

    @property
    def receipt_file(self) -> Path:
        """The file in which `register` notes the version that it made or found."""
        return self.project.reports / "register.json"

    def receipt(self) -> dict[str, Any] | None:
        """The content of `receipt_file`; None where there is no such file, or no usable one."""
        try:
            receipt: dict[str, Any] = json.loads(self.receipt_file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return receipt

    def receipt_known(self) -> bool:
        """Whether the version that `register` last wrote down is one that this registry knows."""
        receipt = self.receipt()
        return receipt is not None and self.reachable() and self.find(receipt["key"]) == receipt["version"]

    def _read(self, question: Callable[[sqlite3.Connection], T]) -> T:
        """An answer from the file of a local store, as long as MLflow is not needed anyway. Raises UnknownStoreError."""
        if "client" in self.__dict__ or self.store is None or not self.store.exists():
            raise UnknownStoreError
        store = self.store
        if not self._claimed:
            self._claimed = store_file.ask(store, lambda database: store_file.is_claimed(database, store))
        if not self._claimed:
            raise UnknownStoreError
        return store_file.ask(store, question)

    def _number(self, number: int | None) -> int:
        """This version, or the champion. Raises InputError where there is none."""
        numbers = self.numbers() if self.reachable() else []
        if not numbers:
            raise InputError(f"no registered model {self.name!r} at {self.place}; `genloop run` makes one")
        if number is None:
            number = self.alias(CHAMPION)
            if number is None:
                hint = "`genloop promote` lets the gate judge one"
                raise NoVersionError(f"{self.name!r} has no champion; its versions: {list_numbers(numbers)}; {hint}")
        if number not in numbers:
            raise self._no_version(number, numbers)
        return number

    @contextlib.contextmanager
    def _own_files(self, number: int) -> Iterator[Path]:
        """The folder of a version's model.json and what lies beside it; a copy where they are on another machine."""
        if (folder := self._folder(number)) is not None:
            self._check_files(number, folder)
            yield folder / MODEL_FOLDER
            return
        with TemporaryFolder() as temporary:
            with self.mlflow_errors(), self.fluent():
                import mlflow

                place = f"models:/{self.name}/{number}/{MODEL_FOLDER}"
                folder = Path(mlflow.artifacts.download_artifacts(place, dst_path=temporary))
            yield folder

    def _folder(self, number: int) -> Path | None:
        """The folder on this machine in which a version's files should be; None for those on another one.

        Raises GenloopError where they are in a bucket that lacks them or cannot be asked: MLflow itself would try for minutes.
        """
        with self.mlflow_errors():
            location = self.client.get_model_version_download_uri(self.name, str(number))
        if buckets.is_bucket(location) and not self.check_bucket(location):
            raise self._no_files(number, location)
        return places.local_path(location)

    def _check_files(self, number: int, folder: Path | None) -> None:
        """Raises GenloopError where a version's files are not in their folder."""
        if folder is None or (folder / "MLmodel").is_file():
            return
        raise self._no_files(number, str(folder))

    def _no_files(self, number: int, expected: str) -> GenloopError:
        return GenloopError(
            f"version {number} of {self.name!r} is registered, but its files are missing: expected them in {expected}, as "
            f"{self.store.name if self.store else self.place} says; bring that folder back from a backup, or from "
            "the project that this one was copied from, or choose another version"
        )

    def _no_version(self, number: int, numbers: list[int]) -> NoVersionError:
        return NoVersionError(f"{self.name!r} has no version {number}; its versions: {list_numbers(numbers)}")

    def _run(self, run_id: str) -> Run:
        if run_id not in self._runs:
            self._runs[run_id] = self.client.get_run(run_id)
        return self._runs[run_id]

    def _download(self, run_id: str | None, name: str, folder: Path) -> Path | None:
        if run_id is None:
            return None
        location = self._run(run_id).info.artifact_uri
        if buckets.is_bucket(location) and (bucket := urlsplit(location).netloc) not in self._buckets:
            self.check_bucket(location)
            self._buckets.add(bucket)
        if name not in {file.path for file in self.client.list_artifacts(run_id)}:
            return None
        return Path(self.client.download_artifacts(run_id, name, str(folder)))

    def _folds(self, run_id: str | None) -> list[str]:
        """The folds that a run names."""
        from mlflow.exceptions import MlflowException

        with TemporaryFolder() as folder:
            try:
                path = self._download(run_id, FEEDBACK, Path(folder))
            except MlflowException as error:
                if error.error_code != "RESOURCE_DOES_NOT_EXIST":  # the run was deleted, and its version was not
                    raise
                path = None
            return list(json.loads(path.read_text(encoding="utf-8")).get("batches", [])) if path else []


def open_registry(project: Project) -> tuple[Params, Registry]:
    """The project's settings, and its registry."""
    params = load_params(project.params_file)
    return params, Registry.open(project, params.registry)


def list_numbers(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers)) or "none"


def flatten(settings: Any, prefix: str = "") -> dict[str, Any]:
    """{"a": {"b": 1}, "c": [2]} -> {"a.b": 1, "c.0": 2}"""
    if isinstance(settings, dict | list):
        pairs = settings.items() if isinstance(settings, dict) else enumerate(settings)
        return {key: value for name, part in pairs for key, value in flatten(part, f"{prefix}{name}.").items()}
    return {prefix[:-1]: settings}
