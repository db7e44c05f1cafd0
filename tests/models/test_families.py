"""One contract for every family of the catalogue and every preset of it: a new family is tested with no new test."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from pipelines import catalogue
from pipelines.core import backend
from tests.contracts import pictures, stir

backend.load()

from pipelines.models import base  # noqa: E402

BATCH = 8
MEMBERS = [
    pytest.param(
        family,
        preset,
        id=f"{family}-{preset}",
        marks=[pytest.mark.slow] * (preset in ("base", "large") or family == "diffusion"),
    )
    for family in sorted(catalogue.MODELS)
    for preset in sorted(catalogue.get(catalogue.MODELS, family).presets)
]


@pytest.fixture(autouse=True)
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Presets for a GPU draw slowly here: a batch of a few images has all that this contract is about."""
    monkeypatch.setattr(base, "DRAW_BATCH", 4)


def make(
    family: str, preset: str, size: int = 8, channels: int = 1, classes: int = 3, seed: int = 0, **changes: Any
) -> base.Family:
    kind = catalogue.get(catalogue.MODELS, family)
    spec = base.ImageSpec(size, channels, classes if kind.conditional else 0)
    settings = catalogue.get(catalogue.MODELS, family).presets[preset]
    if "steps" in settings:
        changes = {"steps": 2, **changes}
    return base.build(kind, spec, {**settings, **changes}, seed)


def smallest(family: str) -> str:
    """The preset of the fewest numbers, for what does not depend on the preset."""
    presets = catalogue.get(catalogue.MODELS, family).presets
    return "tiny" if "tiny" in presets else min(presets)


def training_batch(family: base.Family, count: int, seed: int = 0) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)
    numbers = {name: random.standard_normal((count, *shape), np.float32) for name, shape in base.numbers(family).items()}
    labels = np.arange(count, dtype=np.int32) % max(family.spec.classes, 1)
    return {"image": pictures(count, family.spec.size, family.spec.channels), "label": labels, **numbers}


def weights(family: base.Family) -> np.ndarray:
    return np.concatenate([variable.numpy().ravel() for variable in family.trainable_variables])


def train_once(family: base.Family, steps: int = 1, compiled: bool = False) -> dict[str, float]:
    """Compiling takes far longer than a few steps do."""
    inputs = training_batch(family, BATCH)
    # Keras on JAX runs eagerly on numpy's arrays, and does not take them beside JAX's.
    way = {"jit_compile": family.jit_compile} if compiled or backend.name() == "jax" else {"run_eagerly": True}
    family.compile(optimizer=family.optimizer_for(10), **way)
    history = family.fit(((inputs,) for _ in range(steps + 1)), steps_per_epoch=steps, shuffle=False, verbose=0)
    return {name: values[-1] for name, values in history.history.items()}


@pytest.mark.parametrize(("family", "preset"), MEMBERS)
def test_a_family_trains_draws_and_is_the_same_after_saving(family: str, preset: str, tmp_path: Path) -> None:
    model = make(family, preset)
    before = {name: variable.numpy().copy() for name, variable in base.named_variables(model).items()}

    losses = train_once(model, steps=3, compiled=preset == smallest(family))

    assert set(model.loss_names) <= set(losses)
    assert all(np.isfinite(value) for value in losses.values())
    trainable = {id(variable) for variable in model.trainable_variables}
    moved = [
        name
        for name, variable in base.named_variables(model).items()
        if id(variable) in trainable and not np.array_equal(variable.numpy(), before[name])
    ]
    # A gradient is exactly zero for what lies behind a weight that is zero, as some are before the first steps.
    assert len(moved) >= 0.8 * len(trainable)

    images = base.draw(model, [3, 1, 4])
    assert images.shape == (3, 8, 8, 1)
    assert images.dtype == np.uint8
    assert len(np.unique(images.reshape(3, -1), axis=0)) == 3

    classes = ["a", "b", "c"][: model.spec.classes]
    base.save(tmp_path, model, family, classes)
    about = base.describe(tmp_path)
    assert (about.family, about.classes, about.spec) == (family, classes, model.spec)
    again = base.load(tmp_path, catalogue.get(catalogue.MODELS, family))
    assert np.array_equal(base.draw(again, [3, 1, 4]), images)
    for name, variable in base.named_variables(again).items():  # the discriminator's too
        assert np.array_equal(variable.numpy(), base.named_variables(model)[name].numpy()), name


@pytest.mark.parametrize("family", sorted(catalogue.MODELS))
@pytest.mark.parametrize(
    ("size", "channels", "classes"), [(12, 3, 1), (28, 1, 0), (20, 1, 2), pytest.param(256, 3, 2, marks=pytest.mark.slow)]
)
def test_a_family_draws_every_shape_it_says_it_fits(family: str, size: int, channels: int, classes: int) -> None:
    assert size in catalogue.get(catalogue.MODELS, family).sizes
    model = make(family, smallest(family), size, channels, classes)
    losses = train_once(model)
    assert all(np.isfinite(value) for value in losses.values())
    assert base.draw(model, [0, 1]).shape == (2, size, size, channels)


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(catalogue.MODELS))
def test_bfloat16_arithmetic_draws_and_trains_much_as_float32_does(family: str) -> None:
    """What bfloat16 is too coarse for, as times, differences, losses and pixels, has to stay float32."""
    images, losses = {}, {}
    for policy in ("float32", "mixed_bfloat16"):
        with base.precision(policy):
            model = make(family, smallest(family))
            stir(model)
            images[policy] = base.draw(model, [3, 1, 4, 1]).astype(int)
            losses[policy] = train_once(model)["loss"]
        assert all(weight.dtype != "bfloat16" for weight in model.weights)
    assert losses["mixed_bfloat16"] == pytest.approx(losses["float32"], rel=0.005)
    assert losses["mixed_bfloat16"] != losses["float32"]
    assert 0 < np.abs(images["mixed_bfloat16"] - images["float32"]).mean() < 1


@pytest.mark.parametrize("family", sorted(catalogue.MODELS))
def test_only_a_conditional_family_minds_the_label(family: str) -> None:
    model = make(family, smallest(family))
    stir(model)
    first, second = base.draw(model, [5], [0]), base.draw(model, [5], [2])
    assert np.array_equal(first, second) == (not model.conditional)


@pytest.mark.slow
@pytest.mark.parametrize("family", sorted(catalogue.MODELS))
def test_every_family_walks_from_one_image_to_another_and_about_one(family: str) -> None:
    model = make(family, smallest(family))
    train_once(model, steps=2)  # of an untrained one all images may be alike
    way = base.interpolate(model, 3, 8, steps=5, label=1)
    ends = base.draw(model, [3, 8], [1, 1])
    assert way.shape == (5, *model.spec.shape)
    assert np.abs(way[[0, -1]].astype(int) - ends).max() <= 1  # latents may differ in the last bit, and so may a grey
    near, far = (base.variations(model, 3, strength, count=4, label=1).astype(int) for strength in (0.1, 1.0))
    assert np.abs(base.variations(model, 3, 0.0, count=2, label=1).astype(int) - ends[0]).max() <= 1
    assert 0 < np.abs(near - ends[0]).mean() < np.abs(far - ends[0]).mean()
    assert len(np.unique(far, axis=0)) == 4
    assert np.array_equal(base.variations(model, 3, 0.1, count=2, label=1), near[:2])
    for call, words in (
        (lambda: base.interpolate(model, 3, 8, 1), "2 steps"),
        (lambda: base.variations(model, 3, 1.5, 2), "0 to 1"),
    ):
        with pytest.raises(ValueError, match=words):
            call()


@pytest.mark.parametrize("family", sorted(catalogue.MODELS))
def test_initial_weights_depend_on_the_seed_only(family: str) -> None:
    one, same, other = (weights(make(family, smallest(family), seed=seed)) for seed in (1, 1, 2))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("family", sorted(catalogue.MODELS))
def test_names_of_weights_do_not_depend_on_what_the_process_made_before(family: str) -> None:
    first = list(base.named_variables(make(family, smallest(family))))
    second = list(base.named_variables(make(family, smallest(family))))
    assert first == second
    assert len(set(first)) == len(first)


@pytest.mark.parametrize("family", sorted(catalogue.MODELS))
def test_neither_player_moves_the_other(family: str) -> None:
    """One optimizer moves both, so each loss has to stop at the other's weights: with one of them frozen, the other's
    step is the same to the last bit that matters."""
    together, alone = make(family, smallest(family)), make(family, smallest(family))
    if not hasattr(alone, "discriminator"):
        pytest.skip("not a GAN")
    alone.discriminator.trainable = False
    alone.generator.trainable = True
    frozen = [variable.numpy() for variable in alone.discriminator.variables]
    train_once(together)
    train_once(alone)
    for variable, value in zip(alone.discriminator.trainable_variables, frozen, strict=False):
        assert np.array_equal(variable.numpy(), value)
    for one, other in zip(together.generator.variables, alone.generator.variables, strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), atol=1e-6)


def spoil_missing(weights: dict[str, np.ndarray]) -> None:
    weights.pop(next(iter(weights)))


def spoil_unknown(weights: dict[str, np.ndarray]) -> None:
    weights["more"] = np.zeros(3, np.float32)


def spoil_shape(weights: dict[str, np.ndarray]) -> None:
    weights[next(iter(weights))] = np.zeros((1, 2, 3), np.float32)


def spoil_dtype(weights: dict[str, np.ndarray]) -> None:
    name = next(iter(weights))
    weights[name] = weights[name].astype(np.float64)


def spoil_value(weights: dict[str, np.ndarray]) -> None:
    name = next(name for name, value in weights.items() if value.dtype == np.float32)
    weights[name] = np.full_like(weights[name], np.nan)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_missing, "missing"),
        (spoil_unknown, "unknown: more"),
        (spoil_shape, "expected"),
        (spoil_dtype, "float64"),
        (spoil_value, "not finite"),
    ],
)
def test_weights_that_do_not_fit_are_refused(spoil, words: str, tmp_path: Path) -> None:
    base.save(tmp_path, make("gan", "tiny"), "gan", ["a", "b", "c"])
    weights = load_file(tmp_path / base.WEIGHTS)
    spoil(weights)
    save_file(weights, tmp_path / base.WEIGHTS)
    with pytest.raises(ValueError, match=words):
        base.load(tmp_path, catalogue.get(catalogue.MODELS, "gan"))


def test_a_torn_file_or_another_format_is_refused(tmp_path: Path) -> None:
    kind = catalogue.get(catalogue.MODELS, "gan")
    base.save(tmp_path, make("gan", "tiny"), "gan", ["a", "b", "c"])
    whole = (tmp_path / base.WEIGHTS).read_bytes()
    (tmp_path / base.WEIGHTS).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match="cannot be read"):
        base.load(tmp_path, kind)
    stored = json.loads((tmp_path / base.DESCRIPTION).read_text())
    (tmp_path / base.DESCRIPTION).write_text(json.dumps({**stored, "format": 99}))
    with pytest.raises(ValueError, match="format 99"):
        base.describe(tmp_path)


def test_weights_that_are_not_finite_are_not_saved(tmp_path: Path) -> None:
    model = make("gan", "tiny")
    model.trainable_variables[0].assign(np.full(model.trainable_variables[0].shape, np.inf))
    with pytest.raises(ValueError, match="not finite"):
        base.save(tmp_path, model, "gan", ["a", "b", "c"])
    assert not (tmp_path / base.WEIGHTS).exists()


def test_models_import_only_what_a_registered_version_may_use() -> None:
    """The folder is copied beside each version's weights and loaded under another package name."""
    allowed = {*sys.stdlib_module_names, "keras", "numpy", "safetensors"}
    for path in Path(base.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found = {(node.module or "").partition(".")[0]}
            else:
                continue
            assert found <= allowed, f"{path.name}: {found - allowed}"
