"""Clones with registries of their own give one number to two models; what people said of either counts for neither."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from pipelines import curate
from pipelines.core import png
from pipelines.curation.events import TWO_MODELS
from pipelines.feedback.sealed import event_images, manifest, seal
from tests.curation.data import Curation

PEOPLE = ("ann", "bob", "eve")


def seal_twice(curation: Curation, identities: tuple[str | None, str | None], pictures: list[np.ndarray]) -> None:
    """Likes of one sample in two batches, each with the image that its own clone generated."""
    said = curation.feedback
    sample = said.sample(pictures[0], 0)
    folder = curation.project.feedback
    folder.mkdir(parents=True)
    for batch, identity, picture in zip("ab", identities, pictures, strict=True):
        said.events.clear()
        said.like(sample, *(f"{person}-{batch}" for person in PEOPLE))
        seal.write(folder, batch, said.events, curation.classes)
        image = replace(said.generated[sample], image=png.encode(picture), identity=identity)
        event_images.write(folder, batch, [image])
    manifest.update(folder, curation.project.manifest)


@pytest.mark.parametrize("identities", [("1f", "2e"), ("2e", "1f")])
def test_nobody_knows_which_of_two_models_was_judged(
    curation: Curation, identities: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    seal_twice(curation, identities, list(curation.new(2)))
    curate.run(curation.project, curation.make_params({"feedback.max_rater_share": 1.0}))
    assert curation.rows() == []
    assert f"6 events rejected: {TWO_MODELS}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "identities", [("1f", "1f"), ("1f", None), (None, None)], ids=["the same", "one unknown", "both unknown"]
)
def test_one_model_on_two_machines_is_one(
    curation: Curation, identities: tuple[str | None, str | None], capsys: pytest.CaptureFixture[str]
) -> None:
    seal_twice(curation, identities, list(curation.new(2)))
    curate.run(curation.project, curation.make_params({"feedback.max_rater_share": 1.0}))
    assert len(curation.rows()) == 1
    assert TWO_MODELS not in capsys.readouterr().out
