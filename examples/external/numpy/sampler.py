"""Generates images from principal components, in whose space each class is a mixture of Gaussians. All arrays are one file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

WEIGHTS = "model.npz"


class Sampler:
    """weights: the folder that the training filled. about: size, channels, classes and preset of the images and the model."""

    def __init__(self, weights: Path, about: dict[str, Any]) -> None:
        self.shape = about["size"], about["size"], about["channels"]
        with np.load(weights / WEIGHTS) as arrays:
            self.centre, self.basis = arrays["centre"], arrays["basis"]  # (pixels,) and (components, pixels)
            self.mean = arrays["mean"]  # (classes, modes, components)
            self.spread = arrays["spread"]  # (classes, modes, components, components), lower triangular
            self.ends = np.cumsum(arrays["share"], axis=1)  # (classes, modes)
        self.ends /= self.ends[:, -1:]

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """(n, size, size, channels) uint8, for seeds (n,) int64 and labels (n,) int32."""
        pairs = zip(seeds.tolist(), self.classes_for(seeds, labels), strict=True)
        return self.pictures([self.image(*self.numbers(seed, label), label) for seed, label in pairs])

    def walk(self, starts: np.ndarray, ends: np.ndarray, at: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """Images on the way from those of `starts`, at 0, to those of `ends`, at 1: the same shape and type as of `draw`."""
        images = []
        for start, end, share, label in zip(starts, ends, at, self.classes_for(starts, labels), strict=True):
            (z, first), (other, last) = self.numbers(int(start), label), self.numbers(int(end), label)
            angle = max(np.arccos(np.clip(z @ other / np.linalg.norm(z) / np.linalg.norm(other), -1, 1)), 1e-6)
            z = np.sin((1 - share) * angle) / np.sin(angle) * z + np.sin(share * angle) / np.sin(angle) * other
            images.append((1 - share) * self.image(z, first, label) + share * self.image(z, last, label))
        return self.pictures(images)

    def classes_for(self, seeds: np.ndarray, labels: np.ndarray | None) -> list[int]:
        return [0] * len(seeds) if labels is None else labels.tolist()

    def numbers(self, seed: int, label: int) -> tuple[np.ndarray, int]:
        """All that is random in an image, from its seed alone: normal numbers (components,), and which mode of its class."""
        random = np.random.default_rng(seed)
        mode = int(np.searchsorted(self.ends[label], random.random()).clip(max=self.ends.shape[1] - 1))
        return random.standard_normal(len(self.basis)), mode

    def image(self, z: np.ndarray, mode: int, label: int) -> np.ndarray:
        """(pixels,) 0..1. One image at a time: sums over a batch may round in another order for another batch."""
        return self.centre + (self.mean[label, mode] + self.spread[label, mode] @ z) @ self.basis

    def pictures(self, images: list[np.ndarray]) -> np.ndarray:
        pixels = np.array(images).reshape(-1, *self.shape)
        return np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8)
