"""A summary of the scores in words: how good the model is, and what is wrong with it."""

from __future__ import annotations

import math
from typing import NamedTuple

from pipelines.core.numbers import four_digits
from pipelines.metrics.intervals import Estimate
from pipelines.scoring.scores import Scores

# The most that fid may be as a multiple of its floor, the colour, and what that means.
GRADES = (
    (1.5, "good", "Hardly to be told from real images."),
    (3.0, "good", "Close to real images."),
    (10.0, "warn", "Clearly apart from real images."),
    (math.inf, "bad", "Far from real images."),
)


class Headline(NamedTuple):
    colour: str
    text: str
    reason: str


def headline(values: dict[str, Estimate]) -> Headline:
    times = ratio(values)
    if times is not None:
        colour, text = next((colour, text) for most, colour, text in GRADES if times <= most)
        fid, floor = (four_digits(values[name].value) for name in ("fid", "fid_floor"))
        reason = f"It is {fid}: {ratio_text(times)} times the {floor} of real training images."
        return Headline(colour, text, f"So says fid, the distance between generated and real images. {reason}")
    if "fid" in values:
        return Headline(
            "soft", "How good is open.", "The distance from real images, fid, has no floor here to be held against."
        )
    return Headline("soft", "How good is open.", "The distance from real images, fid, is not among the scores.")


def ratio(values: dict[str, Estimate]) -> float | None:
    """fid as a multiple of its floor."""
    if "fid" not in values or "fid_floor" not in values or values["fid_floor"].value <= 0:
        return None
    return values["fid"].value / values["fid_floor"].value


def ratio_text(ratio: float) -> str:
    return f"{ratio:,.1f}" if ratio < 10 else f"{ratio:,.0f}"


def remarks(result: Scores) -> list[str]:
    """Faults of the model that are certain, by the intervals of its scores."""
    values, texts = result.values, []
    if ratio(values) and values["fid"].corrected < values["fid"].value / 2:
        texts.append(
            "Most of fid and of its floor is due to few images, generated or real, so the two say little about the model."
        )
    if "precision" in values and "recall" in values:
        precision, recall = values["precision"].interval, values["recall"].interval
        if recall.high < precision.low:
            texts.append("It lacks variety more than quality: recall is lower than precision.")
        if precision.high < recall.low:
            texts.append("It lacks quality more than variety: precision is lower than recall.")
    if "memorisation" in values and values["memorisation"].interval.low > 0.5:
        texts.append("More than half of the images are nearer to training images than to unseen ones: look for copies below.")
    accuracies = result.tables.get("class_accuracies", {})
    if accuracies and "class_accuracy" in values:
        worst = min(accuracies, key=lambda name: accuracies[name].value)
        if accuracies[worst].interval.high < values["class_accuracy"].interval.low:
            texts.append(f"The class “{worst}” fails most: {accuracies[worst].value:.0%} of its images are taken for it.")
    return texts
