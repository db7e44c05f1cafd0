"""Drawing more clearly of a class: the network learns what images are like whatever their class, and is led away from that."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines import catalogue
from pipelines.core import backend
from tests.contracts import stir

backend.load()

from keras import ops  # noqa: E402

from pipelines.models import augment, base  # noqa: E402

CLASSES = 3
ROWS = 5


def made(guidance: float, classes: int = CLASSES) -> base.Family:
    preset = catalogue.get(catalogue.MODELS, "diffusion").presets["tiny"]
    kind = catalogue.get(catalogue.MODELS, "diffusion")
    model = base.build(kind, base.ImageSpec(8, 1, classes), {**preset, "steps": 2, "guidance": guidance}, seed=0)
    stir(model)
    return model


def velocities(model: base.Family, label: int) -> tuple[np.ndarray, np.ndarray]:
    """What guides, and what the network itself says of this label."""
    x = np.random.default_rng(1).standard_normal((ROWS, 8, 8, 1), np.float32)
    labels, at, changes = (
        np.full(ROWS, label, np.int32),
        np.full(ROWS, 0.4, np.float32),
        np.zeros((ROWS, augment.CHANGES), np.float32),
    )
    x, at, labels, changes = map(ops.convert_to_tensor, (x, at, labels, changes))
    return tuple(map(np.asarray, (model.guided_velocity(x, at[0], labels, changes), model.network([x, at, labels, changes]))))


def test_the_velocity_is_moved_away_from_that_without_a_class() -> None:
    model = made(guidance=3.0)
    guided, of_class = velocities(model, 1)
    _, of_none = velocities(model, CLASSES)
    assert np.abs(of_class - of_none).max() > 1e-2
    np.testing.assert_allclose(guided, of_none + 3.0 * (of_class - of_none), atol=1e-4)


@pytest.mark.parametrize(("guidance", "classes"), [(1.0, CLASSES), (3.0, 0)])
def test_where_there_is_nothing_to_guide_by_the_network_is_asked_once(guidance: float, classes: int) -> None:
    guided, plain = velocities(made(guidance, classes), 0)
    np.testing.assert_allclose(guided, plain, atol=1e-6)


@pytest.mark.slow
def test_the_class_of_a_tenth_of_the_training_images_is_withheld() -> None:
    model = made(guidance=1.0)
    unnamed = np.random.default_rng(0).standard_normal(20_000).astype(np.float32)
    labels: list[np.ndarray] = []
    network = model.network
    model.network = lambda inputs, **more: labels.append(np.asarray(inputs[2])) or network(inputs, **more)
    rows = len(unnamed)
    random = np.random.default_rng(0)
    inputs = {
        "image": random.integers(0, 256, (rows, 8, 8, 1), dtype=np.uint8),
        "label": np.zeros(rows, np.int32),
        **{name: random.standard_normal((rows, *shape), np.float32) for name, shape in base.numbers(model).items()},
        "unnamed": unnamed,
    }
    model.call({name: ops.convert_to_tensor(value) for name, value in inputs.items()}, training=True)
    assert set(labels[0].tolist()) == {0, CLASSES}
    assert np.mean(labels[0] == CLASSES) == pytest.approx(0.1, abs=0.01)
