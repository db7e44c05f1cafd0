"""Components that families share: layers, the optimizer, and what goes with them. Families load this file lazily (lazy.py)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

# The share of the learning rate for a training that goes on from another one. The whole of it would first unlearn: 400 further
# steps of `gan` on the same rows of MNIST nearly doubled FID.
WARM_START_RATE = 0.3


class Adam(keras.optimizers.Adam):
    """Adam that remembers how long the last gradient was, over all weights, for people to watch."""

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.gradient_norm = self.add_variable((), name="gradient_norm", aggregation="mean")

    def apply(self, grads: Any, trainable_variables: Any = None) -> None:
        parts = [ops.sum(ops.square(ops.cast(grad, "float32"))) for grad in grads if grad is not None]
        self.gradient_norm.assign(ops.sqrt(sum(parts)))
        super().apply(grads, trainable_variables)


class ShiftedSchedule(keras.optimizers.schedules.LearningRateSchedule):
    """`schedule` as if its first step were the step `first`: a training that goes on from another one counts on."""

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, first: int) -> None:
        self.schedule, self.first = schedule, first

    def __call__(self, step: Any) -> Any:
        return self.schedule(step - self.first)

    def get_config(self) -> dict[str, Any]:
        return {"schedule": self.schedule, "first": self.first}


def warmup_adam(learning_rate: float, steps: int, first: int) -> Adam:
    """An optimizer for likelihoods and flows. Its rate rises over the first twentieth of the steps, then falls along a cosine
    to as much.

    first: as of `Family.optimizer_for`; a training that goes on from another one has lower rates throughout.
    """
    highest = learning_rate * (WARM_START_RATE if first else 1.0)
    rising = max(1, round(steps / 20))
    rate = keras.optimizers.schedules.CosineDecay(
        highest / rising, max(1, steps - rising), alpha=1 / 20, warmup_target=highest, warmup_steps=rising
    )
    return Adam(ShiftedSchedule(rate, first), beta_2=0.99, use_ema=True, ema_momentum=ema_momentum(first + steps))


def class_vector(label: Any, classes: int, units: int, name: str = "class", initializer: Any = "uniform") -> Any:
    """(batch, units): a learned vector for each of the `classes`, chosen by `label` (batch,).

    A product, and no layer `Embedding`: the gradient of that one comes in pieces under TensorFlow, one for each image, and
    Keras' optimizers take a step for each piece instead of one for their sum.
    """
    dense = keras.layers.Dense(units, use_bias=False, kernel_initializer=initializer, name=name)
    return dense(ops.one_hot(label, classes))


def maps(size: int, preset: dict[str, Any]) -> list[tuple[int, int]]:
    """(side, channels) of the maps below an image: from half its side, rounded up, each half of the one before, to 4 to 7
    pixels; `width` channels at first, doubled with each halving up to `widest`."""
    found = [(-(-size // 2), min(preset["width"], preset["widest"]))]
    while found[-1][0] > 7:
        found.append((-(-found[-1][0] // 2), min(preset["width"] * 2 ** len(found), preset["widest"])))
    return found


class GroupNorm(keras.layers.Layer):
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
        each = self.channels // self.groups
        grouped = ops.mean(ops.reshape(means, (-1, self.groups, each)), axis=2)
        return ops.repeat(grouped, each, axis=1)


class Upsample(keras.layers.Layer):
    """Twice the side: a 3x3 convolution of the map with each place repeated, as the one transposed convolution that it is.

    That takes 4/9 of the multiplications, and no larger map of `filters` before the convolution.
    """

    # Along one side, place m lands on 2m - 1 to 2m + 2 with these sums of the three weights.
    SUMS = ((0.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0), (1.0, 0.0, 0.0))

    def __init__(self, filters: int, kernel_initializer: str = "glorot_uniform", **settings: Any) -> None:
        super().__init__(**settings)
        self.filters = filters
        self.kernel_initializer = kernel_initializer

    def build(self, shape: tuple[int | None, ...]) -> None:
        self.kernel = self.add_weight((3, 3, shape[-1], self.filters), initializer=self.kernel_initializer, name="kernel")
        self.bias = self.add_weight((self.filters,), initializer="zeros", name="bias")

    def call(self, hidden: Any) -> Any:
        """(batch, side, side, channels) -> (batch, 2 side, 2 side, filters)."""
        sums = ops.cast(self.SUMS, self.kernel.dtype)
        kernel = ops.einsum("ah,bw,hwio->aboi", sums, sums, self.kernel)
        return ops.conv_transpose(hidden, kernel, strides=2, padding="same") + ops.cast(self.bias, hidden.dtype)


@ops.custom_gradient
def silu(hidden: Any) -> Any:
    """hidden * sigmoid(hidden) (Elfwing et al. 2017, 1702.03118, eq. 9).

    Keras' own has TensorFlow compute the sigmoid once more for the gradient, to save memory.
    """
    gate = ops.sigmoid(hidden)
    active = hidden * gate

    def gradient(*gradients: Any, upstream: Any = None) -> Any:
        return (gradients[0] if upstream is None else upstream) * (gate + active * (1.0 - gate))

    return active, gradient


@ops.custom_gradient
def sums(hidden: Any) -> Any:
    """(batch, side, side, channels) -> (batch, 2, channels): each channel's sum and sum of squares.

    Its gradient is one multiplication and one addition of maps, where TensorFlow's own makes maps of both sums first.
    """

    def gradient(*gradients: Any, upstream: Any = None) -> Any:
        plain, squared = ops.split(gradients[0] if upstream is None else upstream, 2, axis=1)
        return hidden * (2.0 * squared[:, None]) + plain[:, None]

    return ops.stack([ops.sum(hidden, axis=(1, 2)), ops.sum(ops.square(hidden), axis=(1, 2))], axis=1), gradient


def weights_of(network: keras.Model) -> list[Any]:
    """Tensors of its trainable weights as they are now, for `functional_call`."""
    return [ops.copy(variable.value) for variable in network.trainable_variables]


def functional_call(network: keras.Model, weights: Sequence[Any], inputs: Any, frozen: bool = False) -> Any:
    """`network(inputs)` with these tensors for its trainable weights, which no gradient reaches where `frozen`.

    All calls in a step are to share one `weights_of(network)`: where only other weights' gradients need a further look at a
    weight, TensorFlow 2.21 forgets that it comes before the weight's update (Grappler's dependency optimizer, by way of Keras'
    IdentityN), and the same seed then trains to other weights now and then.
    """
    if frozen:
        weights = [ops.stop_gradient(weight) for weight in weights]
    state = [variable.value for variable in network.non_trainable_variables]
    outputs, _ = network.stateless_call(weights, state, inputs)
    return outputs


def ema_momentum(steps: int) -> float:
    """Momentum of the weights' moving average: its memory is a twentieth of all training so far, 2,000 steps at the most.

    A fixed 0.999 would leave a third of a short run's average to weights of its first minutes.
    """
    return 1.0 - 1.0 / min(max(steps / 20.0, 2.0), 2000.0)
