"""Trains LoRA (Hu et al., 2021; 2106.09685) on the attention of a pipeline's U-Net: python train.py job.json."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from base_pipeline import load
from diffusers import DDPMScheduler, StableDiffusionPipeline
from diffusers.training_utils import cast_training_params
from diffusers.utils import convert_state_dict_to_diffusers, convert_unet_state_dict_to_peft
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from PIL import Image
from sampler import Sampler
from torch import Tensor

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
NO_PROMPT = 0.1  # share of the images that are shown without one, so that guidance has something to compare with
PREVIEW = 16  # images


def main(job: dict[str, Any]) -> None:
    params, checkpoint = job["params"], Path(job["checkpoints"], "state.pt")
    torch.manual_seed(job["seed"])
    pipeline = load(params["base"])
    device, unet = pipeline.device, pipeline.unet
    for network in (pipeline.vae, pipeline.text_encoder, unet):
        network.requires_grad_(False)
    unet.add_adapter(
        LoraConfig(r=params["rank"], lora_alpha=params["rank"], init_lora_weights="gaussian", target_modules=ATTENTION)
    )
    cast_training_params(unet)  # the adapter learns in float32, whatever the base has
    adapter = [weight for weight in unet.parameters() if weight.requires_grad]
    optimizer, first = torch.optim.AdamW(adapter, params["learning_rate"]), 1
    if checkpoint.is_file():  # of the same training, which was killed
        state = torch.load(checkpoint, map_location=device, weights_only=True)
        set_peft_model_state_dict(unet, state["adapter"])
        optimizer.load_state_dict(state["optimizer"])
        first = state["step"] + 1
    elif job["champion"] and any(job["champion_params"].get(key) != params[key] for key in ("base", "rank")):
        print("the champion has another base or rank, so this training begins anew", flush=True)
    elif job["champion"]:
        set_peft_model_state_dict(unet, read_adapter(Path(job["champion"])))
    rows, texts = read(job), encode_prompts(pipeline, job)
    schedule = DDPMScheduler.from_config(pipeline.scheduler.config)
    started = time.monotonic()
    for step in range(first, job["steps"] + 1):
        torch.manual_seed(job["seed"] * 1_000_003 + step)  # so that a training that was killed goes on as it would have
        batch = [rows[number] for number in torch.randint(len(rows), (job["batch_size"],)).tolist()]
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            loss = loss_of(pipeline, schedule, batch, texts, job["image"]["size"])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(adapter, 1.0)
        optimizer.step()
        speed = (step - first + 1) * job["batch_size"] / (time.monotonic() - started)
        line = {"step": step, "loss": loss.item(), "images_per_second": speed}
        if step % job["report_every"] == 0 or step == job["steps"]:
            state = {"step": step, "adapter": get_peft_model_state_dict(unet), "optimizer": optimizer.state_dict()}
            torch.save(state, checkpoint.with_suffix(".partial"))
            os.replace(checkpoint.with_suffix(".partial"), checkpoint)
            line |= preview(pipeline, job, step)
        print(json.dumps(line), flush=True)
    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(unet))
    StableDiffusionPipeline.save_lora_weights(job["result"], unet_lora_layers=layers)  # as safetensors


def read(job: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows with the bytes of an image, its prompt and its weight; images are decoded when they are wanted."""
    rows, prompts = [], [job["prompts"][name] for name in job["classes"]]
    for part in sorted(Path(job["data"]).glob("part-*.parquet")):
        for row in pq.read_table(part, columns=["image", "label", "weight"]).to_pylist():
            unlabelled = "" if job["classes"] else job["prompts"]["default"]
            prompt = unlabelled if row["label"] is None or not job["classes"] else prompts[row["label"]]
            rows.append({"image": row["image"]["bytes"], "prompt": prompt, "weight": row["weight"]})
    return rows


def read_adapter(folder: Path) -> dict[str, Tensor]:
    """The adapter of the champion, as PEFT names its weights."""
    state, _ = StableDiffusionPipeline.lora_state_dict(str(folder), weight_name="pytorch_lora_weights.safetensors")
    own = {name.removeprefix("unet."): weight for name, weight in state.items() if name.startswith("unet.")}
    return convert_unet_state_dict_to_peft(own)


@torch.no_grad()
def encode_prompts(pipeline: StableDiffusionPipeline, job: dict[str, Any]) -> dict[str, Tensor]:
    """(tokens, width) of each prompt."""
    prompts = ["", *job["prompts"].values()]
    return {prompt: pipeline.encode_prompt(prompt, pipeline.device, 1, False)[0][0] for prompt in prompts}


def loss_of(
    pipeline: StableDiffusionPipeline, schedule: DDPMScheduler, rows: list[dict[str, Any]], texts: dict[str, Tensor], size: int
) -> Tensor:
    """The mean of what each row is denoised wrong by, times the row's weight."""
    device, kind = pipeline.device, pipeline.vae.dtype
    pixels = torch.stack([decode(row["image"], size) for row in rows]).to(device, kind)
    with torch.no_grad():
        latents = pipeline.vae.encode(pixels).latent_dist.sample() * pipeline.vae.config.scaling_factor
    noise = torch.randn_like(latents)
    times = torch.randint(schedule.config.num_train_timesteps, (len(rows),), device=device)
    shown = [
        row["prompt"] if keep else "" for row, keep in zip(rows, (torch.rand(len(rows)) > NO_PROMPT).tolist(), strict=True)
    ]
    text = torch.stack([texts[prompt] for prompt in shown])
    velocity = schedule.config.prediction_type == "v_prediction"
    target = schedule.get_velocity(latents, noise, times) if velocity else noise
    found = pipeline.unet(schedule.add_noise(latents, noise, times), times, text).sample
    weights = torch.tensor([row["weight"] for row in rows], device=device)
    return ((found.float() - target.float()).square().mean(dim=(1, 2, 3)) * weights).mean()


def decode(content: bytes, size: int) -> Tensor:
    """(3, size, size), -1..1; grey images become three equal channels."""
    with Image.open(io.BytesIO(content)) as image:
        pixels = np.asarray(image.convert("RGB").resize((size, size)), np.float32)
    return torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1)


def preview(pipeline: StableDiffusionPipeline, job: dict[str, Any], step: int) -> dict[str, Any]:
    """A picture of images side by side, the classes in turn."""
    labels = [number % max(len(job["classes"]), 1) for number in range(PREVIEW)]
    prompts = [job["prompts"][job["classes"][label] if job["classes"] else "default"] for label in labels]
    images = Sampler(None, {**job["image"], "preset": job["params"]}, pipeline).draw(np.arange(PREVIEW), prompts)
    _, side, _, channels = images.shape
    grid = images.reshape(2, PREVIEW // 2, side, side, channels).swapaxes(1, 2).reshape(2 * side, -1, channels)
    Image.fromarray(grid[..., 0] if channels == 1 else grid).save(Path(job["previews"], f"step-{step}.png"))
    return {"preview": f"step-{step}.png", "labels": labels} if job["classes"] else {"preview": f"step-{step}.png"}


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
