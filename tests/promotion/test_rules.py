"""A rule is judged by its whole interval, in the direction that its score is better."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from pipelines.metrics.intervals import LEVEL, Interval
from pipelines.promotion import rules
from pipelines.promotion.rules import RuleResult, Verdict
from pipelines.settings.schema import AnyRule, PromotionRule

NAN = math.nan


def rule(kind: Any, metric: str = "recall", margin: float = 0.0) -> PromotionRule:
    return PromotionRule(metric=metric, kind=kind, margin=margin)


@pytest.mark.parametrize(
    ("kind", "margin", "floor", "interval", "word"),
    [
        ("better", 0.0, 0.0, (0.01, 0.2), "promote"),
        ("better", 0.0, 0.0, (0.0, 0.2), "undecided"),
        ("better", 0.0, 0.0, (-0.1, 0.2), "undecided"),
        ("better", 0.0, 0.0, (-0.2, 0.0), "reject"),
        ("better", 0.0, 0.0, (0.0, 0.0), "reject"),
        ("better", 0.1, 0.0, (0.05, 0.2), "undecided"),
        ("better", 0.1, 0.0, (0.05, 0.1), "reject"),
        ("better", 0.0, 0.1, (0.05, 0.09), "reject"),
        ("better", 0.1, 0.05, (0.11, 0.2), "undecided"),  # beyond the margin by 0.055, which seed and samples may explain
        ("better", 0.1, 0.05, (0.15, 0.24), "promote"),
        ("better", 0.0, 0.1, (0.08, 0.16), "promote"),  # 0.12 is more than the root of 0.04 and 0.1, squared
        ("better", 0.0, 0.1, (0.05, 0.15), "undecided"),
        ("better", 0.1, 0.05, (0.09, 0.3), "undecided"),
        ("not_worse", 0.0, 0.0, (0.01, 0.2), "promote"),
        ("not_worse", 0.0, 0.0, (0.0, 0.0), "undecided"),
        ("not_worse", 0.0, 0.0, (-0.2, -0.01), "reject"),
        ("not_worse", 0.1, 0.0, (-0.09, 0.2), "promote"),
        ("not_worse", 0.1, 0.0, (-0.1, 0.2), "undecided"),
        ("not_worse", 0.1, 0.0, (-0.2, -0.1), "undecided"),
        ("not_worse", 0.1, 0.0, (-0.3, -0.11), "reject"),
        ("not_worse", 0.1, 0.2, (-0.09, 0.0), "promote"),
        ("not_worse", 0.0, 0.1, (-0.09, 0.0), "undecided"),  # the version may be worse, by its seed or not
        ("not_worse", 0.0, 0.1, (-0.2, -0.09), "undecided"),
        ("not_worse", 0.0, 0.1, (-0.2, -0.11), "reject"),
    ],
)
def test_a_difference_is_held_against_what_counts(
    kind: str, margin: float, floor: float, interval: tuple[float, float], word: Verdict
) -> None:
    low, high = interval
    middle = (low + high) / 2
    found = rules.judge_difference(rule(kind, "recall", margin), middle, Interval(low, high), floor)
    assert (found.verdict, found.counts) == (word, max(margin, floor))
    turned = rules.judge_difference(rule(kind, "fid", margin), -middle, Interval(-high, -low), floor)
    assert turned.verdict == word
    assert (turned.difference, turned.low, turned.high) == (-middle, -high, -low)  # as it was measured


@pytest.mark.parametrize(
    ("kind", "interval", "word"),
    [
        ("at_most", (0.2, 0.5), "promote"),
        ("at_most", (0.4, 0.6), "undecided"),
        ("at_most", (0.5, 0.6), "undecided"),
        ("at_most", (0.51, 0.6), "reject"),
        ("at_least", (0.5, 0.6), "promote"),
        ("at_least", (0.4, 0.6), "undecided"),
        ("at_least", (0.4, 0.5), "undecided"),
        ("at_least", (0.4, 0.49), "reject"),
    ],
)
def test_a_score_is_held_against_its_limit(kind: str, interval: tuple[float, float], word: Verdict) -> None:
    assert rules.judge_limit(rule(kind, "memorisation", 0.5), sum(interval) / 2, Interval(*interval)).verdict == word


@pytest.mark.parametrize("figures", [(NAN, NAN, NAN), (0.0, NAN, NAN), (NAN, 0.9, 0.9), (0.9, 0.9, NAN), (0.9, NAN, 0.9)])
def test_what_is_no_number_never_promotes(figures: tuple[float, float, float]) -> None:
    middle, low, high = figures
    asked = [rule("better"), rule("not_worse"), rule("better", "fid"), rule("not_worse", "fid")]
    judged = [rules.judge_difference(one, middle, Interval(low, high)) for one in asked]
    judged += [rules.judge_limit(rule(kind, margin=0.5), middle, Interval(low, high)) for kind in rules.ABSOLUTE]
    assert {one.verdict for one in judged} == {"undecided"}
    assert all("nan" in one.why for one in judged)


def test_people_are_told_why() -> None:
    assert rules.judge_difference(rule("better", margin=0.1), 0.3, Interval(0.2, 0.4)).why == "surely better by more than 0.1"
    by_noise = rules.judge_difference(rule("better"), 0.3, Interval(0.2, 0.4), floor=0.35).why
    assert by_noise == "it may be better by more than 0.35 (what another seed changes) or not"
    assert rules.judge_difference(rule("better"), -0.3, Interval(-0.4, -0.2)).why == "surely not better"
    assert rules.judge_difference(rule("not_worse"), -0.3, Interval(-0.4, -0.2)).why == "surely worse"
    assert rules.judge_difference(rule("not_worse"), 0.3, Interval(0.2, 0.4)).why == "surely not worse"
    assert rules.judge_difference(rule("not_worse"), 0.3, Interval(0.2, 0.4), floor=0.5).why == "surely not worse"
    limit = rules.judge_limit(rule("at_most", "memorisation", 0.65), 0.6, Interval(0.55, 0.7)).why
    assert limit == "its interval is on both sides of the limit of 0.65"


def words(*words: Verdict | None) -> list[RuleResult]:
    return [RuleResult("fid", "better", 0.0, 0.0, None, None, None, word, "") for word in words]


@pytest.mark.parametrize(
    ("each", "with_champion", "without"),
    [
        (("promote", "promote"), "promote", "promote"),
        (("promote", None), "promote", "promote"),
        (("promote", "undecided"), "undecided", "undecided"),
        (("undecided", "reject", "promote"), "reject", "reject"),
        ((None, None), "undecided", "promote"),
        ((), "undecided", "promote"),
    ],
)
def test_all_rules_together(each: tuple[Verdict | None, ...], with_champion: Verdict, without: Verdict) -> None:
    assert rules.combine(words(*each), champion=True) == with_champion
    assert rules.combine(words(*each), champion=False) == without


def test_the_first_version_is_held_against_limits_alone() -> None:
    asked = [rule("better", "fid"), rule("at_most", "memorisation", 0.65), rule("at_least", "approval", 0.5)]
    good = {"memorisation": 0.5, "memorisation_low": 0.4, "memorisation_high": 0.6, "fid": 3.0}
    found = rules.judge_first_version(asked, good)
    assert [one.verdict for one in found] == [None, "promote", None]
    assert [one.why for one in found][::2] == ["no champion yet to compare with", rules.NO_VOTES]
    assert rules.combine(found, champion=False) == "promote"
    assert [one.verdict for one in rules.judge_first_version(asked, good | {"memorisation_high": 0.7})][1] == "undecided"
    assert rules.combine(rules.judge_first_version(asked, {}), champion=False) == "undecided"
    assert rules.combine(rules.judge_first_version(asked, dict.fromkeys(good)), champion=False) == "undecided"


@pytest.mark.parametrize(
    ("parts", "word"),
    [
        (("promote", "reject"), "promote"),
        (("promote", "undecided"), "promote"),
        (("promote", None), "promote"),
        (("reject", "undecided"), "undecided"),
        (("reject", "reject"), "reject"),
        (("reject", None), "reject"),
        ((None, None), None),
    ],
)
def test_of_an_any_one_part_has_to_hold(parts: tuple[Verdict | None, ...], word: Verdict | None) -> None:
    assert rules.joint_verdicts([("undecided", None), *((part, 1) for part in parts)]) == ["undecided", word, word]
    grouped = [replace(one, group=2) for one in words(*parts)]
    assert rules.combine([*grouped, *words("promote")], champion=True) == (word or "promote")
    assert rules.combine([*grouped, *words("reject")], champion=True) == "reject"
    assert rules.combine(grouped, champion=True) == (word or "undecided")
    others = [replace(one, group=1) for one in words("reject", "undecided")]
    assert rules.combine([*others, *grouped], champion=True) == ("reject" if word == "reject" else "undecided")


@pytest.mark.parametrize(("counting", "level"), [(0, LEVEL), (1, LEVEL), (2, 0.975), (4, 0.9875)])
def test_each_part_that_counts_is_one_more_look(counting: int, level: float) -> None:
    asked: list[tuple[float, float]] = []

    def judge(one: PromotionRule, level: float) -> RuleResult:
        asked.append((one.margin, level))
        return words("undecided" if one.margin < counting else None)[0]

    parts = [rule("better", margin=float(number)) for number in range(5)]
    found = rules.judge_all([rule("better"), AnyRule(any=parts), AnyRule(any=[rule("better")])], judge)
    assert [one.group for one in found] == [None, 1, 1, 1, 1, 1, 2]
    assert asked[0] == asked[-1] == (0.0, LEVEL)
    assert asked[-6:-1] == [(float(number), pytest.approx(level)) for number in range(5)]


def test_a_first_version_keeps_one_of_two_limits_more_surely() -> None:
    metrics = {f"recall{end}": value for end, value in (("", 0.6), ("_low", 0.51), ("_high", 0.69))}
    one, other = rule("at_least", "recall", 0.5), rule("at_most", "recall", 0.2)
    assert [found.verdict for found in rules.judge_first_version([one], metrics)] == ["promote"]
    assert [found.verdict for found in rules.judge_first_version([AnyRule(any=[one])], metrics)] == ["promote"]
    found = rules.judge_first_version([AnyRule(any=[one, other])], metrics)
    assert [result.verdict for result in found] == ["undecided", "reject"]
