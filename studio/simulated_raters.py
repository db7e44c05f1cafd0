"""python -m studio.simulated_raters --address URL: raters with a taste, who look at pictures and vote, as people would.

They use the studio's API as a product's backend does, with the key of GENLOOP_API_KEY, and go on until they are stopped.
"""

from __future__ import annotations

import argparse
import contextlib
import random
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import numpy as np

from pipelines.core import png, rows, shards
from pipelines.core.errors import InputError
from pipelines.core.progress import say
from pipelines.core.project import Project
from pipelines.tastes.base import Likes, RealRows
from pipelines.tastes.stroke_weight import StrokeWeight
from studio.client import Client, Picture, StudioError

RATERS = 8
NOISE = 0.1  # of their votes, so many are not what they meant
LOOK = 2.0, 5.0  # seconds at a picture
SHOWN = 6  # pictures at once
WAIT = 2.0  # seconds until it is tried again where there is no model yet, or no studio
TELL = 20.0  # seconds between two lines about them


class VoteTally:
    """How many votes were cast, and how many of them were likes, since the last line about them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.votes = self.recent = self.likes = 0

    def add(self, liked: bool) -> None:
        with self.lock:
            self.votes, self.recent, self.likes = self.votes + 1, self.recent + 1, self.likes + liked

    def line(self) -> str:
        """The text of a line, and a new beginning; empty where there is nothing to say."""
        with self.lock:
            recent, likes, self.recent, self.likes = self.recent, self.likes, 0, 0
        return f"{self.votes:,} votes; of the last {recent}, {likes / recent:.0%} are likes" if recent else ""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m studio.simulated_raters", description=__doc__)
    parser.add_argument("--address", required=True, metavar="URL", help="of the studio")
    parser.add_argument("--project", type=Path, metavar="DIR", help="whose real images say what is heavy; by default here")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    project = Project.find(options.project)
    key = project.environment.get("GENLOOP_API_KEY", "")
    if not key:
        say("raters: GENLOOP_API_KEY is missing: a key with the scopes generate and events")
        sys.exit(InputError.exit_code)
    wait_for_model(options.address)
    likes, tally = fit_taste(project), VoteTally()
    say(f"{RATERS} simulated raters, who like heavy strokes, look at pictures at {options.address}")
    for number in range(RATERS):
        rater = options.address, key, f"simulated-{number:02d}", likes, tally, threading.Event()
        threading.Thread(target=rate, args=rater, daemon=True).start()
    while True:
        time.sleep(TELL)
        if line := tally.line():
            say(line)


def wait_for_model(address: str) -> None:
    """Until the studio shows a version."""
    with httpx.Client(base_url=address, trust_env=False) as client:
        while True:
            with contextlib.suppress(httpx.TransportError):
                if client.get("/readyz").is_success:
                    return
            time.sleep(WAIT)


def fit_taste(project: Project) -> Likes:
    """Fitted to the project's real images."""
    train = rows.load(project.clean, "train", "real")
    return StrokeWeight(name="stroke_weight").fit(RealRows(train.images, train.labels, shards.classes(project.clean)))


def rate(address: str, key: str, name: str, likes: Likes, tally: VoteTally, stopped: threading.Event) -> None:
    """Look at pictures one after the other, and vote."""
    chance = random.Random(name)
    with Client(address, key) as studio:
        while not stopped.is_set():
            try:
                for picture in studio.generate(SHOWN, guided=True, visitor=name):
                    liked = is_liked(studio.picture(picture), picture, likes) != (chance.random() < NOISE)
                    if stopped.wait(chance.uniform(*LOOK)):
                        return
                    studio.vote(picture, 1 if liked else -1, visitor=name)
                    tally.add(liked)
            except (StudioError, httpx.TransportError):  # the studio is being started again
                stopped.wait(WAIT)


def is_liked(data: bytes, picture: Picture, likes: Likes) -> bool:
    image = png.decode(data)
    assert image is not None
    label = -1 if picture.label is None else picture.label
    return bool(likes(image[None], np.array([label], np.int32))[0])


if __name__ == "__main__":
    main()
