"""How far each rater can be believed: votes -> a weight for each, and a report of what was set aside and why.

A vote is set aside for the first of these reasons that fits:

    replaced    the same rater has voted on the item again, later.
    burst       cast faster than a person judges; or one of many in a short time that are all against what the others say.
    copy        the later of two votes of raters whose votes coincide beyond what their being right explains.
    gold        the rater is worse than chance on items of which the answer is known.
    at chance   the rater's votes say no more of what is right than a coin does, or say the opposite.

The first three are about votes, the last two about raters. What is left weighs its rater's informedness (`agreement`), and no
rater has more than a share of all weight. Nothing is random, and time goes with n log n.

Agreement needs items that several people have voted on, or gold: where there are none all raters weigh alike, and only the
times of their votes can speak against them. A taste that nobody shares cannot be told from noise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import betainc

from pipelines.feedback import agreement
from pipelines.feedback.agreement import Agreement, Votes

REASONS = ("replaced", "burst", "copy", "gold", "at chance")
KEPT = -1


@dataclass(frozen=True)
class Settings:
    """burst_votes, burst_seconds: more votes than this within this time are faster than a person judges.
    against_votes, against_seconds: as many votes within this time, all against the others, are an attack; `decided` is how sure
        the others must be for a vote to be with or against them.
    copy_votes, copy_seconds: fewer votes on the same items say nothing of copies; votes that are this near in time are in step.
    copy_reach: earlier votes on an item that a vote is compared with, so that a popular item costs no more than others.
    copy_errors: expected number of pairs that are wrongly called copies, at most, in each judgement.
    copy_own: share of a copier's votes that may be their own.
    gold_confidence: how sure it must be that a rater is worse than chance on gold.
    chance_deviations: standard deviations above chance that a rater must be, who is nearer to it than to the average.
    strength: votes of each class that the average rater lends to each.
    share: of all weight, that one rater may have; or twice an equal part, where there are too few raters for that.
    """

    burst_votes: int = 20
    burst_seconds: float = 10.0
    against_votes: int = 8
    against_seconds: float = 60.0
    decided: float = 0.8
    copy_votes: int = 20
    copy_seconds: float = 5.0
    copy_reach: int = 8
    copy_errors: float = 1e-3
    copy_own: float = 0.05
    gold_confidence: float = 0.99
    chance_deviations: float = 3.0
    strength: float = agreement.STRENGTH
    share: float = 0.1


@dataclass(frozen=True)
class Standing:
    """What became of one rater's votes. weight: of all weight, their share. set_aside: number of votes by reason."""

    votes: int
    weight: float
    reliability: float
    set_aside: dict[str, int]


@dataclass(frozen=True)
class Trust:
    """weights: (n,) float64, of each vote, 0..1. reasons: (n,) int8, places in REASONS, or KEPT.
    reliability: (raters,) float64, the informedness of what was kept: 1 always right, 0 chance; who has no vote left, or no
        item in common with anybody, has the average rater's. posterior: (items,) float64, that it is right to like an item.
    """

    weights: np.ndarray
    reasons: np.ndarray
    reliability: np.ndarray
    posterior: np.ndarray

    def report(self, votes: Votes) -> dict[int, Standing]:
        """Of every rater who has voted."""
        places = len(REASONS) + 1
        cells = np.bincount(votes.rater * places + self.reasons + 1, minlength=votes.raters * places)
        weight = np.bincount(votes.rater, self.weights, votes.raters) / (self.weights.sum() or 1.0)
        return {
            rater: Standing(
                votes=int(row.sum()),
                weight=float(weight[rater]),
                reliability=float(self.reliability[rater]),
                set_aside={reason: int(count) for reason, count in zip(REASONS, row[1:], strict=True) if count},
            )
            for rater, row in enumerate(cells.reshape(votes.raters, places))
            if row.any()
        }


def judge(votes: Votes, gold: Mapping[int, int] | None = None, settings: Settings | None = None) -> Trust:
    """How much to believe each vote.

    Args:
        gold: what is right (-1 or +1) of the items of which that is known.
    """
    settings = settings or Settings()
    known = known_of(gold or {}, votes.items)
    reasons = np.full(len(votes), KEPT, np.int8)

    def set_aside(reason: str, found: np.ndarray) -> None:
        reasons[(reasons == KEPT) & found] = REASONS.index(reason)

    def agreed() -> tuple[np.ndarray, Votes, Agreement]:
        kept = np.flatnonzero(reasons == KEPT)
        some = votes[kept]
        return kept, some, agreement.fit(some, votes.raters, votes.items, known, settings.strength)

    def among(kept: np.ndarray, found: np.ndarray) -> np.ndarray:
        return np.isin(np.arange(len(votes)), kept[found])

    fast = bursts(votes, settings)  # before others are gone, for all votes take their time
    set_aside("replaced", replaced(votes))
    set_aside("burst", fast)
    # Copies first: of those who vote alike they would make what the others say.
    kept, some, found = agreed()
    set_aside("copy", among(kept, copies(some, found, known, settings)))
    kept, some, found = agreed()
    set_aside("burst", among(kept, against(some, found, known, settings)))
    kept, some, _ = agreed()
    set_aside("gold", worse_than_chance(some, votes.raters, known, settings)[votes.rater])
    _, _, found = agreed()
    set_aside("at chance", at_chance(found, settings)[votes.rater])

    weights = np.where(reasons == KEPT, found.informedness[votes.rater], 0.0)
    return Trust(bounded(weights, votes.rater, settings.share), reasons, found.informedness, found.posterior)


def known_of(gold: Mapping[int, int], items: int) -> np.ndarray:
    """(items,) float, 0 or 1 of gold items, NaN of the others."""
    known = np.full(items, np.nan)
    for item, value in gold.items():
        if value not in (-1, 1):
            raise ValueError(f"gold item {item} has the answer {value!r}; expected -1 or 1")
        if 0 <= item < items:
            known[item] = value > 0
    return known


def replaced(votes: Votes) -> np.ndarray:
    """(n,) bool: the rater has voted on the item again. Of votes at one moment the last stands."""
    order = np.lexsort((votes.at, votes.item, votes.rater))
    found = np.zeros(len(votes), bool)
    found[order[:-1]] = (np.diff(votes.rater[order]) == 0) & (np.diff(votes.item[order]) == 0)
    return found


def bursts(votes: Votes, settings: Settings) -> np.ndarray:
    """(n,) bool: among more than `burst_votes` of the rater's votes within `burst_seconds`."""
    order = np.lexsort((votes.at, votes.rater))
    number = settings.burst_votes + 1
    first = stretches(votes[order], number, settings.burst_seconds)
    found = np.zeros(len(votes), bool)
    found[order] = covered(len(votes), first, first + number)
    return found


def against(votes: Votes, found: Agreement, known: np.ndarray, settings: Settings) -> np.ndarray:
    """(n,) bool: among `against_votes` of the rater's votes within `against_seconds`, all of them against what the others say.

    Votes on items of which the others do not say enough are passed over, but set aside with those about them.
    """
    order = np.lexsort((votes.at, votes.rater))
    right = agreement.by_others(votes, found, found.confusion, known)
    foreseen = np.where(votes.value > 0, right, 1 - right)[order]
    decided = np.flatnonzero((foreseen >= settings.decided) | (foreseen <= 1 - settings.decided))
    with_others = np.cumsum(np.append(0, foreseen[decided] > 0.5))
    number = settings.against_votes
    first = stretches(votes[order[decided]], number, settings.against_seconds)
    first = first[with_others[first] == with_others[first + number]]
    marked = np.zeros(len(votes), bool)
    marked[order] = covered(len(votes), decided[first], decided[first + number - 1] + 1)
    return marked


def stretches(votes: Votes, number: int, seconds: float) -> np.ndarray:
    """(k,) int, the places from which `number` votes of one rater lie within `seconds`. Votes are sorted by rater and time."""
    ends = votes[number - 1 :]
    begins = votes[: len(ends)]
    return np.flatnonzero((begins.rater == ends.rater) & (ends.at - begins.at <= seconds))


def covered(size: int, first: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(size,) bool: the places from a `first` to before its `end`."""
    changes = np.bincount(first, minlength=size + 1) - np.bincount(end, minlength=size + 1)
    return np.cumsum(changes[:-1]) > 0


def copies(votes: Votes, found: Agreement, known: np.ndarray, settings: Settings) -> np.ndarray:
    """(n,) bool: the later vote of two raters who copy, which is seen in one of two ways.

    In step: nearly all items that both have voted on come within seconds of each other, with nearly always the same value. Two
    people before the same pictures begin together, but do not stay together.

    By value: for each two votes on an item, how much more probable is the later one if its rater copies than if it is the
    rater's own, given what all others have said of the item? Careful raters agree because they are right, which is foreseen
    and no evidence; to be wrong alike is. The sum of the logarithms over a pair's items is compared with
    log(pairs / copy_errors): by Ville's inequality (1939) a likelihood ratio ever passes 1 / p with probability p at most.
    """
    order = np.lexsort((votes.at, votes.item))
    before, after = [np.zeros(0, int)], [np.zeros(0, int)]
    for lag in range(1, min(settings.copy_reach, len(votes) - 1) + 1):
        same = votes.item[order[:-lag]] == votes.item[order[lag:]]
        before.append(order[:-lag][same])
        after.append(order[lag:][same])
    earlier, later = np.concatenate(before), np.concatenate(after)
    one, other = votes.rater[earlier].astype(np.int64), votes.rater[later].astype(np.int64)
    pairs, pair = np.unique(np.minimum(one, other) * votes.raters + np.maximum(one, other), return_inverse=True)

    def of_pairs(values: np.ndarray) -> np.ndarray:
        return np.bincount(pair, values, len(pairs))

    agree = votes.value[earlier] == votes.value[later]
    near = votes.at[later] - votes.at[earlier] <= settings.copy_seconds
    right = agreement.by_others(votes, found, found.confusion, known)
    chances = found.confusion[votes.rater, votes.said]
    foreseen = ((1 - right) * chances[:, 0] + right * chances[:, 1])[later]
    ratio = settings.copy_own + (1 - settings.copy_own) * agree / foreseen

    number = of_pairs(np.ones(len(pair)))
    in_step = of_pairs(near & agree) >= (1 - settings.copy_own) * number
    by_value = of_pairs(np.log(ratio)) > np.log(max(len(pairs), 1) / settings.copy_errors)
    copying = (number >= settings.copy_votes) & (in_step | by_value)
    marked = np.zeros(len(votes), bool)
    marked[later[copying[pair]]] = True
    return marked


def worse_than_chance(votes: Votes, raters: int, known: np.ndarray, settings: Settings) -> np.ndarray:
    """(raters,) bool: by a beta posterior from a uniform prior, a rater's accuracy on gold is below one half."""
    gold = ~np.isnan(known[votes.item])
    number = np.bincount(votes.rater[gold], minlength=raters)
    right = np.bincount(votes.rater[gold], votes.said[gold] == known[votes.item[gold]], raters)
    return betainc(right + 1, number - right + 1, 0.5) >= settings.gold_confidence


def at_chance(found: Agreement, settings: Settings) -> np.ndarray:
    """(raters,) bool: not above chance by enough deviations, and nearer to chance than to the average rater.

    The second spares who has few votes: of them it is only known that they are like the others.
    """
    average = found.average[1, 1] + found.average[0, 0] - 1
    unclear = found.informedness < settings.chance_deviations * found.deviation
    return (found.informedness <= 0) | (unclear & (found.informedness < average / 2))


def bounded(weights: np.ndarray, rater: np.ndarray, share: float) -> np.ndarray:
    """(n,) weights with those of heavy raters scaled down, so that none has more than `share` of what is then the sum.

    With m raters capped at c and the others' total R: c = share (m c + R), so c = share R / (1 - share m), for the only m
    whose cap lies between its lightest capped and the heaviest other rater. With fewer than 2 / share raters the share is
    twice an equal part: near an equal part all would be cut down to the one with the least.
    """
    totals = np.bincount(rater, weights)
    heavy = np.sort(totals[totals > 0])[::-1]
    share = max(share, 2 / max(len(heavy), 1))
    if share >= 1:
        return weights
    capped = np.arange(int(np.ceil(1 / share)))  # so many would have more than all
    capped = capped[capped * share < 1]
    rest = heavy.sum() - np.cumsum(np.append(0, heavy))[: len(capped)]
    caps = share * rest / (1 - share * capped)
    cap = caps[np.flatnonzero(heavy[: len(capped)] <= caps)[0]]
    scale = np.minimum(1, np.divide(cap, totals, out=np.ones_like(totals), where=totals > 0))
    return weights * scale[rater]
