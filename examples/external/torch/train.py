"""Train a rectified flow as Genloop asks for it: python train.py job.json. before/train.py is what it was made from."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from flow import Flow
from PIL import Image
from safetensors.torch import load_file, save_file
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

JOB = json.loads(Path(sys.argv[1]).read_text())
PARAMS = JOB["params"]
STEPS, BATCH, SEED, REPORT_EVERY = (JOB[key] for key in ("steps", "batch_size", "seed", "report_every"))
OUT, STATE = Path(JOB["previews"]), Path(JOB["checkpoints"], "state.pt")


def read(path: str) -> tuple[torch.Tensor, ...]:
    """Images (n, 1, size, size) uint8, labels (n,), of which the last means "none", and how much each row counts (n,)."""
    rows = [row for part in sorted(Path(path).glob("*.parquet")) for row in pq.read_table(part).to_pylist()]
    images = np.stack([np.asarray(Image.open(io.BytesIO(row["image"]["bytes"])).convert("L")) for row in rows])
    labels = [len(JOB["classes"]) if row["label"] is None else row["label"] for row in rows]
    return torch.from_numpy(images)[:, None], torch.tensor(labels), torch.tensor([row["weight"] for row in rows])


def main() -> None:
    torch.manual_seed(SEED)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    images, labels, weights = read(JOB["data"])
    classes = max(len(JOB["classes"]), 1)
    model = Flow(images.shape[1], classes, PARAMS["width"]).to(device)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(PARAMS["ema"]))
    optimizer = torch.optim.AdamW(model.parameters(), PARAMS["learning_rate"], weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min((step + 1) / 50, 1 - step / STEPS))
    if JOB["champion"] and JOB["champion_params"].get("width") != PARAMS["width"]:
        print("the champion has another width, so this training begins anew", flush=True)
    elif JOB["champion"]:
        for part in (model, average.module):
            part.load_state_dict(load_file(Path(JOB["champion"], "model.safetensors"), device))
    parts, first = {"model": model, "average": average, "optimizer": optimizer, "schedule": schedule}, 1
    if STATE.is_file():  # of the same training, which was killed
        state = torch.load(STATE, map_location=device, weights_only=True)
        first = state.pop("step") + 1
        for name, part in parts.items():
            part.load_state_dict(state[name])
    started = time.monotonic()
    for step in range(first, STEPS + 1):
        torch.manual_seed(SEED * 1_000_003 + step)  # so that a training that was killed goes on as it would have
        rows = torch.randint(len(images), (BATCH,))
        batch = images[rows].to(device) / 127.5 - 1
        loss = model.losses(batch, labels[rows].to(device)) @ weights[rows].to(device) / BATCH
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        average.update_parameters(model)
        speed = BATCH * (step - first + 1) / (time.monotonic() - started)
        line = {"step": step, "loss": loss.item(), "images_per_second": speed}
        if step % REPORT_EVERY == 0 or step == STEPS:
            show(average.module, classes, images.shape[1:], OUT / f"step-{step}.png")
            state = {name: part.state_dict() for name, part in parts.items()}
            torch.save({**state, "step": step}, STATE.with_suffix(".partial"))
            os.replace(STATE.with_suffix(".partial"), STATE)
            line["preview"] = f"step-{step}.png"
        print(json.dumps(line), flush=True)
    save_file(average.module.state_dict(), Path(JOB["result"], "model.safetensors"))


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
