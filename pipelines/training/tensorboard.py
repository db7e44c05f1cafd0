"""TensorBoard's event files, written without TensorFlow; on a machine without `tensorboard`, not at all."""

from __future__ import annotations

import importlib.util
import os
import socket
import time
from pathlib import Path
from typing import Any


class TensorBoardWriter:
    """Appends to a new file in `folder`; TensorBoard shows all files of a folder as one run."""

    def __init__(self, folder: Path) -> None:
        self.records: Any = None
        if importlib.util.find_spec("tensorboard") is None:
            return
        # Not its EventFileWriter, which opens files through TensorFlow, 8 s of import under JAX.
        from tensorboard.summary.writer.record_writer import RecordWriter

        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{int(time.time())}.{socket.gethostname()}.{os.getpid()}"
        self.records = RecordWriter((folder / name).open("wb"))
        self.write(file_version="brain.Event:2")

    def scalars(self, step: int, values: dict[str, float]) -> None:
        self.summary(step, *({"tag": name, "simple_value": value} for name, value in values.items()))

    def image(self, step: int, name: str, png: bytes, width: int, height: int) -> None:
        picture = {"encoded_image_string": png, "width": width, "height": height, "colorspace": 3}
        self.summary(step, {"tag": name, "image": picture})

    def summary(self, step: int, *values: dict[str, Any]) -> None:
        if self.records is not None:
            from tensorboard.compat.proto.summary_pb2 import Summary

            self.write(step=step, summary=Summary(value=[Summary.Value(**value) for value in values]))

    def write(self, **fields: Any) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self.records.write(Event(wall_time=time.time(), **fields).SerializeToString())
        self.records.flush()

    def close(self) -> None:
        if self.records is not None:
            self.records.close()
