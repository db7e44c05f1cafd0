"""class_fid: the Fréchet distance of `fid`, for the images of each class by themselves (a table by class).

0 or more; lower is better. It shows which classes come out badly, which the distance of all images together hides. As
`fid`, it grows with few images, and a class needs more of them, generated and real, than a feature has dimensions. An image
of another class than was asked for counts for the class that was asked for.
"""

from __future__ import annotations

from pipelines.core.lazy import np
from pipelines.metrics import fid
from pipelines.metrics.base import Comparison, FeatureRows, Score
from pipelines.metrics.intervals import Estimate, NotEnoughError
from pipelines.metrics.moments import chunks

SCORES = (
    Score(
        "class_fids",
        "lower",
        "fid of the images of each class by themselves.",
        least_rows=1,
        rows_per_feature=1,
        needs="labels of the same classes in A and B",
        by_class=True,
    ),
)
GROUPS = 20  # a class has few rows, and there may be many classes


def score(comparison: Comparison) -> dict[str, dict[str, Estimate]]:
    labels, real = comparison.candidate.labels, comparison.benchmark.labels
    if labels is None or not comparison.benchmark.classes:
        return {}
    least = SCORES[0].rows(comparison.real.width)
    table = {}
    for label, name in enumerate(comparison.benchmark.classes):
        sides = [select_rows(comparison.generated, labels == label), select_rows(comparison.real, real == label)]
        if min(map(len, sides)) >= least:
            table[name] = fid.compare(*sides)
    if not table:
        raise NotEnoughError(f"class_fid needs more than {least - 1:,} images of a class, drawn and real; no class has as many")
    return {"class_fids": table}


def select_rows(rows: FeatureRows, chosen: np.ndarray) -> FeatureRows:
    """The `chosen` rows, (n,) bool, read chunk by chunk."""
    parts = [chunk[chosen[start : start + len(chunk)]] for start, chunk in chunks(rows.vectors)]
    return FeatureRows(np.concatenate(parts), most_groups=GROUPS)
