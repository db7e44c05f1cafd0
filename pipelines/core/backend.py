"""Keras and its backend: loaded quietly, and only by the processes that use it. No other file tells backends apart."""

from __future__ import annotations

import ctypes
import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

from pipelines.core.limits import cores


def load(deterministic: bool = False) -> None:
    """Import Keras and its backend without the lines that TensorFlow writes whatever its settings say.

    deterministic: the same bits each time on a GPU too; only before anything was computed there, and for the whole process.
    """
    if deterministic:
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_gpu_deterministic_ops=true".strip()
    if "keras" not in sys.modules:
        import_quietly()
    if deterministic and name() == "tensorflow":
        import tensorflow

        tensorflow.config.experimental.enable_op_determinism()


def import_quietly() -> None:
    keep_memory()
    with quiet_stderr():
        import keras

        keras.config.set_image_data_format("channels_last")  # a user's keras.json may say otherwise
        keras.ops.zeros(1)  # the first computation looks for devices, and talks about it


def keep_memory() -> None:
    """Have glibc keep what is freed, up to 1 GiB, for what is asked for next.

    A step asks for the same maps as the step before. Given back and taken anew they cost 12,000 page faults a step of
    `diffusion` on 2 cores, and 2 to 6 % of its images/s. Kept they cost no more memory there, and 0.06 GiB with `gan`.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # other C libraries have none
    if mallopt:
        # malloc.h: M_TRIM_THRESHOLD, M_TOP_PAD (taken at once, touched when used) and M_MMAP_THRESHOLD with its highest value.
        for option, size in ((-1, 1 << 30), (-2, 1 << 27), (-3, 1 << 25)):
            mallopt(option, size)


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Hold back what native code writes to descriptor 2; it is shown only where the block fails."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        original = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(original, held.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)


def name() -> str:
    """tensorflow or jax."""
    import keras

    return str(keras.backend.backend())


def devices() -> list[str]:
    """The GPUs of this machine, or else its CPU, by their backend's names: `gpu:0`, `gpu:1`, ..."""
    import keras

    names = [str(device) for device in keras.distribution.list_devices()]
    return [name for name in names if not name.lower().startswith("cpu")] or names


def on_gpu() -> bool:
    return not devices()[0].lower().startswith("cpu")


@contextmanager
def data_parallel(names: Sequence[str]) -> Iterator[None]:
    """Models that are built inside have a copy on each of the devices with these names, which share every batch of `fit`."""
    import keras

    if len(names) < 2:
        yield
    elif name() == "tensorflow":
        import tensorflow

        with tensorflow.distribute.MirroredStrategy([f"/{device}" for device in names]).scope():
            yield
    else:
        before = keras.distribution.distribution()
        keras.distribution.set_distribution(keras.distribution.DataParallel(devices=list(names)))
        try:
            yield
        finally:
            keras.distribution.set_distribution(before)


def as_dataset(batches: Any) -> Any:
    """Endless `batches`, a PyDataset, in the form that `fit` reads fastest.

    TensorFlow is told that all are of one size, which Keras keeps from it: 2 % more images/s of `diffusion` on 2 cores.
    """
    if name() != "tensorflow":
        return batches
    import keras
    import tensorflow

    signature = keras.tree.map_structure(lambda part: tensorflow.TensorSpec(part.shape, part.dtype), batches[0])
    endless = tensorflow.data.Dataset.from_generator(lambda: map(batches.__getitem__, count()), output_signature=signature)
    return endless.prefetch(tensorflow.data.AUTOTUNE)


def describe() -> dict[str, Any]:
    """The environment that results depend on besides code, data and params: bits are the same only where all of this is."""
    load()
    import keras

    backend = keras.backend.backend()
    return {
        "backend": backend,
        "device": keras.distribution.list_devices()[0],
        "threads": int(os.environ.get("TF_NUM_INTRAOP_THREADS") or cores()),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
        "versions": {name: importlib.metadata.version(name) for name in ("keras", backend, "numpy")},
    }
