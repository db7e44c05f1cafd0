"""The contract of a family of models: how one is built, trained, saved and loaded, and how it generates.

This folder is copied beside the weights of every registered version and loaded there under another package name, so
that each version generates with its own code. Hence in here: relative imports only, and nothing but keras, numpy,
safetensors and the standard library. And params are checked with the families' files, so keras and numpy come from `lazy`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from . import augment
from .augment import Augmentation
from .lazy import keras, np

if TYPE_CHECKING:
    from keras import Model
else:
    Model = object  # a family is a model of Keras' only when one is built

FORMAT = 1  # of model.json and weights.safetensors together; raise it when an older reader would misread them
DESCRIPTION, WEIGHTS = "model.json", "weights.safetensors"

# The network always runs on this many images: kernels are chosen by the shape of the batch, and another kernel may sum
# in another order. With one shape, an image does not depend on how many are drawn with it.
DRAW_BATCH = 64

Walk = Callable[["np.ndarray", "np.ndarray", "np.ndarray", "np.ndarray"], "np.ndarray"]  # starts, ends, at, labels -> images


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
class Sizes:
    """Sides of images, in pixels, that a family takes."""

    least: int
    most: int
    multiple_of: int = 1

    def __contains__(self, size: int) -> bool:
        return self.least <= size <= self.most and size % self.multiple_of == 0


@dataclass(frozen=True)
class Description:
    """What model.json says. `module` and `class_name` find the family's class in the package that `base` is in.

    external: of a model that somebody else's code samples (external.py): its manifest, the prompts of its classes, the hashes
    of its files. None of a family of Keras'.
    """

    family: str
    module: str
    class_name: str
    preset: dict[str, Any]
    spec: ImageSpec
    classes: list[str]
    format: int = FORMAT
    external: dict[str, Any] | None = None

    @property
    def deterministic(self) -> bool:
        """Whether a seed is always the same image."""
        return self.external is None or bool(self.external["manifest"].get("deterministic", True))

    @property
    def trained(self) -> bool:
        """Whether a training made it; an external model may be only a sampler."""
        return self.external is None or self.external["manifest"].get("train", "") is not None

    def as_text(self) -> str:
        """The content of model.json; `external` is in it where there is one, so that other models' files stay what they are."""
        stored = asdict(self)
        if self.external is None:
            del stored["external"]
        return json.dumps(stored, indent=2, ensure_ascii=False) + "\n"


class Family(Model):
    """A model that Keras' `fit` trains and `draw` generates with. What a family declares is known before Keras is loaded.

    presets: numbers that it is built with, by the preset's name. sizes: which images it takes.
    augmentations: the ways of train.augment that it knows, of `fixed` and `adaptive`.
    conditional: False where it is built with no classes, whatever the data has.
    loss_names: parts of the loss that a person watches.

    A family fills these in, and `latent_shape`, `noise_shapes`, `call`, `objective` and `optimizer_for`, and names every layer,
    because the names are the keys of its weights.

    Inputs, in training as in drawing, are a dict:
        latents: (batch, *latent_shape) float32, standard normal.
        label: (batch,) int32, a class; all 0 where there are no classes.
    And in training only:
        image: (batch, size, size, channels) uint8, a real image of that class.
        a name of `noise_shapes`: (batch, *its shape) float32, standard normal. All that is random in a training comes with
            its batch, so that it is the same however many devices share the batch, and after a resume. Only dropout of maps,
            which would want more numbers than all else, has seeds among the variables, and each device its own.
    """

    presets: ClassVar[dict[str, dict[str, Any]]]
    sizes: ClassVar[Sizes]
    augmentations: ClassVar[tuple[str, ...]] = ()
    conditional: ClassVar[bool] = True
    loss_names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, spec: ImageSpec, preset: dict[str, Any]) -> None:
        super().__init__(dtype="float32")  # or mixed precision would round the inputs before the networks see them
        self.spec = spec
        self.preset = dict(preset)
        self.loss_means = {name: keras.metrics.Mean(name=name) for name in self.loss_names}
        self.augmentation: Augmentation | None = None  # of training; who trains sets it before the first step

    def watch(self, **values: Any) -> None:
        """Show these parts of the loss, by their `loss_names`, in the logs of `fit`."""
        for name, value in values.items():
            self.loss_means[name].update_state(value)

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
        """The loss that Keras' `fit` minimises. Under TensorFlow's strategies gradients of the devices are added up."""
        strategy = getattr(self, "distribute_strategy", None)
        return self.objective(x, y_pred) / (strategy.num_replicas_in_sync if strategy else 1)

    def augment(self, images: Any, numbers: Any) -> tuple[Any, Any]:
        """Images changed as `augmentation` says, and the changes, (batch, augment.CHANGES) float32."""
        if self.augmentation is None:
            return images, augment.no_changes(images)
        return augment.change(images, numbers, self.augmentation.probability, self.augmentation)

    def latents_between(self, a: np.ndarray, b: np.ndarray, at: np.ndarray) -> np.ndarray:
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
    names = {key: getattr(family_class, key) for key in ("__module__", "__qualname__", "__doc__")}
    keras_class = type(family_class.__name__, (family_class, keras.Model), names)  # one that can be built and trained
    family: Family = keras_class(spec, preset)  # which makes all its weights
    family.built = True
    # XLA under TensorFlow on 2 cores: 1,440 images/s instead of 3,290 (gan, 16x16). JAX cannot do without.
    family.jit_compile = keras.backend.backend() == "jax"
    return family


def numbers(family: Family) -> dict[str, tuple[int, ...]]:
    """Shapes of all the standard normal numbers that training wants for an image, by name."""
    return {"latents": family.latent_shape, **family.noise_shapes}


def example(family: Family, batch: int) -> dict[str, np.ndarray]:
    """Inputs of the right shapes, all zero."""
    return {"latents": np.zeros((batch, *family.latent_shape), np.float32), "label": np.zeros(batch, np.int32)}


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
        raise ValueError("the model generated values that are not finite; its weights are unusable")
    return np.rint(np.clip((images + 1.0) * 127.5, 0.0, 255.0)).astype(np.uint8)


def latents(seeds: Sequence[int] | np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """(n, *shape) float32, standard normal; row i depends on seeds[i] only."""
    numbers = np.empty((len(seeds), *shape), np.float32)
    for row, seed in zip(numbers, seeds, strict=True):
        row[...] = np.random.default_rng(int(seed)).standard_normal(shape, np.float32)
    return numbers


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
    labels = labels_for(family.spec, seeds, labels)
    return render(family, lambda part: latents(seeds[part], family.latent_shape), labels)


def walk(
    family: Family,
    starts: Sequence[int] | np.ndarray,
    ends: Sequence[int] | np.ndarray,
    at: np.ndarray,
    labels: Sequence[int] | np.ndarray | None = None,
) -> np.ndarray:
    """Images on the way from the image of one seed to that of another: (n, size, size, channels) uint8.

    Args:
        starts, ends: n seeds each, whole numbers from 0 on.
        at: (n,) shares of the way, 0 for the image of the first seed itself.
        labels: as in `draw`; the class stays the same along the way.
    """
    starts, ends = np.asarray(starts, np.int64), np.asarray(ends, np.int64)
    labels = labels_for(family.spec, starts, labels)
    check(family.spec, ends, labels)

    def interpolated(part: slice) -> np.ndarray:
        a, b = (latents(seeds[part], family.latent_shape) for seeds in (starts, ends))
        return family.latents_between(a, b, np.asarray(at)[part])

    return render(family, interpolated, labels)


def interpolate(family: Family, seed_a: int, seed_b: int, steps: int, label: int | None = None) -> np.ndarray:
    """The way from the image of one seed to that of another: (steps, size, size, channels) uint8, both ends included.

    Raises:
        ValueError: fewer than 2 steps, or as `draw`.
    """
    return interpolate_by(partial(walk, family), seed_a, seed_b, steps, label)


def variations(family: Family, seed: int, strength: float, count: int, label: int | None = None) -> np.ndarray:
    """Images near that of a seed: (count, size, size, channels) uint8, each in a direction of its own, the same ones each time.

    Args:
        strength: 0 for the image itself, 1 for images that have nothing to do with it.

    Raises:
        ValueError: a strength outside 0..1, or as `draw`.
    """
    return variations_by(partial(walk, family), seed, strength, count, label)


def interpolate_by(walker: Walk, seed_a: int, seed_b: int, steps: int, label: int | None) -> np.ndarray:
    """As `interpolate`, by any `walk(starts, ends, at, labels)`."""
    if steps < 2:
        raise ValueError(f"expected 2 steps or more, the two images themselves, came {steps}")
    starts, ends = np.full(steps, seed_a), np.full(steps, seed_b)
    return walker(starts, ends, np.linspace(0.0, 1.0, steps), np.full(steps, label or 0, np.int32))


def variations_by(walker: Walk, seed: int, strength: float, count: int, label: int | None) -> np.ndarray:
    """As `variations`, by any `walk(starts, ends, at, labels)`."""
    if not 0 <= strength <= 1:
        raise ValueError(f"expected a strength from 0 to 1, came {strength}")
    ends = np.random.default_rng(seed).integers(2**31, 2**62, count)  # not seeds that people choose
    return walker(np.full(count, seed), ends, np.full(count, strength), np.full(count, label or 0, np.int32))


def labels_for(spec: ImageSpec, seeds: np.ndarray, labels: Sequence[int] | np.ndarray | None) -> np.ndarray:
    """(n,) int32 labels, in turn where none are given or the model knows none."""
    if labels is None or spec.classes == 0:
        labels = np.arange(len(seeds)) % max(spec.classes, 1)
    labels = np.asarray(labels, np.int32)
    check(spec, seeds, labels)
    return labels


def render(family: Family, make_latents: Callable[[slice], np.ndarray], labels: np.ndarray) -> np.ndarray:
    """An image for each label, from the latents of each part of the rows."""
    size, channels = family.spec.size, family.spec.channels
    images = np.empty((len(labels), size, size, channels), np.uint8)
    for start in range(0, len(labels), DRAW_BATCH):
        part = slice(start, start + DRAW_BATCH)
        count = len(labels[part])
        inputs = example(family, DRAW_BATCH)  # zeros fill up the last batch
        inputs["latents"][:count] = make_latents(part)
        inputs["label"][:count] = labels[part]
        images[part] = to_pixels(np.asarray(family.predict_on_batch(inputs)))[:count]
    return images


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
    from safetensors.numpy import save_file

    (folder / DESCRIPTION).write_text(describe_new(family, name, classes).as_text(), encoding="utf-8")
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
        external = stored.get("external")
        if external is not None and not (isinstance(external, dict) and isinstance(external.get("manifest"), dict)):
            raise ValueError(f"{path}: `external` holds no manifest")
        return Description(**{**stored, "spec": ImageSpec(**stored["spec"])})
    except (OSError, json.JSONDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{path}: not a description of a model ({error!r})") from None


def own_files(folder: Path) -> list[Path]:
    """The files of a model, in order: all in its folder and below, but for bytecode, which Python leaves where it imports."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")


def load(folder: Path, family_class: type[Family]) -> Family:
    """The model that `save` wrote, ready to generate.

    Raises:
        ValueError: the files are no such model's: something is missing, too much, of another shape, or not finite.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

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
    """The reason why `weights` cannot be the values of `variables`; empty where they can."""
    for title, names in (("missing", variables.keys() - weights.keys()), ("unknown", weights.keys() - variables.keys())):
        if names:
            return f"{title}: {', '.join(sorted(names)[:3])}"
    for key, variable in variables.items():
        came, expected = weights[key], (tuple(variable.shape), keras.backend.standardize_dtype(variable.dtype))
        if (came.shape, came.dtype.name) != expected:
            return f"{key}: expected {expected}, came {(came.shape, came.dtype.name)}"
        if not np.isfinite(came).all():
            return f"{key}: not finite"
    return ""
