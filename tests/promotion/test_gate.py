"""The gate's verdict on versions that are known to be better, worse or the same."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.metrics.intervals import Interval
from pipelines.promotion import gate, rules
from pipelines.promotion.gate import GateResult
from pipelines.promotion.online_approval import OnlineApproval
from pipelines.promotion.rules import RuleResult
from pipelines.scoring import approval, scores
from pipelines.scoring.approval import ApprovalModel
from tests.conftest import MakeParams
from tests.promotion import fakes
from tests.promotion.fakes import FIRST, PINNED, PainterRegistry

GOOD, BAD = 125.0, 115.0  # brightness; real images have 128
KID = {"metric": "kid", "kind": "better"}


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> PainterRegistry:
    return fakes.install(monkeypatch)


@pytest.fixture
def judge(project: Project, registry: PainterRegistry, make_params: MakeParams) -> Any:
    """Version 2 against version 1, or against nobody; settings as `--set` takes them."""

    def judged(*asked: dict[str, Any], champion: int | None = 1, **changes: Any) -> GateResult:
        found = {
            "promotion.noise": 0,
            "promotion.max_samples": 400,
            **{key.replace("__", "."): changes[key] for key in changes},
        }
        found = {"promotion.rules": list(asked), "evaluate.seed": FIRST, "evaluate.samples": 200, "image.size": 8, **found}
        params = make_params(found)
        return gate.judge(project, params, registry, registry.contest(2, champion), registry.log.append)  # type: ignore[arg-type]

    return judged


def test_a_better_version_is_promoted_and_a_worse_one_rejected_by_what_they_drew(registry: PainterRegistry, judge: Any) -> None:
    old, new = registry.add(1, BAD), registry.add(2, GOOD)
    found = judge(KID, {"metric": "recall", "kind": "not_worse", "margin": 0.2})
    assert (found.verdict, found.champion, found.challenger, found.benchmark_id) == ("promote", 1, 2, PINNED.id)
    assert [rule.verdict for rule in found.rules] == ["promote", "promote"]
    assert found.rules[0].high < 0
    assert (found.samples, found.noise, old.asked, new.asked, registry.log) == (200, 0, 0, 0, [])
    registry.stored[1], registry.stored[2] = registry.stored[2], registry.stored[1]
    assert judge(KID).verdict == "reject"


def test_the_same_again_is_undecided_after_as_many_samples_as_are_allowed(registry: PainterRegistry, judge: Any) -> None:
    old, new = registry.add(1, GOOD), registry.add(2, GOOD)
    found = judge(KID, promotion__max_samples=700)
    assert (found.verdict, found.samples, old.asked, new.asked) == ("undecided", 700, 500, 500)
    assert registry.log == [
        "undecided with 200 samples of each: 200 more are generated",
        "version 2 generates 200 samples",
        "version 1 generates 200 samples",
        "undecided with 400 samples of each: 300 more are generated",
        "version 2 generates 300 samples",
        "version 1 generates 300 samples",
        "still undecided with 700 samples of each, and promotion.max_samples allows no more",
    ]


def test_more_samples_decide_what_few_do_not(registry: PainterRegistry, judge: Any) -> None:
    registry.add(1, GOOD)
    registry.add(2, GOOD + 0.3, kept=False)
    few = judge(KID, promotion__max_samples=200)
    many = judge(KID, promotion__max_samples=6400)
    assert (few.verdict, few.samples) == ("undecided", 200)
    assert many.verdict == "promote"
    assert 200 < many.samples <= 6400


def test_less_than_another_seed_changes_does_not_count(project: Project, registry: PainterRegistry, judge: Any) -> None:
    registry.add(1, BAD)
    registry.add(2, GOOD)
    noise = {"benchmark_id": PINNED.id, "trainings": [{"seed": n, "scores": {"kid": n * 1e13}} for n in (1, 3, 2, 4)]}
    project.noise_floor.parent.mkdir()
    project.noise_floor.write_text(json.dumps(noise))
    found = judge(KID, promotion__noise=4)
    assert (found.verdict, found.noise) == ("reject", 4)
    assert found.rules[0].counts > 1e9
    assert judge(KID, promotion__noise=0).verdict == "promote"
    project.noise_floor.write_text(json.dumps(noise | {"benchmark_id": "before"}))
    found = judge(KID, promotion__noise=4)
    assert (found.verdict, found.noise) == ("promote", 0)
    assert "the noise floor was measured by benchmark before" in registry.log[-1]
    project.noise_floor.write_text(json.dumps(noise | {"trainings": [{"seed": 1, "scores": {"fid": 1.0}}] * 4}))
    found = judge(KID, promotion__noise=4)
    assert (found.verdict, found.rules[0].why) == (
        "undecided",
        "the noise floor knows no kid; `genloop promote` measures it anew",
    )
    project.noise_floor.unlink()
    assert judge(KID, promotion__noise=4).noise == 0
    assert "the noise floor has not been measured" in registry.log[-1]


def test_without_a_champion_limits_alone_are_judged(registry: PainterRegistry, judge: Any) -> None:
    registry.add(2, GOOD)
    copies = {"metric": "memorisation", "kind": "at_most"}
    found = judge(KID, copies | {"margin": 0.9}, champion=None)
    assert (found.verdict, found.champion) == ("promote", None)
    assert [(rule.verdict, rule.low is None) for rule in found.rules] == [(None, True), ("promote", False)]
    assert judge(KID, copies | {"margin": 0.1}, champion=None).verdict == "reject"
    assert judge(KID, champion=None).verdict == "promote"


def test_predicted_approval_counts_as_soon_as_it_is_known(project: Project, registry: PainterRegistry, judge: Any) -> None:
    registry.add(1, BAD)
    registry.add(2, GOOD)
    asked = {"metric": "approval", "kind": "better"}
    found = judge(asked)
    assert (found.verdict, found.rules[0].verdict, found.rules[0].why) == ("undecided", None, rules.NO_VOTES)
    assert registry.log == []  # more samples would not help
    assert judge(KID, asked).verdict == "promote"
    direction = np.append(np.full(16, 0.01), np.zeros(33))
    approval.write(project.approval, {}, ApprovalModel(direction, -20.0, PINNED.id))
    assert judge(asked).verdict == "promote"
    approval.write(project.approval, {}, ApprovalModel(-direction, 20.0, PINNED.id))
    assert judge(asked).verdict == "reject"
    approval.write(project.approval, {}, ApprovalModel(direction, 0.0, "before"))
    with pytest.raises(InputError, match="run `approval` again"):
        judge(asked)


def test_people_s_own_votes_count_and_no_sample_replaces_them(
    registry: PainterRegistry, judge: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, _ = registry.add(1, BAD), registry.add(2, GOOD)
    asked = {"metric": "online_approval", "kind": "not_worse", "margin": 0.05}
    assert judge(KID, asked).rules[1].why == "nobody has voted on both yet"
    for low, word in ((0.1, "promote"), (-0.1, "undecided"), (-0.6, "reject")):
        online = OnlineApproval(low + 0.1, Interval(low, low + 0.2), 300, 20)
        monkeypatch.setattr(gate.online_approval, "difference", lambda *_, online=online: online)
        found = judge(KID, asked)
        assert (found.verdict, found.rules[1].verdict) == (word, word)
    assert old.asked == 0
    assert found.rules[1].why == "surely worse by more than 0.05, say 300 pairs of votes by 20 people"


def test_a_score_that_there_is_none_of_leaves_it_undecided_and_says_why(registry: PainterRegistry, judge: Any) -> None:
    registry.add(1, BAD)
    registry.add(2, GOOD)
    fid = {"metric": "fid", "kind": "better"}
    found = judge({"metric": "class_accuracy", "kind": "better"}, fid, evaluate__samples=10, promotion__max_samples=10)
    assert found.verdict == "undecided"
    assert found.rules[0].why.startswith("of the challenger: class_accuracy needs")
    assert found.rules[1].why == "of the challenger: fid needs 17 generated and as many real rows or more, came 10"


def test_only_what_the_rules_need_is_measured(registry: PainterRegistry, judge: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    registry.add(1, BAD)
    registry.add(2, GOOD)
    measured: list[list[str]] = []
    measure = scores.measure
    monkeypatch.setattr(scores, "measure", lambda trial, names: [measured.append(list(names)), measure(trial, names)][1])
    judge(KID, {"metric": "recall", "kind": "better"}, {"metric": "memorisation", "kind": "at_most", "margin": 0.9})
    assert measured == [["kid", "precision_recall", "memorisation"], ["kid", "precision_recall"]]


def test_what_cannot_be_judged_is_refused(registry: PainterRegistry, judge: Any) -> None:
    registry.add(2, GOOD)
    with pytest.raises(InputError, match="version 2 is the champion already"):
        judge(KID, champion=2)
    with pytest.raises(InputError, match="make it better or not_worse"):
        judge({"metric": "online_approval", "kind": "at_least", "margin": 0.5})


def test_a_verdict_is_json_of_the_agreed_keys_and_of_finite_numbers() -> None:
    rule = RuleResult("fid", "better", 0.1, 0.3, math.nan, -math.inf, 0.5, "undecided", "why")
    found = GateResult("undecided", None, 4, "b", 1500, [rule], 0).as_json()
    assert json.loads(json.dumps(found, allow_nan=False)) == {
        "verdict": "undecided",
        "champion": None,
        "challenger": 4,
        "benchmark_id": "b",
        "rules": [
            {
                "metric": "fid",
                "kind": "better",
                "margin": 0.1,
                "difference": None,
                "low": None,
                "high": 0.5,
                "verdict": "undecided",
            }
        ],
        "samples": 1500,
        "noise": 0,
    }


def test_one_of_several_rules_has_to_hold_and_each_is_looked_at_more_strictly(
    project: Project, registry: PainterRegistry, judge: Any
) -> None:
    registry.add(1, BAD)
    registry.add(2, GOOD)
    liked = {"metric": "approval", "kind": "better"}
    alone, before_votes = judge(KID), judge({"any": [liked, KID]})
    assert before_votes.verdict == "promote"
    assert [rule.verdict for rule in before_votes.rules] == [None, "promote"]
    assert before_votes.rules[1] == replace(alone.rules[0], group=1)  # one part counts, so it is one look
    direction = np.append(np.full(16, -0.01), np.zeros(33))
    approval.write(project.approval, {}, ApprovalModel(direction, 20.0, PINNED.id))
    both = judge({"any": [liked, KID]})
    assert (both.verdict, [rule.verdict for rule in both.rules]) == ("promote", ["reject", "promote"])
    length = both.rules[1].high - both.rules[1].low
    assert length == pytest.approx((alone.rules[0].high - alone.rules[0].low) * 1.15, rel=0.01)
    assert [rule.get("any") for rule in judge(KID, {"any": [liked, KID]}).as_json()["rules"]] == [None, 1, 1]
    assert judge({"any": [liked, {"metric": "kid", "kind": "better", "margin": 1e12}]}).verdict == "reject"


def test_no_more_is_generated_for_a_part_that_is_not_needed(project: Project, registry: PainterRegistry, judge: Any) -> None:
    registry.add(1, GOOD)
    registry.add(2, GOOD)
    settled = {"any": [KID, {"metric": "kid", "kind": "not_worse", "margin": 1e12}]}
    recall = {"metric": "recall", "kind": "not_worse"}  # undecided, and more samples do not narrow it
    found = judge(settled, recall)
    assert [rule.verdict for rule in found.rules] == ["undecided", "promote", "undecided"]
    assert (found.verdict, found.samples) == ("undecided", 200)


def test_a_relative_margin_is_a_share_of_the_champion_s_own_score(registry: PainterRegistry, judge: Any) -> None:
    registry.add(1, BAD)
    registry.add(2, BAD - 3)
    worse, own = (judge({"metric": "fid", "kind": kind}).rules[0].difference for kind in ("better", "at_most"))
    champion = own - worse  # the challenger's own score, less what it is worse by
    for relative, word in ((0.01, "reject"), (10.0, "promote")):
        found = judge({"metric": "fid", "kind": "not_worse", "relative": relative}).rules[0]
        assert found.verdict == word
        assert found.margin == pytest.approx(relative * champion)
        assert f"; its margin is {relative:g} times the champion's " in found.why
    assert judge({"metric": "fid", "kind": "not_worse", "relative": 0.2}, champion=None).rules[0].verdict is None
