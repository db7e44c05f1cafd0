"""The client for a product's own backend: it shows, votes, and asks again where the studio was away."""

from __future__ import annotations

import httpx
import pytest

from pipelines.registry.versions import CHAMPION
from studio import client as clients
from studio.client import Client, StudioError
from tests.studio.conftest import StudioRegistry
from tests.studio.serving import PRODUCT, Studio, wait_for


def test_a_product_shows_pictures_and_passes_votes_on(studio: Studio) -> None:
    with Client(studio.address, PRODUCT) as product:
        pictures = product.generate(4, label="a", visitor="alice")
        assert [picture.label for picture in pictures] == [0] * 4
        assert product.picture(pictures[0]).startswith(b"\x89PNG")
        assert product.vote(pictures[0], 1, "alice").stored == 1
        assert product.vote(pictures[1], -1, "alice", "blurred").stored == 1
        rejected = product.vote(pictures[2], 1, "bob").rejected
        assert rejected == {0: "rater: expected the visitor whom the sample was shown to, or who asks"}
        assert len(product.variations(pictures[0], 3, visitor="alice")) == 3
        assert product.stats()["events"] == 2
        assert product.model()["version"] == 1
        with pytest.raises(StudioError, match="422: label x: expected one of a, b"):
            product.generate(1, label="x")


def test_it_waits_for_a_studio_that_is_not_ready(
    registry: StudioRegistry, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    guide, waits = studio.painter.guide, list[float]()
    studio.painter.guide = None
    registry.set_alias(CHAMPION, None)

    def come(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            studio.painter.guide = guide

    monkeypatch.setattr(clients.time, "sleep", come)
    with Client(studio.address, PRODUCT) as product:
        assert len(product.generate(2)) == 2
    assert waits == [5.0, 5.0]  # as the studio told it


def test_a_studio_that_is_away_is_tried_a_few_times(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(clients.time, "sleep", waits.append)
    with Client("http://127.0.0.1:9", PRODUCT) as product, pytest.raises(httpx.TransportError):
        product.generate(1)
    assert len(waits) == 4
    assert all(0.5 * 0.2 * 2**number <= wait <= 0.2 * 2**number for number, wait in enumerate(waits, 1))


def test_a_wrong_key_is_said_at_once(studio: Studio) -> None:
    with Client(studio.address, "0123456789abcdef-wrong") as product, pytest.raises(StudioError, match="401: the API key"):
        product.generate(1)
    wait_for(lambda: studio.painter.guide is not None)
