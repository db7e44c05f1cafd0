"""An image depends on its seed and label only, wherever and in whatever batch it is drawn."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines import catalogue
from pipelines.core import backend

backend.load()

from pipelines.models import base  # noqa: E402

COUNT = 150  # more than two batches, and not a multiple of one


@pytest.fixture(scope="module", params=["gan-28", "gan-32-colour", "gan-dense-28"])
def model(request: pytest.FixtureRequest) -> base.Family:
    family = "gan-dense" if request.param.startswith("gan-dense") else "gan"
    kind = catalogue.get(catalogue.MODELS, family)
    size, channels = (32, 3) if "colour" in request.param else (28, 1)
    spec = base.ImageSpec(size, channels, 10 if kind.conditional else 0)
    return base.build(kind, spec, catalogue.get(catalogue.MODELS, family).presets["small"], 0)


def test_order_and_company_do_not_change_an_image(model: base.Family) -> None:
    seeds, labels = np.arange(1000, 1000 + COUNT), np.arange(COUNT) % 10
    images = base.draw(model, seeds, labels)
    order = np.random.default_rng(0).permutation(COUNT)
    assert np.array_equal(base.draw(model, seeds[order], labels[order]), images[order])
    for number in (0, 63, 64, COUNT - 1):
        alone = base.draw(model, seeds[number : number + 1], labels[number : number + 1])
        assert np.array_equal(alone[0], images[number])


def test_not_even_the_last_bit_depends_on_the_position(model: base.Family) -> None:
    """Rounding to pixels hides a difference until it falls on an edge: the network's own numbers must be equal."""
    inputs = base.example(model, base.DRAW_BATCH)
    inputs["latents"] = base.latents(range(base.DRAW_BATCH), model.latent_shape)
    straight = np.asarray(model.predict_on_batch(inputs))
    order = np.random.default_rng(1).permutation(base.DRAW_BATCH)
    shuffled = np.asarray(model.predict_on_batch({name: value[order] for name, value in inputs.items()}))
    assert np.array_equal(shuffled, straight[order])


def test_a_walk_leads_from_one_image_to_the_other_and_does_not_depend_on_its_company(model: base.Family) -> None:
    seeds, others, labels = np.arange(70), np.arange(100, 170), np.arange(70) % 10
    starts, ends = (base.draw(model, some, labels).astype(int) for some in (seeds, others))
    for at, expected in ((0.0, starts), (1.0, ends)):
        # Latents may differ in the last bit, and so may a grey.
        assert np.abs(base.walk(model, seeds, others, np.full(70, at), labels) - expected).max() <= 1
    shares = np.linspace(0.1, 0.9, 70)
    middle = base.walk(model, seeds, others, shares, labels)
    assert np.array_equal(base.walk(model, seeds[5:6], others[5:6], shares[5:6], labels[5:6])[0], middle[5])
    with pytest.raises(ValueError, match="as many labels as seeds"):
        base.walk(model, seeds, others[:3], shares, labels)


def test_latents_between_two_keep_the_length_that_normal_ones_have(model: base.Family) -> None:
    a, b = (base.latents(seeds, (400,)) for seeds in (range(50), range(50, 100)))
    assert model.latents_between(a, b, np.zeros(50)) == pytest.approx(a, abs=1e-5)
    assert model.latents_between(a, b, np.ones(50)) == pytest.approx(b, abs=1e-5)
    lengths = np.linalg.norm(model.latents_between(a, b, np.full(50, 0.5)), axis=1)
    assert lengths.mean() == pytest.approx(20, rel=0.05)  # the straight line's middle has 14
    assert model.latents_between(a, a, np.full(50, 0.3)) == pytest.approx(a, abs=1e-5)


def test_no_seeds_give_no_images(model: base.Family) -> None:
    spec = model.spec
    assert base.draw(model, []).shape == (0, spec.size, spec.size, spec.channels)


def test_latents_of_a_seed_do_not_depend_on_the_seeds_beside_it() -> None:
    together = base.latents([7, 8, 9], (5,))
    assert np.array_equal(base.latents([8], (5,))[0], together[1])
    assert together.dtype == np.float32
    assert abs(base.latents(range(4000), (5,)).mean()) < 0.03
    assert abs(base.latents(range(4000), (5,)).std() - 1) < 0.03


@pytest.mark.parametrize(
    ("seeds", "labels", "words"),
    [
        ([0, 1], [0], "as many labels"),
        ([0], [10], "labels from 0 to 9"),
        ([0], [-1], "labels from 0"),
        ([-1], [0], "seeds from 0"),
    ],
)
def test_unusable_seeds_and_labels_are_refused(seeds: list[int], labels: list[int], words: str) -> None:
    kind = catalogue.get(catalogue.MODELS, "gan")
    model = base.build(kind, base.ImageSpec(8, 1, 10), catalogue.get(catalogue.MODELS, "gan").presets["tiny"], 0)
    with pytest.raises(ValueError, match=words):
        base.draw(model, seeds, labels)


def test_pixels_round_and_clip_and_come_back_whole() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    assert np.array_equal(base.to_pixels(np.asarray(base.to_float(every))), every)
    assert base.to_pixels(np.array([-9.0, 9.0], np.float32)).tolist() == [0, 255]
    with pytest.raises(ValueError, match="not finite"):
        base.to_pixels(np.array([np.nan], np.float32))
