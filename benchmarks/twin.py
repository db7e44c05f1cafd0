"""gan and diffusion of pipelines/models in PyTorch, as close as the two can be: the same layers, losses and optimizer.

    PYTHON-WITH-TORCH benchmarks/twin.py '{"family": "diffusion", "size": 28, "channels": 1, "classes": 10, "batch": 128, ...}'

It trains by turns, as benchmarks/turns.py says, and tells at the end how many weights it has, how many operations an image
costs it in training, and how many images a second it draws. Batches are made before the clock starts. benchmarks/training.py
and benchmarks/gpu.py start it and time the project's own beside it.
"""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

STEP, PENALISED, UNNAMED_BELOW, TOLD, HEAD, LEAST_SIDE = 0.01, 4, -1.2815516, 8, 64, 8


class Generator(nn.Module):
    def __init__(self, spec: dict[str, Any], preset: dict[str, Any]) -> None:
        super().__init__()
        sides, widths = levels_of_gan(spec["size"], preset)
        self.side, self.width = sides[0], widths[0]
        self.sides = sides
        self.classes = nn.Linear(spec["classes"], preset["latent"], bias=False)
        self.mapping = nn.Linear(2 * preset["latent"], preset["dense"])
        self.coarse = nn.Linear(preset["dense"], sides[0] ** 2 * widths[0])
        channels = [*widths, max(preset["width"] // 2, 4)]
        self.up = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(channels))
        self.pixels = nn.Conv2d(channels[-1], spec["channels"], 3, padding=1)

    def forward(self, latents: Tensor, label: Tensor) -> Tensor:
        hidden = torch.cat([latents, self.classes(label)], 1)
        hidden = leaky(self.coarse(leaky(self.mapping(hidden))))
        hidden = hidden.view(-1, self.width, self.side, self.side).contiguous(memory_format=torch.channels_last)
        for up, side in zip(self.up, self.sides[1:], strict=True):
            hidden = leaky(up(F.interpolate(hidden, scale_factor=2.0))[:, :, :side, :side])
        return torch.tanh(self.pixels(hidden))


class Discriminator(nn.Module):
    def __init__(self, spec: dict[str, Any], preset: dict[str, Any]) -> None:
        super().__init__()
        sides, widths = levels_of_gan(spec["size"], preset)
        channels = [spec["channels"], *reversed(widths)]
        self.down = nn.ModuleList(nn.Conv2d(a, b, 4, 2, 1) for a, b in pairwise(channels))
        self.features = nn.Linear(sides[0] ** 2 * widths[0], preset["dense"])
        self.score = nn.Linear(preset["dense"], 1)
        self.classes = nn.Linear(spec["classes"], preset["dense"], bias=False)

    def forward(self, hidden: Tensor, label: Tensor) -> Tensor:
        for down in self.down:
            hidden = leaky(down(hidden))
        features = leaky(self.features(hidden.flatten(1)))
        return self.score(features) + (features * self.classes(label)).sum(1, keepdim=True)


class Gan(nn.Module):
    def __init__(self, spec: dict[str, Any], preset: dict[str, Any]) -> None:
        super().__init__()
        self.spec, self.preset = spec, preset
        self.generator, self.discriminator = Generator(spec, preset), Discriminator(spec, preset)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"latents": (self.preset["latent"],), "step": (self.spec["channels"], self.spec["size"], self.spec["size"])}

    def loss(self, inputs: dict[str, Tensor]) -> Tensor:
        label, batch = F.one_hot(inputs["label"], self.spec["classes"]).float(), len(inputs["label"])
        real = to_float(inputs["image"])
        fake = self.generator(inputs["latents"], label)
        still = fake.detach()
        some, others = slice(None, None, PENALISED), slice(1, None, PENALISED)
        stepped = torch.cat([real[some], still[others]]) + STEP * torch.cat([inputs["step"][some], inputs["step"][others]])
        labels = torch.cat([label, label, label[some], label[others]])
        scores = self.discriminator(torch.cat([real, still, stepped]), labels)
        real_score, fake_score, moved = scores[:batch], scores[batch : 2 * batch], scores[2 * batch :]
        penalty = 2 * ((moved - torch.cat([real_score[some], fake_score[others]])) / STEP).square().mean()
        self.discriminator.requires_grad_(False)
        score = self.discriminator(fake, label)
        self.discriminator.requires_grad_(True)
        return (
            F.softplus(fake_score - real_score).mean()
            + F.softplus(real_score.detach() - score).mean()
            + self.preset["gamma"] / 2 * penalty
        )

    def draw(self, noise: Tensor, label: Tensor) -> Tensor:
        return self.generator(noise, F.one_hot(label, self.spec["classes"]).float())

    def betas(self) -> tuple[float, float]:
        return 0.0, 0.99


class Residual(nn.Module):
    def __init__(self, before: int, width: int, style: int, dropout: float, attention: bool) -> None:
        super().__init__()
        self.first_normal, self.second_normal = normal(before), normal(width)
        self.first, self.second = nn.Conv2d(before, width, 3, padding=1), nn.Conv2d(width, width, 3, padding=1)
        self.style, self.dropout = nn.Linear(style, 2 * width), nn.Dropout(dropout)
        self.skip = nn.Conv2d(before, width, 1) if before != width else nn.Identity()
        self.attention = Attention(width) if attention else nn.Identity()
        nn.init.zeros_(self.second.weight)

    def forward(self, hidden: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.style(style)[:, :, None, None].chunk(2, 1)
        inside = self.first(F.silu(self.first_normal(hidden)))
        inside = self.dropout(F.silu(self.second_normal(inside) * (1 + scale) + shift))
        return self.attention(self.skip(hidden) + self.second(inside))


class Attention(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads, self.normal = max(1, width // HEAD), normal(width)
        self.asked, self.given, self.taken = nn.Linear(width, 3 * width), nn.Linear(width, width), nn.Linear(width, width)
        nn.init.zeros_(self.taken.weight)

    def forward(self, hidden: Tensor) -> Tensor:
        batch, width, high, wide = hidden.shape
        places = self.normal(hidden).flatten(2).transpose(1, 2)
        parts = self.asked(places).chunk(3, 2)
        q, k, v = (part.view(batch, -1, self.heads, width // self.heads).transpose(1, 2) for part in parts)
        found = F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(batch, -1, width)
        return hidden + self.taken(self.given(found)).transpose(1, 2).view(batch, width, high, wide)


class Diffusion(nn.Module):
    def __init__(self, spec: dict[str, Any], preset: dict[str, Any]) -> None:
        super().__init__()
        self.spec, self.preset = spec, preset
        patch, depth, width = preset["patch"], preset["depth"], preset["width"]
        units = 4 * width
        self.time, self.changes = nn.Linear(width, units), nn.Linear(TOLD, units, bias=False)
        self.classes, self.style = nn.Linear(spec["classes"] + 1, units, bias=False), nn.Linear(units, units)
        levels = list(levels_of_diffusion(spec["size"] // patch, preset))
        self.into = nn.Conv2d(spec["channels"], width, max(3, patch), patch, padding=0 if patch > 3 else 1)

        def block(before: int, after: int, side: int) -> Residual:
            return Residual(before, after, units, preset["dropout"], side <= preset["attention"])

        self.down, self.up, passed, before = nn.ModuleList(), nn.ModuleList(), [width], width
        for number, (width, side) in enumerate(levels):
            if number:
                self.down.append(nn.Conv2d(before, width, 3, 2, padding=1))
                passed.append(width)
            self.down.extend(block(width, width, side) for _ in range(depth))
            passed += [width] * depth
            before = width
        self.middle = nn.ModuleList(block(before, before, levels[-1][1]) for _ in range(2))
        for number, (width, side) in reversed(list(enumerate(levels))):
            for _ in range(depth + 1):
                self.up.append(block(before + passed.pop(), width, side))
                before = width
            if number:
                before = levels[number - 1][0]
                self.up.append(nn.Conv2d(width, before, 3, padding=1))
        self.out_normal = normal(before)
        self.out = nn.Conv2d(before, spec["channels"] * patch**2, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        frequencies = torch.exp(-math.log(1000.0) * torch.linspace(0, 1, preset["width"] // 2))
        self.register_buffer("frequencies", 1000.0 * frequencies)

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"latents": (self.spec["channels"], self.spec["size"], self.spec["size"]), "time": (), "unnamed": ()}

    def forward(self, x: Tensor, at: Tensor, label: Tensor) -> Tensor:
        angles = at[:, None] * self.frequencies
        told = torch.zeros(len(at), TOLD, device=at.device)
        kind = F.one_hot(label, self.spec["classes"] + 1).float()
        style = self.time(torch.cat([angles.sin(), angles.cos()], 1)) + self.changes(told) + self.classes(kind)
        style = F.silu(self.style(F.silu(style)))
        hidden = self.into(x)
        passed = [hidden]
        for part in self.down:
            hidden = part(hidden, style) if isinstance(part, Residual) else part(hidden)
            passed.append(hidden)
        for part in self.middle:
            hidden = part(hidden, style)
        for part in self.up:
            if isinstance(part, Residual):
                hidden = part(torch.cat([hidden, passed.pop()], 1), style)
            else:
                hidden = part(F.interpolate(hidden, scale_factor=2.0))
        return F.pixel_shuffle(self.out(F.silu(self.out_normal(hidden))), self.preset["patch"]).float()

    def loss(self, inputs: dict[str, Tensor]) -> Tensor:
        images, noise = to_float(inputs["image"]), inputs["latents"]
        label = torch.where(inputs["unnamed"] < UNNAMED_BELOW, self.spec["classes"], inputs["label"])
        at = torch.sigmoid(inputs["time"])
        mixed = (1 - at[:, None, None, None]) * images + at[:, None, None, None] * noise
        return (self(mixed, at, label) - (noise - images)).square().mean()

    def draw(self, noise: Tensor, label: Tensor) -> Tensor:
        steps, x, before = self.preset["steps"], noise, torch.zeros_like(noise)
        for number in range(steps):
            now = self(x, torch.full((len(x),), 1 - number / steps, device=x.device), label)
            share = 0.5 if number else 0.0
            x, before = x - ((1 + share) * now - share * before) / steps, now
        return x

    def betas(self) -> tuple[float, float]:
        return 0.9, 0.99


class DenoisingDiffusion(nn.Module):
    """denoising-diffusion-pytorch, with a U-Net of about as many weights as asked for."""

    def __init__(self, spec: dict[str, Any], preset: dict[str, Any]) -> None:
        from denoising_diffusion_pytorch import GaussianDiffusion, Unet

        super().__init__()
        self.spec = spec

        def unet(dim: int) -> nn.Module:
            return Unet(dim=dim, dim_mults=(1, 2, 2), channels=spec["channels"], flash_attn=True)

        dims = range(16, 257, 8)
        counts = [sum(weight.numel() for weight in unet(dim).parameters()) for dim in dims]
        dim = min(zip(dims, counts, strict=True), key=lambda pair: abs(pair[1] - spec["weights"]))[0]
        self.flow = GaussianDiffusion(unet(dim), image_size=spec["size"], sampling_timesteps=preset["steps"])

    def shapes(self) -> dict[str, tuple[int, ...]]:
        return {"latents": (self.spec["channels"], self.spec["size"], self.spec["size"])}

    def loss(self, inputs: dict[str, Tensor]) -> Tensor:
        return self.flow(inputs["image"].float() / 255)

    def draw(self, noise: Tensor, label: Tensor) -> Tensor:
        return self.flow.sample(batch_size=len(noise))

    def betas(self) -> tuple[float, float]:
        return 0.9, 0.99


FAMILIES = {"gan": Gan, "diffusion": Diffusion, "denoising-diffusion-pytorch": DenoisingDiffusion}


def levels_of_gan(size: int, preset: dict[str, Any]) -> tuple[list[int], list[int]]:
    assert not preset["depth"], "the twin has no residual blocks"
    sides = [size]
    while sides[0] > 7:
        sides.insert(0, -(-sides[0] // 2))
    count = len(sides) - 1
    return sides, [min(preset["width"] * 2 ** (count - 1 - level), preset["widest"]) for level in range(count)]


def levels_of_diffusion(side: int, preset: dict[str, Any]) -> Iterator[tuple[int, int]]:
    width = preset["width"]
    yield width, side
    while side % 2 == 0 and side > LEAST_SIDE:
        side, width = side // 2, min(2 * width, preset["widest"])
        yield width, side


def normal(width: int) -> nn.GroupNorm:
    return nn.GroupNorm(max(1, width // 16), width, eps=1e-5)


def leaky(hidden: Tensor) -> Tensor:
    return F.leaky_relu(hidden, 0.2)


def to_float(images: Tensor) -> Tensor:
    return images.float() / 127.5 - 1


def main() -> None:
    asked = json.loads(sys.argv[1])
    torch.manual_seed(0)
    device, batch = torch.device(asked.get("device", "cpu")), asked["batch"]
    model = FAMILIES[asked["family"]](asked, asked["preset"])
    model = model.to(device).to(memory_format=torch.channels_last)
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
    narrow = asked.get("bfloat16", False)

    def casting() -> AbstractContextManager[Any]:
        return torch.autocast(device.type, torch.bfloat16) if narrow else nullcontext()

    loss, draw = model.loss, model.draw
    if asked.get("compile", False):
        loss, draw = torch.compile(loss), torch.compile(draw)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, betas=model.betas(), fused=True)
    averaged = [parameter.detach().clone() for parameter in model.parameters()]
    batches = [batch_of(model, asked, device) for _ in range(4)]

    def train(number: int) -> None:
        with casting():
            found = loss(batches[number % len(batches)])
        optimizer.zero_grad(set_to_none=True)
        found.backward()
        optimizer.step()
        torch._foreach_lerp_(averaged, [parameter.detach() for parameter in model.parameters()], 0.01)

    found = {"weights": float(sum(parameter.numel() for parameter in model.parameters()))}
    with FlopCounterMode(display=False) as counter:
        model.loss(batches[0]).backward()
    found["flop"] = counter.get_total_flops() / batch  # of one image, forth and back
    print("ready", flush=True)
    for _ in sys.stdin:
        print(rate(train, asked["steps"], 1, batch, device), flush=True)
    model.eval()
    noise, label = batches[0]["latents"], batches[0]["label"]

    def sample(_: int) -> None:
        with torch.inference_mode(), casting():
            draw(noise, label).cpu()

    found["draw"] = rate(sample, asked["draws"], asked["rounds"], batch, device)
    print(json.dumps(found), flush=True)


def batch_of(model: Any, asked: dict[str, Any], device: torch.device) -> dict[str, Tensor]:
    shape = (asked["batch"], asked["channels"], asked["size"], asked["size"])
    numbers = {name: torch.randn(asked["batch"], *part) for name, part in model.shapes().items()}
    image = torch.randint(0, 256, shape, dtype=torch.uint8)
    label = torch.randint(0, asked["classes"], (asked["batch"],))
    inputs = {"image": image, "label": label, **numbers}
    return {name: laid(value).to(device) for name, value in inputs.items()}


def laid(value: Tensor) -> Tensor:
    return value.contiguous(memory_format=torch.channels_last) if value.dim() == 4 else value


def rate(do: Callable[[int], None], times: int, rounds: int, batch: int, device: torch.device) -> float:
    """Images a second in the best of `rounds`, after as many that are not counted."""
    best = 0.0
    for number in range(times):
        do(number)
    for _ in range(rounds):
        wait(device)
        start = time.perf_counter()
        for number in range(times):
            do(number)
        wait(device)
        best = max(best, times * batch / (time.perf_counter() - start))
    return best


def wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


if __name__ == "__main__":
    main()
