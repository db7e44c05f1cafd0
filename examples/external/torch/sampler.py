"""Generates images with the trained flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from flow import Flow
from safetensors.torch import load_file
from torch import Tensor

BATCH = 64  # the network always runs on so many images: with one shape, an image does not depend on those beside it


class Sampler:
    """weights: the folder that the training filled. about: size, channels, classes and preset of the images and the model."""

    def __init__(self, weights: Path, about: dict[str, Any]) -> None:
        self.shape, self.calls = (about["channels"], about["size"], about["size"]), about["preset"]["calls"]
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.flow = Flow(about["channels"], len(about["classes"]), about["preset"]["width"]).to(self.device).eval()
        self.flow.load_state_dict(load_file(weights / "model.safetensors", self.device))

    def draw(self, seeds: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """(n, size, size, channels) uint8, for seeds (n,) int64 and labels (n,) int32."""
        return self.generate([self.noise(seed) for seed in seeds.tolist()], labels)

    def walk(self, starts: np.ndarray, ends: np.ndarray, at: np.ndarray, labels: np.ndarray | None) -> np.ndarray:
        """Images on the way from those of `starts`, at 0, to those of `ends`, at 1: along the great circle of their noise."""
        triples = zip(starts.tolist(), ends.tolist(), at.tolist(), strict=True)
        return self.generate([between(self.noise(start), self.noise(end), share) for start, end, share in triples], labels)

    def noise(self, seed: int) -> Tensor:
        """Normal numbers, (channels, size, size), from the seed alone."""
        return torch.randn(self.shape, generator=torch.Generator().manual_seed(seed))

    def generate(self, noises: list[Tensor], labels: np.ndarray | None) -> np.ndarray:
        images = np.empty((len(noises), *self.shape[1:], self.shape[0]), np.uint8)
        for start in range(0, len(noises), BATCH):
            part = noises[start : start + BATCH]
            noise, label = torch.zeros(BATCH, *self.shape), torch.zeros(BATCH, dtype=torch.long)
            noise[: len(part)] = torch.stack(part)
            if labels is not None:
                label[: len(part)] = torch.from_numpy(labels[start : start + BATCH].astype(np.int64))
            pictures = self.flow.generate(noise.to(self.device), label.to(self.device), self.calls)
            pixels = ((pictures + 1) * 127.5).round().byte().permute(0, 2, 3, 1)
            images[start : start + BATCH] = pixels.cpu().numpy()[: len(part)]
        return images


def between(a: Tensor, b: Tensor, share: float) -> Tensor:
    """On the great circle from a, at 0, to b, at 1, where normal numbers lie."""
    angle = torch.arccos(((a * b).sum() / a.norm() / b.norm()).clamp(-1, 1)).clamp(min=1e-6)
    return torch.sin((1 - share) * angle) / torch.sin(angle) * a + torch.sin(share * angle) / torch.sin(angle) * b
