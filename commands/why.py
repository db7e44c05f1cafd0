"""genloop why: from a training row to the events behind it."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from pipelines.core import paths

if TYPE_CHECKING:
    from pipelines.feedback.events import Event, Sample
    from pipelines.feedback.row_lineage import Told, Trail

WORDS = {
    "row": "put it here",
    "judged": "judged it",
    "label": "corrected its class",
    "removed": "took it away",
    "reported": "reported it",
}


def why(row: str, as_json: bool) -> None:
    os.chdir(paths.root())

    from pipelines.feedback import row_lineage
    from pipelines.feedback.sealed import manifest

    manifest.demand(paths.FEEDBACK, manifest.missing())
    found = row_lineage.find(row)
    print(json.dumps(record(found), indent=2)) if as_json else show(found)


def record(found: Trail) -> dict[str, Any]:
    about = {name: found.row and found.row[name] for name in ("source", "origin", "generation", "split")}
    before = found.row["label"] if found.row and found.row["label"] != found.label else None
    sample = found.sample and {**found.sample.model_dump(), "liked": found.liked}
    return {
        "row": found.row_id,
        **about,
        "label": found.label,
        "class": found.name(found.label),
        "label_before": before,
        "weight": found.weight,
        "approval": found.approval,
        "removed": found.removed,
        "reported": found.reported,
        "sample": sample,
        "events": [
            {**one.event.model_dump(mode="json", exclude_none=True), "part": one.part, "weight": one.weight}
            for one in found.events
        ],
        "lost": found.lost,
    }


def show(found: Trail) -> None:
    print(found.row_id)
    for name, words in facts(found):
        print(f"  {name:<9} {words}")
    for line in aligned([cells(found, one) for one in found.events]):
        print(f"  {line}")
    if found.lost:
        print(f"  {found.lost:,} more are gone, for their raters were forgotten; `genloop run` makes the data without them")


def cells(found: Trail, told: Told) -> tuple[str, ...]:
    """When, who, what they said, what it did, how much it weighs, which event."""
    weight = "" if told.weight is None else f"weight {told.weight:.2f}"
    at = f"{told.event.at:%Y-%m-%d %H:%M:%S}"
    return at, told.event.rater, said(found, told), WORDS[told.part], weight, told.event.id


def aligned(lines: list[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]


def facts(found: Trail) -> list[tuple[str, str]]:
    lines = [("from", origin(found))]
    if found.row:
        before = f", was {named(found, found.row['label'])}" if found.label != found.row["label"] else ""
        lines += [("class", named(found, found.label) + before), ("split", found.row["split"])]
        approval = f", for people like it with a probability of {found.approval:.2f}" if found.approval is not None else ""
        lines.append(("weight", f"{found.weight:.3g}{approval}"))
    if found.liked is not None:
        lines.append(("liked", f"with a probability of {found.liked:.2f}"))
    if found.removed:
        lines.append(("removed", "training leaves it out"))
    if found.reported:
        lines.append(("reported", "nothing like it is drawn again"))
    return lines


def origin(found: Trail) -> str:
    if found.row is None or found.row["origin"] == "generated":
        drawn = f"drawn by {sample(found.sample)}" if found.sample else "drawn, or sent"
        return f"{drawn}, generation {found.row['generation']}" if found.row else f"{drawn}; it is no row"
    return "sent by people" if found.row["origin"] == "upload" else f"the source {found.row['source']}"


def sample(drawn: Sample) -> str:
    return f"version {drawn.version}, seed {drawn.seed}" + ("" if drawn.label is None else f", label {drawn.label}")


def named(found: Trail, label: int | None) -> str:
    return "none" if label is None else found.name(label) or str(label)


def said(found: Trail, told: Told) -> str:
    event: Event = told.event
    match event.type:
        case "vote":
            return "likes it" if event.value > 0 else "does not like it"
        case "choice":
            liked, other = ("it", event.loser) if event.winner == found.sample else (sample(event.winner), None)
            return f"rather {liked} than {sample(other) if other else 'it'}"
        case "upload":
            return "sent it" + (f" as {named(found, event.label)}" if event.label is not None else "")
        case "label":
            return f"it is {named(found, event.label)}"
        case "report":
            return f"must not be drawn{f': {event.reason}' if event.reason else ''}"
    return event.type
