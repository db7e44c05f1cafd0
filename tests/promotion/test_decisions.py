"""What the gate said is kept with the version, and holds until something that it was said of has changed."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from operations import promote
from pipelines.core import files
from pipelines.core.errors import InputError
from pipelines.core.project import Project
from pipelines.feedback.store.event_store import EventStore
from pipelines.promotion import decisions, history
from pipelines.promotion.decisions import Contest, Decision
from pipelines.registry.versions import CHALLENGER, CHAMPION
from tests.conftest import MakeParams
from tests.support.fake_registry import FakeGate, FakeRegistry, install
from tests.support.votes import votes

Judge = Callable[..., Decision]
Known = Callable[..., Decision | None]


@pytest.fixture
def registry() -> FakeRegistry:
    return FakeRegistry()


@pytest.fixture
def gate(project: Project, registry: FakeRegistry, monkeypatch: pytest.MonkeyPatch) -> FakeGate:
    return install(monkeypatch, project, registry)


@pytest.fixture
def judge(project: Project, registry: Any, gate: FakeGate, make_params: MakeParams) -> Judge:
    """Let the gate judge the challenger, by changed settings."""

    def judged(changes: dict[str, object] | None = None) -> Decision:
        contest = decisions.contest(project, registry)
        decision = promote.judge_contest(project, make_params(changes), registry, contest, lambda _: None)
        decisions.remember(registry, decision)
        return decision

    return judged


@pytest.fixture
def known(project: Project, registry: Any, make_params: MakeParams) -> Known:
    """What is known of version 3 under changed settings, against a champion."""

    def found(changes: dict[str, object] | None = None, champion: int = 2) -> Decision | None:
        contest = Contest(registry.version(3), registry.version(champion))
        return decisions.find_valid(project, make_params(changes), contest)

    return found


def test_the_challenger_is_meant_where_no_version_is_named(project: Project, registry: Any) -> None:
    def numbers(version: int | None = None) -> tuple[int, int | None]:
        contest = decisions.contest(project, registry, version)
        return contest.challenger.number, contest.champion_number

    assert numbers() == (3, 2)
    assert numbers(1) == (1, 2)
    with pytest.raises(InputError, match="version 2 of genloop-digits is champion already"):
        numbers(2)
    with pytest.raises(InputError, match="no version 9"):
        numbers(9)
    registry.set_alias(CHALLENGER, None)
    with pytest.raises(InputError, match="has no challenger, version 2 is champion; `genloop run` makes one"):
        numbers()


def test_a_verdict_holds_until_what_it_was_judged_by_has_changed(project: Project, judge: Judge, known: Known) -> None:
    decision = judge()
    assert decision.verdict == "promote"
    assert known() == decision
    assert known(champion=1) is None
    assert known({"promotion.rules.2.margin": 1.0}) is None
    assert known({"promotion.noise": 0}) is None
    assert known({"promotion.require_approval": True}) == decision
    (project.reports / "reference.json").write_text('{"benchmark_id": "other"}')
    assert known() is None


def test_a_verdict_holds_in_a_copy_of_the_project(
    project: Project, registry: Any, judge: Judge, make_params: MakeParams, tmp_path_factory: pytest.TempPathFactory
) -> None:
    files.write(project.noise_floor, "{}")
    decision = judge()
    assert "data/noise.json" in decision.basis["files"]
    copy = replace(project, root=tmp_path_factory.mktemp("copy") / "project")
    shutil.copytree(project.root, copy.root)
    contest = Contest(registry.version(3), registry.version(2))
    assert decisions.find_valid(copy, make_params(), contest) == decision


def test_where_votes_decide_new_ones_are_a_reason_to_judge_again(project: Project, judge: Judge, known: Known) -> None:
    by_votes = {"promotion.rules.0": {"metric": "online_approval", "kind": "not_worse", "margin": 0.05}}
    decision = judge(by_votes)
    assert known(by_votes) == decision
    with EventStore.open(project.database_url) as store:
        store.add(votes(0, 1))
    assert known(by_votes) is None


def test_a_tag_of_an_earlier_genloop_is_no_verdict(registry: FakeRegistry, gate: FakeGate, known: Known) -> None:
    for tag in ("promote", '{"verdict": "promote"}', "[]"):
        registry.tags[3][decisions.TAG] = tag
        assert known() is None


def test_a_run_ends_with_the_gate_where_its_word_is_wanted_or_has_not_been_followed(
    project: Project, registry: Any, gate: FakeGate, judge: Judge, make_params: MakeParams
) -> None:
    def due(changes: dict[str, object] | None = None) -> bool:
        return decisions.is_due(project, make_params(changes), registry)

    assert due()
    gate.verdict = "undecided"
    judge()
    assert not due()
    gate.verdict = "promote"
    decision = judge()
    assert due()  # killed before the alias moved
    assert not due({"promotion.require_approval": True})
    decisions.remember(registry, replace(decision, declined="ann said no"))
    assert not due()
    registry.set_alias(CHALLENGER, 2)
    assert not due()
    registry.set_alias(CHALLENGER, None)
    assert not due()


def test_the_move_has_the_verdict_s_figures_and_a_reason(project: Project, registry: Any, judge: Judge) -> None:
    decision = judge()
    move = promote.apply_verdict(project, registry, decision, "ann@machine")
    assert history.moves(project, registry)[-1] == move
    assert (move.to, move.from_, move.by, move.kind) == (3, 2, "ann@machine", "promote")
    assert move.reason == "fid: surely better"
    assert (move.figures, move.benchmark_id) == (decision.figures, "abc")
    assert registry.pointers == {CHAMPION: 3}


def test_the_table_has_a_line_for_each_rule(judge: Judge) -> None:
    decision = judge()
    assert decisions.summary(decision) == "version 3 against champion 2: promote (fid: surely better)"
    fid, approval = decisions.table_rows(decision)
    assert fid == {
        "score": "fid_unbiased",
        "rule": "better",
        "difference": "-1.25",
        "95 % interval": "-2 to -0.5",
        "verdict": "promote",
    }
    assert (approval["rule"], approval["difference"], approval["95 % interval"]) == ("not_worse 0.02", "–", "–")
