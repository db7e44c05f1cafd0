"""A class-conditional rectified flow (Liu et al., 2022; 2209.03003): the network, its loss, and how it makes images."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

LEAST_LEFT = 0.05  # of the way: nearer to its end, errors of the picture would be errors of the velocity many times as large


class Block(nn.Module):
    """A residual block that is told the time and the class."""

    def __init__(self, before: int, after: int, told: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(before, after, 3, padding=1)
        self.second = nn.Conv2d(after, after, 3, padding=1)
        self.norms = nn.ModuleList([nn.GroupNorm(8, before), nn.GroupNorm(8, after)])
        self.told = nn.Linear(told, 2 * after)
        self.skip = nn.Conv2d(before, after, 1) if before != after else nn.Identity()
        nn.init.zeros_(self.second.weight)

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        scale, shift = self.told(told)[:, :, None, None].chunk(2, dim=1)
        h = self.first(functional.silu(self.norms[0](x)))
        h = self.second(functional.silu(self.norms[1](h) * (1 + scale) + shift))
        return self.skip(x) + h


class Flow(nn.Module):
    """A U-Net of two levels, on patches of 2x2 pixels: sides are multiples of 4.

    forward: images (n, channels, size, size) on the way from noise, at 0, to pictures in -1..1, at 1; times (n,); labels (n,).
    Returns their velocity, of the shape of the images. What the network itself gives is the picture that they lead to
    (2511.13720): a background of one grey comes out as such, where a velocity that is a little wrong leaves specks.
    """

    def __init__(self, channels: int, classes: int, width: int) -> None:
        super().__init__()
        told = 4 * width
        self.classes = nn.Embedding(max(classes, 1) + 1, told)  # the last is "no class"
        self.time = nn.Sequential(nn.Linear(32, told), nn.SiLU(), nn.Linear(told, told))
        self.start = nn.Conv2d(4 * channels, width, 3, padding=1)
        self.down = nn.ModuleList([Block(width, width, told), Block(width, width, told)])
        self.narrow = nn.Conv2d(width, 2 * width, 3, stride=2, padding=1)
        self.middle = nn.ModuleList([Block(2 * width, 2 * width, told) for _ in range(3)])
        self.widen = nn.Conv2d(2 * width, width, 1)
        self.up = nn.ModuleList([Block(2 * width, width, told), Block(width, width, told)])
        self.end = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, 4 * channels, 3, padding=1))
        nn.init.zeros_(self.end[-1].weight)

    def forward(self, images: Tensor, times: Tensor, labels: Tensor) -> Tensor:
        waves = times[:, None] * math.pi * 2 ** torch.linspace(-1, 6, 16, device=times.device)
        told = functional.silu(self.time(torch.cat([waves.sin(), waves.cos()], dim=1)) + self.classes(labels))
        x = self.start(functional.pixel_unshuffle(images, 2))
        for block in self.down:
            x = block(x, told)
        y = self.narrow(x)
        for block in self.middle:
            y = block(y, told)
        x = torch.cat([x, functional.interpolate(self.widen(y), scale_factor=2)], dim=1)
        for block in self.up:
            x = block(x, told)
        picture = functional.pixel_shuffle(self.end(x), 2)
        return (picture - images) / (1 - times).clamp(min=LEAST_LEFT)[:, None, None, None]

    def losses(self, images: Tensor, labels: Tensor) -> Tensor:
        """(n,): how wrong the velocity is, at a random time for each image."""
        noise, times = torch.randn_like(images), torch.sigmoid(torch.randn(len(images), device=images.device))
        at = times[:, None, None, None]
        error = self(torch.lerp(noise, images, at), times, labels) - (images - noise)
        return error.square().mean(dim=(1, 2, 3))

    @torch.no_grad()
    def generate(self, noise: Tensor, labels: Tensor, calls: int) -> Tensor:
        """Pictures in -1..1 from normal numbers, by Heun's method: two calls of the network a step, and one in the last."""
        x, steps = noise, max((calls + 1) // 2, 1)
        for step in range(steps):
            now, after = (torch.full((len(x),), (step + more) / steps, device=x.device) for more in (0, 1))
            velocity = self(x, now, labels)
            if step < steps - 1:
                velocity = (velocity + self(x + velocity / steps, after, labels)) / 2
            x = x + velocity / steps
        return x.clamp(-1, 1)
