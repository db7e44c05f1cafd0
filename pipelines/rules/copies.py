"""Groups of copies: the rows that show one picture, what labels they have, and which of them is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pipelines.core.lazy import np
from pipelines.rules.base import CopyRule, Rule
from pipelines.rules.exact_copy import ExactCopy

if TYPE_CHECKING:
    from pipelines.core.facts import Facts

Resolution = Literal["neither", "majority", "stop"]  # of labels that contradict each other

NO_LABEL, TIE = -1, -2  # in place of the label that most copies have


def groups_of(facts: Facts, rules: Sequence[Rule]) -> np.ndarray:
    """(n,) int64: the number of the first row that shows the same picture as each row, which may be that row itself.

    Rows show one picture where their pixels are equal, whatever the rules are, or where a copy rule among `rules` finds that
    they are copies; a copy of a copy too. A row that another rule refuses, a blank one say, is in no group but its own.
    """
    usable = np.ones(len(facts), bool)
    for rule in rules:
        if not isinstance(rule, CopyRule):
            usable &= rule.keep(facts)
    rows = np.flatnonzero(usable)
    judged = facts if usable.all() else facts[rows]
    first = np.arange(len(rows))
    for rule in (ExactCopy(rule="exact_copy"), *rules):
        if isinstance(rule, CopyRule):
            for one, other in rule.pairs(judged):
                join(first, one, other)
    groups = np.arange(len(facts))
    groups[rows] = rows[first]
    return groups


def join(groups: np.ndarray, one: np.ndarray, other: np.ndarray) -> None:
    """Make one group of the two that the rows of each pair are in. `groups` is changed in place."""
    while (apart := groups[one] != groups[other]).any():
        one, other = one[apart], other[apart]
        firsts = groups[one], groups[other]
        np.minimum.at(groups, np.maximum(*firsts), np.minimum(*firsts))
        while not np.array_equal(groups, following := groups[groups]):
            groups[:] = following


def label_conflicts(groups: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """(n,) bool: the rows of groups whose labels contradict each other. A row without a label, -1, contradicts none."""
    most = np.full(len(groups), NO_LABEL)
    least = np.full(len(groups), np.iinfo(np.int64).max)
    np.maximum.at(most, groups, labels)
    named = labels >= 0
    np.minimum.at(least, groups[named], labels[named])
    return (least < most)[groups]


def refused_labels(groups: np.ndarray, labels: np.ndarray, resolution: Resolution) -> np.ndarray:
    """(n,) bool: the rows that are refused because copies of them have another label.

    `majority`: those whose label fewer copies have; all of the group where the labels tie. Else: all of the group.
    """
    conflict = label_conflicts(groups, labels)
    if resolution != "majority" or not conflict.any():
        return conflict
    winners = majorities(groups[conflict & (labels >= 0)], labels[conflict & (labels >= 0)], len(groups))[groups]
    return conflict & ((winners == TIE) | ((labels != winners) & (labels >= 0)))


def majorities(groups: np.ndarray, labels: np.ndarray, count: int) -> np.ndarray:
    """(count,) int64: the label that most rows of each group have; TIE where several have as many, NO_LABEL without rows."""
    pairs, votes = np.unique(np.stack([groups, labels]), axis=1, return_counts=True)
    order = np.lexsort((votes, pairs[0]))  # the most votes of a group come last
    (group, label), votes = pairs[:, order], votes[order]
    last = np.flatnonzero(np.diff(group, append=-1))
    tie = (group[last - 1] == group[last]) & (votes[last - 1] == votes[last]) & (last > 0)
    winners = np.full(count, NO_LABEL)
    winners[group[last]] = np.where(tie, TIE, label[last])
    return winners


def preferred_first(facts: Facts) -> np.ndarray:
    """(n,) int64: the rows in the order in which they are kept rather than their copies, from what else would be lost.

    Held-out rows come first, because a picture of the holdout must not be trained on; then those with a label.
    """
    return np.lexsort((facts["label"] < 0, ~facts["held_out"]))
