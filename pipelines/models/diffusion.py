"""diffusion: a small U-Net that turns noise into an image along a rectified flow, class-conditional where there are classes.

Training asks for the flow's velocity (flow.py), and an image comes from following it in few steps. With `guidance` above 1
images are more clearly of the class asked for, with less variety: the velocity is moved away from that without a class, which
the network learns from images whose class is withheld from it (Ho & Salimans 2022, 2207.12598, eq. 6).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from . import augment, flow
from .base import Family, ImageSpec, Sizes, to_float
from .lazy import components, keras, layers, ops

# patch: pixels a side that the network takes as one place. width: channels at the finest resolution, doubled with each halving
# up to `widest`. depth: residual blocks a level. attention: side of the largest map whose places attend to each other.
# steps: calls of the network for an image. dropout, learning_rate: of training.
# `tiny` is for tests, `small` for two cores, `base` for a GPU.
PRESETS = {
    "tiny": {"patch": 2, "width": 16, "widest": 32, "depth": 1, "attention": 4, "dropout": 0.0, "steps": 8, "guidance": 1.0,
             "learning_rate": 2e-3},
    "small": {"patch": 2, "width": 64, "widest": 96, "depth": 1, "attention": 0, "dropout": 0.0, "steps": 24, "guidance": 1.0,
              "learning_rate": 2e-3},
    "base": {"patch": 1, "width": 128, "widest": 256, "depth": 2, "attention": 16, "dropout": 0.1, "steps": 32, "guidance": 1.0,
             "learning_rate": 5e-4},
}  # fmt: skip

LEAST_SIDE = 8  # no map of fewer places a side is halved
HEAD = 64  # channels of one head of attention, at the most
# Standard normal numbers below this are a tenth of all: the share of training images whose class is withheld.
UNNAMED_BELOW = -1.2815516


class Diffusion(Family):
    presets = PRESETS
    sizes = Sizes(8, 256, multiple_of=4)
    augmentations = ("fixed",)
    loss_names = ("flow_loss",)

    def __init__(self, spec: ImageSpec, preset: dict[str, Any]) -> None:
        super().__init__(spec, preset)
        self.network = network(spec, preset)

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return (self.spec.size, self.spec.size, self.spec.channels)

    @property
    def noise_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"time": (), "unnamed": (), "change": (augment.NUMBERS,)}

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        noise, label = inputs["latents"], inputs["label"]
        if training:
            return self.errors(to_float(inputs["image"]), noise, label, inputs)
        changes = augment.no_changes(label)
        return flow.integrate(lambda x, at: self.guided_velocity(x, at, label, changes), noise, self.preset["steps"])

    def errors(self, images: Any, noise: Any, label: Any, inputs: dict[str, Any]) -> Any:
        """(batch, size, size, channels): the velocity that the network predicts, less the true one."""
        images, changes = self.augment(images, inputs["change"])
        if self.spec.classes:
            label = ops.where(inputs["unnamed"] < UNNAMED_BELOW, self.spec.classes, label)
        at = flow.times(inputs["time"])
        return self.network([flow.interpolate(images, noise, at), at, label, changes], training=True) - (noise - images)

    def guided_velocity(self, x: Any, at: Any, label: Any, changes: Any) -> Any:
        at = ops.broadcast_to(at, ops.shape(label))
        velocity = self.network([x, at, label, changes])
        guidance = self.preset["guidance"]
        if guidance == 1.0 or not self.spec.classes:
            return velocity
        plain = self.network([x, at, ops.full_like(label, self.spec.classes), changes])
        return plain + guidance * (velocity - plain)

    def objective(self, inputs: dict[str, Any], outputs: Any) -> Any:
        loss = ops.mean(ops.square(outputs))
        self.watch(flow_loss=loss)
        return loss

    def optimizer_for(self, steps: int, first: int = 0) -> keras.optimizers.Optimizer:
        return components.warmup_adam(self.preset["learning_rate"], steps, first)


def network(spec: ImageSpec, preset: dict[str, Any]) -> keras.Model:
    """x_t (batch, size, size, channels), time (batch,), label (batch,) with `classes` for none, and the changes
    (batch, augment.CHANGES) -> velocity (batch, size, size, channels) float32."""
    patch, depth = preset["patch"], preset["depth"]
    noisy = keras.Input((spec.size, spec.size, spec.channels))
    at = keras.Input(())
    label = keras.Input((), dtype="int32")
    changes = keras.Input((augment.CHANGES,))
    style = condition(at, label, changes, spec, preset)

    widths, sides = zip(*levels(spec.size // patch, preset), strict=True)
    hidden = layers.Conv2D(widths[0], max(3, patch), strides=patch, padding="same", name="in")(noisy)
    skips = [hidden]
    for number, (width, side) in enumerate(zip(widths, sides, strict=True)):
        if number:
            hidden = layers.Conv2D(width, 3, strides=2, padding="same", name=f"down_{side}")(hidden)
            skips.append(hidden)
        for block in range(depth):
            hidden = residual(hidden, style, width, preset, f"down_{side}_{block}")
            skips.append(hidden)
    hidden = residual(hidden, style, widths[-1], preset, "middle_0")
    hidden = residual(hidden, style, widths[-1], preset, "middle_1")
    for number, (width, side) in reversed(list(enumerate(zip(widths, sides, strict=True)))):
        for block in range(depth + 1):
            hidden = layers.Concatenate(name=f"join_{side}_{block}")([hidden, skips.pop()])
            hidden = residual(hidden, style, width, preset, f"up_{side}_{block}")
        if number:
            hidden = components.Upsample(widths[number - 1], name=f"up_{side}")(hidden)
    hidden = layers.Activation(components.silu, name="out_active")(components.GroupNorm(name="out_normal")(hidden))
    velocity = layers.Conv2D(
        spec.channels * patch**2, 3, padding="same", kernel_initializer="zeros", dtype="float32", name="out"
    )
    return keras.Model([noisy, at, label, changes], pixels(velocity(hidden), spec, patch), name="network")


def levels(side: int, preset: dict[str, Any]) -> Iterator[tuple[int, int]]:
    """(channels, side) of the maps, from the finest one on."""
    width = preset["width"]
    yield width, side
    while side % 2 == 0 and side > LEAST_SIDE:
        side, width = side // 2, min(2 * width, preset["widest"])
        yield width, side


def condition(at: Any, label: Any, changes: Any, spec: ImageSpec, preset: dict[str, Any]) -> Any:
    """(batch, 4 width): time, class and changes, as every block gets them."""
    units = 4 * preset["width"]
    waves = layers.Lambda(flow.time_features, arguments={"count": preset["width"]}, dtype="float32", name="waves")(at)
    parts = [layers.Dense(units, name="time")(waves), layers.Dense(units, use_bias=False, name="changes")(changes)]
    if spec.classes:
        parts.append(components.class_vector(label, spec.classes + 1, units))
    hidden = layers.Activation(components.silu, name="style_active")(layers.Add(name="style_sum")(parts))
    return layers.Dense(units, activation=components.silu, name="style")(hidden)


def residual(hidden: Any, style: Any, width: int, preset: dict[str, Any], name: str) -> Any:
    """hidden + convolution(convolution(hidden), scaled and shifted by the style); it starts as no change at all."""
    inside = layers.Activation(components.silu, name=f"{name}_active_0")(components.GroupNorm(name=f"{name}_normal_0")(hidden))
    inside = layers.Conv2D(width, 3, padding="same", name=f"{name}_0")(inside)
    style = layers.Dense(2 * width, name=f"{name}_style")(style)
    inside = components.GroupNorm(name=f"{name}_normal_1")(inside, style)
    inside = layers.Activation(components.silu, name=f"{name}_active_1")(inside)
    if preset["dropout"]:
        inside = layers.Dropout(preset["dropout"], name=f"{name}_dropout")(inside)
    inside = layers.Conv2D(width, 3, padding="same", kernel_initializer="zeros", name=f"{name}_1")(inside)
    if hidden.shape[-1] != width:
        hidden = layers.Conv2D(width, 1, name=f"{name}_skip")(hidden)
    hidden = layers.Add(name=f"{name}_sum")([hidden, inside])
    return attention(hidden, name) if hidden.shape[1] <= preset["attention"] else hidden


def attention(hidden: Any, name: str) -> Any:
    """hidden + what each place takes from all places (Vaswani et al. 2017, section 3.2)."""
    side, width = hidden.shape[1], hidden.shape[-1]
    heads = max(1, width // HEAD)
    inside = components.GroupNorm(name=f"{name}_attention_normal")(hidden)
    inside = layers.Reshape((side * side, width), name=f"{name}_places")(inside)
    attend = layers.MultiHeadAttention(heads, width // heads, name=f"{name}_attention")
    inside = layers.Dense(width, kernel_initializer="zeros", name=f"{name}_taken")(attend(inside, inside))
    return layers.Add(name=f"{name}_attended")([hidden, layers.Reshape((side, side, width), name=f"{name}_map")(inside)])


def pixels(hidden: Any, spec: ImageSpec, patch: int) -> Any:
    """The pixels of each place, side by side: (batch, side, side, patch² channels) -> (batch, size, size, channels)."""
    if patch == 1:
        return hidden
    side = spec.size // patch
    hidden = layers.Reshape((side, side, patch, patch, spec.channels), dtype="float32", name="pixels")(hidden)
    hidden = layers.Permute((1, 3, 2, 4, 5), dtype="float32", name="order")(hidden)
    return layers.Reshape((spec.size, spec.size, spec.channels), dtype="float32", name="image")(hidden)
