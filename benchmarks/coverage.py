"""How often the intervals hold the truth: Gaussian features, whose Fréchet distance is known.

    python -m benchmarks.coverage

The nominal rate is 95 %. For comparison, the percentile bootstrap: 200 resamples with replacement of the same rows' groups.
"""

from __future__ import annotations

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from pipelines.metrics import fid, intervals
from pipelines.metrics.base import FeatureRows
from pipelines.metrics.moments import GroupedMoments, Moments

RESAMPLES = 200


@dataclass(frozen=True)
class Setting:
    """Width of the features, numbers of generated and real rows, and how far two models are from the real distribution."""

    width: int
    generated: int
    real: int
    shifts: tuple[float, float]

    def distributions(self) -> list[Moments]:
        """Moments of the real rows and of both models. The number of rows is 2, so that the scatter is the covariance."""
        random = np.random.default_rng(self.width)
        mixing, other = random.standard_normal((2, self.width, self.width)) / np.sqrt(self.width)
        found = []
        for shift in (0.0, *self.shifts):
            mixed = mixing + shift * other
            covariance = mixed @ mixed.T + 0.1 * np.eye(self.width)
            found.append(Moments(2, np.full(self.width, 0.3 * shift / np.sqrt(self.width)), covariance))
        return found


SETTINGS = (
    Setting(16, 1_000, 1_000, (0.3, 0.2)),
    Setting(64, 2_000, 1_000, (0.3, 0.25)),
    Setting(64, 10_000, 2_000, (0.1, 0.05)),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=500)
    trials = parser.parse_args().trials
    with ProcessPoolExecutor(initializer=threadpool_limits, initargs=(1, "blas")) as pool:
        for setting in SETTINGS:
            held = np.array(list(pool.map(trial, [setting] * trials, range(trials), chunksize=5)))
            real, a, b = setting.distributions()
            print(
                f"{setting.width} features, {setting.generated:,} generated, {setting.real:,} real rows, distances "
                f"{fid.frechet(a, real):.4f} and {fid.frechet(b, real):.4f}: the interval holds the distance in "
                f"{held[:, 0].mean():.1%}, that of the difference in {held[:, 1].mean():.1%}, "
                f"a percentile bootstrap in {held[:, 2].mean():.1%} of {trials} trials",
                flush=True,
            )


def trial(setting: Setting, seed: int) -> tuple[bool, bool, bool]:
    """Whether the interval of the first distance, that of the difference, and the bootstrap's hold the truth."""
    random = np.random.default_rng([7, seed])
    moments = setting.distributions()
    counts = (setting.real, setting.generated, setting.generated)
    real, a, b = (
        FeatureRows(random.standard_normal((count, setting.width)) @ np.linalg.cholesky(of.covariance).T + of.mean)
        for count, of in zip(counts, moments, strict=True)
    )
    first, second = (fid.compare(model, real) for model in (a, b))
    truths = [fid.frechet(of, moments[0]) for of in moments[1:]]
    _, interval = intervals.difference(first, second)
    return (
        contains(truths[0], first.interval),
        contains(truths[0] - truths[1], interval),
        contains(truths[0], bootstrap(a, real, random)),
    )


def contains(truth: float, interval: intervals.Interval) -> bool:
    return interval.low <= truth <= interval.high


def bootstrap(generated: FeatureRows, real: FeatureRows, random: np.random.Generator) -> intervals.Interval:
    found = [fid.frechet(resample(generated.moments, random), resample(real.moments, random)) for _ in range(RESAMPLES)]
    low, high = np.quantile(found, [0.025, 0.975])
    return intervals.Interval(float(low), float(high))


def resample(groups: GroupedMoments, random: np.random.Generator) -> Moments:
    chosen = random.integers(len(groups.counts), size=len(groups.counts))
    resampled = GroupedMoments(groups.counts[chosen], groups.means[chosen], groups.scatters[chosen])
    return resampled.pooled(np.ones(len(chosen), bool))


if __name__ == "__main__":
    main()
