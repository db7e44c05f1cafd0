"""Votes and choices in one form, what hangs together, and when there is too little."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.feedback.curated import SCHEMAS
from pipelines.preference import judgements
from pipelines.preference.judgements import Judgements
from tests.preference import opinions


def table(name: str, **columns: Any) -> pa.Table:
    count = len(next(iter(columns.values()), []))
    return pa.table({field.name: pa.array(columns.get(field.name, [None] * count), field.type) for field in SCHEMAS[name]})


def gather(
    votes: list[tuple[int, int, float]], choices: list[tuple[int, int, float]], seeds: list[int]
) -> tuple[Judgements, np.ndarray]:
    samples = table("samples", seed=seeds, label=[None, *[3] * (len(seeds) - 1)] if seeds else [])
    sample, value, weight = zip(*votes, strict=True) if votes else ([], [], [])
    winner, loser, chosen = zip(*choices, strict=True) if choices else ([], [], [])
    return judgements.gather(
        samples,
        table("votes", sample=sample, value=value, weight=weight),
        table("choices", winner=winner, loser=loser, weight=chosen),
    )


def test_a_vote_is_a_comparison_with_the_threshold() -> None:
    said, rows = gather([(0, 1, 0.5), (2, -1, 0.25)], [(4, 2, 1.0)], [10, 11, 12, 13, 14])
    assert rows.tolist() == [0, 2, 4]  # nobody judged the others
    assert said.winners.tolist() == [0, 3, 2]
    assert said.losers.tolist() == [3, 1, 1]
    assert said.weights.tolist() == [0.5, 0.25, 1.0]
    assert (said.likes.tolist(), said.dislikes.tolist(), said.choices.tolist()) == (
        [True, False, False], [False, True, False], [False, False, True],
    )  # fmt: skip


def test_what_is_not_believed_is_not_there() -> None:
    said, rows = gather([(0, 1, 0.0), (1, 1, 0.5)], [(2, 3, 0.0)], [1, 2, 3, 4])
    assert rows.tolist() == [1]
    assert len(said) == 1


def test_samples_of_one_seed_and_those_chosen_between_hang_together() -> None:
    few = [(sample, 1, 1.0) for sample in range(40)]
    seeds = [*range(38), 5, 6]  # the last two begin as the sixth and seventh did
    said, _ = gather(few, [(10, 11, 1.0), (11, 12, 1.0)], seeds)
    assert said.units[38] == said.units[5]
    assert said.units[39] == said.units[6]
    assert said.units[10] == said.units[11] == said.units[12]
    assert len(np.unique(said.units)) == 36


def test_choices_that_would_join_everything_join_nothing() -> None:
    chain = [(sample, sample + 1, 1.0) for sample in range(39)]
    said, _ = gather([], chain, list(range(40)))
    assert len(np.unique(said.units)) == 40


def test_without_any_feedback_there_is_nothing() -> None:
    said, rows = gather([], [], [])
    assert len(said) == len(rows) == 0
    assert judgements.lacking(said) == "no votes yet"


def test_too_little_is_said_with_numbers() -> None:
    _, log_odds = opinions.taste(99, 0)
    assert judgements.lacking(opinions.votes(log_odds, 0)) == "99 votes; it takes 100 judgements that are believed"
    both = opinions.together(opinions.votes(log_odds[:50], 0), opinions.choices(log_odds[:50], 0, 30))
    assert str(judgements.lacking(both)).startswith("50 votes and 30 choices; it takes")
    alike = opinions.votes(np.full(200, 50.0), 0)
    assert judgements.lacking(alike) == "200 votes, by which 200 samples are preferred and 0 are not; it takes 20 of either"


@pytest.mark.parametrize("kind", ["votes", "choices"])
def test_enough_is_enough(kind: str) -> None:
    _, log_odds = opinions.taste(200, 0)
    said = opinions.votes(log_odds, 0) if kind == "votes" else opinions.choices(log_odds, 0, 100)
    assert judgements.lacking(said) is None


def test_many_votes_on_few_samples_are_too_few() -> None:
    _, log_odds = opinions.taste(15, 0)
    said = opinions.votes(log_odds, 0, each=40)
    assert str(judgements.lacking(said)).startswith("600 votes, by which 14 samples are preferred and 15 are not; it takes 20")


def test_votes_on_a_sample_come_to_what_they_say_together() -> None:
    said = Judgements(np.arange(3), np.array([0, 3, 1, 1]), np.array([3, 0, 3, 2]), np.array([1.0, 1.0, 2.0, 0.5]))
    shared = said.agreed(np.array([0.9, 1.0, 0.2]))
    likes, dislikes = ({int(w): [] for w in range(3)} for _ in range(2))
    for winner, loser, weight in zip(shared.winners, shared.losers, shared.weights, strict=True):
        if loser == 3:
            likes[int(winner)].append(weight)
        elif winner == 3:
            dislikes[int(loser)].append(weight)
    assert {sample: sum(weights) for sample, weights in likes.items()} == pytest.approx({0: 1.8, 1: 2.0, 2: 0})
    assert {sample: sum(weights) for sample, weights in dislikes.items()} == pytest.approx({0: 0.2, 1: 0, 2: 0})
    assert shared.weights[shared.choices].tolist() == [0.5]  # a choice stays what it is
