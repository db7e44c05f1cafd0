"""Weights of votes by the reliability of their raters: votes -> a weight for each, or the reason why it is rejected.

A vote is rejected for the first of these reasons that fits:

    replaced    the same rater has voted on the item again, later.
    burst       cast faster than a person judges; or one of many in a short time that are all against what other raters say.
    copy        the later of two votes of raters whose votes coincide beyond what their being right explains.
    gold        the rater is worse than chance on items of which the answer is known.
    at chance   the rater's votes say no more of what is right than a coin does, or say the opposite.

The first three are about votes, the last two about raters. Any other vote weighs its rater's informedness (`agreement`), and
no rater has more than a share of all weight. Nothing is random, and time goes with n log n.

Agreement needs items that several people have voted on, or gold: where there are none all raters weigh alike, and only the
times of their votes can speak against them. A taste that nobody shares cannot be told from noise.

Files without times are imported with one timestamp for all votes of a rater, which says nothing of how fast these were cast.
Only of imported votes is that believed: whoever sends events can give them any time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import betainc

from pipelines.feedback import agreement
from pipelines.feedback.agreement import Agreement, Votes

REASONS = ("replaced", "burst", "copy", "gold", "at chance")
ACCEPTED = -1


@dataclass(frozen=True)
class TrustSettings:
    """burst_votes, burst_seconds: more votes than this within this time are faster than a person judges.
    same_time: as many imported votes of a rater with exactly one timestamp have no times of their own.
    against_votes, against_seconds: as many votes within this time, all against what other raters say, are an attack; `decided`
        is how sure these must be for a vote to be with or against them.
    copy_votes, copy_seconds: fewer votes on the same items say nothing of copies; votes that are this near in time are in step.
    copy_reach: earlier votes on an item that a vote is compared with, so that a popular item costs no more than any.
    copy_errors: expected number of pairs that are wrongly called copies, at most, in each judgement.
    copy_own: share of a copier's votes that may be their own.
    gold_confidence: how sure it must be that a rater is worse than chance on gold.
    chance_deviations: standard deviations above chance that a rater must be who is nearer to it than to the average.
    strength: votes of each class that the average rater lends to each.
    share: of all weight, that one rater may have; or twice an equal part, where there are too few raters for that.
    """

    burst_votes: int = 20
    burst_seconds: float = 10.0
    same_time: int = 8
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
class Trust:
    """weights: (n,) float64, of each vote, 0..1. reasons: (n,) int8, places in REASONS, or ACCEPTED.
    reliability: (raters,) float64, the informedness of accepted votes: 1 always right, 0 chance; a rater without any, or
        without an item in common with anybody, has the average rater's. posterior: (items,) float64, that it is right to like
        an item.
    """

    weights: np.ndarray
    reasons: np.ndarray
    reliability: np.ndarray
    posterior: np.ndarray


def weigh_votes(votes: Votes, gold: Mapping[int, int] | None = None, settings: TrustSettings | None = None) -> Trust:
    """A weight for each vote. gold: item -> the right answer, -1 or +1, where it is known."""
    settings = settings or TrustSettings()
    answers = gold_answers(gold or {}, votes.items)
    reasons = np.full(len(votes), ACCEPTED, np.int8)

    def reject(reason: str, found: np.ndarray) -> None:
        reasons[(reasons == ACCEPTED) & found] = REASONS.index(reason)

    def agree() -> tuple[np.ndarray, Votes, Agreement]:
        """Places of the votes that are accepted up to now, these votes, and how their raters agree."""
        places = np.flatnonzero(reasons == ACCEPTED)
        accepted = votes[places]
        return places, accepted, agreement.fit(accepted, votes.raters, votes.items, answers, settings.strength)

    def among(places: np.ndarray, found: np.ndarray) -> np.ndarray:
        return np.isin(np.arange(len(votes)), places[found])

    fast = burst_votes(votes, settings)  # before any are rejected, because all votes take their time
    reject("replaced", replaced_votes(votes))
    reject("burst", fast)
    # Copies first: copiers among themselves would make what the other raters say.
    places, accepted, found = agree()
    reject("copy", among(places, copied_votes(accepted, found, answers, settings)))
    places, accepted, found = agree()
    reject("burst", among(places, attack_votes(accepted, found, answers, settings)))
    _, accepted, _ = agree()
    reject("gold", worse_than_chance(accepted, votes.raters, answers, settings)[votes.rater])
    _, _, found = agree()
    reject("at chance", at_chance(found, settings)[votes.rater])

    weights = np.where(reasons == ACCEPTED, found.informedness[votes.rater], 0.0)
    return Trust(cap_shares(weights, votes.rater, settings.share), reasons, found.informedness, found.posterior)


def gold_answers(gold: Mapping[int, int], items: int) -> np.ndarray:
    """(items,) float, 0 or 1 of gold items, NaN of all other items."""
    answers = np.full(items, np.nan)
    for item, value in gold.items():
        if value not in (-1, 1):
            raise ValueError(f"gold item {item} has the answer {value!r}; expected -1 or 1")
        if 0 <= item < items:
            answers[item] = value > 0
    return answers


def replaced_votes(votes: Votes) -> np.ndarray:
    """(n,) bool: the rater has voted on the item again. Of votes with one timestamp the last is not replaced."""
    order = np.lexsort((votes.at, votes.item, votes.rater))
    found = np.zeros(len(votes), bool)
    found[order[:-1]] = (np.diff(votes.rater[order]) == 0) & (np.diff(votes.item[order]) == 0)
    return found


def burst_votes(votes: Votes, settings: TrustSettings) -> np.ndarray:
    """(n,) bool: among more than `burst_votes` of the rater's votes within `burst_seconds`."""
    order = timed_votes(votes, settings)
    number = settings.burst_votes + 1
    first = short_spans(votes[order], number, settings.burst_seconds)
    found = np.zeros(len(votes), bool)
    found[order] = cover(len(order), first, first + number)
    return found


def timed_votes(votes: Votes, settings: TrustSettings) -> np.ndarray:
    """(k,) int, the places of the votes that have times of their own, by rater and time."""
    order = np.lexsort((votes.at, votes.rater))
    if not len(order):
        return order
    new = (np.diff(votes.rater[order]) != 0) | (np.diff(votes.at[order]) != 0)
    group = np.cumsum(np.append(0, new))
    imported = votes.imported[order]
    return order[~imported | (np.bincount(group, imported)[group] < settings.same_time)]


def attack_votes(votes: Votes, found: Agreement, answers: np.ndarray, settings: TrustSettings) -> np.ndarray:
    """(n,) bool: among `against_votes` of the rater's votes within `against_seconds`, all against what other raters say.

    Votes on items of which other raters do not say enough are passed over, but rejected with those about them.
    """
    order = timed_votes(votes, settings)
    right = agreement.posterior_by_others(votes, found, found.confusion, answers)
    expected = np.where(votes.value > 0, right, 1 - right)[order]
    decided = np.flatnonzero((expected >= settings.decided) | (expected <= 1 - settings.decided))
    confirmed = np.cumsum(np.append(0, expected[decided] > 0.5))
    number = settings.against_votes
    first = short_spans(votes[order[decided]], number, settings.against_seconds)
    first = first[confirmed[first] == confirmed[first + number]]
    marked = np.zeros(len(votes), bool)
    marked[order] = cover(len(order), decided[first], decided[first + number - 1] + 1)
    return marked


def short_spans(votes: Votes, number: int, seconds: float) -> np.ndarray:
    """(k,) int, the places from which `number` votes of one rater lie within `seconds`. Votes are sorted by rater and time."""
    ends = votes[number - 1 :]
    begins = votes[: len(ends)]
    return np.flatnonzero((begins.rater == ends.rater) & (ends.at - begins.at <= seconds))


def cover(size: int, first: np.ndarray, end: np.ndarray) -> np.ndarray:
    """(size,) bool: the places from a `first` to before its `end`."""
    changes = np.bincount(first, minlength=size + 1) - np.bincount(end, minlength=size + 1)
    return np.cumsum(changes[:-1]) > 0


def copied_votes(votes: Votes, found: Agreement, answers: np.ndarray, settings: TrustSettings) -> np.ndarray:
    """(n,) bool: the later vote of two raters who copy, which shows in one of two ways.

    In step: nearly all items that both have voted on come within seconds of each other, with nearly always the same value. Two
    people who see the same images begin together, but do not stay together. Imported votes with exactly one timestamp are
    passed over: they come from a file without times.

    By value: for each two votes on an item, how much more probable is the later one if its rater copies than if it is the
    rater's own, given all other votes on the item? Careful raters agree because they are right, which is expected and
    no evidence; to make the same mistakes is. The sum of the logarithms over a pair's items is compared with
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
    apart = votes.at[later] - votes.at[earlier]
    has_times = (apart > 0) | ~(votes.imported[earlier] & votes.imported[later])
    near = has_times & (apart <= settings.copy_seconds)
    right = agreement.posterior_by_others(votes, found, found.confusion, answers)
    chances = found.confusion[votes.rater, votes.likes]
    expected = ((1 - right) * chances[:, 0] + right * chances[:, 1])[later]
    ratio = settings.copy_own + (1 - settings.copy_own) * agree / expected

    number, timed = of_pairs(np.ones(len(pair))), of_pairs(has_times)
    in_step = (timed >= settings.copy_votes) & (of_pairs(near & agree) >= (1 - settings.copy_own) * timed)
    by_value = (number >= settings.copy_votes) & (of_pairs(np.log(ratio)) > np.log(max(len(pairs), 1) / settings.copy_errors))
    copying = in_step | by_value
    marked = np.zeros(len(votes), bool)
    marked[later[copying[pair]]] = True
    return marked


def worse_than_chance(votes: Votes, raters: int, answers: np.ndarray, settings: TrustSettings) -> np.ndarray:
    """(raters,) bool: by a beta posterior from a uniform prior, a rater's accuracy on gold is below one half."""
    gold = ~np.isnan(answers[votes.item])
    number = np.bincount(votes.rater[gold], minlength=raters)
    right = np.bincount(votes.rater[gold], votes.likes[gold] == answers[votes.item[gold]], raters)
    return betainc(right + 1, number - right + 1, 0.5) >= settings.gold_confidence


def at_chance(found: Agreement, settings: TrustSettings) -> np.ndarray:
    """(raters,) bool: not above chance by enough deviations, and nearer to chance than to the average rater.

    The second condition spares raters with few votes, of whom nothing is known but that they are like all raters.
    """
    average = found.average[1, 1] + found.average[0, 0] - 1
    unclear = found.informedness < settings.chance_deviations * found.deviation
    return (found.informedness <= 0) | (unclear & (found.informedness < average / 2))


def cap_shares(weights: np.ndarray, rater: np.ndarray, share: float) -> np.ndarray:
    """(n,) weights with those of heavy raters scaled down, so that none has more than `share` of what is then the sum.

    With m raters capped at c and R the total of all other raters: c = share (m c + R), so c = share R / (1 - share m), for the
    only m whose cap lies between its lightest capped rater and the heaviest other rater. With fewer than 2 / share raters the
    share is twice an equal part: near an equal part all would be cut down to the rater with the least.
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
