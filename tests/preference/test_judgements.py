"""Votes and choices in one form, samples that are held out together, and shortage of judgements."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipelines.feedback.curated import SCHEMAS
from pipelines.preference.judgements import Judgements, shortage
from pipelines.preference.judgements import gather as gather_tables
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
    return gather_tables(
        samples,
        table("votes", sample=sample, value=value, weight=weight),
        table("choices", winner=winner, loser=loser, weight=chosen),
    )


def test_samples_of_one_seed_and_prompt_are_one_unit() -> None:
    samples = table("samples", seed=[7, 7, 7, 7, 8], prompt=["a fox", "a boat", "a fox", None, "a fox"], label=[None] * 5)
    votes = table("votes", sample=range(5), value=[1] * 5, weight=[1.0] * 5)
    judgements, _ = gather_tables(samples, votes, table("choices"))
    fox, boat, again, plain, other = judgements.units.tolist()
    assert fox == again
    assert len({fox, boat, plain, other}) == 4


def test_a_vote_is_a_comparison_with_the_threshold() -> None:
    judgements, rows = gather([(0, 1, 0.5), (2, -1, 0.25)], [(4, 2, 1.0)], [10, 11, 12, 13, 14])
    assert rows.tolist() == [0, 2, 4]  # nobody judged the others
    assert judgements.winners.tolist() == [0, 3, 2]
    assert judgements.losers.tolist() == [3, 1, 1]
    assert judgements.weights.tolist() == [0.5, 0.25, 1.0]
    assert (judgements.likes.tolist(), judgements.dislikes.tolist(), judgements.choices.tolist()) == (
        [True, False, False], [False, True, False], [False, False, True],
    )  # fmt: skip


def test_what_is_not_believed_is_not_there() -> None:
    judgements, rows = gather([(0, 1, 0.0), (1, 1, 0.5)], [(2, 3, 0.0)], [1, 2, 3, 4])
    assert rows.tolist() == [1]
    assert len(judgements) == 1


def test_samples_of_one_seed_and_those_chosen_between_hang_together() -> None:
    few = [(sample, 1, 1.0) for sample in range(40)]
    seeds = [*range(38), 5, 6]  # the last two begin as the sixth and seventh did
    judgements, _ = gather(few, [(10, 11, 1.0), (11, 12, 1.0)], seeds)
    assert judgements.units[38] == judgements.units[5]
    assert judgements.units[39] == judgements.units[6]
    assert judgements.units[10] == judgements.units[11] == judgements.units[12]
    assert len(np.unique(judgements.units)) == 36


def test_choices_that_would_join_everything_join_nothing() -> None:
    chain = [(sample, sample + 1, 1.0) for sample in range(39)]
    judgements, _ = gather([], chain, list(range(40)))
    assert len(np.unique(judgements.units)) == 40


def test_without_any_feedback_there_is_nothing() -> None:
    judgements, rows = gather([], [], [])
    assert len(judgements) == len(rows) == 0
    assert shortage(judgements) == "no votes yet"


def test_a_shortage_is_described_with_numbers() -> None:
    _, log_odds = opinions.taste(99, 0)
    assert shortage(opinions.votes(log_odds, 0)) == "99 votes; it takes 100 credible judgements"
    both = opinions.together(opinions.votes(log_odds[:50], 0), opinions.choices(log_odds[:50], 0, 30))
    assert str(shortage(both)).startswith("50 votes and 30 choices; it takes")
    alike = opinions.votes(np.full(200, 50.0), 0)
    assert shortage(alike) == "200 votes, by which 200 samples are preferred and 0 are not; it takes 20 of either"


@pytest.mark.parametrize("kind", ["votes", "choices"])
def test_enough_is_enough(kind: str) -> None:
    _, log_odds = opinions.taste(200, 0)
    judgements = opinions.votes(log_odds, 0) if kind == "votes" else opinions.choices(log_odds, 0, 100)
    assert shortage(judgements) is None


def test_many_votes_on_few_samples_are_too_few() -> None:
    _, log_odds = opinions.taste(15, 0)
    judgements = opinions.votes(log_odds, 0, each=40)
    assert str(shortage(judgements)).startswith("600 votes, by which 14 samples are preferred and 15 are not; it takes 20")


def test_votes_on_a_sample_come_to_what_they_say_together() -> None:
    judgements = Judgements(np.arange(3), np.array([0, 3, 1, 1]), np.array([3, 0, 3, 2]), np.array([1.0, 1.0, 2.0, 0.5]))
    softened = judgements.soften_votes(np.array([0.9, 1.0, 0.2]))
    likes, dislikes = ({int(w): [] for w in range(3)} for _ in range(2))
    for winner, loser, weight in zip(softened.winners, softened.losers, softened.weights, strict=True):
        if loser == 3:
            likes[int(winner)].append(weight)
        elif winner == 3:
            dislikes[int(loser)].append(weight)
    assert {sample: sum(weights) for sample, weights in likes.items()} == pytest.approx({0: 1.8, 1: 2.0, 2: 0})
    assert {sample: sum(weights) for sample, weights in dislikes.items()} == pytest.approx({0: 0.2, 1: 0, 2: 0})
    assert softened.weights[softened.choices].tolist() == [0.5]  # a choice stays what it is
