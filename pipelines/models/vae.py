"""vae: a convolutional variational autoencoder, class-conditional where there are classes.

The decoder's standard deviation is learned beside the images (Rybkin, Daniilidis & Levine 2021, 2006.13202, section 3.1): it
weighs the pixels' error against the latents' cost, which keeps images sharp, and leaves no weight to be tuned. Where the preset
says `flow`, a second stage learns how the encoder's latents really lie (Dai & Wipf 2019, 1903.05789, section 4), here as a
rectified flow (flow.py), and generated images are decoded from those instead of from plain noise.
"""

from __future__ import annotations

import math
from typing import Any

from . import augment, flow
from .base import Family, ImageSpec, Sizes, to_float
from .lazy import components, keras, layers, ops

# latent: numbers that an image is encoded in. width: channels at half the resolution, doubled with each halving up to `widest`.
# dense: units of the dense layers. depth: residual blocks a level. flow: units of the second stage; 0 for none.
# steps: of the second stage, for an image. `tiny` is for tests, `small` for two cores, `base` for a GPU.
PRESETS = {
    "tiny": {"latent": 8, "width": 8, "widest": 32, "dense": 64, "depth": 0, "flow": 32, "steps": 8, "learning_rate": 2e-3},
    "small": {"latent": 32, "width": 32, "widest": 96, "dense": 256, "depth": 1, "flow": 512, "steps": 32,
              "learning_rate": 1e-3},
    "base": {"latent": 128, "width": 64, "widest": 512, "dense": 512, "depth": 2, "flow": 2048, "steps": 32,
             "learning_rate": 5e-4},
}  # fmt: skip

BLOCKS = 3  # of the second stage
LEAST_DEVIATION = math.log(1 / 255)  # of a pixel: half a grey in -1..1, the most that a rounded image resolves


class Vae(Family):
    presets = PRESETS
    sizes = Sizes(8, 256, multiple_of=4)
    augmentations = ("fixed",)
    loss_names = ("pixel_error", "latent_nats", "flow_loss")

    def __init__(self, spec: ImageSpec, preset: dict[str, Any]) -> None:
        super().__init__(spec, preset)
        self.encoder = encoder(spec, preset)
        self.decoder = decoder(spec, preset)
        self.latent_flow = latent_flow(spec, preset) if preset["flow"] else None
        self.deviation = keras.Variable(0.0, name="log_deviation")

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return (self.preset["latent"],)

    @property
    def noise_shapes(self) -> dict[str, tuple[int, ...]]:
        flow_noise = {"time": (), "flow": self.latent_shape} if self.latent_flow else {}
        return {"change": (augment.NUMBERS,), **flow_noise}

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        noise, label = inputs["latents"], inputs["label"]
        if training:
            return self.reconstruct(to_float(inputs["image"]), noise, label, inputs)
        latents = noise
        if self.latent_flow is not None:
            latent_flow = self.latent_flow
            latents = flow.integrate(
                lambda z, at: latent_flow([z, ops.broadcast_to(at, ops.shape(label)), label]), noise, self.preset["steps"]
            )
        return self.decoder([latents, label, augment.no_changes(label)])

    def reconstruct(self, images: Any, noise: Any, label: Any, inputs: dict[str, Any]) -> dict[str, Any]:
        """What the loss is made of, an image each: squared error summed over pixels, nats of the latents, error of the flow."""
        images, changes = self.augment(images, inputs["change"])
        mean, spread = ops.split(self.encoder([images, label, changes], training=True), 2, axis=1)
        spread = ops.clip(spread, -8.0, 4.0)  # logarithm of the variance
        latents = mean + ops.exp(spread / 2) * noise
        error = ops.sum(ops.square(self.decoder([latents, label, changes], training=True) - images), axis=(1, 2, 3))
        # Kullback-Leibler divergence from the standard normal (Kingma & Welling 2014, 1312.6114, appendix B).
        nats = ops.sum(ops.square(mean) + ops.exp(spread) - 1.0 - spread, axis=1) / 2
        found = {"error": error, "nats": nats}
        if self.latent_flow is not None:
            latents, at = ops.stop_gradient(latents), flow.times(inputs["time"])
            predicted = self.latent_flow([flow.interpolate(latents, inputs["flow"], at), at, label], training=True)
            found["flow"] = ops.mean(ops.square(predicted - (inputs["flow"] - latents)), axis=1)
        return found

    def objective(self, inputs: dict[str, Any], outputs: Any) -> Any:
        """Nats that a pixel costs to encode (2006.13202, eq. 4), and the flow's error beside it."""
        pixels = math.prod(self.spec.shape)
        error, nats = ops.mean(outputs["error"]) / pixels, ops.mean(outputs["nats"])
        deviation = ops.maximum(self.deviation, LEAST_DEVIATION)
        loss = deviation + error / (2 * ops.exp(2 * deviation)) + nats / pixels
        flow_loss = ops.mean(outputs["flow"]) if "flow" in outputs else 0.0
        self.watch(pixel_error=error, latent_nats=nats, flow_loss=flow_loss)
        return loss + flow_loss

    def optimizer_for(self, steps: int, first: int = 0) -> keras.optimizers.Optimizer:
        return components.warmup_adam(self.preset["learning_rate"], steps, first)


def encoder(spec: ImageSpec, preset: dict[str, Any]) -> keras.Model:
    """Images (batch, size, size, channels), label (batch,), changes (batch, CHANGES) -> the latents' mean and logarithm of
    variance, (batch, 2 latent) float32."""
    image = keras.Input(spec.shape)
    label = keras.Input((), dtype="int32")
    changes = keras.Input((augment.CHANGES,))
    hidden = image
    for side, width in components.maps(spec.size, preset):
        hidden = layers.Conv2D(width, 4, strides=2, padding="same", activation="silu", name=f"down_{side}")(hidden)
        hidden = blocks(hidden, preset["depth"], f"down_{side}")
    hidden = join(layers.Flatten(name="flatten")(hidden), label, changes, spec, preset)
    hidden = layers.Dense(preset["dense"], activation="silu", name="features")(hidden)
    latents = layers.Dense(2 * preset["latent"], dtype="float32", name="latents")(hidden)
    return keras.Model([image, label, changes], latents, name="encoder")


def decoder(spec: ImageSpec, preset: dict[str, Any]) -> keras.Model:
    """Latents (batch, latent), label (batch,), changes (batch, CHANGES) -> images (batch, size, size, channels) float32."""
    latents = keras.Input((preset["latent"],))
    label = keras.Input((), dtype="int32")
    changes = keras.Input((augment.CHANGES,))
    maps = components.maps(spec.size, preset)
    side, width = maps[-1]
    hidden = join(latents, label, changes, spec, preset)
    hidden = layers.Dense(preset["dense"], activation="silu", name="features")(hidden)
    hidden = layers.Dense(side**2 * width, activation="silu", name="coarse")(hidden)
    hidden = layers.Reshape((side, side, width), name="map")(hidden)
    for target, width in [*reversed(maps[:-1]), (spec.size, maps[0][1])]:
        hidden = blocks(hidden, preset["depth"], f"up_{side}")
        up = layers.Conv2DTranspose(width, 4, strides=2, padding="same", activation="silu", name=f"up_{target}")
        hidden = up(hidden)
        if 2 * side > target:  # the coarser side was rounded up
            hidden = layers.Cropping2D(((0, 1), (0, 1)), name=f"crop_{target}")(hidden)
        side = target
    pixels = layers.Conv2D(spec.channels, 3, padding="same", activation="tanh", dtype="float32", name="pixels")(hidden)
    return keras.Model([latents, label, changes], pixels, name="decoder")


def latent_flow(spec: ImageSpec, preset: dict[str, Any]) -> keras.Model:
    """z_t (batch, latent), time (batch,), label (batch,) -> velocity (batch, latent) float32."""
    units = preset["flow"]
    latents = keras.Input((preset["latent"],))
    at = keras.Input(())
    label = keras.Input((), dtype="int32")
    waves = layers.Lambda(flow.time_features, arguments={"count": 64}, dtype="float32", name="waves")(at)
    parts = [layers.Dense(units, name="place")(latents), layers.Dense(units, name="time")(waves)]
    if spec.classes:
        parts.append(components.class_vector(label, spec.classes, units))
    hidden = layers.Add(name="start")(parts)
    for number in range(BLOCKS):
        inside = layers.LayerNormalization(name=f"normal_{number}")(hidden)
        inside = layers.Dense(units, activation="silu", name=f"inner_{number}")(inside)
        inside = layers.Dense(units, kernel_initializer="zeros", name=f"outer_{number}")(inside)
        hidden = layers.Add(name=f"sum_{number}")([hidden, inside])
    hidden = layers.Activation("silu", name="active")(layers.LayerNormalization(name="normal")(hidden))
    velocity = layers.Dense(preset["latent"], kernel_initializer="zeros", dtype="float32", name="velocity")(hidden)
    return keras.Model([latents, at, label], velocity, name="second")


def join(hidden: Any, label: Any, changes: Any, spec: ImageSpec, preset: dict[str, Any]) -> Any:
    parts = [hidden, changes]
    if spec.classes:
        parts.append(components.class_vector(label, spec.classes, preset["dense"] // 4))
    return layers.Concatenate(name="joined")(parts)


def blocks(hidden: Any, depth: int, name: str) -> Any:
    """`depth` times hidden + convolution(convolution(hidden)); each starts as no change at all."""
    width = hidden.shape[-1]
    for number in range(depth):
        inside = components.GroupNorm(name=f"{name}_normal_{number}")(hidden)
        inside = layers.Conv2D(width, 3, padding="same", activation="silu", name=f"{name}_inner_{number}")(inside)
        inside = layers.Conv2D(width, 3, padding="same", kernel_initializer="zeros", name=f"{name}_outer_{number}")(inside)
        hidden = layers.Add(name=f"{name}_sum_{number}")([hidden, inside])
    return hidden
