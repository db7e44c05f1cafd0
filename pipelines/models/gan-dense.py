"""gan-dense: the small dense GAN that every other family must beat. It knows no classes.

Generator 256-128-64-pixels with a sigmoid at its end, discriminator 128-64 with dropout 0.3, binary cross-entropy with
the generator's non-saturating loss (Goodfellow et al. 2014, 1406.2661, section 3), Adam 2e-4.
"""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

from .base import Family, ImageSpec, Sizes, to_float
from .lazy import components, keras, layers, ops

PRESETS = {
    "small": {"latent": 100, "generator": [256, 128, 64], "discriminator": [128, 64], "dropout": 0.3, "learning_rate": 2e-4},
}


class GanDense(Family):
    presets = PRESETS
    sizes = Sizes(4, 256)
    conditional = False
    loss_names = ("discriminator_loss", "generator_loss")

    def __init__(self, spec: ImageSpec, preset: dict[str, Any]) -> None:
        super().__init__(spec, preset)
        self.generator = generator(spec, preset)
        self.discriminator = discriminator(spec, preset)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return (self.preset["latent"],)

    @property
    def noise_shapes(self) -> dict[str, tuple[int, ...]]:
        return dict.fromkeys(("real_dropout", "fake_dropout", "dropout"), (sum(self.preset["discriminator"]),))

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        return self.generator(inputs["latents"])

    def objective(self, inputs: dict[str, Any], outputs: Any) -> Any:
        """Both players' losses in one sum: neither reaches the other's weights."""
        network, weights = self.discriminator, components.weights_of(self.discriminator)
        real_logits = components.functional_call(network, weights, [to_float(inputs["image"]), inputs["real_dropout"]])
        fake_logits = components.functional_call(network, weights, [ops.stop_gradient(outputs), inputs["fake_dropout"]])
        discriminator_loss = ops.mean(ops.softplus(-real_logits)) + ops.mean(ops.softplus(fake_logits))

        logits = components.functional_call(network, weights, [outputs, inputs["dropout"]], frozen=True)
        generator_loss = ops.mean(ops.softplus(-logits))

        self.watch(discriminator_loss=discriminator_loss, generator_loss=generator_loss)
        return discriminator_loss + generator_loss

    def optimizer_for(self, steps: int, first: int = 0) -> keras.optimizers.Optimizer:
        return components.Adam(self.preset["learning_rate"], use_ema=True, ema_momentum=components.ema_momentum(first + steps))


def generator(spec: ImageSpec, preset: dict[str, Any]) -> keras.Model:
    """Latents (batch, latent) -> images (batch, size, size, channels), -1..1."""
    shape = (spec.size, spec.size, spec.channels)
    latents = keras.Input((preset["latent"],))
    hidden = latents
    for number, units in enumerate(preset["generator"]):
        hidden = layers.Dense(units, activation="relu", name=f"dense_{number}")(hidden)
    pixels = layers.Dense(spec.size * spec.size * spec.channels, activation="sigmoid", dtype="float32", name="pixels")(hidden)
    image = layers.Reshape(shape, dtype="float32", name="image")(pixels)
    image = layers.Rescaling(2.0, -1.0, dtype="float32", name="range")(image)
    return keras.Model(latents, image, name="generator")


def discriminator(spec: ImageSpec, preset: dict[str, Any]) -> keras.Model:
    """Images (batch, size, size, channels), -1..1, and a standard normal number for each hidden unit, by which it is dropped
    -> logits (batch, 1), high where they look real."""
    image = keras.Input((spec.size, spec.size, spec.channels))
    numbers = keras.Input((sum(preset["discriminator"]),))
    rate = preset["dropout"]
    kept = ops.cast(numbers > NormalDist().inv_cdf(rate), "float32") / (1.0 - rate)
    hidden, first = layers.Flatten(name="flatten")(image), 0
    for number, units in enumerate(preset["discriminator"]):
        hidden = layers.Dense(units, name=f"dense_{number}")(hidden)
        hidden = layers.LeakyReLU(0.2, name=f"leaky_{number}")(hidden) * kept[:, first : first + units]
        first += units
    return keras.Model([image, numbers], layers.Dense(1, dtype="float32", name="logit")(hidden), name="discriminator")
