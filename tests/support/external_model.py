"""A model that somebody else's code samples, in a folder as `train` leaves it; the code is a few lines of numpy."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

CLASSES = ["a", "b", "c"]
SIDE = 8
# Each image is noise of its seed, brightened by its class and by the weights.
SAMPLER = """
import os
import numpy as np

class Sampler:
    def __init__(self, weights, about):
        self.about, self.shift = about, int(np.load(weights / "shift.npy"))

    def one(self, seed, label):
        shape = (self.about["size"], self.about["size"], self.about["channels"])
        return np.random.default_rng(int(seed)).integers(0, 100, shape) + 50 * int(label) + self.shift

    def draw(self, seeds, labels):
        return np.stack([self.one(*pair) for pair in zip(seeds, labels)]).astype(np.uint8)
"""
WALK = """
    def walk(self, starts, ends, at, labels):
        a, b = (self.draw(seeds, labels).astype(float) for seeds in (starts, ends))
        at = at[:, None, None, None]
        return np.rint((1 - at) * a + at * b).astype(np.uint8)
"""


def write(folder: Path, code: str = SAMPLER, shift: int = 0, classes: list[str] | None = None, **manifest: Any) -> Path:
    """model.json, `external/` and `weights/` in `folder`; `manifest` is laid over a plain one."""
    names = CLASSES if classes is None else classes
    for part in ("external", "weights"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "external/sampler.py").write_text(code)
    np.save(folder / "weights/shift.npy", np.array(shift))
    plain: dict[str, Any] = {"sampler": "sampler:Sampler", "python": None, "condition": "classes", "requirements": ["numpy"]}
    external = {
        "manifest": {**plain, **manifest},
        "folder": "examples/external/tiny",
        "prompts": {name: f"a photo of {name}" for name in names} if manifest.get("condition") == "prompts" else None,
        "content": "0" * 64,
        "files": {"shift.npy": hashlib.sha256((folder / "weights/shift.npy").read_bytes()).hexdigest()},
        "steps": 10,
    }
    about = {
        "family": "external",
        "module": "external",
        "class_name": "ExternalGenerator",
        "preset": {"components": 4},
        "spec": {"size": SIDE, "channels": 1, "classes": len(names)},
        "classes": names,
        "format": 1,
        "external": external,
    }
    (folder / "model.json").write_text(json.dumps(about))
    return folder


def expected(seeds: np.ndarray, labels: np.ndarray, shift: int = 0) -> np.ndarray:
    """What SAMPLER generates, (n, SIDE, SIDE, 1) uint8."""
    pairs = zip(seeds.tolist(), labels.tolist(), strict=True)
    noise = [np.random.default_rng(seed).integers(0, 100, (SIDE, SIDE, 1)) + 50 * label + shift for seed, label in pairs]
    return np.stack(noise).astype(np.uint8)
