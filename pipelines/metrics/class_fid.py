"""class_fid: the Fréchet distance of `fid`, for the images of each class by themselves (a table by class).

0 or more; lower is better. It shows which classes are drawn badly, which the distance of all images together hides. As
`fid`, it grows with few images, and a class needs more of them, drawn and real, than a feature has dimensions. An image
that is drawn as another class than was asked for counts for the class that was asked for.
"""

from __future__ import annotations

import numpy as np

from pipelines.metrics import fid
from pipelines.metrics.base import Rows, Trial
from pipelines.metrics.intervals import Estimate, NotEnoughError
from pipelines.metrics.moments import chunks

GROUPS = 20  # a class has few rows, and there may be many classes


def score(trial: Trial) -> dict[str, dict[str, Estimate]]:
    labels, real = trial.drawn.labels, trial.benchmark.labels
    if labels is None or not trial.benchmark.classes:
        return {}
    table = {}
    for label, name in enumerate(trial.benchmark.classes):
        sides = [of_class(trial.fake, labels == label), of_class(trial.real, real == label)]
        if min(len(side) for side in sides) > trial.real.width:
            table[name] = fid.compare(*sides)
    if not table:
        width = trial.real.width
        raise NotEnoughError(f"class_fid needs more than {width} images of a class, drawn and real; no class has as many")
    return {"class_fids": table}


def of_class(rows: Rows, chosen: np.ndarray) -> Rows:
    """The `chosen` rows, (n,) bool, read chunk by chunk."""
    parts = [chunk[chosen[start : start + len(chunk)]] for start, chunk in chunks(rows.vectors)]
    return Rows(np.concatenate(parts), most=GROUPS)
