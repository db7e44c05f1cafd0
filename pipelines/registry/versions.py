"""Registered versions: their facts, the batches they were trained on, and the names of their tags, aliases and artifacts."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from pipelines.core.errors import InputError

CHAMPION, CHALLENGER = "champion", "challenger"
ALIASES = (CHAMPION, CHALLENGER)
KEY = "genloop.key"  # tag of a version: what it was made of, so that the same is never registered twice
GENERATION = "genloop.generation"  # tag of a version: how many models stand between it and real images
NO_COMMIT = "genloop.git_missing"  # tag of a version: why it names no commit
FEEDBACK = "feedback.json"  # a run's artifact: which folds the version has learned from
PACKAGES = "packages.json"  # another one: every package that was installed, and its version
OWN = "genloop."  # how the tags that Genloop gives begin
COMMIT, DATA = "genloop.git_commit", "genloop.data."  # tags of a version: its commit, and one for each path in data/
DETERMINISTIC = "genloop.deterministic"  # tag of a version, `false` where a seed may be another image each time
NOT_DETERMINISTIC = (
    "the same seed may give another picture each time: a link to a picture, a vote on one and a rebuild do not bring back the "
    "one that somebody saw, and what is chosen by what people like may be shown as another picture than was judged"
)
STUDY, TRIAL = "genloop.study", "genloop.trial"  # tags of a run: the study, or the study and the number of the trial, as in a/7
PARENT_RUN = "mlflow.parentRunId"  # tag of a run: the run that it is below
WORKSPACE = "workspace"  # and another: a folder of the project's files that a rebuild needs and git may not have as they were
TRIED = 8  # images drawn with a version before any alias may point to it


class NoVersionError(InputError):
    """The registry answers, knows the model, and has no such version of it."""


@dataclass(frozen=True)
class Version:
    """A registered version. created: UTC. metrics, settings: of its run, flat, by name."""

    number: int
    run_id: str | None
    created: datetime
    tags: dict[str, str]
    metrics: dict[str, float]
    settings: dict[str, str]

    @property
    def generation(self) -> int:
        """How many models stand between the version and real images: 0 where it has learned from these alone."""
        return int(self.tags.get(GENERATION, 0))


@dataclass(frozen=True)
class VersionBatches:
    """batches: of feedback, that a version was trained on. aliases: that point to it."""

    batches: list[str]
    aliases: list[str]


@dataclass(frozen=True)
class VersionOutline:
    """What the registry itself knows of a version, without its run. created: UTC."""

    number: int
    created: datetime
    tags: dict[str, str]
