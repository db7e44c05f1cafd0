"""One rule of `promotion.rules` and what its interval says. Only numbers in, a word out.

A rule is judged by its whole 95 % interval, never by the point in its middle: with an end on either side of the limit it is
undecided.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pipelines import catalogue
from pipelines.metrics.intervals import Interval
from pipelines.settings.schema import PromotionRule

Word = Literal["promote", "reject", "undecided"]

ABSOLUTE = ("at_most", "at_least")  # kinds that hold a score itself against the margin, whatever the champion has
BY_VOTES = ("approval", "online_approval")  # scores that there are none of before people have judged something
NOBODY = "nobody has judged enough yet"


@dataclass(frozen=True)
class Judged:
    """One rule and what came of it.

    counts: the least difference that counts, the margin or the noise floor if that is larger; of an absolute rule the margin.
    difference, low, high: challenger - champion and its 95 % interval; of an absolute rule the score itself.
    verdict: None where the rule could not be judged and does not count. why: one line for people.
    """

    metric: str
    kind: str
    margin: float
    counts: float
    difference: float | None
    low: float | None
    high: float | None
    verdict: Word | None
    why: str


def relative(rule: PromotionRule, difference: float, interval: Interval, floor: float = 0.0) -> Judged:
    """`better` or `not_worse`, by challenger - champion. floor: differences up to this are noise, in the score's units.

    To be better takes a gain beyond the margin that luck of the samples and luck of the seed do not explain together:
    independent of each other, they add as squares do. Not to be worse is a matter of the version itself, whatever its seed did:
    the floor only keeps it from being rejected for what may be luck, and lets no version through.
    """
    counts = max(rule.margin, floor)
    # Turned so that more is better.
    low, high = interval if catalogue.SCORES[rule.metric] == "higher" else (-interval.high, -interval.low)
    gain = (low + high) / 2
    word: Word
    if rule.kind == "better":
        sure = gain - rule.margin > math.hypot(gain - low, floor)
        word = "promote" if sure else "reject" if high <= counts else "undecided"
    else:
        word = "promote" if low > -rule.margin else "reject" if high < -counts else "undecided"
    least = rule.margin if rule.kind == "not_worse" and word == "promote" else counts
    return judged(rule, counts, difference, interval, word, said(rule.kind, word, least, least > rule.margin))


def absolute(rule: PromotionRule, score: float, interval: Interval) -> Judged:
    """`at_most` or `at_least`, by the score itself."""
    least, most = interval if rule.kind == "at_most" else (-interval.high, -interval.low)
    limit = rule.margin if rule.kind == "at_most" else -rule.margin
    word: Word = "promote" if most <= limit else "reject" if least > limit else "undecided"
    side = "within" if word == "promote" else "beyond" if word == "reject" else "on both sides of"
    return judged(rule, rule.margin, score, interval, word, f"its interval is {side} the limit of {rule.margin:.4g}")


def unknown(rule: PromotionRule, why: str) -> Judged:
    """There is no such score of one of the two."""
    return judged(rule, rule.margin, None, None, "undecided", why)


def unjudged(rule: PromotionRule, why: str) -> Judged:
    """There can be no such score yet, which is no version's fault: the rule does not count."""
    return judged(rule, rule.margin, None, None, None, why)


def overall(rules: Sequence[Judged], champion: bool) -> Word:
    """What the rules say together. champion: whether there is one, which nothing but a rule that holds can push aside."""
    words = [rule.verdict for rule in rules if rule.verdict]
    if "reject" in words:
        return "reject"
    if "undecided" in words or (champion and not words):
        return "undecided"
    return "promote"


def first(rules: Sequence[PromotionRule], metrics: Mapping[str, Any]) -> list[Judged]:
    """The rules for a version without a champion to compare with. metrics: as in metrics.json."""
    return [alone(rule, metrics) for rule in rules]


def alone(rule: PromotionRule, metrics: Mapping[str, Any]) -> Judged:
    if rule.kind not in ABSOLUTE:
        return unjudged(rule, "no champion yet to compare with")
    if metrics.get(rule.metric) is None:
        return unjudged(rule, NOBODY) if rule.metric in BY_VOTES else unknown(rule, f"{rule.metric} was not measured")
    score, low, high = (float(metrics[f"{rule.metric}{end}"]) for end in ("", "_low", "_high"))
    return absolute(rule, score, Interval(low, high))


def judged(
    rule: PromotionRule, counts: float, difference: float | None, interval: Interval | None, word: Word | None, why: str
) -> Judged:
    low, high = interval or (None, None)
    figures = [figure for figure in (difference, low, high) if figure is not None]
    if any(map(math.isnan, figures)):
        word, why = "undecided", f"its figures are {', '.join(map(str, figures))}, which tells nothing"
    return Judged(rule.metric, rule.kind, rule.margin, counts, difference, low, high, word, why)


def said(kind: str, word: Word, counts: float, noise: bool) -> str:
    way = "better" if kind == "better" else "worse"
    by = f" by more than {counts:.4g}{' (what another seed changes)' if noise else ''}" if counts else ""
    if word == "undecided":
        return f"it may be {way}{by} or not"
    if noise and kind == "better" and word == "promote":
        return f"surely better, by more than luck of samples and seed (another seed changes up to {counts:.4g})"
    return f"surely {'' if (kind == 'better') == (word == 'promote') else 'not '}{way}{by}"
