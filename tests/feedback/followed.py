"""A project in which every kind of event has changed something, made by `curate` itself."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from pipelines.core import images
from pipelines.feedback.events import Sample
from pipelines.settings.load import load_params
from tests.conftest import REPOSITORY
from tests.curation.data import Project

PEOPLE = ("ann", "bob", "eve")


@dataclass
class Made:
    """row_ids of what was changed, and ids of the events that did it."""

    folder: Path
    liked: str
    sample: Sample
    uploaded: str
    corrected: str
    removed: str
    reported: str
    events: dict[str, list[str]]


def make(folder: Path) -> Made:
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        params = load_params()
        there = Project(lambda _: params, ["a", "b"])
        good, bad, sent, *rest = there.new(20)
        liked, ugly = there.said.sample(good, label=1), there.said.sample(bad)
        for image in rest:  # so that people are known to agree
            there.said.like(there.said.sample(image), *PEOPLE)
        events = {"liked": there.said.like(liked, *PEOPLE), "judged": [there.said.vote("zoe", liked, -1)]}
        events["judged"].append(there.said.choose("bob", liked, ugly))
        events["uploaded"] = [there.said.upload("zoe", sent, label=1)]
        events["corrected"] = [there.said.correct(rater, there.ids[4], 1) for rater in ("ann", "bob")]
        events["removed"] = [there.said.report(rater, row=there.ids[6]) for rater in ("bob", "eve")]
        events["reported"] = [there.said.report("ann", sample=ugly)]
        there.curate(batches=("x", "y"))
    ids = (there.ids[4], there.ids[6], images.row_id(bad))
    return Made(folder, images.row_id(good), liked, images.row_id(sent), *ids, events)
