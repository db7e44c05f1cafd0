"""A project: the folder that a command works on, with its environment. It is found once, at the edge, and then passed."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from pipelines.core.errors import InputError

MARKS = ("dvc.yaml", "params.yaml")  # a folder with these files is a project
CODE = Path(__file__).resolve().parents[2]  # the repository that this code is part of


@dataclass(frozen=True)
class Project:
    """root: absolute. environment: variables, which the programs that are started for the project get as theirs."""

    root: Path
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def find(cls, folder: Path | None = None, environment: Mapping[str, str] | None = None) -> Project:
        """The project that `folder` is in, looked for upwards, as git does.

        Args:
            folder: None for the working directory, and, where that is in no project, the one that this code is part of.
            environment: None for that of this process.

        Raises:
            InputError: `folder` was given and is in no project.
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

    def having(self, variables: Mapping[str, str]) -> Project:
        """The same folder with some variables set."""
        return replace(self, environment={**self.environment, **variables})

    def relative(self, path: Path) -> Path:
        """A path in the project as it is seen from its root, for people; any other path as it is."""
        return path.relative_to(self.root) if path.is_relative_to(self.root) else path

    @property
    def params_file(self) -> Path:
        return self.root / "params.yaml"

    @property
    def dvc_lock(self) -> Path:
        return self.root / "dvc.lock"

    @property
    def data(self) -> Path:
        return self.root / "data"

    @property
    def raw(self) -> Path:
        return self.data / "raw"

    @property
    def facts(self) -> Path:
        return self.data / "facts"

    @property
    def clean(self) -> Path:
        return self.data / "clean"

    @property
    def reference(self) -> Path:
        return self.data / "reference"

    @property
    def feedback(self) -> Path:
        """What `fold` sealed; DVC's own, no stage's output."""
        return self.data / "feedback"

    @property
    def manifest(self) -> Path:
        """The file that says what must lie in `feedback`; in git."""
        return self.data / "feedback.json"

    @property
    def uploads(self) -> Path:
        return self.data / "uploads"

    @property
    def curated(self) -> Path:
        return self.data / "curated"

    @property
    def approval(self) -> Path:
        return self.data / "approval"

    @property
    def model(self) -> Path:
        return self.data / "model"

    @property
    def reports(self) -> Path:
        return self.data / "reports"

    @property
    def quarantine(self) -> Path:
        return self.data / "quarantine"

    @property
    def noise_floor(self) -> Path:
        """The file that says how far scores move with the seed; measured by a graph of its own, noise/dvc.yaml."""
        return self.data / "noise.json"

    @property
    def checkpoints(self) -> Path:
        """Outside of `data`, because DVC deletes a stage's outputs before it runs."""
        return self.root / "checkpoints"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    @property
    def database_url(self) -> str:
        """Of the events, as it was configured; a relative file is in the root."""
        return self.environment.get("GENLOOP_DATABASE_URL") or f"sqlite:///{self.data / 'feedback.db'}"

    @property
    def tracking_uri(self) -> str:
        """Of MLflow's stores; never left to MLflow's default, which depends on the working directory."""
        return self.environment.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.root / 'mlflow.db'}"
