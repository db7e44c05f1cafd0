"""Simulated raters look at the studio's pictures and vote by their taste, but for a few votes."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from pipelines.core import png
from studio import simulated_raters
from studio.simulated_raters import VoteTally
from tests.studio.serving import PRODUCT, Studio, wait_for


def bright(images: np.ndarray, labels: np.ndarray) -> np.ndarray:
    found: np.ndarray = images.mean(axis=(1, 2, 3)) > 127
    return found


@pytest.mark.parametrize("noise", [0.0, 1.0])
def test_their_votes_follow_the_taste(studio: Studio, monkeypatch: pytest.MonkeyPatch, noise: float) -> None:
    monkeypatch.setattr(simulated_raters, "LOOK", (0.0, 0.0))
    monkeypatch.setattr(simulated_raters, "NOISE", noise)
    tally, stopped = VoteTally(), threading.Event()
    rater = studio.address, PRODUCT, "someone", bright, tally, stopped
    thread = threading.Thread(target=simulated_raters.rate, args=rater)
    thread.start()
    wait_for(lambda: tally.votes >= 24)
    stopped.set()
    thread.join(20)
    votes = studio.service.store.events_outside("vote", [])
    assert len(votes) >= 24
    assert {vote.rater for vote in votes} == {"someone"}
    for vote in votes:
        image = png.decode(studio.painter.picture(vote.sample.key))
        assert image is not None
        assert (vote.value == 1) == (bool(bright(image[None], np.zeros(1))[0]) != bool(noise))


def test_a_tally_tells_what_is_new() -> None:
    tally = VoteTally()
    assert tally.line() == ""
    for liked in (True, True, False, True):
        tally.add(liked)
    assert tally.line() == "4 votes; of the last 4, 75% are likes"
    assert tally.line() == ""


def test_without_a_key_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("GENLOOP_API_KEY", raising=False)
    with pytest.raises(SystemExit) as caught:
        simulated_raters.main(["--address", "http://127.0.0.1:9"])
    assert caught.value.code == 2
    assert "GENLOOP_API_KEY is missing" in capsys.readouterr().err
