"""fid_preferred, recall_preferred, coverage_preferred: `fid`, `recall`, `coverage` against real rows as people weigh them.

A model that gives people more of what they like moves away from the real images as they are, and `fid` takes that for a fault.
Here the held-out rows have the weights by which training rows count (`approval` in dvc.yaml, the same strength): images like
those that people like count for more, and classes keep their shares. So what people like is no fault, and blur, noise, missing
variety and copies of a few liked images are faults as before, because the yardstick is real images all the same.

    fid_preferred       Fréchet distance of the generated images to the weighted mean and covariance of the real ones, which is
                        divided by sum w - sum w² / sum w (weights say how much a row counts, not how often it came)
    recall_preferred    weighted share of real rows within the manifold of the generated ones
    coverage_preferred  weighted share of real rows in whose ball a generated image lies

As it is not known how the images differ that people have not judged, the weights are taken as given: the intervals leave out
groups of rows with their weights, and do not speak of errors of the approval model. `fid_preferred` is without the bias of few
images, as `fid_unbiased` is. Before it is known what people like, the three are `fid_unbiased`, `recall` and `coverage`.

An ideal model generates images as the weights say, so near a row of weight w there are w times as many of them; that gives the
ideal of coverage. That of recall is taken from `recall`: it depends on the number of images, and hardly on where they are.
"""

from __future__ import annotations

from dataclasses import replace

from pipelines.core.lazy import np
from pipelines.metrics import base, density_coverage, fid, precision_recall
from pipelines.metrics.base import Comparison, Score
from pipelines.metrics.intervals import Estimate

FID = "fid without its bias, against real images that count the more the better people like them: taste is no fault."
RECALL = "Recall of real images that count the more the better people like them."
COVERAGE = "Coverage of real images that count the more the better people like them."
NEEDS = "the held-out rows of a project, which people's votes give weights; `genloop run` has them"
SCORES = (
    Score("fid_preferred", "lower", FID, least_rows=50, rows_per_feature=1, needs=NEEDS),
    Score("recall_preferred", "higher", RECALL, least_rows=50, needs=NEEDS, narrows=False),
    Score("coverage_preferred", "higher", COVERAGE, least_rows=50, needs=NEEDS, narrows=False),
)


def score(comparison: Comparison) -> dict[str, Estimate]:
    weights = comparison.benchmark.preferred
    if weights is None and comparison.benchmark.ids is None:  # outside of a project nobody has voted
        return {}
    plain = fid.score(comparison) | precision_recall.score(comparison) | density_coverage.score(comparison)
    if weights is None:
        return {f"{name}_preferred": plain[name] for name in ("fid", "recall", "coverage")}
    return {
        "fid_preferred": distance(comparison, plain["fid"], weights),
        "recall_preferred": share(
            comparison,
            comparison.membership.real_in_generated[precision_recall.NEIGHBOURHOOD],
            weights,
            plain["recall"].ideal,
        ),
        "coverage_preferred": share(
            comparison,
            comparison.membership.real_reached[density_coverage.NEIGHBOURHOOD],
            weights,
            ideal_coverage(comparison, weights),
        ),
    }


def distance(comparison: Comparison, plain: Estimate, weights: np.ndarray) -> Estimate:
    """plain: the distance to the real rows as they are. Near 0, luck moves this one as it moves that one, with fewer rows."""
    found = fid.compare(comparison.generated, comparison.preferred)
    if plain.least_spread is None:
        return found
    generated, real, effective = len(comparison.generated), len(comparison.real), base.effective_count(weights)
    return replace(found, least_spread=plain.least_spread * (1 / generated + 1 / effective) / (1 / generated + 1 / real))


def share(comparison: Comparison, hits: np.ndarray, weights: np.ndarray, ideal: float | None) -> Estimate:
    """The weighted share of real rows for which `hits` (c,) bool, of those that are compared, holds."""
    groups, chosen = comparison.real.subset[1], comparison.real.subset_rows
    return base.mean(hits, groups, 0.0, 1.0, real=True, ideal=ideal, weights=weights[chosen])


def ideal_coverage(comparison: Comparison, weights: np.ndarray) -> float:
    generated, chosen = len(comparison.generated.subset[0]), comparison.real.subset_rows
    k = base.NEIGHBOURS[density_coverage.NEIGHBOURHOOD]
    shares = [density_coverage.ideal_coverage(generated * weight, len(chosen), k) for weight in weights[chosen].tolist()]
    return float(np.average(shares, weights=weights[chosen]))
