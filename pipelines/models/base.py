"""The contract of a family of models: how one is built, trained on, drawn from, saved and loaded.

This folder is copied beside the weights of every registered version and loaded there under another package name, so
that each version draws with its own code. Hence in here: relative imports only, and nothing but keras, numpy,
safetensors and the standard library.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from . import augment
from .augment import Augmentation

FORMAT = 1  # of model.json and weights.safetensors together; raise it when an older reader would misread them
DESCRIPTION, WEIGHTS = "model.json", "weights.safetensors"

# The network always runs on this many images: kernels are chosen by the shape of the batch, and another kernel may sum
# in another order. With one shape, an image does not depend on how many are drawn with it.
DRAW_BATCH = 64


# Of the learning rate, for a training that goes on from another one. The whole of it would first unlearn: 400 further steps of
# `gan` on the same rows of MNIST nearly doubled FID.
GOING_ON = 0.3


@dataclass(frozen=True)
class ImageSpec:
    """size: pixels a side. channels: 1 grey, 3 colour. classes: how many there are; 0 for an unconditional model."""

    size: int
    channels: int
    classes: int

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.size, self.size, self.channels


@dataclass(frozen=True)
class Description:
    """What model.json says. `module` and `class_name` find the family's class in the package that `base` is in."""

    family: str
    module: str
    class_name: str
    preset: dict[str, Any]
    spec: ImageSpec
    classes: list[str]
    format: int = FORMAT


class Family(keras.Model):
    """A model that Keras' `fit` trains and `draw` draws from.

    A family fills in `conditional`, `latent_shape`, `noise_shapes`, `call`, `objective` and `optimizer_for`, and names every
    layer, because the names are the keys of its weights.

    Inputs, in training as in drawing, are a dict:
        latents: (batch, *latent_shape) float32, standard normal.
        label: (batch,) int32, a class; all 0 where there are no classes.
    And in training only:
        image: (batch, size, size, channels) uint8, a real image of that class.
        a name of `noise_shapes`: (batch, *its shape) float32, standard normal. All that is random in a training comes with
            its batch, so that it is the same however many devices share the batch, and after a resume. Only dropout of maps,
            which would want more numbers than all else, has seeds among the variables, and each device its own.
    """

    conditional = True  # False: it is built with no classes, whatever the data has
    loss_names: tuple[str, ...] = ()  # parts of the loss that a person watches

    def __init__(self, spec: ImageSpec, preset: dict[str, Any]) -> None:
        super().__init__(dtype="float32")  # or mixed precision would round the inputs before the networks see them
        self.spec = spec
        self.preset = dict(preset)
        self.watched = {name: keras.metrics.Mean(name=name) for name in self.loss_names}
        self.augmentation: Augmentation | None = None  # of training; who trains sets it before the first step

    def watch(self, **values: Any) -> None:
        """Show these parts of the loss, by their `loss_names`, in the logs of `fit`."""
        for name, value in values.items():
            self.watched[name].update_state(value)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        """Shape of one image's latents."""
        raise NotImplementedError

    @property
    def noise_shapes(self) -> dict[str, tuple[int, ...]]:
        """The other numbers that training wants for each image, by name."""
        return {}

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        """Images (batch, size, size, channels) float32, -1..1, from `latents` and `label`.

        With `training`, whatever `objective` wants to be given as `outputs`.
        """
        raise NotImplementedError

    def objective(self, inputs: dict[str, Any], outputs: Any) -> Any:
        """The scalar float32 whose gradient moves every trainable weight, from `outputs` = `call(inputs, training=True)`.

        It is a mean over images, so that devices which share a batch can take the mean of theirs.
        """
        raise NotImplementedError

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """What Keras' `fit` asks for. Under TensorFlow's strategies gradients of the devices are added up."""
        strategy = getattr(self, "distribute_strategy", None)
        return self.objective(x, y_pred) / (strategy.num_replicas_in_sync if strategy else 1)

    def changed(self, images: Any, numbers: Any) -> tuple[Any, Any]:
        """Images changed as `augmentation` says, and what was changed, (batch, augment.TOLD) float32."""
        if self.augmentation is None:
            return images, keras.ops.zeros((keras.ops.shape(images)[0], augment.TOLD))
        return augment.change(images, numbers, self.augmentation.probability, self.augmentation)

    def between(self, a: np.ndarray, b: np.ndarray, at: np.ndarray) -> np.ndarray:
        """Latents on the way from `a` to `b`, both (n, *latent_shape), at the shares `at`, (n,) in 0..1.

        Along the great circle, where normal latents of many dimensions lie; the straight line passes through lengths that
        training never saw (Shoemake, 1985; White, 2016).
        """
        rows = len(a), -1
        lengths = np.linalg.norm(a.reshape(rows), axis=1) * np.linalg.norm(b.reshape(rows), axis=1)
        cosine = (a.reshape(rows) * b.reshape(rows)).sum(axis=1) / np.maximum(lengths, 1e-12)
        angle = np.maximum(np.arccos(np.clip(cosine, -1, 1)), 1e-6)
        shares = [np.sin(share * angle) / np.sin(angle) for share in (1 - at, at)]
        shape = (len(a), *[1] * (a.ndim - 1))
        return (shares[0].reshape(shape) * a + shares[1].reshape(shape) * b).astype(np.float32)

    def optimizer_for(self, steps: int, first: int = 0) -> keras.optimizers.Optimizer:
        """An optimizer for a training of so many steps, with `use_ema=True`.

        first: the step that it begins at, counted through all the trainings that this one goes on from.
        """
        raise NotImplementedError


class Adam(keras.optimizers.Adam):
    """Adam that remembers how long the last gradient was, over all weights, for people to watch."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.gradient_norm = self.add_variable((), name="gradient_norm", aggregation="mean")

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        parts = [keras.ops.sum(keras.ops.square(keras.ops.cast(grad, "float32"))) for grad in grads if grad is not None]
        self.gradient_norm.assign(keras.ops.sqrt(sum(parts)))
        super().apply(grads, trainable_variables)


class Later(keras.optimizers.schedules.LearningRateSchedule):
    """`schedule` as if its first step were the step `first`: a training that goes on from another one counts on."""

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, first: int) -> None:
        self.schedule, self.first = schedule, first

    def __call__(self, step: Any) -> Any:
        return self.schedule(step - self.first)

    def get_config(self) -> dict[str, Any]:
        return {"schedule": self.schedule, "first": self.first}


def warmed_up(learning_rate: float, steps: int, first: int) -> Adam:
    """For likelihoods and flows: the rate rises over the first twentieth of the steps, and falls along a cosine to as much.

    first: as of `Family.optimizer_for`; a training that goes on from another one has lower rates throughout.
    """
    highest = learning_rate * (GOING_ON if first else 1.0)
    rising = max(1, round(steps / 20))
    rate = keras.optimizers.schedules.CosineDecay(
        highest / rising, max(1, steps - rising), alpha=1 / 20, warmup_target=highest, warmup_steps=rising
    )
    return Adam(Later(rate, first), beta_2=0.99, use_ema=True, ema_momentum=ema_momentum(first + steps))


@contextmanager
def precision(policy: str) -> Iterator[None]:
    """Models that are built inside compute by this dtype policy of Keras; `float32` or `mixed_bfloat16`."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def build(family_class: type[Family], spec: ImageSpec, preset: dict[str, Any], seed: int) -> Family:
    """A new model whose initial weights depend on `seed` only."""
    keras.utils.set_random_seed(seed)
    family = family_class(spec, preset)  # which makes all its weights
    family.built = True
    # XLA under TensorFlow on 2 cores: 1,440 images/s instead of 3,290 (gan, 16x16). JAX cannot do without.
    family.jit_compile = keras.backend.backend() == "jax"
    return family


def numbers(family: Family) -> dict[str, tuple[int, ...]]:
    """Shapes of all the standard normal numbers that training wants for an image, by name."""
    return {"latents": family.latent_shape, **family.noise_shapes}


def example(family: Family, batch: int) -> dict[str, np.ndarray]:
    """Inputs of the right shapes, all zero."""
    return {
        "latents": np.zeros((batch, *family.latent_shape), np.float32),
        "label": np.zeros(batch, np.int32),
    }


def class_vector(label: Any, classes: int, units: int, name: str = "class", initializer: Any = "uniform") -> Any:
    """(batch, units): a learned vector for each of the `classes`, chosen by `label` (batch,).

    A product, and no layer `Embedding`: the gradient of that one comes in pieces under TensorFlow, one for each image, and
    Keras' optimizers take a step for each piece instead of one for their sum.
    """
    dense = keras.layers.Dense(units, use_bias=False, kernel_initializer=initializer, name=name)
    return dense(keras.ops.one_hot(label, classes))


class Normal(keras.layers.Layer):
    """Groups of about 16 channels, each of mean 0 and deviation 1 in an image, scaled and shifted (Wu & He 2018, 1803.08494).

    All of it, a style as well, is one multiplication and one addition of maps: 222 images/s of `diffusion` on 2 cores, instead
    of 213 with Keras' own GroupNormalization and the style after it.
    """

    def build(self, shape: Sequence[int | None], *_: Any) -> None:
        self.channels = int(shape[-1])  # type: ignore[arg-type]
        self.groups = next(count for count in range(max(1, self.channels // 16), 0, -1) if self.channels % count == 0)
        self.scale = self.add_weight((self.channels,), initializer="ones", name="scale")
        self.shift = self.add_weight((self.channels,), initializer="zeros", name="shift")

    def call(self, hidden: Any, style: Any = None) -> Any:
        """hidden: (batch, side, side, channels). style: (batch, 2 channels), by how much to scale more, and shift."""
        ops = keras.ops
        exact = ops.cast(hidden, "float32")
        means = sums(exact) * (1.0 / (hidden.shape[1] * hidden.shape[2]))
        mean, square = map(self.of_groups, ops.split(means, 2, axis=1))
        factor = ops.rsqrt(ops.maximum(square - ops.square(mean), 0.0) + 1e-5)
        scale = ops.cast(self.scale, "float32") * factor
        shift = ops.cast(self.shift, "float32") - mean * scale
        if style is not None:
            more, up = ops.split(ops.cast(style, "float32"), 2, axis=1)
            scale, shift = scale * (1.0 + more), shift * (1.0 + more) + up
        scale, shift = (ops.reshape(value, (-1, 1, 1, self.channels)) for value in (scale, shift))
        return ops.cast(exact * scale + shift, hidden.dtype)

    def of_groups(self, means: Any) -> Any:
        """(batch, 1, channels) -> (batch, channels): the mean of each channel's group."""
        ops = keras.ops
        each = self.channels // self.groups
        grouped = ops.mean(ops.reshape(means, (-1, self.groups, each)), axis=2)
        return ops.repeat(grouped, each, axis=1)


@keras.ops.custom_gradient
def silu(hidden: Any) -> Any:
    """hidden * sigmoid(hidden) (Elfwing et al. 2017, 1702.03118, eq. 9).

    Keras' own has TensorFlow compute the sigmoid once more for the gradient, to save memory.
    """
    gate = keras.ops.sigmoid(hidden)
    active = hidden * gate

    def gradient(*given: Any, upstream: Any = None) -> Any:
        return (given[0] if upstream is None else upstream) * (gate + active * (1.0 - gate))

    return active, gradient


@keras.ops.custom_gradient
def sums(hidden: Any) -> Any:
    """(batch, side, side, channels) -> (batch, 2, channels): each channel's sum and sum of squares.

    Its gradient is one multiplication and one addition of maps, where TensorFlow's own makes maps of both sums first.
    """
    ops = keras.ops

    def gradient(*given: Any, upstream: Any = None) -> Any:
        plain, squared = ops.split(given[0] if upstream is None else upstream, 2, axis=1)
        return hidden * (2.0 * squared[:, None]) + plain[:, None]

    return ops.stack([ops.sum(hidden, axis=(1, 2)), ops.sum(ops.square(hidden), axis=(1, 2))], axis=1), gradient


def weights_of(network: keras.Model) -> list[Any]:
    """Tensors of its trainable weights as they are now, for `judged`."""
    return [keras.ops.copy(variable.value) for variable in network.trainable_variables]


def judged(network: keras.Model, weights: Sequence[Any], inputs: Any, frozen: bool = False) -> Any:
    """`network(inputs)` with these tensors for its trainable weights, which no gradient reaches where `frozen`.

    All calls in a step are to share one `weights_of(network)`: where only other weights' gradients need a further look at a
    weight, TensorFlow 2.21 forgets that it comes before the weight's update (Grappler's dependency optimizer, by way of Keras'
    IdentityN), and the same seed then trains to other weights now and then.
    """
    if frozen:
        weights = [keras.ops.stop_gradient(weight) for weight in weights]
    state = [variable.value for variable in network.non_trainable_variables]
    outputs, _ = network.stateless_call(weights, state, inputs)
    return outputs


def ema_momentum(steps: int) -> float:
    """Momentum of the weights' moving average: its memory is a twentieth of all training so far, 2,000 steps at the most.

    A fixed 0.999 would leave a third of a short run's average to weights of its first minutes.
    """
    return 1.0 - 1.0 / min(max(steps / 20.0, 2.0), 2000.0)


def to_float(images: Any) -> Any:
    """uint8 0..255 -> float32 -1..1; a tensor of the backend, also inside a compiled function."""
    return keras.ops.cast(images, "float32") / 127.5 - 1.0


def to_pixels(images: np.ndarray) -> np.ndarray:
    """float -1..1 -> uint8 0..255; what is outside is clipped.

    Raises:
        ValueError: something is not finite.
    """
    images = np.asarray(images, np.float32)
    if not np.isfinite(images).all():
        raise ValueError("the model drew values that are not finite; its weights are unusable")
    return np.rint(np.clip((images + 1.0) * 127.5, 0.0, 255.0)).astype(np.uint8)


def latents(seeds: Sequence[int] | np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(n, *shape) float32, standard normal; row i depends on seeds[i] only."""
    drawn = np.empty((len(seeds), *shape), np.float32)
    for row, seed in zip(drawn, seeds, strict=True):
        row[...] = np.random.default_rng(int(seed)).standard_normal(shape, np.float32)
    return drawn


def draw(family: Family, seeds: Sequence[int] | np.ndarray, labels: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
    """One image for each seed: (n, size, size, channels) uint8, 0..255.

    An image depends on its seed and label only, not on the batch it is drawn in.

    Args:
        seeds: n whole numbers from 0 on.
        labels: n classes; None to go through them by turns. A model without classes ignores them.

    Raises:
        ValueError: a label that is no class of the model, another number of labels than of seeds, or a negative seed.
    """
    seeds = np.asarray(seeds, np.int64)
    labels = chosen(family.spec, seeds, labels)
    return render(family, lambda part: latents(seeds[part], family.latent_shape), labels)


def walk(
    family: Family,
    seeds: Sequence[int] | np.ndarray,
    others: Sequence[int] | np.ndarray,
    at: np.ndarray,
    labels: Sequence[int] | np.ndarray | None = None,
) -> np.ndarray:
    """Images on the way from the image of each seed to that of the other seed: (n, size, size, channels) uint8.

    Args:
        seeds, others: n whole numbers from 0 on, each.
        at: (n,) shares of the way, 0 for the image of the seed itself.
        labels: as in `draw`; the class stays the same along the way.
    """
    seeds, others = np.asarray(seeds, np.int64), np.asarray(others, np.int64)
    labels = chosen(family.spec, seeds, labels)
    check(family.spec, others, labels)

    def on_the_way(part: slice) -> np.ndarray:
        a, b = (latents(some[part], family.latent_shape) for some in (seeds, others))
        return family.between(a, b, np.asarray(at)[part])

    return render(family, on_the_way, labels)


def interpolate(family: Family, seed_a: int, seed_b: int, steps: int, label: int | None = None) -> np.ndarray:
    """The way from the image of one seed to that of another: (steps, size, size, channels) uint8, both ends included.

    Raises:
        ValueError: fewer than 2 steps, or as `draw`.
    """
    if steps < 2:
        raise ValueError(f"expected 2 steps or more, the two images themselves, came {steps}")
    seeds, others = np.full(steps, seed_a), np.full(steps, seed_b)
    return walk(family, seeds, others, np.linspace(0.0, 1.0, steps), alike(label, steps))


def variations(family: Family, seed: int, strength: float, count: int, label: int | None = None) -> np.ndarray:
    """Images near that of a seed: (count, size, size, channels) uint8, each in a direction of its own, the same ones each time.

    Args:
        strength: 0 for the image itself, 1 for images that have nothing to do with it.

    Raises:
        ValueError: a strength outside 0..1, or as `draw`.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"expected a strength from 0 to 1, came {strength}")
    others = np.random.default_rng(seed).integers(2**31, 2**62, count)  # not what people draw by
    return walk(family, np.full(count, seed), others, np.full(count, strength), alike(label, count))


def alike(label: int | None, count: int) -> np.ndarray:
    """The same label for images that belong together; class 0 where none is given."""
    return np.full(count, label or 0, np.int32)


def chosen(spec: ImageSpec, seeds: np.ndarray, labels: Sequence[int] | np.ndarray | None) -> np.ndarray:
    """(n,) int32 labels, by turns where none are given or the model knows none."""
    found = turns(spec, len(seeds)) if labels is None or spec.classes == 0 else np.asarray(labels, np.int32)
    check(spec, seeds, found)
    return found


def render(family: Family, latents_of: Callable[[slice], np.ndarray], labels: np.ndarray) -> np.ndarray:
    """An image for each label, from the latents of each part of the rows."""
    size, channels = family.spec.size, family.spec.channels
    images = np.empty((len(labels), size, size, channels), np.uint8)
    for start in range(0, len(labels), DRAW_BATCH):
        part = slice(start, start + DRAW_BATCH)
        count = len(labels[part])
        inputs = example(family, DRAW_BATCH)  # zeros fill up the last batch
        inputs["latents"][:count] = latents_of(part)
        inputs["label"][:count] = labels[part]
        images[part] = to_pixels(np.asarray(family.predict_on_batch(inputs)))[:count]
    return images


def turns(spec: ImageSpec, count: int) -> np.ndarray:
    """(count,) int32: every class by turns; all 0 for an unconditional model."""
    return (np.arange(count) % max(spec.classes, 1)).astype(np.int32)


def check(spec: ImageSpec, seeds: np.ndarray, labels: np.ndarray) -> None:
    if labels.shape != seeds.shape or seeds.ndim != 1:
        raise ValueError(f"expected as many labels as seeds, came {labels.shape} labels and {seeds.shape} seeds")
    if len(seeds) and seeds.min() < 0:
        raise ValueError(f"expected seeds from 0 on, came {seeds.min()}")
    if len(labels) and not (labels.min() >= 0 and labels.max() < max(spec.classes, 1)):
        raise ValueError(f"expected labels from 0 to {max(spec.classes, 1) - 1}, came {labels.min()} to {labels.max()}")


def named_variables(family: Family) -> dict[str, keras.Variable]:
    """Every variable of the model under a name that is the same in every process: `network/layer/number-variable`.

    Keras' own `path` is not: seed generators inside of layers are numbered by how many the process made before.
    """
    named = dict(variables_of(family, ""))
    covered = {id(variable) for variable in named.values()}
    for variable in family.variables:  # what the family holds itself, not in a layer
        if id(variable) not in covered:
            assert variable.path not in named, variable.path
            named[variable.path] = variable
    assert len(named) == len(family.variables), "two variables of one name"
    return named


def variables_of(network: keras.Model, prefix: str) -> Iterator[tuple[str, keras.Variable]]:
    for layer in network.layers:
        if isinstance(layer, keras.Model):
            yield from variables_of(layer, f"{prefix}{layer.name}/")
        else:
            for number, variable in enumerate(layer.variables):
                yield f"{prefix}{layer.name}/{number}-{variable.name}", variable


def value(variable: keras.Variable) -> np.ndarray:
    """A copy of a variable's value, in numpy."""
    return np.asarray(keras.ops.convert_to_tensor(variable)).copy()


def save(folder: Path, family: Family, name: str, classes: Sequence[str]) -> None:
    """Write model.json and weights.safetensors into `folder`: every variable as it is now.

    Args:
        name: the family's name in the catalogue.
        classes: names of the classes, as many as spec.classes.
    """
    text = json.dumps(asdict(describe_new(family, name, classes)), indent=2, ensure_ascii=False) + "\n"
    (folder / DESCRIPTION).write_text(text, encoding="utf-8")
    weights = {key: value(variable) for key, variable in named_variables(family).items()}
    faults = [key for key, came in weights.items() if not np.isfinite(came).all()]
    if faults:
        raise ValueError(f"weights that are not finite: {', '.join(faults[:3])}")
    save_file(weights, folder / WEIGHTS)
    for path in (folder / DESCRIPTION, folder / WEIGHTS):
        with path.open("rb") as file:
            os.fsync(file.fileno())


def describe_new(family: Family, name: str, classes: Sequence[str]) -> Description:
    """What model.json of this model says; arguments as in `save`."""
    assert len(classes) == family.spec.classes, (classes, family.spec)
    kind = type(family)
    module = kind.__module__.rpartition(".")[2]
    return Description(name, module, kind.__qualname__, family.preset, family.spec, list(classes))


def describe(folder: Path) -> Description:
    """What model.json in `folder` says.

    Raises:
        ValueError: it is not there, or none that this code can read.
    """
    path = folder / DESCRIPTION
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["format"] != FORMAT:
            raise ValueError(f"{path}: format {stored['format']}, expected {FORMAT}")
        return Description(**{**stored, "spec": ImageSpec(**stored["spec"])})
    except (OSError, json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a description of a model ({error!r})") from None


def load(folder: Path, family_class: type[Family]) -> Family:
    """The model that `save` wrote, ready to draw.

    Raises:
        ValueError: the files are no such model's: something is missing, too much, of another shape, or not finite.
    """
    description = describe(folder)
    family = build(family_class, description.spec, description.preset, seed=0)
    path = folder / WEIGHTS
    try:
        weights = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{path}: cannot be read ({error})") from None
    variables = named_variables(family)
    fault = mismatch(weights, variables)
    if fault:
        raise ValueError(f"{path}: {fault}; this code does not fit these weights")
    for key, variable in variables.items():
        variable.assign(weights[key])
    return family


def mismatch(weights: dict[str, np.ndarray], variables: dict[str, keras.Variable]) -> str:
    """What keeps `weights` from being the values of `variables`; empty where nothing does."""
    for title, names in (
        ("missing", variables.keys() - weights.keys()),
        ("unknown", weights.keys() - variables.keys()),
    ):
        if names:
            return f"{title}: {', '.join(sorted(names)[:3])}"
    for key, variable in variables.items():
        came, expected = weights[key], (tuple(variable.shape), keras.backend.standardize_dtype(variable.dtype))
        if (came.shape, came.dtype.name) != expected:
            return f"{key}: expected {expected}, came {(came.shape, came.dtype.name)}"
        if not np.isfinite(came).all():
            return f"{key}: not finite"
    return ""
