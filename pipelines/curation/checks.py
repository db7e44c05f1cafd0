"""The checks that any data passes, validation and cleaning, for each image that may become a row."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from pipelines.core import facts
from pipelines.core.facts import Facts
from pipelines.curation.candidates import RowCandidate, accepted, reject
from pipelines.curation.events import CONFLICTING_LABELS, UNKNOWN_LABEL
from pipelines.curation.existing_rows import ExistingRows
from pipelines.curation.flagged import Flags
from pipelines.feedback.events import Sample
from pipelines.rules.base import NOT_REFUSED, first_refusals
from pipelines.settings.schema import Expectations, Params

BY_PROMPT = "asked for by a prompt, of no class"
VISIBLE = ("brightness", "contrast", "sharpness")  # expectations about the content of an image, whatever its size


def check(
    candidates: Sequence[RowCandidate], existing: ExistingRows, facts_file: Path, flagged: Flags, params: Params
) -> list[RowCandidate]:
    """The candidates, with a reason where one breaks an expectation or a rule, or copies a row, a flagged image or a candidate
    before it. `facts_file` has the facts of data/raw.
    """
    candidates = reject(candidates, lambda rest: [own_reason(candidate, len(existing.classes), params) for candidate in rest])
    candidates = reject(candidates, lambda rest: duplicates(rest, existing, flagged))
    if not accepted(candidates):
        return candidates
    original = facts.read(facts_file)
    candidates = reject(candidates, lambda rest: broken_by_uploads(rest, original, params))
    images = [in_row_form(original, existing.folder, params), *(image.facts for image in flagged.images)]
    data = with_original_size(np.concatenate(images), original)

    def broken(rest: Sequence[RowCandidate]) -> list[str | None]:
        return broken_rules(data, [with_original_size(candidate.image.facts, original) for candidate in rest], params)

    return reject(candidates, broken)


def own_reason(candidate: RowCandidate, classes: int, params: Params) -> str | None:
    """The first reason that does not depend on any other image.

    A loop that is fed on what it generated from what it generated forgets the data; Alemohammad et al., 2023. An upload may
    come without a label, as a row of any source; a generated image without one cannot be counted to a class, and what somebody
    asked for by a prompt is of none. Expectations on size and format are about images from outside.
    """
    image, label = candidate.image, candidate.label
    if image.generation > params.feedback.max_generation:
        return "too deep"
    if label is not None and label >= classes:
        return UNKNOWN_LABEL
    if label is None and classes and isinstance(candidate.origin, Sample):
        return "no label" if candidate.origin.prompt is None else BY_PROMPT
    measured, names = (image.original, ("side", "modes", *VISIBLE)) if candidate.uploaded else (image.facts, VISIBLE)
    hard, soft = params.validate_.hard, params.validate_.soft
    return first_broken(measured, hard, names) or first_broken(measured, soft, names)


def first_broken(measured: Facts, limits: Expectations, names: Sequence[str]) -> str | None:
    """The first of these expectations that an image with these facts, (1,), breaks. What is not a number is within no limit."""
    (fact,) = measured
    for name in names:
        limit = getattr(limits, name)
        if limit is None:
            continue
        if name == "modes":
            within = fact["mode"].decode() in limit
        else:
            low = -math.inf if limit[0] is None else limit[0]
            high = math.inf if limit[1] is None else limit[1]
            columns = ("width", "height") if name == "side" else (name,)
            within = all(low <= fact[column] <= high for column in columns)
        if not within:
            return name
    return None


def duplicates(candidates: Sequence[RowCandidate], existing: ExistingRows, flagged: Flags) -> Iterator[str | None]:
    """Reasons of those that have the very pixels of another image, whatever the rules are.

    An upload changes no row that exists; events of type `label` do. Where it has another label, the reason says so.
    """
    earlier: set[str] = set()
    for candidate in candidates:
        row_id = candidate.image.row_id
        label = existing.label(row_id)
        if row_id in flagged.rows:
            yield "reported"
        elif candidate.uploaded and None not in (label, candidate.label) and label != candidate.label:
            yield CONFLICTING_LABELS
        else:
            yield "exact_copy" if row_id in existing.rows or row_id in earlier else None
        earlier.add(row_id)


def broken_by_uploads(candidates: Sequence[RowCandidate], data: Facts, params: Params) -> Iterator[str | None]:
    """The rules that uploads break as they came, beside the data as it came."""
    uploads = [candidate.image.original for candidate in candidates if candidate.uploaded]
    broken = iter(broken_rules(data, uploads, params))
    return (next(broken) if candidate.uploaded else None for candidate in candidates)


def broken_rules(data: Facts, own: Sequence[Facts], params: Params) -> list[str | None]:
    """The rule of `clean` that each candidate breaks by its `own` facts, (1,), after the data and earlier candidates."""
    if not own:
        return []
    refusals = first_refusals(np.concatenate([data, *own]), params.clean.rules)[len(data) :]
    return [None if refusal == NOT_REFUSED else params.clean.rules[refusal].rule for refusal in refusals.tolist()]


def in_row_form(original: Facts, clean: Path, params: Params) -> Facts:
    """The facts of the data in the form of the rows: images of different sizes do not show that one is a copy of the other."""
    size = params.image.size
    same = (original["width"] == size) & (original["height"] == size)
    if same.all() and params.clean.denoise == "none":
        return original  # data/raw has the form already
    return facts.measure_folder(clean, params.image.background, "curate")


def with_original_size(measured: Facts, original: Facts) -> Facts:
    """Facts with the size that the data came in: rules on sizes are about images from outside, not about the rows' form."""
    changed = measured.copy()
    changed["width"] = changed["height"] = int(np.minimum(original["width"], original["height"]).max(initial=1))
    return changed
