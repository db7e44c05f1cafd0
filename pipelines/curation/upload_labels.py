"""Labels of uploads: which one a picture gets that people uploaded with several."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from pipelines.curation.candidates import RowCandidate, accepted
from pipelines.curation.credibility import Credibility
from pipelines.curation.events import CONFLICTING_LABELS
from pipelines.curation.label_corrections import TIE
from pipelines.feedback.events import Event, Upload
from pipelines.rules import copies
from pipelines.settings.schema import CleanParams


def judge(
    uploads: Sequence[RowCandidate], classes: Sequence[str], credibility: Credibility, params: CleanParams
) -> list[RowCandidate]:
    """The uploads, copies of one picture with one label.

    Where people gave it several, `clean.conflicting_labels` decides as for any data: it is rejected, or gets the label of the
    majority. `stop` rejects it, too: else people could stop the loop.
    """
    usable = accepted(uploads)
    if not usable:
        return list(uploads)
    groups = copies.groups_of(np.concatenate([upload.image.facts for upload in usable]), params.rules).tolist()
    events: dict[int, list[Event]] = defaultdict(list)
    for group, upload in zip(groups, usable, strict=True):
        events[group] += upload.events
    labels = {group: credible_labels(own, len(classes), credibility) for group, own in events.items()}
    decided = iter([decide(upload, labels[group], params) for group, upload in zip(groups, usable, strict=True)])
    return [upload if upload.rejection is not None else next(decided) for upload in uploads]


def credible_labels(events: Iterable[Event], classes: int, credibility: Credibility) -> dict[int, float]:
    """The sum of reliabilities behind each label of one picture; a rater's last one counts.

    Labels of no class, and those that only raters give who are not credible, are left out where there are others.
    """
    given = [event for event in events if isinstance(event, Upload) and event.label is not None]
    last = {event.rater: event for event in sorted(given, key=lambda event: (event.at, event.id))}
    sums: dict[int, float] = defaultdict(float)
    for rater, event in last.items():
        sums[event.label or 0] += credibility.reliability[rater]
    return {label: weight for label, weight in sums.items() if label < classes and weight > 0} or dict(sums)


def decide(upload: RowCandidate, labels: dict[int, float], params: CleanParams) -> RowCandidate:
    """The upload with the label that it gets, or rejected."""
    if not labels:
        return upload
    best, *others = sorted(labels, key=lambda label: -labels[label])
    if others and (params.conflicting_labels != "majority" or labels[best] - labels[others[0]] < TIE):
        return replace(upload, rejection=CONFLICTING_LABELS)
    return replace(upload, label=best)
