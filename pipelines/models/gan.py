"""gan: a convolutional GAN, class-conditional where there are classes.

Loss: relativistic pairing with zero-centred gradient penalties on real and generated images (R3GAN, Huang et al. 2024,
2501.05441, eq. 2 and section 3), which needs no normalisation and no tricks to converge. The penalties are taken by
finite differences (Lin et al. 2025, 2501.08316, eq. 4): no gradient of a gradient, on any backend.
"""

from __future__ import annotations

from typing import Any

from . import augment
from .base import Family, ImageSpec, Sizes, precision, to_float
from .lazy import components, keras, layers, ops

# width: channels at half the resolution, doubled with each halving up to `widest`; the generator has half as many at the whole
# resolution, so that pixels are drawn after a look at their neighbours. dense: units of the dense layers.
# depth: residual blocks a level. gamma: weight of the gradient penalties, as in R3GAN; more for harder data.
# learning_rate: Adam's, at the start, of a training of up to USUAL steps.
# `tiny` is for tests, `small` learns fast and is done in a minute, `base` takes its time, `large` is for a GPU.
PRESETS = {
    "tiny": {"latent": 16, "width": 8, "widest": 32, "dense": 64, "depth": 0, "gamma": 0.1, "learning_rate": 2e-3},
    "small": {"latent": 64, "width": 32, "widest": 128, "dense": 256, "depth": 0, "gamma": 0.1, "learning_rate": 2e-3},
    "base": {"latent": 64, "width": 48, "widest": 192, "dense": 256, "depth": 0, "gamma": 0.1, "learning_rate": 9e-4},
    "large": {"latent": 128, "width": 64, "widest": 512, "dense": 512, "depth": 2, "gamma": 0.5, "learning_rate": 7e-4},
}

# Standard deviation of the noise that the penalties' differences are taken over, for pixels in -1..1: small against
# what can be seen, large against float32's rounding.
STEP = 0.01

# The penalties look at one in so many images of a batch: the same on average, and a quarter less to compute in all.
PENALISED = 4

# Standard deviation of the class vectors at first, beside latents of 1: at 1 the images of a class stayed the same for longer.
CLASS_SCALE = 0.3

# Variance of the last kernel at first, as a share of that which keeps variances: greys near 0, where tanh is steep. At 2 it
# took more steps until images of MNIST differed.
FIRST_PIXELS = 0.3

# A training of more steps has a lower rate, by the square root of their number, as stochastic gradients want it (Nemirovski
# et al. 2009, section 2.2): at one rate for all, images of MNIST got worse with time. Shorter ones do not have a higher rate:
# at 3e-3 the discriminator of `small` runs away from the generator on MNIST now and then, at 2e-3 it does not.
USUAL = 2000

# The learning rate falls to this share of itself: left as it is, the averaged weights drew less varied images.
LAST_RATE = 0.1


class Gan(Family):
    presets = PRESETS
    sizes = Sizes(8, 256, multiple_of=4)
    augmentations = ("fixed", "adaptive")
    loss_names = ("discriminator_loss", "generator_loss", "penalty")

    def __init__(self, spec: ImageSpec, preset: dict[str, Any]) -> None:
        super().__init__(spec, preset)
        self.generator = generator(spec, preset)
        with precision("float32"):  # the penalties' differences are lost in bfloat16's rounding
            self.discriminator = discriminator(spec, preset)
        self.probability = augment.probability_variable()

    @property
    def latent_shape(self) -> tuple[int, ...]:
        return (self.preset["latent"],)

    @property
    def noise_shapes(self) -> dict[str, tuple[int, ...]]:
        return {"step": self.spec.shape, "real_change": (augment.NUMBERS,), "change": (augment.NUMBERS,)}

    def call(self, inputs: dict[str, Any], training: bool = False) -> Any:
        return self.generator([inputs["latents"], inputs["label"]])

    def objective(self, inputs: dict[str, Any], outputs: Any) -> Any:
        """Both players' losses in one sum: neither reaches the other's weights, so one optimizer serves both."""
        label = inputs["label"]
        real = self.discriminator_view(to_float(inputs["image"]), inputs["real_change"])
        fake = self.discriminator_view(outputs, inputs["change"])
        weights = components.weights_of(self.discriminator)
        real_score, fake_score, penalty = self.discriminate(weights, real, ops.stop_gradient(fake), label, inputs["step"])
        discriminator_loss = ops.mean(ops.softplus(fake_score - real_score))

        score = components.functional_call(self.discriminator, weights, [fake, label], frozen=True)
        generator_loss = ops.mean(ops.softplus(ops.stop_gradient(real_score) - score))

        if self.augmentation and self.augmentation.adaptive:
            self.probability.assign(augment.adapt(self.probability.value, real_score, fake_score))
        self.watch(discriminator_loss=discriminator_loss, generator_loss=generator_loss, penalty=penalty)
        return discriminator_loss + generator_loss + self.preset["gamma"] / 2 * penalty

    def discriminator_view(self, images: Any, numbers: Any) -> Any:
        """The images as the discriminator gets them."""
        settings = self.augmentation
        if settings is None:
            return images
        probability = self.probability.value if settings.adaptive else settings.probability
        return augment.change(images, numbers, probability, settings)[0]

    def discriminate(self, weights: list[Any], real: Any, fake: Any, label: Any, noise: Any) -> tuple[Any, Any, Any]:
        """Scores (batch, 1) of real and generated images, and the sum of their mean squared gradients.

        With a step n ~ N(0, STEP), E[(D(x + n) - D(x))^2] / STEP^2 is |grad D(x)|^2 to first order. All four go through
        the network as one batch, which is faster than four.
        """
        batch = ops.shape(label)[0]
        # Every so manieth, not the first few: devices that share a batch then look at the same ones as one device does.
        some, others = slice(None, None, PENALISED), slice(1, None, PENALISED)
        images = ops.concatenate([real[some], fake[others]])
        steps = STEP * ops.concatenate([noise[some], noise[others]])
        labels = ops.concatenate([label, label, label[some], label[others]])
        images = ops.concatenate([real, fake, images + steps])
        scores = components.functional_call(self.discriminator, weights, [images, labels])
        real_score, fake_score, stepped = scores[:batch], scores[batch : 2 * batch], scores[2 * batch :]
        still = ops.concatenate([real_score[some], fake_score[others]])
        # The mean is over real and generated images together; wanted is the sum of one mean each.
        return real_score, fake_score, 2.0 * ops.mean(ops.square((stepped - still) / STEP))

    def optimizer_for(self, steps: int, first: int = 0) -> keras.optimizers.Optimizer:
        slower = min(1.0, (USUAL / (first + steps)) ** 0.5)
        highest = self.preset["learning_rate"] * slower * (components.WARM_START_RATE if first else 1.0)
        rate = components.ShiftedSchedule(keras.optimizers.schedules.CosineDecay(highest, steps, alpha=LAST_RATE), first)
        return components.Adam(rate, beta_1=0.0, beta_2=0.99, use_ema=True, ema_momentum=components.ema_momentum(first + steps))


def generator(spec: ImageSpec, preset: dict[str, Any]) -> keras.Model:
    """Latents (batch, latent) and label (batch,) -> images (batch, size, size, channels), -1..1."""
    latents = keras.Input((preset["latent"],))
    label = keras.Input((), dtype="int32")
    style = latents
    if spec.classes:
        spread = keras.initializers.RandomNormal(stddev=CLASS_SCALE)
        vector = components.class_vector(label, spec.classes, preset["latent"], initializer=spread)
        style = layers.Concatenate(name="style")([latents, vector])
    style = dense(style, preset["dense"], "mapping")
    (side, width), *finer = reversed(components.maps(spec.size, preset))
    hidden = dense(style, side * side * width, "coarse")
    hidden = layers.Reshape((side, side, width), name="map")(hidden)
    for target, width in [*finer, (spec.size, max(preset["width"] // 2, 4))]:
        hidden = blocks(hidden, preset["depth"], f"{side}")
        hidden = components.Upsample(width, "he_normal", name=f"up_{target}")(hidden)
        if 2 * side > target:  # the coarser side was rounded up
            hidden = layers.Cropping2D(((0, 1), (0, 1)), name=f"crop_{target}")(hidden)
        side = target
        hidden = leaky(hidden, f"{target}")
    faint = keras.initializers.VarianceScaling(FIRST_PIXELS)
    hidden = layers.Conv2D(spec.channels, 3, padding="same", kernel_initializer=faint, name="pixels")(hidden)
    hidden = layers.Activation("tanh", dtype="float32", name="tanh")(hidden)
    return keras.Model([latents, label], hidden, name="generator")


def discriminator(spec: ImageSpec, preset: dict[str, Any]) -> keras.Model:
    """Images (batch, size, size, channels), -1..1, and label (batch,) -> scores (batch, 1), higher where more real.

    With classes the score is the projection discriminator's (Miyato and Koyama 2018, 1802.05637, eq. 3).
    """
    image = keras.Input((spec.size, spec.size, spec.channels))
    label = keras.Input((), dtype="int32")
    hidden = image
    for side, width in components.maps(spec.size, preset):
        hidden = layers.Conv2D(width, 4, strides=2, padding="same", kernel_initializer="he_normal", name=f"down_{side}")(hidden)
        hidden = leaky(hidden, f"{side}")
        hidden = blocks(hidden, preset["depth"], f"{side}")
    features = dense(layers.Flatten(name="flatten")(hidden), preset["dense"], "features")
    score = layers.Dense(1, name="score")(features)
    if spec.classes:
        vector = components.class_vector(label, spec.classes, preset["dense"])
        score = layers.Add(name="total")([score, layers.Dot(1, name="projection")([features, vector])])
    return keras.Model([image, label], score, name="discriminator")


def dense(hidden: Any, units: int, name: str) -> Any:
    return leaky(layers.Dense(units, kernel_initializer="he_normal", name=name)(hidden), name)


def leaky(hidden: Any, name: str) -> Any:
    return layers.LeakyReLU(0.2, name=f"leaky_{name}")(hidden)


def blocks(hidden: Any, depth: int, name: str) -> Any:
    """`depth` times hidden + convolution(activation(convolution(hidden))); each starts as no change at all."""
    width = hidden.shape[-1]
    for number in range(depth):
        inside = layers.Conv2D(width, 3, padding="same", kernel_initializer="he_normal", name=f"inner_{name}_{number}")(hidden)
        inside = leaky(inside, f"{name}_{number}")
        inside = layers.Conv2D(width, 3, padding="same", kernel_initializer="zeros", name=f"outer_{name}_{number}")(inside)
        hidden = layers.Add(name=f"sum_{name}_{number}")([hidden, inside])
    return hidden
