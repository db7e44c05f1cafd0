"""fid: Fréchet distance between generated and held-out images in feature space (Heusel et al., 2017).

    |m_a - m_b|² + tr(A) + tr(B) - 2 tr((A B)^½)        Dowson & Landau 1982, equation 6

of the means m and covariances A, B of both. 0 or more; lower is better. It sees blur, artefacts and missing variety; it does
not see copies of the training rows, nor anything beyond means and covariances. Its value grows as images get fewer; its
interval is of the distance with that bias taken out, `fid_unbiased`, and so lies below the value. Needs more rows on either
side than a feature has dimensions.

fid_floor is what an ideal model would get as `fid`, with as many images against as many held-out rows, on average over both. It
is measured on real rows that the extractor has not learned from, training and held-out ones together, divided at random into
two parts, many times. Two parts of k and l rows of one distribution are 1/k + 1/l times a constant apart, but for terms of
higher order (from Dowson & Landau's formula by the delta method), so a few hundred rows tell what thousands would get. 95 of
100 ideal models, each against other held-out rows, score within its interval: with n images against m rows, both are chance.
"""

from __future__ import annotations

from dataclasses import replace

from pipelines.core.lazy import linalg, np
from pipelines.metrics import base, intervals
from pipelines.metrics.base import MOST_ROWS, Comparison, FeatureRows, Score
from pipelines.metrics.intervals import Estimate
from pipelines.metrics.moments import NARROW, Moments, limit_threads

FID = "How far the generated images as a whole are from real ones: blur, artefacts, missing variety raise it."
FLOOR = "A yardstick for fid, not a score of the model: what an ideal model would get, with as many images."
SCORES = (
    Score("fid", "lower", FID, least_rows=1, rows_per_feature=1, unbiased_name="fid_unbiased"),
    Score("fid_floor", "", FLOOR, least_rows=1, rows_per_feature=1),
)
NEARLY_SINGULAR = 1e-10  # smallest pivot over largest: below it Cholesky's factor is noise in some directions
DIVISIONS, WIDE_DIVISIONS = 100, 8  # of real rows for the floor; the latter where a distance takes a second
PARTS = 50  # groups of rows that they are divided by
CLOSE = 1e-6  # of the traces: a distance below this is mostly rounding, and is computed again the slower, exact way


@base.once
def score(comparison: Comparison) -> dict[str, Estimate]:
    fewest = min(len(comparison.generated), len(comparison.real))
    base.require_rows(SCORES[:1], fewest, "generated and as many real rows", comparison.real.width)
    found = {"fid": compare(comparison.generated, comparison.real)}
    if (floor := real_distance(comparison)) is not None:
        # Near 0, the jackknife takes the luck of these very rows for a part of the distance.
        spread = float(np.sqrt(floor.real @ floor.real))
        found = {"fid": replace(found["fid"], least_spread=spread), "fid_floor": floor}
    return found


def compare(generated: FeatureRows, real: FeatureRows) -> Estimate:
    def statistic(mask: np.ndarray, real_mask: np.ndarray) -> float:
        return frechet(generated.moments.pooled(mask), real.moments.pooled(real_mask))

    with limit_threads(real.width):
        return intervals.estimate(statistic, generated.group_count, real.group_count, least=0.0, ideal=0.0)


def real_distance(comparison: Comparison) -> Estimate | None:
    """The floor: what real rows would get against real rows, as many as are compared; None where too few would tell."""
    sides = [comparison.real] if comparison.unseen is None else [comparison.unseen, comparison.real]
    rows = FeatureRows(np.concatenate([side.choose(MOST_ROWS) for side in sides]), most_groups=PARTS)
    generated, real = len(comparison.generated), len(comparison.real)
    share = rows.group_count / len(rows)  # parts are made of whole groups
    first = max(1, round(min(real, len(rows) / 2) * share))
    second = max(1, min(round(generated * share), rows.group_count - first))
    random = np.random.default_rng(0)
    found = np.zeros(DIVISIONS if rows.width < NARROW else WIDE_DIVISIONS)
    with limit_threads(rows.width):
        for division in range(len(found)):
            place = random.permutation(rows.group_count)
            a, b = (rows.moments.pooled(mask) for mask in (place < first, (place >= first) & (place < first + second)))
            if min(a.count, b.count) <= rows.width:
                return None
            found[division] = frechet(a, b) * (1 / generated + 1 / real) / (1 / a.count + 1 / b.count)
    value = float(found.mean())
    deviations = (found - value) / np.sqrt(len(found) - 1)  # the squares sum to the variance of a single one
    return Estimate(value, value, np.zeros(0), deviations, np.zeros((3, 0)), least=0.0)


def frechet(a: Moments, b: Moments) -> float:
    """The distance, in float64: no matrix square root, no complex numbers, and right for singular covariances.

    With A = F Fᵀ, the product A B has the eigenvalues of the symmetric Fᵀ B F (besides zeros), and the trace is the sum of
    their roots.
    """
    gap = a.mean - b.mean
    traces = float(sum(np.trace(one.scatter) / one.degrees for one in (a, b)))
    eigenvalues = linalg.eigvalsh(congruence(a, b), lower=True, overwrite_a=True, check_finite=False)
    # What rounding leaves of a zero eigenvalue must not count by its root, which is far larger.
    noise = np.finfo(np.float64).eps * len(eigenvalues) * max(eigenvalues[-1], 0.0) if len(eigenvalues) else 0.0
    trace_term = traces - 2 * np.sqrt(eigenvalues[eigenvalues > noise]).sum()
    if trace_term < CLOSE * traces:
        # The same sum without squaring what is rounded: the singular values of F_aᵀ F_b.
        trace_term = traces - 2 * linalg.svdvals(root(a).T @ root(b), check_finite=False).sum()
    return max(0.0, float(gap @ gap + trace_term))


def congruence(a: Moments, b: Moments) -> np.ndarray:
    """Fᵀ B F with F Fᵀ = A, its lower triangle: F is Cholesky's where A has full rank, else from A's eigenvectors."""
    try:
        # A covariance is a new array at each call, symmetric: LAPACK may have its transpose, and work in it without a copy.
        factor = linalg.cholesky(a.covariance.T, lower=True, overwrite_a=True, check_finite=False)
        diagonal = np.diag(factor)
        if diagonal.min() ** 2 > NEARLY_SINGULAR * diagonal.max() ** 2:
            # Half the work of two products.
            return linalg.lapack.dsygst(b.covariance.T, factor, itype=2, lower=True, overwrite_a=True)[0]
    except linalg.LinAlgError:
        pass
    factor = root(a)
    return factor.T @ b.covariance @ factor


def root(moments: Moments) -> np.ndarray:
    """F with F Fᵀ = the covariance, from its eigenvectors; directions that are nothing but rounding are left out."""
    values, vectors = linalg.eigh(moments.covariance, overwrite_a=True, check_finite=False)
    mask = values > np.finfo(np.float64).eps * len(values) * max(values[-1], 0.0)
    return vectors[:, mask] * np.sqrt(values[mask])
