"""Judgements of samples in one form: which of two was preferred.

A vote is a comparison too, with a threshold that is the same for all samples: a like puts the sample above the threshold,
a dislike puts it below. So votes and choices are one kind of thing, and one model (`model.py`) learns from both.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

LEAST = 100  # judgements: the interval of an AUC is then 0.1 to either side, about
LEAST_EACH = 20  # samples that were preferred, and that were not: fewer hardly fill the folds of cross-validation
THRESHOLD = -1  # in place of a sample's row, before samples are numbered
UNIT = ("seed", "label", "prompt")  # columns; samples that have all of them in common are one unit
LARGEST = 0.2  # share of the samples that one unit may have; more would not fit into one of five folds


@dataclass(frozen=True)
class Judgements:
    """m judgements of n samples.

    units: (n,) int; samples of one unit are not independent, and are held out together.
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

    @property
    def counts(self) -> dict[str, int]:
        choices = int(self.choices.sum())
        return {"votes": len(self) - choices, "choices": choices}

    def select(self, mask: np.ndarray) -> Judgements:
        """mask: (m,) bool."""
        return replace(self, winners=self.winners[mask], losers=self.losers[mask], weights=self.weights[mask])

    def within(self, samples: np.ndarray) -> Judgements:
        """Those about no other samples than these, (n,) bool."""
        inside = np.append(samples, True)
        return self.select(inside[self.winners] & inside[self.losers])

    def informative(self) -> Judgements:
        """Without the votes where they are all likes, or all dislikes: those tell no sample from another."""
        return self if self.likes.any() and self.dislikes.any() else self.select(self.choices)

    def margins(self, scores: np.ndarray) -> np.ndarray:
        """(m,) by how much the winner's score is above the loser's. scores: (n,), in which the threshold is 0."""
        with_threshold = np.append(scores, 0.0)
        return with_threshold[self.winners] - with_threshold[self.losers]

    def soften(self, targets: np.ndarray) -> Judgements:
        """Each judgement with the share `targets`, (m,), of its weight, and the opposite one with the rest."""
        pair = [self.winners, self.losers]
        winners, losers = np.concatenate(pair), np.concatenate(pair[::-1])
        weights = np.concatenate([share * self.weights for share in (targets, 1 - targets)])
        return replace(self, winners=winners, losers=losers, weights=weights)

    def soften_votes(self, liked: np.ndarray) -> Judgements:
        """Each vote divided between like and dislike, by (n,) `liked`: the probability, by all votes on a sample, that it is
        right to like it.

        So the mistakes of some raters are corrected by others before the fit (the second step of Dawid & Skene, 1979,
        with a model of the samples in place of a share). A sample with one vote keeps a doubt, as it should.
        """
        of_sample = np.append(liked, 0.0)
        targets = np.where(self.likes, of_sample[self.winners], np.where(self.dislikes, 1 - of_sample[self.losers], 1.0))
        softened = self.soften(targets)
        return softened.select(softened.weights > 0)


def gather(samples: pa.Table, votes: pa.Table, choices: pa.Table) -> tuple[Judgements, np.ndarray]:
    """The judgements in these tables of data/curated that count, and (n,) int, the rows of `samples` that they are about."""
    liked = votes["value"].to_numpy() > 0
    sample_rows = votes["sample"].to_numpy().astype(np.int64)
    winners = np.concatenate([np.where(liked, sample_rows, THRESHOLD), choices["winner"].to_numpy()])
    losers = np.concatenate([np.where(liked, THRESHOLD, sample_rows), choices["loser"].to_numpy()])
    weights = np.concatenate([table["weight"].to_numpy().astype(np.float64) for table in (votes, choices)])
    counted = weights > 0
    pairs = np.stack([winners, losers])[:, counted]
    rows = np.unique(pairs[pairs != THRESHOLD])
    winners, losers = np.where(pairs == THRESHOLD, len(rows), np.searchsorted(rows, pairs))
    prompts = samples["prompt"].fill_null("").combine_chunks().dictionary_encode().indices.to_numpy()
    keys = np.stack([samples["seed"].to_numpy(), samples["label"].fill_null(-1).to_numpy(), prompts], axis=1)[rows]
    judgements = Judgements(np.arange(len(rows)), winners, losers, weights[counted])
    return replace(judgements, units=units(judgements, keys)), rows


def units(judgements: Judgements, keys: np.ndarray) -> np.ndarray:
    """(n,) int, the unit of each sample.

    Samples with the same key are one unit, because versions that were trained on from each other generate similar images of
    it. So are samples that were chosen between, because a choice can be tested only where neither was trained on; but not where
    that joins too many.

    Args:
        keys: (n, 3) int, seed, label and prompt of each sample; equal prompts have equal numbers.
    """
    by_key = np.unique(keys, axis=0, return_inverse=True)[1].ravel()
    first, second = (by_key[samples[judgements.choices]] for samples in (judgements.winners, judgements.losers))
    size = int(by_key.max(initial=-1)) + 1
    chosen = coo_matrix((np.ones(len(first)), (first, second)), shape=(size, size))
    joined = connected_components(chosen, directed=False)[1][by_key]
    return joined if np.bincount(joined).max(initial=0) <= LARGEST * len(keys) else by_key


def shortage(judgements: Judgements) -> str | None:
    """Why there is too little to learn from, in words; None where there is enough."""
    if not len(judgements):
        return "no votes yet"
    numbers = " and ".join(f"{count:,} {name}" for name, count in judgements.counts.items() if count)
    if len(judgements) < LEAST:
        return f"{numbers}; it takes {LEAST} credible judgements"
    preferred, rejected = (
        len(np.unique(judgements.units[samples[samples < judgements.samples]]))
        for samples in (judgements.winners, judgements.losers)
    )
    if min(preferred, rejected) < LEAST_EACH:
        found = f"{preferred:,} samples are preferred and {rejected:,} are not"
        return f"{numbers}, by which {found}; it takes {LEAST_EACH} of either"
    return None
