"""fid: Fréchet distance between drawn and held-out images in feature space (Heusel et al., 2017). 0 or more; lower is better.

It sees blur, artefacts and missing variety alike; it does not see copies of the training rows. Its value falls with the number
of images, so it is read beside `fid_floor`: the same distance for real training rows, as many as were drawn.
"""

from __future__ import annotations

import numpy as np
from scipy import linalg
from scipy.linalg import blas, lapack

from pipelines.metrics.base import Benchmark, Drawn

NEARLY_SINGULAR = 1e-10  # smallest pivot over largest: below it Cholesky's factor is noise in some directions


def score(drawn: Drawn, benchmark: Benchmark) -> dict[str, float]:
    vectors, real, train = drawn.features.vectors, benchmark.holdout.vectors, benchmark.train.vectors
    return {"fid": distance(vectors, real), "fid_floor": distance(train[: len(vectors)], real)}


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
    fitted = moments(a), moments(b)
    for name, (mean, covariance) in zip(("first", "second"), fitted, strict=True):
        if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):  # one such value spoils its whole column
            raise ValueError(f"the {name} set holds features that are not finite")
    return frechet(*fitted[0], *fitted[1])


def moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean (d,) and unbiased covariance (d, d), in float64."""
    mean = features.mean(axis=0, dtype=np.float64)
    wide = np.ascontiguousarray(features - mean)
    half = blas.dsyrk(1 / (len(wide) - 1), wide.T, lower=True)  # one triangle: half the work of a product
    return mean, half + np.tril(half, -1).T


def frechet(mean_a: np.ndarray, cov_a: np.ndarray, mean_b: np.ndarray, cov_b: np.ndarray) -> float:
    """|m_a - m_b|² + tr(A) + tr(B) - 2 tr((A B)^½), Dowson & Landau 1982, equation 6.

    With A = F Fᵀ, the product A B has the eigenvalues of the symmetric Fᵀ B F (besides zeros), so the trace is the sum of
    their roots: no matrix square root, no complex numbers, and right for singular A and B.
    """
    eigenvalues = linalg.eigvalsh(congruent(cov_a, cov_b), lower=True, overwrite_a=True, check_finite=False)
    # What rounding leaves of a zero eigenvalue must not count by its root, which is far larger.
    noise = np.finfo(np.float64).eps * len(eigenvalues) * max(eigenvalues[-1], 0.0) if len(eigenvalues) else 0.0
    shared = np.sqrt(eigenvalues[eigenvalues > noise]).sum()
    gap = mean_a - mean_b
    return max(0.0, float(gap @ gap + np.trace(cov_a) + np.trace(cov_b) - 2 * shared))


def congruent(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Fᵀ B F with F Fᵀ = A, its lower triangle: F is Cholesky's where A has full rank, else from A's eigenvectors."""
    rounding = np.finfo(np.float64).eps * len(a)
    try:
        factor = linalg.cholesky(a, lower=True, check_finite=False)
        diagonal = np.diag(factor)
        if diagonal.min() ** 2 > NEARLY_SINGULAR * diagonal.max() ** 2:
            return lapack.dsygst(b, factor, itype=2, lower=True)[0]  # half the work of two products
    except linalg.LinAlgError:
        pass
    values, vectors = linalg.eigh(a, check_finite=False)
    kept = values > rounding * max(values[-1], 0.0)
    factor = vectors[:, kept] * np.sqrt(values[kept])
    return factor.T @ b @ factor
