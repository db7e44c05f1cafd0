"""The settings of a simulation as a strict, frozen model: a YAML file, with single keys set over it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, SerializeAsAny, ValidationError, model_validator

from pipelines import catalogue
from pipelines.core import files
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.settings.block import Block
from pipelines.settings.faults import contradiction, faults
from pipelines.settings.load import set_text, update_params
from pipelines.settings.schema import Params, Positive, Seed, Share, member_of
from pipelines.settings.yaml_files import parse_yaml, read_text
from pipelines.tastes.base import Taste

Count = Annotated[int, Field(ge=0)]
RATERS, TURNS, SAMPLES = 10_000, 100, 100_000  # most raters, turns, and samples in one turn
WARM = {"init": "champion", "steps": 400}  # of `train` from the first turn on, where the settings say nothing else


class Simulation(Block):
    """taste: what honest raters like, and so what the loop is judged by.

    votes: of all raters together, in each turn. votes_per_sample: how many raters see the same sample.
    noise: probability that an honest rater votes the opposite of the taste.
    spammers, attackers: shares of the raters. Spammers vote at random, attackers the opposite of the taste and in bursts.
    shuffled: what is liked is dealt among the samples, so that votes agree with each other and mean nothing: the control.
    reports, uploads: in each turn; of samples that the taste dislikes, and of images that it likes.
    fresh: samples that nobody has voted on, generated at each turn and judged by the taste.
    seed: of raters, their votes and generated images. (How models are trained is in `params`.)
    params: laid over params.yaml in the copy. `train` counts from the first turn on: turn 0 is the project's own model.
    """

    taste: Annotated[SerializeAsAny[Taste], member_of(catalogue.TASTES, "name")]
    turns: Annotated[int, Field(gt=0, le=TURNS)] = 3
    votes: Positive = 2000
    raters: Annotated[int, Field(gt=0, le=RATERS)] = 40
    votes_per_sample: Positive = 4
    noise: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    spammers: Share = 0.0
    attackers: Share = 0.0
    shuffled: bool = False
    reports: Count = 0
    uploads: Count = 0
    fresh: Annotated[int, Field(ge=10, le=SAMPLES)] = 2000
    seed: Seed = 0
    params: dict[str, Any] = {}  # noqa: RUF012  (nothing changes it)

    @model_validator(mode="after")
    def fit_together(self) -> Simulation:
        if self.votes_per_sample > self.raters:
            expected = f"expected at most the number of raters, {self.raters}"
            raise contradiction(f"votes_per_sample: came {self.votes_per_sample}, {expected}")
        if self.spammers + self.attackers >= 1:
            came = f"came {self.spammers} and {self.attackers}"
            raise contradiction(f"spammers, attackers: {came}, expected less than 1 together")
        if self.samples > SAMPLES:
            raise contradiction(f"votes: came {self.votes} on {self.samples} samples a turn, expected at most {SAMPLES}")
        return self

    @property
    def samples(self) -> int:
        """Number of samples that raters vote on in each turn."""
        return -(-self.votes // self.votes_per_sample)

    def lay_over(self, project: Project, turn: int) -> Params:
        """Write into the params.yaml of a copy what `params` changes from this turn on; comments are kept."""
        if turn:
            changes = {**self.params, "train": {**WARM, **self.params.get("train", {})}}
        else:
            changes = {key: value for key, value in self.params.items() if key != "train"}
        overlay = project.logs / "simulation.yaml"
        files.write(overlay, json.dumps(changes))  # JSON is YAML
        return update_params(project.params_file, [overlay])


def load(path: Path | None, changes: Iterable[str] = ()) -> Simulation:
    """The settings in the YAML file `path`, or the defaults, with `key=value` laid over them.

    Raises:
        InputError: every fault is named.
    """
    name = str(path) if path else "simulation"
    document = (parse_yaml(read_text(path), name) or {}) if path else {}
    if not isinstance(document, dict):
        raise InputError(f"{name}: expected a mapping of settings, came {type(document).__name__}")
    for change in changes:
        set_text(document, change, Simulation, "turns=3")
    if isinstance(document.setdefault("taste", {}), dict):
        document["taste"].setdefault("name", "stroke_weight")
    try:
        return Simulation.model_validate(document)
    except ValidationError as error:
        raise InputError("\n".join(f"{name}: {line}" for line in faults(error, Simulation))) from None
