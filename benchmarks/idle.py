"""How long a device did nothing while training, and for how much of that it had no batch: read from a profile.

    with idle.profile(found):
        family.fit(...)

found["idle"] and found["waits"] are shares of the time from the first operation to the last one.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path

# Threads that count as the device on a machine with only a CPU, under TensorFlow and under JAX.
COMPUTING = ("tf_Compute", "tf_XLAEigen", "tf_XLAPjRtCpuClient")
# Operations that fetch the next batch: TensorFlow's operation, `Batches.__getitem__` in JAX' trace, a GPU's copying.
FETCHING = re.compile(r"IteratorGetNextOp::DoCompute|.*batches\.py:\d+ __getitem__|MemcpyH2D")

Spans = list[tuple[float, float]]


@contextmanager
def profile(found: dict[str, float]) -> Iterator[None]:
    """Profile what Keras' backend computes in the block; `found` is filled at its end."""
    from pipelines.core import backend

    with tempfile.TemporaryDirectory() as folder:
        if backend.name() == "jax":
            import jax

            with jax.profiler.trace(folder):
                yield
        else:
            import tensorflow

            with tensorflow.profiler.experimental.Profile(folder):
                yield
        found.update(read(next(Path(folder).rglob("*.xplane.pb"))))


def summary(found: dict[str, float]) -> str:
    return f"the device does nothing for {found['idle']:.1%} of the time, and waits for data for {found['waits']:.1%}"


def read(path: Path) -> dict[str, float]:
    from jax.profiler import ProfileData

    planes = ProfileData.from_file(str(path)).planes
    lines = [(plane.name, line.name, list(line.events)) for plane in planes for line in plane.lines]
    on_gpu = any(plane.startswith("/device:GPU") for plane, _, _ in lines)
    busy, fetching = [], []
    for plane, line, events in lines:
        device = plane.startswith("/device:GPU") if on_gpu else line.startswith(COMPUTING)
        for event in events:
            span = event.start_ns, event.start_ns + event.duration_ns
            if FETCHING.match(event.name):
                fetching.append(span)
            elif device:
                busy.append(span)
    busy = merge(busy)
    pauses = [(before, after) for (_, before), (after, _) in pairwise(busy)]
    whole = busy[-1][1] - busy[0][0]
    return {"idle": length(pauses) / whole, "waits": length(intersect(pauses, merge(fetching))) / whole}


def merge(spans: Iterable[tuple[float, float]]) -> Spans:
    """The spans in order; those that touch are joined."""
    found: Spans = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(end, found[-1][1])
        else:
            found.append((start, end))
    return found


def intersect(a: Spans, b: Spans) -> Spans:
    """The spans that are in both; each in order and joined."""
    found, number = [], 0
    for start, end in a:
        while number < len(b) and b[number][1] <= start:
            number += 1
        for other in b[number:]:
            if other[0] >= end:
                break
            found.append((max(start, other[0]), min(end, other[1])))
    return found


def length(spans: Spans) -> float:
    return sum(end - start for start, end in spans)
