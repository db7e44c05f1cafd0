"""A project: the folder that a command works on, with its environment. It is found once, at the edge, and then passed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines.core.errors import InputError

MARKS = ("dvc.yaml", "params.yaml")  # a folder with these files is a project
CODE = Path(__file__).resolve().parents[2]  # the repository that this code is part of


class Place:
    """A file or folder of a project: its path from the root, and on a project its whole path."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __get__(self, project: Project, owner: type[Project]) -> Path:
        return project.root / self.path


@dataclass(frozen=True)
class Project:
    """root: absolute. environment: variables, which the programs that are started for the project get as theirs."""

    root: Path
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def find(cls, folder: Path | None = None, environment: Mapping[str, str] | None = None) -> Project:
        """The project that `folder` is in, looked for upwards, as git does; raises InputError where it is in none.

        folder: None for the working directory, and, where that is in no project, the one that this code is part of.
        environment: None for that of this process.
        """
        variables = dict(os.environ) if environment is None else environment
        start = (folder or Path.cwd()).resolve()
        for place in (start, *start.parents):
            if all((place / mark).is_file() for mark in MARKS):
                return cls(place, variables)
        if folder is not None:
            raise InputError(
                f"{folder}: no project; expected a folder with {' and '.join(MARKS)} in it, or one below such a folder"
            )
        return cls(CODE, variables)

    def with_variables(self, variables: Mapping[str, str]) -> Project:
        """The same folder, with some variables set."""
        return replace(self, environment={**self.environment, **variables})

    def surrounds(self, folder: Path | None = None) -> bool:
        """Whether `folder`, or without one the working directory, is in the project."""
        return (folder or Path.cwd()).resolve().is_relative_to(self.root)

    def relative(self, path: Path) -> Path:
        """A path in the project as it is seen from its root, for people; any other path as it is."""
        return path.relative_to(self.root) if path.is_relative_to(self.root) else path

    def shorten(self, message: str) -> str:
        """The same message with paths in the project as they are seen from its root."""
        return message.replace(f"{self.root}/", "")

    params_file = Place("params.yaml")
    dvc_lock = Place("dvc.lock")
    noise_lock = Place("noise/dvc.lock")  # the same of the graph of `noise`
    data = Place("data")
    raw = Place("data/raw")
    facts = Place("data/facts")
    clean = Place("data/clean")
    reference = Place("data/reference")
    feedback = Place("data/feedback")  # what `fold` sealed; DVC's own, no stage's output
    feedback_pointer = Place("data/feedback.dvc")  # where DVC notes what of it is kept
    manifest = Place("data/feedback.json")  # says what must lie there; in git
    uploads = Place("data/uploads")
    curated = Place("data/curated")
    approval = Place("data/approval")
    model = Place("data/model")
    reports = Place("data/reports")
    quarantine = Place("data/quarantine")
    noise_floor = Place("data/noise.json")  # how far scores move with the seed; measured by a graph of its own, noise/dvc.yaml
    checkpoints = Place("checkpoints")  # outside of `data`, because DVC deletes a stage's outputs before it runs
    logs = Place("logs")

    @property
    def downloads(self) -> Path:
        """Where files from elsewhere are kept for all projects of a user."""
        cache = self.environment.get("XDG_CACHE_HOME")
        return (Path(cache) if cache else Path.home() / ".cache") / "genloop"

    @property
    def database_url(self) -> str:
        """The database of events, as the environment names it; a relative file is in the root."""
        return self.in_root(self.environment.get("GENLOOP_DATABASE_URL") or f"sqlite:///{self.data / 'feedback.db'}")

    @property
    def tracking_uri(self) -> str:
        """MLflow's stores; never left to MLflow's default, which depends on the working directory."""
        given = self.in_root(self.environment.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.root / 'mlflow.db'}")
        kind, sign, rest = given.partition("://")
        return f"postgresql+psycopg{sign}{rest}" if kind in ("postgresql", "postgres") else given  # the driver of our extra

    @property
    def artifact_root(self) -> str | None:
        """Where new experiments of MLflow keep artifacts, as `mlflow server` reads it too; None for a folder of ours."""
        return self.resolve(self.environment.get("MLFLOW_DEFAULT_ARTIFACT_ROOT"))

    @property
    def remote_url(self) -> str | None:
        """DVC's default remote, as the environment names it; None for the one that DVC's settings name."""
        return self.resolve(self.environment.get("GENLOOP_REMOTE_URL"))

    def resolve(self, place: str | None) -> str | None:
        """A URL as it is, a path with a relative one in the root; None for none."""
        return None if not place else place if "://" in place else str(self.root / Path(place).expanduser())

    def in_root(self, url: str) -> str:
        """A URL of an SQLite file with a relative one made absolute; any other as it is."""
        kind, sign, file = url.partition(":///")
        return f"{kind}{sign}{self.root / file}" if kind == "sqlite" and file and not file.startswith("file:") else url
