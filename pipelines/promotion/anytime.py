"""An interval of a mean that holds at every moment at once, however often somebody looks and whenever they stop.

The normal mixture of Robbins (1970), as in Howard, Ramdas, McAuliffe & Sekhon (2021), equation 14: for values within `reach` of
their conditional means' middle, the sum leaves

    ± sqrt((v + r) log((v + r) / (r a²))),  v = n reach²

about the sum of those means at any n with probability a at most. Values may depend on those before them, as votes of one rater
do, and their means may change; what is covered is the average of the means.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pipelines.metrics.intervals import LEVEL, Interval

NARROWEST = 400  # values at which the interval is as narrow as it can be made there


def interval(values: Sequence[float], reach: float = 1.0) -> Interval:
    """Of the mean of values between -reach and reach.

    Raises:
        ValueError: there are none, or one lies beyond.
    """
    if not values or max(map(abs, values)) > reach:
        raise ValueError(f"expected values between {-reach} and {reach}, and one or more of them; came {list(values)[:5]}")
    error, number = 1 - LEVEL, len(values)
    spread = number * reach**2
    # Howard et al., proposition 3, approximately: the width at NARROWEST values is least for this r.
    tuned = NARROWEST * reach**2 / (2 * math.log(1 / error) + math.log(1 + 2 * math.log(1 / error)))
    half = math.sqrt((spread + tuned) * math.log((spread + tuned) / (tuned * error**2))) / number
    mean = math.fsum(values) / number
    return Interval(max(mean - half, -reach), min(mean + half, reach))
