"""The devices of a training and the precision of its numbers: settings that say `auto` or `all` are resolved here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import gcd
from typing import Any

from pipelines.core import backend
from pipelines.core.errors import InputError
from pipelines.models import base
from pipelines.settings.schema import TrainParams

MOST_STEPS = 20  # of one call of a GPU: between them it need not wait for Python


@dataclass(frozen=True)
class Hardware:
    """devices: share every batch. precision: a dtype policy of Keras. xla: whether steps are compiled by XLA."""

    devices: tuple[str, ...]
    precision: str
    xla: bool

    def steps_per_call(self, steps: int, preview_every: int) -> int:
        """How many steps one call of the device does: previews, checkpoints and the end fall between two calls.

        One where TensorFlow shares batches among devices: with more, Keras never ends there.
        """
        several = backend.on_gpu() and (len(self.devices) == 1 or backend.name() == "jax")
        return gcd(gcd(steps, preview_every), MOST_STEPS) if several else 1

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Build and compile models inside."""
        with base.precision(self.precision), backend.data_parallel(self.devices):
            yield

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "devices": len(self.devices)}


def choose(train: TrainParams) -> Hardware:
    """Raises InputError where the machine lacks devices that `train` asks for, or they cannot share a batch."""
    devices = backend.devices()
    count = len(devices) if train.devices == "all" else train.devices
    if count > len(devices):
        raise InputError(f"train.devices: {count}, and this machine has {len(devices)} ({', '.join(devices)}); set it to all")
    if train.batch_size % count:
        raise InputError(
            f"train.batch_size: {train.batch_size} images cannot be shared by {count} devices; set a multiple of {count}"
        )
    precision = train.precision
    if precision == "auto":
        precision = "mixed_bfloat16" if backend.on_gpu() else "float32"
    # Keras on JAX always uses XLA. On a CPU under TensorFlow it was never faster: `python -m benchmarks.training`.
    xla = backend.name() == "jax" or (backend.on_gpu() if train.xla == "auto" else train.xla)
    return Hardware(tuple(devices[:count]), precision, xla)
