"""Follows an external training by its reports: progress, curves, previews, divergence and collapse, as for families of ours."""

from __future__ import annotations

import json
import math
import posixpath
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from pipelines.core import files
from pipelines.core.errors import GenloopError
from pipelines.core.progress import Progress, say
from pipelines.external.data import ExportedRows
from pipelines.external.job import JobFolders
from pipelines.external.trainer import TrainingReport
from pipelines.settings.schema import Params
from pipelines.training import collapse
from pipelines.training.divergence import check_losses, divergence_message
from pipelines.training.tensorboard import TensorBoardWriter

NAMES = re.compile(r"[A-Za-z_][A-Za-z0-9_./ -]{0,79}")  # of values
MOST_VALUES = 50  # of a report
MOST_PIXELS = 2**26  # of a preview
SHOWN = 4  # values beside the bar


class ReportMonitor:
    """Gets one report after the other. history: as training.csv has it, a line every `train.preview_every` steps or preview."""

    def __init__(self, params: Params, rows: ExportedRows, folders: JobFolders, logs: Path, progress: Progress) -> None:
        self.size, self.channels = params.image.size, params.image.channels
        self.train, self.rows, self.folders, self.logs, self.progress = params.train, rows, folders, logs, progress
        self.history: list[dict[str, float]] = read_history(folders.history)
        self.resumed_from: int | None = None  # known with the first report
        self.step, self.values = 0, dict[str, float]()  # of the newest report
        self.variety: dict[tuple[bool, bytes], collapse.Variety] = {}
        self.warned: set[str] = set()
        self.events = TensorBoardWriter(logs)

    def receive(self, report: TrainingReport) -> None:
        """Raises GenloopError where the training has diverged or collapsed."""
        step = report.step
        if self.resumed_from is None:
            self.begin(step)
        if step < self.step:
            self.warn(f"a report of step {step:,} came after one of step {self.step:,}; it is left out")
            return
        found = {name: value for name, value in report.values.items() if is_name(name)}
        found = dict(list(found.items())[:MOST_VALUES])
        check_values(found, step)
        steps = min(step, self.train.steps) - min(self.step, self.train.steps)
        self.progress.advance(steps * self.train.batch_size, note(found))
        self.values = {**self.values, **found} if step == self.step else found
        self.step = step
        self.events.scalars(step, found)
        if report.preview is not None:
            self.look_at(report.preview, report.labels)
        last, every = int(self.history[-1]["step"]) if self.history else 0, self.train.preview_every
        if report.preview is not None or step // every > last // every or (self.history and last == step):
            self.remember()

    def begin(self, step: int) -> None:
        """Keep of the history what led to the step before this one, the first that is reported now."""
        self.history = [entry for entry in self.history if entry["step"] < step]
        self.resumed_from = int(self.history[-1]["step"]) if self.history else 0
        self.step = self.resumed_from
        if self.resumed_from:
            say(f"train: going on from step {self.resumed_from:,}, where a run was cut off")
            self.progress.advance(self.resumed_from * self.train.batch_size)
        else:
            for path in self.logs.glob("samples-*.png"):  # of an earlier training of the very same
                path.unlink()

    def remember(self) -> None:
        entry = {"step": self.step, **self.values}
        self.history = [*(line for line in self.history if line["step"] != self.step), entry]
        files.write(self.folders.history, json.dumps(self.history))

    def look_at(self, name: str, labels: list[int] | None) -> None:
        """Copy a preview to the logs, and measure how much its images differ.

        Raises:
            GenloopError: they have been all the same for some previews.
        """
        path = self.folders.previews / name
        try:
            if path.resolve().parent != self.folders.previews.resolve():
                raise ValueError("expected the name of a file in the folder of previews")
            pixels = read_pixels(path, self.channels)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            self.warn(f"the preview {name!r} cannot be shown: {error}")
            return
        target = self.logs / f"samples-{self.step:08d}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
        self.events.image(self.step, "samples", path.read_bytes(), pixels.shape[1], pixels.shape[0])
        images = cut(pixels, self.size)
        if images is None or len(images) < 2:
            self.warn(
                f"the preview {name!r} has {pixels.shape[1]}x{pixels.shape[0]} pixels, which are not several images "
                f"of {self.size}x{self.size} side by side without margins: whether all images become the same is not watched"
            )
            return
        known = labels is not None and len(labels) == len(images) and set(labels) <= set(self.rows.present)
        given = np.array(labels if known else [0] * len(images), np.int32)
        shares = self.variety_of(given, known).shares(images, given)
        self.values = {**self.values, **shares}
        self.remember()
        self.events.scalars(self.step, shares)
        collapse.check(self.smaller_shares(), self.step)

    def variety_of(self, labels: np.ndarray, known: bool) -> collapse.Variety:
        """The variety of as many real rows: of the same classes, or, where a preview says no labels, of all together."""
        key = known, labels.tobytes()
        if key not in self.variety:
            real = self.rows.sample
            rows = real if known else replace(real, labels=np.zeros_like(real.labels))
            self.variety[key] = collapse.Variety.measure(rows, labels)
        return self.variety[key]

    def smaller_shares(self) -> list[float]:
        return collapse.smaller_shares([entry for entry in self.history if "spread" in entry and "apart" in entry])

    def check_end(self) -> None:
        """The training has ended well by itself.

        Raises:
            GenloopError: it has reported no step, in earlier runs neither, or its last preview is one image again and again.
        """
        if self.resumed_from is None and self.history:  # its checkpoint was of the last step, so it had only `result` to write
            self.begin(int(self.history[-1]["step"]) + 1)
        if self.resumed_from is None:
            raise GenloopError(
                "the training has reported no step; expected lines of JSON on its stdout, as in "
                '{"step": 100, "loss": 0.3}. See docs/your-own-model.md'
            )
        if not self.history or self.history[-1]["step"] < self.step:
            self.remember()
        collapse.check(self.smaller_shares(), self.step, at_end=True)

    def close(self) -> None:
        self.events.close()

    def warn(self, words: str) -> None:
        """Say something once, however often it happens."""
        kind = re.sub(r"[\d,]+|'[^']*'", "", words)
        if kind not in self.warned:
            self.warned.add(kind)
            say(f"train: {words}")


def is_name(name: str) -> bool:
    """Whether a value may have it: MLflow, where it becomes a path, refuses a//b, a/../b and a/ when the training is over."""
    return NAMES.fullmatch(name) is not None and posixpath.normpath(name) == name


def read_history(path: Path) -> list[dict[str, float]]:
    try:
        history: list[dict[str, float]] = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    return history


def check_values(found: dict[str, float], step: int) -> None:
    """Raises GenloopError where a value is not finite, or a loss is far beyond those of a training that works."""
    check_losses({name: value for name, value in found.items() if "loss" in name.lower()}, step)
    if wrong := {name: value for name, value in found.items() if not math.isfinite(value)}:
        raise GenloopError(divergence_message(step, wrong, "a value is not finite"))


def note(found: dict[str, float]) -> str:
    parts = [f"{name.replace('_loss', '')} {value:.3f}" for name, value in found.items() if name != "images_per_second"]
    return ", ".join(parts[:SHOWN])


def read_pixels(path: Path, channels: int) -> np.ndarray:
    """(height, width, channels) uint8. Raises ValueError where it is too large, and what Pillow raises where it is no image."""
    with Image.open(path) as picture:
        if picture.width * picture.height > MOST_PIXELS:
            raise ValueError(f"{picture.width}x{picture.height} pixels are too many")
        pixels = np.asarray(picture.convert("L" if channels == 1 else "RGB"))
    return pixels.reshape(*pixels.shape[:2], channels)


def cut(pixels: np.ndarray, size: int) -> np.ndarray | None:
    """(n, size, size, channels) uint8, row by row, of images side by side; None where they do not fill the picture."""
    height, width, channels = pixels.shape
    if height % size or width % size:
        return None
    tiles = pixels.reshape(height // size, size, width // size, size, channels)
    return tiles.transpose(0, 2, 1, 3, 4).reshape(-1, size, size, channels)
