"""Generates images with a base pipeline and the adapter that was trained for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from base_pipeline import load
from diffusers import StableDiffusionPipeline
from torch import Tensor


class Sampler:
    """weights: the folder that the training filled. about: size, channels and preset of the images and the model.

    pipeline: one that has its adapter already, as in training; None for the base and the adapter in `weights`.
    """

    def __init__(self, weights: Path | None, about: dict[str, Any], pipeline: StableDiffusionPipeline | None = None) -> None:
        self.size, self.channels, self.preset = about["size"], about["channels"], about["preset"]
        self.pipeline = pipeline or load(self.preset["base"])
        if weights is not None:
            self.pipeline.load_lora_weights(str(weights), weight_name="pytorch_lora_weights.safetensors")
        side = self.size // self.pipeline.vae_scale_factor
        self.shape = self.pipeline.unet.config.in_channels, side, side

    def draw(self, seeds: np.ndarray, prompts: list[str]) -> np.ndarray:
        """(n, size, size, channels) uint8, for seeds (n,) int64 and n prompts."""
        return self.generate([self.latents(seed) for seed in seeds.tolist()], prompts)

    def walk(self, starts: np.ndarray, ends: np.ndarray, at: np.ndarray, prompts: list[str]) -> np.ndarray:
        """Images on the way from those of `starts`, at 0, to those of `ends`, at 1: along the great circle of their latents."""
        triples = zip(starts.tolist(), ends.tolist(), at.tolist(), strict=True)
        return self.generate([between(self.latents(start), self.latents(end), share) for start, end, share in triples], prompts)

    def latents(self, seed: int) -> Tensor:
        """Normal numbers from the seed alone, made on the CPU: a GPU has others."""
        return torch.randn(self.shape, generator=torch.Generator().manual_seed(seed))

    @torch.no_grad()
    def generate(self, latents: list[Tensor], prompts: list[str]) -> np.ndarray:
        """An image for each. The network always runs on `preset.batch` of them, so that none depends on those beside it."""
        batch, images = self.preset["batch"], []
        for start in range(0, len(latents), batch):
            part, texts = latents[start : start + batch], prompts[start : start + batch]
            missing = batch - len(part)
            found = self.pipeline(
                prompt=[*texts, *[""] * missing],
                latents=torch.stack([*part, *[torch.zeros(self.shape)] * missing]).to(
                    self.pipeline.device, self.pipeline.unet.dtype
                ),
                height=self.size,
                width=self.size,
                num_inference_steps=self.preset["steps"],
                guidance_scale=self.preset["guidance"],
                output_type="np",
            ).images[: len(part)]
            images.append(found.mean(axis=3, keepdims=True) if self.channels == 1 else found)
        return np.rint(np.concatenate(images) * 255).astype(np.uint8)


def between(a: Tensor, b: Tensor, share: float) -> Tensor:
    """On the great circle from a, at 0, to b, at 1, where normal numbers lie."""
    angle = torch.arccos(((a * b).sum() / a.norm() / b.norm()).clamp(-1, 1)).clamp(min=1e-6)
    return torch.sin((1 - share) * angle) / torch.sin(angle) * a + torch.sin(share * angle) / torch.sin(angle) * b
