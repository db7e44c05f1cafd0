"""told_apart: how often a classifier tells generated from held-out real images that it has not seen (two_samples.py).

0 to 1; lower is better, and 0.5, as often right as wrong, is ideal. It says whether anything visible gives the images away, be
it quality or variety, not what; the page shows the images that gave themselves away most, and those that passed. It grows with
the number of images that the classifier learns from, so compare figures of as many. As many images of either side are looked
at, and of each class where both have classes; others are left out. It sees no copies of training images; copies of held-out
ones bring it below 0.5. Needs 50 images of either side.

The interval is that of a share, wider by a factor, because rows teach the classifiers by which other rows are judged, so that
hits of rows that are alike come together. Where nothing tells the sides apart, a row's hit is the sign of a sum over the rows
that taught its classifier, of whether each is of its side, by likeness w. Hits of i and j have the correlation 2 r / pi, with
r = w_ij^2 / sum_l w_il^2, because each taught the other's classifier, and r sums to 1 over j: the variance is 1 + 2 / pi times
that of independent hits, whatever the likeness. `python -m benchmarks.told_apart` counts how often the interval holds 0.5.
"""

from __future__ import annotations

import math

from pipelines.core.lazy import np
from pipelines.metrics import intervals, two_samples
from pipelines.metrics.base import Comparison, Score
from pipelines.metrics.intervals import Estimate, NotEnoughError

MEANING = "How often a classifier tells generated from real images that it has not seen; 0.5 is as good as guessing."
NEEDS = "images of both sides, not features alone"
SCORES = (Score("told_apart", "lower", MEANING, least_rows=two_samples.LEAST_ROWS, needs=NEEDS, narrows=False),)
INFLATION = 1 + 2 / math.pi
IDEAL = 0.5


def score(comparison: Comparison) -> dict[str, Estimate]:
    if not comparison.has_pixels:
        if comparison.benchmark.ids is None:
            return {}
        raise NotEnoughError(
            "told_apart needs the images of both sides, which older results lack; `genloop run` makes them anew"
        )
    found = comparison.told_apart
    assert comparison.benchmark.pixels is not None
    correct = np.concatenate([found.generated_correct, found.real_correct])
    share, count = float(correct.mean()), len(correct)
    # The groups of real rows are those of the benchmark, so that they are the same for every model.
    groups = intervals.assign_groups(count // 2), intervals.assign_groups(len(comparison.benchmark.pixels))[found.real]
    numbers = (int(groups[0].max()) + 1, min(intervals.GROUPS, len(comparison.benchmark.pixels)))
    if share in (0.0, 1.0):
        effects = [intervals.end_deviations(share, count, number) / math.sqrt(2) for number in numbers]
    else:
        hits = (found.generated_correct, found.real_correct)
        effects = [
            np.bincount(group, (hit - share) / count, number).astype(float)
            for hit, group, number in zip(hits, groups, numbers, strict=True)
        ]
    wider = [effect * math.sqrt(INFLATION) for effect in effects]
    return {"told_apart": Estimate(share, share, wider[0], wider[1], np.zeros((3, 1)), 0.0, 1.0, IDEAL)}
