"""Scores that people's votes give, declared for the rules of promotion; `evaluate` has no metric that yields them."""

from __future__ import annotations

from pipelines.metrics.base import Score

MEANING = "How much more often people like what one version generates than what another one does, by their votes."
# online_approval.py computes it.
ONLINE_APPROVAL = Score("online_approval", "higher", MEANING, narrows=False, by_votes=True, difference_only=True)
