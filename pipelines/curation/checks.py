"""The same validation and cleaning as of any data, for each picture that may become a row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.core import facts
from pipelines.core.facts import Facts
from pipelines.curation import bounds, existing_rows
from pipelines.curation.candidates import Candidate
from pipelines.curation.existing_rows import Dataset
from pipelines.curation.flagged import Reported
from pipelines.curation.rejections import UNKNOWN_LABEL
from pipelines.rules.judging import KEPT, judge
from pipelines.settings.schema import Params

COPY = "exact_copy"


def check(every: Sequence[Candidate], there: Dataset, measured: Path, reported: Reported, params: Params) -> None:
    """Refuse what breaks an expectation or a rule, or copies a row, a reported picture, or a candidate before it.

    Args:
        measured: file of the facts of data/raw.
    """
    refuse_deep(every, params.feedback.max_generation)
    refuse_labels(standing(every), len(there.classes))
    refuse_unexpected(standing(every), params)
    refuse_same(standing(every), there, reported)
    if standing(every):
        came = facts.read(measured)
        uploads = [candidate for candidate in standing(every) if candidate.sent]
        refuse_by_rules(uploads, [upload.look.came for upload in uploads], came, params)
        rest = standing(every)
        looked = [existing_rows.in_form(came, there.folder, params), *(look.facts for look in reported.looks)]
        sized = [existing_rows.as_large_as(came, some) for some in (*looked, *(candidate.look.facts for candidate in rest))]
        refuse_by_rules(rest, sized[len(looked) :], np.concatenate(sized[: len(looked)]), params)


def standing(every: Sequence[Candidate]) -> list[Candidate]:
    return [candidate for candidate in every if candidate.refused is None]


def refuse_deep(every: Sequence[Candidate], most: int) -> None:
    """A loop that is fed on what it drew from what it drew forgets the data; Alemohammad et al., 2023."""
    for candidate in standing(every):
        if candidate.look.generation > most:
            candidate.refused = "too deep"


def refuse_labels(every: Sequence[Candidate], classes: int) -> None:
    """An upload may come without a label, as a row of any source; what was drawn without one cannot be counted to a class."""
    for candidate in every:
        if candidate.label is not None and candidate.label >= classes:
            candidate.refused = UNKNOWN_LABEL
        elif candidate.label is None and classes and not candidate.sent:
            candidate.refused = "no label"


def refuse_same(every: Sequence[Candidate], there: Dataset, reported: Reported) -> None:
    """What has the very pixels of another, whatever the rules are."""
    seen: set[str] = set()
    for candidate in every:
        row_id = candidate.look.row_id
        if row_id in reported.rows:
            candidate.refused = "reported"
        elif row_id in there.rows or row_id in seen:
            candidate.refused = COPY
        seen.add(row_id)


def refuse_unexpected(every: Sequence[Candidate], params: Params) -> None:
    """Expectations on size and format are about what comes from outside."""
    for limits in (params.validate_.hard, params.validate_.soft):
        for candidate in standing(every):
            if candidate.sent:
                broken = bounds.broken(candidate.look.came, limits)
            else:
                broken = bounds.broken(candidate.look.facts, limits, bounds.SHOWN)
            candidate.refused = str(broken[0]) or None


def refuse_by_rules(every: Sequence[Candidate], own: Sequence[Facts], data: Facts, params: Params) -> None:
    """By the rules of `clean`, for which the data, and of the candidates (1,) facts each, the first ones, come before."""
    if every:
        verdicts = judge(np.concatenate([data, *own]), params.clean.rules)[len(data) :]
        for candidate, verdict in zip(every, verdicts.tolist(), strict=True):
            if verdict != KEPT:
                candidate.refused = params.clean.rules[verdict].rule
