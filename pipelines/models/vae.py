"""vae: a convolutional variational autoencoder, class-conditional where there are classes.

The decoder's standard deviation is learned beside the images (Rybkin, Daniilidis & Levine 2021, 2006.13202, section 3.1): it
weighs the pixels' error against the latents' cost, which keeps images sharp, and leaves no weight to be tuned. Where the preset
says `flow`, a second stage learns how the encoder's latents really lie (Dai & Wipf 2019, 1903.05789, section 4), here as a
rectified flow (flow.py), and what is drawn is decoded from those instead of from plain noise.
"""

from __future__ import annotations

import math
from typing import Any

import keras
from keras import layers, ops

from . import augment, flow
from .base import Family, ImageSpec, Normal, class_vector, to_float, warmed_up

# latent: numbers that an image is told by. width: channels at half the resolution, doubled with each halving up to `widest`.
# dense: units of the dense layers. depth: residual blocks a level. flow: units of the second stage; 0 for none.
# steps: of the second stage, to draw an image. `tiny` is for tests, `small` for two cores, `base` for a GPU.
PRESETS = {
    "tiny": {"latent": 8, "width": 8, "widest": 32, "dense": 64, "depth": 0, "flow": 32, "steps": 8, "learning_rate": 2e-3},
    "small": {"latent": 32, "width": 32, "widest": 96, "dense": 256, "depth": 1, "flow": 512, "steps": 32,
              "learning_rate": 1e-3},
    "base": {"latent": 128, "width": 64, "widest": 512, "dense": 512, "depth": 2, "flow": 2048, "steps": 32,
             "learning_rate": 5e-4},
}  # fmt: skip
SIZE = {"multiple_of": 4, "least": 8, "most": 256}
AUGMENT = ["fixed"]  # ways of train.augment that it knows

BLOCKS = 3  # of the second stage
LEAST_DEVIATION = math.log(1 / 255)  # of a pixel: half a grey in -1..1, which no rounded image tells more of


class Vae(Family):
    loss_names = ("pixel_error", "latent_nats", "flow_loss")

    def __init__(self, spec: ImageSpec, preset: dict[str, Any]) -> None:
        super().__init__(spec, preset)
        self.encoder = encoder(spec, preset)
        self.decoder = decoder(spec, preset)
        self.second = second(spec, preset) if preset["flow"] else None
        self.deviation = keras.Variable(0.0, name="log_deviation")

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return (self.preset["latent"],)

    @property
    def noise_shapes(self) -> dict[str, tuple[int, ...]]:
        flow_noise = {"time": (), "flow": self.latent_shape} if self.second else {}
        return {"change": (augment.NUMBERS,), **flow_noise}

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        noise, label = inputs["latents"], inputs["label"]
        if training:
            return self.told_again(to_float(inputs["image"]), noise, label, inputs)
        latents = noise
        if self.second is not None:
            second = self.second
            latents = flow.followed(
                lambda z, at: second([z, ops.broadcast_to(at, ops.shape(label)), label]), noise, self.preset["steps"]
            )
        return self.decoder([latents, label, ops.zeros((ops.shape(label)[0], augment.TOLD))])

    def told_again(self, images: Any, noise: Any, label: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        """What the loss is made of, an image each: squared error summed over pixels, nats of the latents, error of the flow."""
        images, told = self.changed(images, inputs["change"])
        mean, spread = ops.split(self.encoder([images, label, told], training=True), 2, axis=1)
        spread = ops.clip(spread, -8.0, 4.0)  # logarithm of the variance
        latents = mean + ops.exp(spread / 2) * noise
        error = ops.sum(ops.square(self.decoder([latents, label, told], training=True) - images), axis=(1, 2, 3))
        # Kullback-Leibler divergence from the standard normal (Kingma & Welling 2014, 1312.6114, appendix B).
        nats = ops.sum(ops.square(mean) + ops.exp(spread) - 1.0 - spread, axis=1) / 2
        found = {"error": error, "nats": nats}
        if self.second is not None:
            latents, at = ops.stop_gradient(latents), flow.times(inputs["time"])
            said = self.second([flow.mixed(latents, inputs["flow"], at), at, label], training=True)
            found["flow"] = ops.mean(ops.square(said - (inputs["flow"] - latents)), axis=1)
        return found

    def objective(self, inputs: dict[str, Any], outputs: Any) -> Any:
        """Of a pixel: what the image costs to tell, in nats (2006.13202, eq. 4), and the flow's error beside it."""
        pixels = math.prod(self.spec.shape)
        error, nats = ops.mean(outputs["error"]) / pixels, ops.mean(outputs["nats"])
        deviation = ops.maximum(self.deviation, LEAST_DEVIATION)
        loss = deviation + error / (2 * ops.exp(2 * deviation)) + nats / pixels
        flow_loss = ops.mean(outputs["flow"]) if "flow" in outputs else 0.0
        self.watch(pixel_error=error, latent_nats=nats, flow_loss=flow_loss)
        return loss + flow_loss

    def optimizer_for(self, steps: int, first: int = 0) -> keras.optimizers.Optimizer:
        return warmed_up(self.preset["learning_rate"], steps, first)


def sides(size: int) -> list[int]:
    """From half the size to the coarsest, 4 to 7 pixels a side; each is half of the one before, rounded up."""
    found = [-(-size // 2)]
    while found[-1] > 7:
        found.append(-(-found[-1] // 2))
    return found


def widths(size: int, preset: dict[str, Any]) -> list[int]:
    return [min(preset["width"] * 2**level, preset["widest"]) for level in range(len(sides(size)))]


def encoder(spec: ImageSpec, preset: dict[str, Any]) -> keras.Model:
    """Images (batch, size, size, channels), label (batch,), changes (batch, TOLD) -> the latents' mean and logarithm of
    variance, (batch, 2 latent) float32."""
    image = keras.Input(spec.shape)
    label = keras.Input((), dtype="int32")
    told = keras.Input((augment.TOLD,))
    hidden = image
    for side, width in zip(sides(spec.size), widths(spec.size, preset), strict=True):
        hidden = layers.Conv2D(width, 4, strides=2, padding="same", activation="silu", name=f"down_{side}")(hidden)
        hidden = blocks(hidden, preset["depth"], f"down_{side}")
    hidden = joined(layers.Flatten(name="flatten")(hidden), label, told, spec, preset)
    hidden = layers.Dense(preset["dense"], activation="silu", name="features")(hidden)
    return keras.Model(
        [image, label, told], layers.Dense(2 * preset["latent"], dtype="float32", name="latents")(hidden), name="encoder"
    )


def decoder(spec: ImageSpec, preset: dict[str, Any]) -> keras.Model:
    """Latents (batch, latent), label (batch,), changes (batch, TOLD) -> images (batch, size, size, channels) float32."""
    latents = keras.Input((preset["latent"],))
    label = keras.Input((), dtype="int32")
    told = keras.Input((augment.TOLD,))
    places, channels = sides(spec.size), widths(spec.size, preset)
    hidden = joined(latents, label, told, spec, preset)
    hidden = layers.Dense(preset["dense"], activation="silu", name="features")(hidden)
    hidden = layers.Dense(places[-1] ** 2 * channels[-1], activation="silu", name="coarse")(hidden)
    hidden = layers.Reshape((places[-1], places[-1], channels[-1]), name="map")(hidden)
    for number in reversed(range(len(places))):
        side, width = places[number], channels[number]
        hidden = blocks(hidden, preset["depth"], f"up_{side}")
        target = places[number - 1] if number else spec.size
        next_width = channels[number - 1] if number else width
        hidden = layers.Conv2DTranspose(next_width, 4, strides=2, padding="same", activation="silu", name=f"up_{target}")(
            hidden
        )
        if 2 * side > target:  # the coarser side was rounded up
            hidden = layers.Cropping2D(((0, 1), (0, 1)), name=f"crop_{target}")(hidden)
    pixels = layers.Conv2D(spec.channels, 3, padding="same", activation="tanh", dtype="float32", name="pixels")(hidden)
    return keras.Model([latents, label, told], pixels, name="decoder")


def second(spec: ImageSpec, preset: dict[str, Any]) -> keras.Model:
    """z_t (batch, latent), time (batch,), label (batch,) -> velocity (batch, latent) float32."""
    units = preset["flow"]
    latents = keras.Input((preset["latent"],))
    at = keras.Input(())
    label = keras.Input((), dtype="int32")
    waves = layers.Lambda(flow.waves, arguments={"count": 64}, dtype="float32", name="waves")(at)
    parts = [layers.Dense(units, name="place")(latents), layers.Dense(units, name="time")(waves)]
    if spec.classes:
        parts.append(class_vector(label, spec.classes, units))
    hidden = layers.Add(name="start")(parts)
    for number in range(BLOCKS):
        inside = layers.LayerNormalization(name=f"normal_{number}")(hidden)
        inside = layers.Dense(units, activation="silu", name=f"inner_{number}")(inside)
        inside = layers.Dense(units, kernel_initializer="zeros", name=f"outer_{number}")(inside)
        hidden = layers.Add(name=f"sum_{number}")([hidden, inside])
    hidden = layers.Activation("silu", name="active")(layers.LayerNormalization(name="normal")(hidden))
    velocity = layers.Dense(preset["latent"], kernel_initializer="zeros", dtype="float32", name="velocity")(hidden)
    return keras.Model([latents, at, label], velocity, name="second")


def joined(hidden: Any, label: Any, told: Any, spec: ImageSpec, preset: dict[str, Any]) -> Any:
    parts = [hidden, told]
    if spec.classes:
        parts.append(class_vector(label, spec.classes, preset["dense"] // 4))
    return layers.Concatenate(name="joined")(parts)


def blocks(hidden: Any, depth: int, name: str) -> Any:
    """`depth` times hidden + convolution(convolution(hidden)); each starts as no change at all."""
    for number in range(depth):
        inside = Normal(name=f"{name}_normal_{number}")(hidden)
        inside = layers.Conv2D(hidden.shape[-1], 3, padding="same", activation="silu", name=f"{name}_inner_{number}")(inside)
        inside = layers.Conv2D(hidden.shape[-1], 3, padding="same", kernel_initializer="zeros", name=f"{name}_outer_{number}")(
            inside
        )
        hidden = layers.Add(name=f"{name}_sum_{number}")([hidden, inside])
    return hidden
