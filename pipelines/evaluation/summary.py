"""The scores in a few words: how good the model is, and what is wrong with it."""

from __future__ import annotations

import math
from typing import NamedTuple

from pipelines.evaluation import plots
from pipelines.metrics.intervals import Estimate
from pipelines.scoring.scores import Scores

# Up to how many times its floor fid is, the colour, and what that means.
GRADES = (
    (1.5, "good", "Hardly to be told from real images."),
    (3.0, "good", "Close to real images."),
    (10.0, "warn", "Clearly apart from real images."),
    (math.inf, "bad", "Far from real images."),
)


class Headline(NamedTuple):
    colour: str
    says: str
    why: str


def headline(values: dict[str, Estimate]) -> Headline:
    many = ratio(values)
    if many is not None:
        colour, says = next((colour, says) for most, colour, says in GRADES if many <= most)
        fid, floor = (plots.number(values[name].value) for name in ("fid", "fid_floor"))
        why = f"It is {fid}: {times(many)} times the {floor} of real training images."
        return Headline(colour, says, f"So says fid, the distance between drawn and real images. {why}")
    if "fid" in values:
        return Headline(
            "soft", "How good is open.", "The distance from real images, fid, has no floor here to be held against."
        )
    return Headline("soft", "How good is open.", "The distance from real images, fid, is not among the scores.")


def ratio(values: dict[str, Estimate]) -> float | None:
    """How many times its floor fid is."""
    if "fid" not in values or "fid_floor" not in values or values["fid_floor"].value <= 0:
        return None
    return values["fid"].value / values["fid_floor"].value


def times(many: float) -> str:
    return f"{many:,.1f}" if many < 10 else f"{many:,.0f}"


def remarks(found: Scores) -> list[str]:
    """What is wrong, where the intervals leave no doubt of it."""
    values, says = found.values, []
    if ratio(values) and values["fid"].corrected < values["fid"].value / 2:
        says.append("Most of fid and of its floor is due to few images, drawn or real, so the two say little about the model.")
    if "precision" in values and "recall" in values:
        precision, recall = values["precision"].interval, values["recall"].interval
        if recall.high < precision.low:
            says.append("It lacks variety more than quality: recall is lower than precision.")
        if precision.high < recall.low:
            says.append("It lacks quality more than variety: precision is lower than recall.")
    if "memorisation" in values and values["memorisation"].interval.low > 0.5:
        says.append("More than half of the images are nearer to training images than to unseen ones: look for copies below.")
    accuracies = found.tables.get("class_accuracies", {})
    if accuracies and "class_accuracy" in values:
        worst = min(accuracies, key=lambda name: accuracies[name].value)
        if accuracies[worst].interval.high < values["class_accuracy"].interval.low:
            says.append(f"The class “{worst}” fails most: {accuracies[worst].value:.0%} of its images are taken for it.")
    return says
