"""fid: Fréchet distance between generated and held-out images in feature space (Heusel et al., 2017).

    |m_a - m_b|² + tr(A) + tr(B) - 2 tr((A B)^½)        Dowson & Landau 1982, equation 6

of the means m and covariances A, B of both. 0 or more; lower is better. It sees blur, artefacts and missing variety; it does
not see copies of the training rows, nor anything beyond means and covariances. Its value grows as images get fewer, so it is
read beside `fid_floor`, the same distance for as many real training rows; its interval is of the distance with that bias taken
out, and so lies below the value. Needs more rows on either side than a feature has dimensions.
"""

from __future__ import annotations

from pipelines.core.lazy import linalg, np
from pipelines.metrics import base, intervals
from pipelines.metrics.base import Comparison, FeatureRows, Score
from pipelines.metrics.intervals import Estimate
from pipelines.metrics.moments import Moments, limit_threads

FID = "How far the generated images as a whole are from real ones: blur, artefacts, missing variety raise it."
FLOOR = "A yardstick for fid, not a score of the model: what real training images get."
SCORES = (
    Score("fid", "lower", FID, least_rows=1, rows_per_feature=1),
    Score("fid_floor", "", FLOOR, least_rows=1, rows_per_feature=1),
)
NEARLY_SINGULAR = 1e-10  # smallest pivot over largest: below it Cholesky's factor is noise in some directions
CLOSE = 1e-6  # of the traces: a distance below this is mostly rounding, and is computed again the slower, exact way


def score(comparison: Comparison) -> dict[str, Estimate | dict[str, Estimate]]:
    fewest = min(len(comparison.generated), len(comparison.real))
    base.require_rows(SCORES[:1], fewest, "generated and as many real rows", comparison.real.width)
    found: dict[str, Estimate | dict[str, Estimate]] = {"fid": compare(comparison.generated, comparison.real)}
    if comparison.train is not None:
        same = FeatureRows(comparison.train.vectors[0 : len(comparison.generated)])
        if len(same) > same.width:
            found["fid_floor"] = compare(same, comparison.real)
    return found


def compare(generated: FeatureRows, real: FeatureRows) -> Estimate:
    def statistic(mask: np.ndarray, real_mask: np.ndarray) -> float:
        return frechet(generated.moments.pooled(mask), real.moments.pooled(real_mask))

    with limit_threads(real.width):
        return intervals.estimate(statistic, generated.group_count, real.group_count, least=0.0)


def frechet(a: Moments, b: Moments) -> float:
    """The distance, in float64: no matrix square root, no complex numbers, and right for singular covariances.

    With A = F Fᵀ, the product A B has the eigenvalues of the symmetric Fᵀ B F (besides zeros), and the trace is the sum of
    their roots.
    """
    gap = a.mean - b.mean
    traces = float(sum(np.trace(one.scatter) / (one.count - 1) for one in (a, b)))
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
