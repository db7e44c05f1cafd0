"""What a training runs on, and how exactly it computes there: settings that say `auto` or `all` resolved."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from math import gcd
from typing import Any

from pipelines.core import backend
from pipelines.core.errors import InputError
from pipelines.models import base
from pipelines.settings.schema import Train

CALL = 20  # steps at the most that a GPU is given at once: Python need not come by in between


@dataclass(frozen=True)
class Hardware:
    """devices: that share a batch. precision: a dtype policy of Keras. xla: whether steps are compiled by XLA."""

    devices: tuple[str, ...]
    precision: str
    xla: bool

    def steps_at_once(self, steps: int, preview_every: int) -> int:
        """How many steps one call of the device does: previews, checkpoints and the end fall between two calls.

        One where TensorFlow shares batches among devices: Keras stops for ever there with more.
        """
        several = backend.on_gpu() and (len(self.devices) == 1 or backend.name() == "jax")
        return gcd(gcd(steps, preview_every), CALL) if several else 1

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "devices": len(self.devices)}


def chosen(train: Train) -> Hardware:
    """Raises InputError where the machine has not what `train` asks for, or its devices cannot share a batch."""
    there = backend.devices()
    asked = len(there) if train.devices == "all" else train.devices
    if asked > len(there):
        raise InputError(f"train.devices: {asked}, and this machine has {len(there)} ({', '.join(there)}); set it to all")
    if train.batch_size % asked:
        raise InputError(
            f"train.batch_size: {train.batch_size} images cannot be shared by {asked} devices; set a multiple of {asked}"
        )
    precision = train.precision
    if precision == "auto":
        precision = "mixed_bfloat16" if backend.on_gpu() else "float32"
    # Keras on JAX knows no other way. On a CPU under TensorFlow XLA never paid: `python -m benchmarks.training`.
    xla = backend.name() == "jax" or (backend.on_gpu() if train.xla == "auto" else train.xla)
    return Hardware(tuple(there[:asked]), precision, xla)


@contextmanager
def used(hardware: Hardware) -> Iterator[None]:
    """Build and compile inside."""
    with base.precision(hardware.precision), backend.shared(hardware.devices):
        yield
