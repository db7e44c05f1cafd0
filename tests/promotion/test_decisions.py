"""What the gate said is kept with the version, and holds until something that it was said of has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pipelines.core.errors import InputError
from pipelines.feedback.store import database
from pipelines.feedback.store.event_store import Store
from pipelines.promotion import decisions
from pipelines.registry.client import CHALLENGER, CHAMPION
from tests.conftest import MakeParams
from tests.support.fake_registry import Registry
from tests.support.votes import votes


@pytest.fixture
def registry(project: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv(database.VARIABLE, f"sqlite:///{project / 'feedback.db'}")
    found = Registry()
    found.install(monkeypatch)
    return found


def judge(make_params: MakeParams, changes: dict[str, object] | None = None) -> decisions.Decision:
    params = make_params(changes)
    decision = decisions.judge(params, 3, 2, lambda _: None)
    decisions.remember(params, decision)
    return decision


def test_the_challenger_is_meant_where_no_version_is_named(registry: Registry, make_params: MakeParams) -> None:
    assert decisions.sides(make_params()) == (3, 2)
    assert decisions.sides(make_params(), 1) == (1, 2)
    with pytest.raises(InputError, match="version 2 of genloop-digits is champion already"):
        decisions.sides(make_params(), 2)
    with pytest.raises(InputError, match="no version 9"):
        decisions.sides(make_params(), 9)
    registry.aliases[CHALLENGER] = None
    with pytest.raises(InputError, match="has no challenger, version 2 is champion; `genloop run` makes one"):
        decisions.sides(make_params())


def test_a_verdict_holds_until_what_it_was_judged_by_has_changed(registry: Registry, make_params: MakeParams) -> None:
    decision = judge(make_params)
    assert decision.word == "promote"
    assert decisions.known(make_params(), 3, 2) == decision
    assert decisions.known(make_params(), 3, 1) is None  # another champion
    assert decisions.known(make_params({"promotion.rules.0.margin": 1.0}), 3, 2) is None
    assert decisions.known(make_params({"promotion.noise": 0}), 3, 2) is None
    assert decisions.known(make_params({"promotion.require_approval": True}), 3, 2) == decision
    Path("data/reports/reference.json").write_text('{"benchmark_id": "other"}')
    assert decisions.known(make_params(), 3, 2) is None


def test_where_votes_decide_new_ones_are_a_reason_to_judge_again(registry: Registry, make_params: MakeParams) -> None:
    by_votes = {"promotion.rules.0": {"metric": "online_approval", "kind": "not_worse", "margin": 0.05}}
    decision = judge(make_params, by_votes)
    assert decisions.known(make_params(by_votes), 3, 2) == decision
    with Store.open() as store:
        store.add(votes(0, 1))
    assert decisions.known(make_params(by_votes), 3, 2) is None


def test_a_tag_of_an_earlier_genloop_is_no_verdict(registry: Registry, make_params: MakeParams) -> None:
    for tag in ("promote", '{"verdict": "promote"}', "[]"):
        registry.tags[3][decisions.TAG] = tag
        assert decisions.known(make_params(), 3, 2) is None


def test_a_run_ends_with_the_gate_where_its_word_is_wanted_or_has_not_been_followed(
    registry: Registry, make_params: MakeParams
) -> None:
    assert decisions.due(make_params())
    registry.word = "undecided"
    judge(make_params)
    assert not decisions.due(make_params())
    registry.word = "promote"
    decision = judge(make_params)
    assert decisions.due(make_params())  # killed before the alias moved
    assert not decisions.due(make_params({"promotion.require_approval": True}))
    decisions.remember(make_params(), replace(decision, declined="ann said no"))
    assert not decisions.due(make_params())
    registry.aliases[CHALLENGER] = 2
    assert not decisions.due(make_params())
    registry.aliases[CHALLENGER] = None
    assert not decisions.due(make_params())


def test_the_move_has_the_verdict_s_figures_and_a_reason(registry: Registry, make_params: MakeParams) -> None:
    decision = judge(make_params)
    decisions.move(make_params(), decision, "ann@machine")
    (move,) = registry.moves
    assert (move.to, move.expected, move.by, move.verdict) == (3, 2, "ann@machine", "promote")
    assert move.reason == "fid: surely better"
    assert move.figures == (decision.figures, "abc")
    assert registry.aliases == {CHAMPION: 3, CHALLENGER: None}


def test_the_table_has_a_line_for_each_rule(registry: Registry, make_params: MakeParams) -> None:
    decision = judge(make_params)
    assert decisions.words(decision) == "version 3 against champion 2: promote (fid: surely better)"
    fid, approval = decisions.rows(decision)
    assert fid == {
        "score": "fid",
        "rule": "better",
        "difference": "-1.25",
        "95 % interval": "-2 to -0.5",
        "verdict": "promote",
    }
    assert (approval["rule"], approval["difference"], approval["95 % interval"]) == ("not_worse 0.02", "–", "–")
