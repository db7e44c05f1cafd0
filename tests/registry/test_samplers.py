"""Versions of the registry, for the images of a fold."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.core.errors import GenloopError, InputError
from pipelines.feedback.sealed.event_images import UnknownVersionError
from pipelines.registry import samplers
from pipelines.registry.versions import NoVersionError


@pytest.mark.parametrize(
    ("raised", "expected", "words"),
    [
        (NoVersionError("'m' has no version 3; its versions: 1"), UnknownVersionError, "version 3 is not in the registry"),
        (InputError("no registered model 'm' at sqlite:///mlflow.db"), GenloopError, "the next fold generates their images"),
        (GenloopError("MLflow does not answer"), GenloopError, "the next fold generates their images"),
        (OSError("no such file: weights.safetensors"), GenloopError, "if it is gone for good, delete it from the registry"),
    ],
)
def test_what_the_registry_says_decides_what_is_lost(raised: Exception, expected: type[Exception], words: str) -> None:
    def load(number: int) -> None:
        raise raised

    registry: Any = SimpleNamespace(name="m", load=load)
    with pytest.raises(expected, match=words) as caught:
        samplers.loader(registry)(3)
    assert not isinstance(caught.value, InputError)  # to try again may help


def test_a_sampler_knows_its_generation_and_what_its_version_was_made_of() -> None:
    registry: Any = SimpleNamespace(
        name="m",
        load=lambda number: SimpleNamespace(),
        generation=lambda number: number + 1,
        identity=lambda number: f"made of {number}",
    )
    sampler: Any = samplers.loader(registry)(3)
    assert (sampler.generation, sampler.identity) == (4, "made of 3")
