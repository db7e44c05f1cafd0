"""What people said of samples, in one form: which of two was preferred.

A vote is a comparison too, with a threshold that is the same for all samples: who likes a sample puts it above the threshold,
who does not puts it below. So votes and choices are one kind of thing, and one model (`model.py`) learns from both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

LEAST = 100  # judgements: the interval of an AUC is then 0.1 to either side, about
LEAST_EACH = 20  # samples that were preferred, and that were not: fewer hardly fill the folds of a cross-fit
THRESHOLD = -1  # in place of a sample's row, before samples are numbered
LARGEST = 0.2  # share of the samples that may hang together; more would not fit into one of five folds


@dataclass(frozen=True)
class Judgements:
    """m judgements of n samples.

    units: (n,) int; samples of one unit hang together, and are held out together.
    winners, losers: (m,) int, numbers of samples; n stands for the threshold. weights: (m,) float64, above 0.
    """

    units: np.ndarray
    winners: np.ndarray
    losers: np.ndarray
    weights: np.ndarray

    def __len__(self) -> int:
        return len(self.weights)

    @property
    def samples(self) -> int:
        return len(self.units)

    @property
    def likes(self) -> np.ndarray:
        """(m,) bool."""
        return self.losers == self.samples

    @property
    def dislikes(self) -> np.ndarray:
        """(m,) bool."""
        return self.winners == self.samples

    @property
    def choices(self) -> np.ndarray:
        """(m,) bool."""
        return ~(self.likes | self.dislikes)

    def where(self, kept: np.ndarray) -> Judgements:
        """Those that `kept`, (m,) bool, leaves."""
        return replace(self, winners=self.winners[kept], losers=self.losers[kept], weights=self.weights[kept])

    def among(self, kept: np.ndarray) -> Judgements:
        """Those that speak of no other samples than `kept`, (n,) bool."""
        known = np.append(kept, True)
        return self.where(known[self.winners] & known[self.losers])

    def telling(self) -> Judgements:
        """Without the votes where they are all likes, or all dislikes: those tell no sample from another."""
        return self if self.likes.any() and self.dislikes.any() else self.where(self.choices)

    def margins(self, scores: np.ndarray) -> np.ndarray:
        """(m,) by how much the winner's score is above the loser's; of (n,) scores, in which the threshold is 0."""
        known = np.append(scores, 0.0)
        return known[self.winners] - known[self.losers]

    def softened(self, targets: np.ndarray) -> Judgements:
        """Each judgement to the share `targets`, (m,), and the opposite to the rest."""
        sides = [self.winners, self.losers]
        winners, losers = (np.concatenate(pair) for pair in (sides, sides[::-1]))
        weights = np.concatenate([share * self.weights for share in (targets, 1 - targets)])
        return replace(self, winners=winners, losers=losers, weights=weights)

    def agreed(self, liked: np.ndarray) -> Judgements:
        """Each vote shared between like and dislike, by (n,) `liked`: how likely it is right to like a sample by all its votes.

        So the mistakes of some raters are mended by others before anything is learned (the second step of Dawid & Skene, 1979,
        with a model of the samples in place of a share). A sample with one vote keeps a doubt, as it should.
        """
        known = np.append(liked, 0.0)
        told = np.where(self.likes, known[self.winners], np.where(self.dislikes, 1 - known[self.losers], 1.0))
        shared = self.softened(told)
        return shared.where(shared.weights > 0)

    def judged(self) -> np.ndarray:
        """(n,) bool: which samples are spoken of."""
        found = np.zeros(self.samples + 1, bool)
        found[self.winners] = found[self.losers] = True
        return found[:-1]


def gather(samples: pa.Table, votes: pa.Table, choices: pa.Table) -> tuple[Judgements, np.ndarray]:
    """What of these tables of data/curated is believed at all, and (n,) int: which rows of `samples` it speaks of."""
    liked = votes["value"].to_numpy() > 0
    voted = votes["sample"].to_numpy().astype(np.int64)
    winners = np.concatenate([np.where(liked, voted, THRESHOLD), choices["winner"].to_numpy()])
    losers = np.concatenate([np.where(liked, THRESHOLD, voted), choices["loser"].to_numpy()])
    weights = np.concatenate([table["weight"].to_numpy().astype(np.float64) for table in (votes, choices)])
    believed = weights > 0
    sides = np.stack([winners, losers])[:, believed]
    rows = np.unique(sides[sides != THRESHOLD])
    winners, losers = np.where(sides == THRESHOLD, len(rows), np.searchsorted(rows, sides))
    keys = np.stack([samples["seed"].to_numpy(), samples["label"].fill_null(-1).to_numpy()], axis=1)[rows]
    apart = Judgements(np.arange(len(rows)), winners, losers, weights[believed])
    return replace(apart, units=units(apart, keys)), rows


def units(said: Judgements, keys: np.ndarray) -> np.ndarray:
    """(n,) int, the unit of each sample.

    Samples with the same key are one unit, for versions that went on from each other draw them alike. So are samples that were
    chosen between, for a choice can be tested only where neither was trained on; but not where that joins too many.

    Args:
        keys: (n, 2) int, seed and label of each sample.
    """
    alike = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
    first, second = (alike[side[said.choices]] for side in (said.winners, said.losers))
    size = int(alike.max(initial=-1)) + 1
    chosen = coo_matrix((np.ones(len(first)), (first, second)), shape=(size, size))
    joined = connected_components(chosen, directed=False)[1][alike]
    return joined if np.bincount(joined).max(initial=0) <= LARGEST * len(keys) else alike


def lacking(said: Judgements) -> str | None:
    """Why there is too little to learn from, in words; None where there is enough."""
    if not len(said):
        return "no votes yet"
    if len(said) < LEAST:
        return f"{came(said)}; it takes {LEAST} judgements that are believed"
    preferred, others = (len(np.unique(said.units[side[side < said.samples]])) for side in (said.winners, said.losers))
    if min(preferred, others) < LEAST_EACH:
        found = f"{preferred:,} samples are preferred and {others:,} are not"
        return f"{came(said)}, by which {found}; it takes {LEAST_EACH} of either"
    return None


def came(said: Judgements) -> str:
    """`120 votes and 30 choices`"""
    numbers = {"votes": int((~said.choices).sum()), "choices": int(said.choices.sum())}
    return " and ".join(f"{number:,} {name}" for name, number in numbers.items() if number)
