"""A model that somebody else's code samples, in a process of its own: nothing of it is imported here.

Its folder holds model.json, `external/`, the code with its manifest, and `weights/`, what the training left. It travels with
each version, and needs no more than numpy.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import base
from .worker import SamplerProgram, Worker, WorkerError

CODE, WEIGHTS = "external", "weights"
PYTHON = "GENLOOP_EXTERNAL_PYTHON"
LIMITS = {"start": 300.0, "draw": 300.0, "memory_gb": 8.0}  # of a manifest that names none
NO_PROMPTS = "this model takes no prompts"
NO_WALK = "its sampler has no `walk`, which generates the images between two others"
NO_VARIATIONS = "its sampler has neither `variations` nor `walk`"


class ExternalGenerator:
    """Generates with a worker, which is started at the first question about images.

    accepts_prompts: whether it can be asked for what somebody writes, beside its classes, whose prompts come from the manifest.
    walks: whether there are images between two others. deterministic: whether a seed is always the same image. failures: what
    is raised where no images come.
    """

    failures = (WorkerError,)

    def __init__(self, folder: Path, root: Path | None = None) -> None:
        """root: the project, where a relative path to an interpreter may begin.

        Raises:
            ValueError: the folder holds no such model.
        """
        self.folder, self.root = folder, root
        about = base.describe(folder)
        if about.external is None:
            raise ValueError(f"{folder / base.DESCRIPTION}: not a description of an external model")
        if not (folder / CODE).is_dir():
            raise ValueError(f"{folder / CODE}: there is no such folder, and it should hold the sampler's code")
        self.spec, self.classes, self.preset, self.external = about.spec, about.classes, about.preset, about.external
        self.manifest: dict[str, Any] = self.external["manifest"]
        self.deterministic = about.deterministic
        self.conditional = bool(self.manifest.get("condition", "none") != "none" and self.spec.classes)
        self.weights = WeightFiles(folder / WEIGHTS, self.external.get("files") or {})
        self.accepts_prompts = self.manifest.get("condition") == "prompts"
        self._worker: Worker | None = None

    @property
    def worker(self) -> Worker:
        if self._worker is None:
            limits = {**LIMITS, **(self.manifest.get("limits") or {})}
            told = {
                "size": self.spec.size,
                "channels": self.spec.channels,
                "classes": self.classes,
                "preset": self.preset,
                "prompts": self.external.get("prompts"),
                "condition": self.manifest.get("condition", "none"),
            }
            self._worker = Worker(
                SamplerProgram(
                    self.interpreter(),
                    (self.folder / CODE).absolute(),
                    self.manifest["sampler"],
                    (self.folder / WEIGHTS).absolute(),
                    told,
                    limits["start"],
                    limits["draw"],
                    int(limits["memory_gb"] * 2**30),
                    self.weights.check,
                )
            )
        return self._worker

    @property
    def walks(self) -> bool:
        """Raises WorkerError."""
        return bool(self.worker.describe()["walk"])

    @property
    def varies(self) -> bool:
        """Whether the sampler has `variations` of its own. Raises WorkerError."""
        return bool(self.worker.describe()["variations"])

    def draw(self, seeds: Sequence[int] | np.ndarray, labels: Sequence[int] | np.ndarray | None = None) -> np.ndarray:
        """One image for each seed: (n, size, size, channels) uint8, 0..255.

        Args:
            seeds: n whole numbers from 0 on.
            labels: n classes; None to go through them by turns. A model without classes ignores them.

        Raises:
            ValueError: as `base.draw`.
            WorkerError: no images came; the message says why.
        """
        seeds = np.asarray(seeds, np.int64)
        return self.ask("draw", {"seeds": seeds}, base.labels_for(self.spec, seeds, labels))

    def draw_prompts(self, seeds: Sequence[int] | np.ndarray, prompts: Sequence[str]) -> np.ndarray:
        """One image for each seed and its prompt, as `draw`.

        Raises:
            ValueError: as `base.draw`, or the model takes no prompts.
            WorkerError: no images came.
        """
        seeds = np.asarray(seeds, np.int64)
        if len(seeds) != len(prompts):
            raise ValueError(f"expected as many prompts as seeds, came {len(prompts)} prompts and {len(seeds)} seeds")
        base.check(self.spec, seeds, np.zeros(len(seeds), np.int32))
        if not self.accepts_prompts:
            raise ValueError(NO_PROMPTS)
        return self.ask("draw", {"seeds": seeds}, list(prompts))

    def walk(
        self,
        starts: Sequence[int] | np.ndarray,
        ends: Sequence[int] | np.ndarray,
        at: np.ndarray,
        labels: Sequence[int] | np.ndarray | None = None,
    ) -> np.ndarray:
        """Images on the way from the image of one seed to that of another, as `base.walk`.

        Raises:
            ValueError: as `base.walk`, or the sampler has no `walk`.
            WorkerError: no images came.
        """
        starts, ends = np.asarray(starts, np.int64), np.asarray(ends, np.int64)
        labels = base.labels_for(self.spec, starts, labels)
        base.check(self.spec, ends, labels)
        if not self.walks:
            raise ValueError(f"this model cannot do that: {NO_WALK}")
        return self.ask("walk", {"starts": starts, "ends": ends, "at": np.asarray(at, np.float64)}, labels)

    def interpolate(self, seed_a: int, seed_b: int, steps: int, label: int | None = None) -> np.ndarray:
        """The way from the image of one seed to that of another: (steps, size, size, channels) uint8, both ends included."""
        return base.interpolate_by(self.walk, seed_a, seed_b, steps, label)

    def variations(self, seed: int, strength: float, count: int, label: int | None = None) -> np.ndarray:
        """Images near that of a seed: (count, size, size, channels) uint8, as `base.variations`.

        The sampler's own way comes first; without one they are so far on the way to other seeds.

        Raises:
            ValueError: as `base.variations`, or the sampler has neither `variations` nor `walk`.
            WorkerError: no images came.
        """
        own = self.varies
        if not own and not self.walks:
            raise ValueError(f"this model cannot do that: {NO_VARIATIONS}")
        return base.variations_by(self.vary if own else self.walk, seed, strength, count, label)

    def vary(self, seeds: np.ndarray, others: np.ndarray, strength: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """By the sampler's `variations`. others: (n,) int64, from which each has what tells it from the next one."""
        base.check(self.spec, seeds, labels)
        return self.ask("variations", {"seeds": seeds, "others": others, "strength": strength}, labels)

    def close(self) -> None:
        """Let the process go. The next call starts another one."""
        if self._worker is not None:
            self._worker.close()

    def ask(self, call: str, arrays: dict[str, np.ndarray], wanted: np.ndarray | list[str]) -> np.ndarray:
        """As many images at once as Keras' families generate. wanted: labels, or prompts for a model that accepts some."""
        size, channels = self.spec.size, self.spec.channels
        if self.accepts_prompts and not isinstance(wanted, list):
            wanted = [self.prompt(label) for label in wanted.tolist()]
        images = np.empty((len(wanted), size, size, channels), np.uint8)
        for first in range(0, len(wanted), base.DRAW_BATCH):
            part = slice(first, first + base.DRAW_BATCH)
            given = {name: array[part] for name, array in arrays.items()}
            some = wanted[part]
            if isinstance(some, list):
                images[part] = self.worker.call(call, given, prompts=some)
            elif self.conditional:
                images[part] = self.worker.call(call, {**given, "labels": some})
            else:
                images[part] = self.worker.call(call, given)
        return images

    def prompt(self, label: int) -> str:
        """Of a class; where there are no classes, the one for all."""
        prompts: dict[str, str] = self.external.get("prompts") or {}
        name = self.classes[label] if self.classes else "default"
        return prompts.get(name, prompts.get("default", name if self.classes else ""))

    def interpreter(self) -> str:
        """The Python that the sampler runs in. Raises WorkerError where it is not on this machine."""
        needs = ", ".join(["numpy", *(one for one in self.manifest.get("requirements") or [] if one != "numpy")])
        if chosen := os.environ.get(PYTHON):
            if not Path(chosen).expanduser().is_file():
                raise WorkerError(f"{PYTHON} is {chosen}, and there is no such file; set it to a Python that has {needs}")
            return str(Path(chosen).expanduser().absolute())
        named = self.manifest.get("python")
        if named is None:
            return sys.executable
        for place in self.places(Path(named).expanduser()):
            if place.is_file():
                return str(place.absolute())  # not resolved: a virtual environment goes by the link that it is started by
        raise WorkerError(
            f"this model's manifest says `python: {named}`, and there is no such interpreter on this machine; make an "
            f"environment with {needs}, and set {PYTHON} to its Python"
        )

    def places(self, named: Path) -> Iterator[Path]:
        """Where the interpreter may be: a relative path begins in the folder that the model came from, in its project."""
        origin = self.external.get("folder")
        if named.is_absolute():
            yield named
        elif origin:
            for root in (self.root, *self.folder.absolute().parents, Path()):
                if root is not None:
                    yield root / origin / named

    def check_weights(self) -> None:
        """Raises WorkerError where the weights are not those that were trained."""
        self.weights.check()


class WeightFiles:
    """Files that were trained, in a folder. expected: their sha256 by relative path. Nothing else may lie there, but for
    `__pycache__`, where the sampler's Python keeps what it compiles.

    The worker holds this and not the generator: no circle keeps a generator, and with it a process, that nobody uses any more.
    """

    def __init__(self, folder: Path, expected: dict[str, str]) -> None:
        self.folder, self.expected = folder, expected
        self.verified: dict[str, tuple[int, ...]] = {}  # by path, what told the file from another one when it was hashed

    def check(self) -> None:
        """Raises WorkerError where one of them is missing or another one, or there is one too many."""
        folder, expected = self.folder, self.expected
        paths = (path for path in folder.rglob("*") if path.is_file() and path.parent.name != "__pycache__")
        found = {path.relative_to(folder).as_posix(): path for path in paths}
        if missing := expected.keys() - found.keys():
            raise WorkerError(f"{folder}: missing: {', '.join(sorted(missing)[:3])}; restore the files of this model")
        if unknown := found.keys() - expected.keys():
            raise WorkerError(
                f"{folder}: unknown: {', '.join(sorted(unknown)[:3])}; remove what is none of this model's files, and let its "
                "sampler write to the folder of the variable TMPDIR instead"
            )
        for name, path in found.items():
            state = path.stat()
            known = (state.st_ino, state.st_size, state.st_mtime_ns)
            if self.verified.get(name) == known:
                continue
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if digest != expected[name]:
                raise WorkerError(
                    f"{path} has the sha256 {digest}, expected {expected[name]}: it is another file or a damaged one, and was "
                    "not given to the sampler; restore the files of this model"
                )
            self.verified[name] = known
