"""A project in which every kind of event has changed something, made by `curate` itself."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from pipelines.core import images
from pipelines.feedback.events import Sample
from pipelines.settings.load import load_params
from tests.conftest import REPOSITORY, project_in
from tests.curation.data import Curation

PEOPLE = ("ann", "bob", "eve")


@dataclass
class LineageProject:
    """row_ids of what was changed, and ids of the events that did it."""

    folder: Path
    liked: str
    sample: Sample
    uploaded: str
    corrected: str
    removed: str
    reported: str
    events: dict[str, list[str]]


def make(folder: Path) -> LineageProject:
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, folder)
    project = project_in(folder)
    params = load_params(project.params_file)
    curation = Curation(project, lambda _: params, ["a", "b"])
    feedback, ids = curation.feedback, curation.ids
    good, bad, upload, *rest = curation.new(20)
    liked, ugly = feedback.sample(good, label=1), feedback.sample(bad)
    for image in rest:  # so that people are known to agree
        feedback.like(feedback.sample(image), *PEOPLE)
    events = {"liked": feedback.like(liked, *PEOPLE), "judged": [feedback.vote("zoe", liked, -1)]}
    events["judged"].append(feedback.choose("bob", liked, ugly))
    events["uploaded"] = [feedback.upload("zoe", upload, label=1)]
    events["corrected"] = [feedback.correct(rater, ids[4], 1) for rater in ("ann", "bob")]
    events["removed"] = [feedback.report(rater, row=ids[6]) for rater in ("bob", "eve")]
    events["reported"] = [feedback.report("ann", sample=ugly)]
    curation.curate(batches=("x", "y"))
    return LineageProject(folder, images.row_id(good), liked, images.row_id(upload), ids[4], ids[6], images.row_id(bad), events)
