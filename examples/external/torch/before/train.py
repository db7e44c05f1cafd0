"""Train a rectified flow on the images of an npz file: python -m before.train mnist.npz"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
import torch
from flow import Flow
from PIL import Image
from safetensors.torch import save_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

PARAMS = {"width": 32, "learning_rate": 0.003, "ema": 0.99, "calls": 16}
STEPS, BATCH, SEED, REPORT_EVERY = 1500, 64, 0, 250
OUT = Path("out")


def read(path: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (n, 1, size, size) uint8 and labels (n,)."""
    with np.load(path) as arrays:
        return torch.from_numpy(arrays["x_train"])[:, None], torch.from_numpy(arrays["y_train"]).long()


def main() -> None:
    torch.manual_seed(SEED)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    images, labels = read(sys.argv[1])
    classes = int(labels.max()) + 1
    model = Flow(images.shape[1], classes, PARAMS["width"]).to(device)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(PARAMS["ema"]))
    optimizer = torch.optim.AdamW(model.parameters(), PARAMS["learning_rate"], weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / 50, 1 - step / STEPS))
    started = time.monotonic()
    for step in range(1, STEPS + 1):
        rows = torch.randint(len(images), (BATCH,))
        batch = images[rows].to(device) / 127.5 - 1
        loss = model.losses(batch, labels[rows].to(device)).mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(model)
        if step % 10 == 0:
            speed = BATCH * step / (time.monotonic() - started)
            print(f"step {step}: loss {loss.item():.4f}, {speed:.0f} images/s", flush=True)
        if step % REPORT_EVERY == 0 or step == STEPS:
            show(average.module, classes, images.shape[1:], OUT / f"step-{step}.png")
    save_file(average.module.state_dict(), OUT / "model.safetensors")


def show(model: Flow, classes: int, shape: tuple[int, ...], path: Path) -> None:
    """A picture with a row of eight images for each class."""
    device = next(model.parameters()).device
    noise = torch.randn(8 * classes, *shape, generator=torch.Generator().manual_seed(0))
    labels = torch.arange(classes).repeat_interleave(8)
    pictures = ((model.generate(noise.to(device), labels.to(device), PARAMS["calls"]) + 1) * 127.5).round().byte().cpu()
    grid = pictures.reshape(classes, 8, *shape[1:]).transpose(1, 2).reshape(classes * shape[1], 8 * shape[2])
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(grid.numpy()).save(path)


if __name__ == "__main__":
    main()
