"""The rules of `promotion.rules` and what their intervals say: numbers in, a verdict out.

A rule is judged by its whole 95 % interval, never by the point in its middle: with an end on either side of the limit it is
undecided. Of an `any` one part has to hold, which gives luck as many chances as there are parts: so each of k parts that count
is judged by its interval at 1 - 0.05 / k, and all together mislead no more often than one rule (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from pipelines import catalogue
from pipelines.core.numbers import three_digits
from pipelines.metrics import intervals
from pipelines.metrics.intervals import LEVEL, Interval
from pipelines.scoring import readings
from pipelines.settings.schema import AnyRule, PromotionRule

Verdict = Literal["promote", "reject", "undecided"]

ABSOLUTE = ("at_most", "at_least")  # kinds that hold a score itself against the margin, whatever the champion has
NO_VOTES = "nobody has judged enough yet"


@dataclass(frozen=True)
class RuleResult:
    """The verdict by one rule, with its figures.

    counts: the least difference that counts, the margin or the noise floor if that is larger; of an absolute rule the margin.
    difference, low, high: challenger - champion and its 95 % interval; of an absolute rule the score itself.
    verdict: None where the rule could not be judged and does not count. why: one line for people.
    group: number of the `any` that the rule is a part of, the first is 1; None where it stands alone.
    """

    metric: str
    kind: str
    margin: float
    counts: float
    difference: float | None
    low: float | None
    high: float | None
    verdict: Verdict | None
    why: str
    group: int | None = None


def judge_all(
    declared: Sequence[PromotionRule | AnyRule], judge: Callable[[PromotionRule, float], RuleResult]
) -> list[RuleResult]:
    """All rules and parts of rules, in their order. judge: judges one by its interval at a level."""
    results, group = [], 0
    for rule in declared:
        found = [judge(part, LEVEL) for part in rule.parts]
        if isinstance(rule, AnyRule):
            group += 1
            counted = sum(one.verdict is not None for one in found)
            if counted > 1:
                found = [judge(part, 1 - (1 - LEVEL) / counted) for part in rule.parts]
            found = [replace(one, group=group) for one in found]
        results += found
    return results


def judge_difference(rule: PromotionRule, difference: float, interval: Interval, floor: float = 0.0) -> RuleResult:
    """`better` or `not_worse`, by challenger - champion. floor: differences up to this are noise, in the score's units.

    To be better takes a gain beyond the margin that luck of the samples and luck of the seed do not explain together:
    independent of each other, they add as squares do. Not to be worse is a matter of the version itself, whatever its seed did:
    the floor only keeps it from being rejected for what may be luck, and lets no version through.
    """
    counts = max(rule.margin, floor)
    # Turned so that more is better.
    low, high = interval if catalogue.rule_scores()[rule.metric].better == "higher" else (-interval.high, -interval.low)
    gain = (low + high) / 2
    verdict: Verdict
    if rule.kind == "better":
        sure = gain - rule.margin > math.hypot(gain - low, floor)
        verdict = "promote" if sure else "reject" if high <= counts else "undecided"
    else:
        verdict = "promote" if low > -rule.margin else "reject" if high < -counts else "undecided"
    least = rule.margin if rule.kind == "not_worse" and verdict == "promote" else counts
    return result(rule, counts, difference, interval, verdict, explain(rule.kind, verdict, least, least > rule.margin))


def judge_limit(rule: PromotionRule, score: float, interval: Interval) -> RuleResult:
    """`at_most` or `at_least`, by the score itself."""
    least, most = interval if rule.kind == "at_most" else (-interval.high, -interval.low)
    limit = rule.margin if rule.kind == "at_most" else -rule.margin
    verdict: Verdict = "promote" if most <= limit else "reject" if least > limit else "undecided"
    side = "within" if verdict == "promote" else "beyond" if verdict == "reject" else "on both sides of"
    return result(rule, rule.margin, score, interval, verdict, f"its interval is {side} the limit of {rule.margin:g}")


def undecided_result(rule: PromotionRule, why: str) -> RuleResult:
    """The result where one of the two versions has no such score: the rule is undecided."""
    return result(rule, rule.margin, None, None, "undecided", why)


def uncounted_result(rule: PromotionRule, why: str) -> RuleResult:
    """The result where there can be no such score yet, through no fault of a version: the rule does not count."""
    return result(rule, rule.margin, None, None, None, why)


def combine(rules: Sequence[RuleResult], champion: bool) -> Verdict:
    """The verdict of all rules. champion: whether there is one, which takes a rule that holds to be replaced."""
    verdicts = [verdict for verdict in joint_verdicts([(rule.verdict, rule.group) for rule in rules]) if verdict]
    if "reject" in verdicts:
        return "reject"
    if "undecided" in verdicts or (champion and not verdicts):
        return "undecided"
    return "promote"


def joint_verdicts(rules: Sequence[tuple[Verdict | None, int | None]]) -> list[Verdict | None]:
    """For the verdict and the group of each rule, the verdict that it stands for: that of its group, where it has one."""
    groups = {group: any_verdict([verdict for verdict, other in rules if other == group]) for _, group in rules if group}
    return [groups[group] if group else verdict for verdict, group in rules]


def any_verdict(parts: Sequence[Verdict | None]) -> Verdict | None:
    """Of rules of which one has to hold; None where none of them counts."""
    counted = [verdict for verdict in parts if verdict]
    if not counted:
        return None
    if "promote" in counted:
        return "promote"
    return "undecided" if "undecided" in counted else "reject"


def judge_first_version(rules: Sequence[PromotionRule | AnyRule], metrics: Mapping[str, Any]) -> list[RuleResult]:
    """The rules for a version without a champion to compare with. metrics: as in metrics.json."""
    return judge_all(rules, lambda rule, level: judge_without_champion(rule, metrics, level))


def judge_without_champion(rule: PromotionRule, metrics: Mapping[str, Any], level: float = LEVEL) -> RuleResult:
    if rule.kind not in ABSOLUTE:
        return uncounted_result(rule, "no champion yet to compare with")
    reading = readings.read(metrics).get(rule.metric)
    if reading is None or reading.interval is None:
        by_votes = catalogue.rule_scores()[rule.metric].by_votes
        return uncounted_result(rule, NO_VOTES) if by_votes else undecided_result(rule, f"{rule.metric} was not measured")
    return judge_limit(rule, reading.value, intervals.widen(reading.value, reading.interval, level))


def result(
    rule: PromotionRule, counts: float, difference: float | None, interval: Interval | None, verdict: Verdict | None, why: str
) -> RuleResult:
    """A figure that is not a number decides nothing."""
    low, high = interval or (None, None)
    figures = [figure for figure in (difference, low, high) if figure is not None]
    if any(map(math.isnan, figures)):
        verdict, why = "undecided", f"its figures are {', '.join(map(str, figures))}, which tells nothing"
    return RuleResult(rule.metric, rule.kind, rule.margin, counts, difference, low, high, verdict, why)


def explain(kind: str, verdict: Verdict, counts: float, noise: bool) -> str:
    change = "better" if kind == "better" else "worse"
    by = f" by more than {three_digits(counts)}{' (what another seed changes)' if noise else ''}" if counts else ""
    if verdict == "undecided":
        return f"it may be {change}{by} or not"
    if noise and kind == "better" and verdict == "promote":
        return f"surely better, by more than luck of samples and seed (another seed changes up to {three_digits(counts)})"
    return f"surely {'' if (kind == 'better') == (verdict == 'promote') else 'not '}{change}{by}"
