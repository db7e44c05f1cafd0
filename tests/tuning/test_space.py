"""What is tried is checked before anything is: alone and together."""

from __future__ import annotations

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from pipelines.core.errors import InputError
from pipelines.tuning import search, space

RATE = "model.change.learning_rate"


@pytest.mark.parametrize(
    ("tried", "words"),
    [
        ({}, ["tune.space is empty", "train.batch_size: [32, 64]"]),
        ({"train.batch_size": [32, 1]}, ["train.batch_size", "greater than or equal to 2 (came 1)"]),
        ({"train.batch_size": {"low": 0, "high": 64}}, ["train.batch_size", "(came 0)"]),
        ({"train.batch_size": {"low": 8.5, "high": 64}}, ["train.batch_size", "valid integer", "(came 8.5)"]),
        ({"train.augment.shift": {"low": 0.0, "high": 0.9}}, ["train.augment.shift", "(came 0.9)"]),
        ({"train.augment.flip": {"low": 0, "high": 1}}, ["train.augment.flip", "valid boolean"]),
        ({"model.change.learning_rat": [0.1]}, ["model.change", "did you mean 'learning_rate'?"]),
        ({RATE: {"low": -0.1, "high": 0.1}}, [RATE, "from 0 on", "(came -0.1)"]),
        ({"model.family": ["gan", "gann"]}, ["model.family", "did you mean 'gan'?"]),
        ({"model.family": ["gan", "vae"], "model.preset": ["tiny", "large"]}, ["model.preset=large", "(presets of vae)"]),
        ({"model.change.width": [8], "model.family": ["gan", "gan-dense"]}, ["model.change", "'width'", "gan-dense"]),
        ({"train.augment.adaptive": [True]}, ["train.augment.adaptive", "set flip, shift"]),
    ],
)  # fmt: skip
def test_what_is_not_allowed_is_named_before_any_trial(make_params, tried, words) -> None:
    with pytest.raises(InputError) as caught:
        space.check(make_params({"tune.space": tried}))
    for word in words:
        assert word in str(caught.value)


def test_what_params_yaml_brings_along_is_allowed(make_params) -> None:
    space.check(make_params())
    for family in ("vae", "diffusion"):
        space.check(make_params({"model.family": family}))


def test_of_many_choices_each_is_looked_at(make_params) -> None:
    tried = {
        RATE: [number / 1000 for number in range(1, 100)],
        "train.augment.flip": [True, False],
        "train.batch_size": [*range(2, 90), 1],
    }
    with pytest.raises(InputError, match=r"train\.batch_size"):
        space.check(make_params({"tune.space": tried}))


def test_whole_numbers_are_tried_where_a_setting_takes_those_alone(make_params) -> None:
    found = space.distributions(
        make_params(
            {
                "tune.space": {
                    "train.batch_size": {"low": 16, "high": 64, "step": 16},
                    "train.augment.shift": {"low": 0, "high": 0.5},
                    "train.augment.rotate": {"low": 0, "high": 45},
                    "model.change.width": {"low": 8, "high": 64, "log": True},
                    RATE: {"low": 0.001, "high": 1, "log": True},
                    "model.preset": ["tiny", "small"],
                }
            }
        )
    )
    assert found == {
        "train.batch_size": IntDistribution(16, 64, step=16),
        "train.augment.shift": FloatDistribution(0.0, 0.5),
        "train.augment.rotate": FloatDistribution(0.0, 45.0),
        "model.change.width": IntDistribution(8, 64, log=True),
        RATE: FloatDistribution(0.001, 1.0, log=True),
        "model.preset": CategoricalDistribution(["tiny", "small"]),
    }


def test_the_first_trial_is_what_there_is_as_far_as_the_space_has_it(make_params) -> None:
    tried = {RATE: {"low": 0.001, "high": 0.01}, "train.batch_size": [32, 64], "model.preset": ["tiny", "small"]}
    assert space.current_values(make_params({"tune.space": tried})) == {
        RATE: 0.002,
        "model.preset": "small",
    }  # the batch size is 128
    steps = {"train.augment.shift": {"low": 0.0, "high": 0.5, "step": 0.25}}
    assert space.current_values(make_params({"tune.space": steps, "train.augment.shift": 0.1})) == {}
    assert space.current_values(make_params({"tune.space": steps, "train.augment.shift": 0.25})) == {
        "train.augment.shift": 0.25
    }


def test_a_trial_s_settings_are_params_with_its_own_training(make_params) -> None:
    before = make_params({"train.init": "champion", "tune.steps": 10})
    after = search.trial_params(before, {RATE: 0.5, "train.batch_size": 32})
    assert after.model.numbers["learning_rate"] == 0.5
    assert (after.train.batch_size, after.train.init, after.train.steps, after.train.preview_every) == (32, "scratch", 10, 3)
    assert space.overlay({RATE: 0.5, "train.batch_size": 32}) == {
        "model": {"change": {"learning_rate": 0.5}},
        "train": {"batch_size": 32},
    }
