"""Keras, loaded quietly and only by the processes that use it, and what it computes on."""

from __future__ import annotations

import importlib.metadata
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def load() -> None:
    """Import Keras and its backend without the lines that TensorFlow writes whatever its settings say."""
    if "keras" in sys.modules:
        return
    # What is an error to TensorFlow's log is an optimisation that it gave up; real errors come as exceptions.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with quiet_stderr():
        import keras

        keras.config.set_image_data_format("channels_last")  # a user's keras.json may say otherwise
        keras.ops.zeros(1)  # the first computation looks for devices, and talks about it


@contextmanager
def quiet_stderr() -> Iterator[None]:
    """Keep native code's words from descriptor 2; they come out after all where the block fails."""
    sys.stderr.flush()
    with tempfile.TemporaryFile() as kept:
        original = os.dup(2)
        os.dup2(kept.fileno(), 2)
        try:
            yield
        except BaseException:
            kept.seek(0)
            os.write(original, kept.read())
            raise
        finally:
            os.dup2(original, 2)
            os.close(original)


def describe() -> dict[str, Any]:
    """What results depend on besides code, data and params: bits are the same only where all of this is."""
    load()
    import keras

    backend = keras.backend.backend()
    return {
        "backend": backend,
        "device": keras.distribution.list_devices()[0],
        "threads": int(os.environ.get("TF_NUM_INTRAOP_THREADS") or len(os.sched_getaffinity(0))),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
        "versions": {name: importlib.metadata.version(name) for name in ("keras", backend, "numpy")},
    }
