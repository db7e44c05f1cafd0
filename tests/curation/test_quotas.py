"""The arithmetic of quotas: generated rows of a class, and rows that one rater may move."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.curation import quotas
from pipelines.curation.quotas import RaterQuota


@given(st.integers(0, 10_000), st.floats(0, 0.99))
def test_no_more_can_be_generated_than_the_share_allows_and_no_fewer(count: int, share: float) -> None:
    most = quotas.generated_quotas({0: count}, share)[0]
    assert most <= share * (most + count) + 1e-6
    assert most + 1 > share * (most + 1 + count) - 1e-6


@given(st.lists(st.sets(st.sampled_from("abcde"), min_size=1), max_size=60), st.floats(0, 6))
def test_nobody_moves_more_than_their_quota(wanted: list[set[str]], most: float) -> None:
    quota = RaterQuota(most)
    taken = sum(quota.take(raters) for raters in wanted)
    assert max(quota.moved.values(), default=0) <= most + 1e-6
    assert sum(quota.moved.values()) == pytest.approx(taken)


def test_who_is_at_the_limit_keeps_nobody_else_from_being_heard() -> None:
    quota = RaterQuota(2)
    assert [quota.take(["greedy"]) for _ in range(3)] == [True, True, False]
    assert quota.take(["greedy", "ann"])
    assert quota.moved == {"greedy": 2, "ann": 1}
    assert [quota.take(["ann", "bob"]) for _ in range(4)] == [True, True, True, False]
    assert max(quota.moved.values()) <= 2
