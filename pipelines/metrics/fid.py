"""fid: Fréchet distance between drawn and held-out images in feature space (Heusel et al., 2017). 0 or more; lower is better.

    |m_a - m_b|² + tr(A) + tr(B) - 2 tr((A B)^½)        Dowson & Landau 1982, equation 6

of the means m and covariances A, B of both. It sees blur, artefacts and missing variety alike; it does not see copies of the
training rows, nor anything beyond means and covariances. Its value grows as images get fewer, so it is read beside
`fid_floor`, the same distance for real training rows, as many as were drawn; its interval is of the distance with that bias
taken out, and so lies below the value. Needs more rows on either side than a feature has dimensions.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg
from scipy.linalg import lapack

from pipelines.metrics import base, intervals
from pipelines.metrics.base import Rows, Trial
from pipelines.metrics.intervals import Estimate
from pipelines.metrics.moments import Moments, small_work

NEARLY_SINGULAR = 1e-10  # smallest pivot over largest: below it Cholesky's factor is noise in some directions
CLOSE = 1e-6  # of the traces: a distance below this is mostly rounding, and is computed again the slower, exact way


def score(trial: Trial) -> dict[str, Estimate | dict[str, Estimate]]:
    base.need("fid", min(len(trial.fake), len(trial.real)), trial.real.width + 1, "drawn and as many real rows")
    found: dict[str, Estimate | dict[str, Estimate]] = {"fid": compare(trial.fake, trial.real)}
    if trial.train is not None:
        same = Rows(trial.train.vectors[0 : len(trial.fake)])
        if len(same) > same.width:
            found["fid_floor"] = compare(same, trial.real)
    return found


def compare(some: Rows, others: Rows) -> Estimate:
    def statistic(kept: np.ndarray, real_kept: np.ndarray) -> float:
        return frechet(some.moments.pooled(kept), others.moments.pooled(real_kept))

    with small_work(some.width):
        return intervals.estimate(statistic, some.number, others.number, least=0.0)


def distance(a: np.ndarray, b: np.ndarray) -> float:
    """Fréchet distance of Gaussians fitted to two sets of features, (n, d) and (m, d), any float dtype.

    Raises:
        ValueError: fewer than two rows, different widths, or a feature that is not finite.
    """
    for name, features in (("first", a), ("second", b)):
        if features.ndim != 2 or len(features) < 2:
            raise ValueError(f"the {name} set has shape {features.shape}; expected (n, d) with n >= 2")
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"features of different widths cannot be compared: {a.shape[1]} and {b.shape[1]}")
    return frechet(Moments.of(a), Moments.of(b))


def frechet(a: Moments, b: Moments) -> float:
    """The distance, in float64: no matrix square root, no complex numbers, and right for singular covariances.

    With A = F Fᵀ, the product A B has the eigenvalues of the symmetric Fᵀ B F (besides zeros), and the trace is the sum of
    their roots.
    """
    gap = a.mean - b.mean
    traces = float(sum(np.trace(one.scatter) / (one.count - 1) for one in (a, b)))
    eigenvalues = linalg.eigvalsh(congruent(a, b), lower=True, overwrite_a=True, check_finite=False)
    # What rounding leaves of a zero eigenvalue must not count by its root, which is far larger.
    noise = np.finfo(np.float64).eps * len(eigenvalues) * max(eigenvalues[-1], 0.0) if len(eigenvalues) else 0.0
    apart = traces - 2 * np.sqrt(eigenvalues[eigenvalues > noise]).sum()
    if apart < CLOSE * traces:
        # The same sum without squaring what is rounded: the singular values of F_aᵀ F_b.
        apart = traces - 2 * linalg.svdvals(root(a).T @ root(b), check_finite=False).sum()
    return max(0.0, float(gap @ gap + apart))


def congruent(a: Moments, b: Moments) -> np.ndarray:
    """Fᵀ B F with F Fᵀ = A, its lower triangle: F is Cholesky's where A has full rank, else from A's eigenvectors."""
    try:
        # A covariance is a new array at each call, symmetric: LAPACK may have its transpose, and work in it without a copy.
        factor = linalg.cholesky(a.covariance.T, lower=True, overwrite_a=True, check_finite=False)
        diagonal = np.diag(factor)
        if diagonal.min() ** 2 > NEARLY_SINGULAR * diagonal.max() ** 2:
            # Half the work of two products.
            return lapack.dsygst(b.covariance.T, factor, itype=2, lower=True, overwrite_a=True)[0]
    except linalg.LinAlgError:
        pass
    factor = root(a)
    return factor.T @ b.covariance @ factor


def root(moments: Moments) -> np.ndarray:
    """F with F Fᵀ = the covariance, from its eigenvectors; directions that are nothing but rounding are left out."""
    values, vectors = linalg.eigh(moments.covariance, overwrite_a=True, check_finite=False)
    kept = values > np.finfo(np.float64).eps * len(values) * max(values[-1], 0.0)
    return vectors[:, kept] * np.sqrt(values[kept])
