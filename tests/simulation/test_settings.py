"""The settings of a simulation: strict, with faults in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.core.errors import InputError
from pipelines.simulation.settings import load
from pipelines.tastes.slant import Slant
from tests.conftest import REPOSITORY


def test_without_a_file_the_defaults_are_a_whole_simulation() -> None:
    found = load(None)
    assert found.taste.name == "stroke_weight"
    assert (found.turns, found.votes, found.raters, found.samples) == (3, 2000, 40, 500)
    assert (found.noise, found.spammers, found.attackers, found.shuffled) == (0.1, 0.0, 0.0, False)


def test_the_example_is_one() -> None:
    load(REPOSITORY / "examples/simulate.yaml")


def test_keys_are_set_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "simulation.yaml"
    path.write_text("taste: {name: slant, prefer: left}\nturns: 7\nparams:\n  train: {steps: 50}\n")
    found = load(path, ["turns=2", "params.train.steps=60", "params.evaluate.samples=300"])
    assert found.taste == Slant(name="slant", prefer="left")
    assert found.turns == 2
    assert found.params == {"train": {"steps": 60}, "evaluate": {"samples": 300}}
    assert load(None, ["taste.prefer=lighter"]).taste.model_dump() == {"name": "stroke_weight", "prefer": "lighter"}


def test_samples_are_as_many_as_the_votes_need() -> None:
    assert load(None, ["votes=10", "votes_per_sample=4"]).samples == 3


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("turn=2", "did you mean `turns`"),
        ("taste.name=legibel", "did you mean 'legible'"),
        ("taste.prefer=bold", "'heavier' or 'lighter'"),
        ("taste=legible", "expected a mapping with the key `name`"),
        ("noise=0.7", "less than or equal to 0.5"),
        ("turns=1.5", "valid integer"),
        ("votes_per_sample=41", "at most the number of raters, 40"),
        ("attackers=1", "less than 1 together"),
        ("votes=1000000", "at most 100000"),
        ("turns", "expected key=value"),
    ],
)
def test_a_fault_is_named(change: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        load(None, [change])


def test_a_file_that_holds_no_settings_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "simulation.yaml"
    path.write_text("- 1\n")
    with pytest.raises(InputError, match="expected a mapping"):
        load(path)
    with pytest.raises(InputError, match="no such file"):
        load(tmp_path / "other.yaml")
