"""The pipeline that the adapter is for: a pretrained one by name, or a tiny one of random weights, made on the spot."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

TINY = "tiny"


def load(base: str) -> StableDiffusionPipeline:
    """On a GPU where there is one. Its scheduler adds no noise of its own, so an image follows from its latents alone."""
    on_gpu = torch.cuda.is_available()
    if base == TINY:
        pipeline = make_tiny()
    else:
        kind = torch.bfloat16 if on_gpu else torch.float32
        pipeline = StableDiffusionPipeline.from_pretrained(base, torch_dtype=kind, safety_checker=None, use_safetensors=True)
    pipeline.scheduler = DDIMScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline.to("cuda" if on_gpu else "cpu")


def make_tiny() -> StableDiffusionPipeline:
    """The same each time: its weights are random, from a seed of their own, and its tokenizer knows letters alone."""
    before = torch.random.get_rng_state()
    torch.manual_seed(0)
    width = 32
    text = CLIPTextConfig(
        vocab_size=514, hidden_size=width, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        max_position_embeddings=32, bos_token_id=512, eos_token_id=513, pad_token_id=513,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=8, block_out_channels=(32, 64), layers_per_block=1, norm_num_groups=8, attention_head_dim=8,
        cross_attention_dim=width, down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
    )  # fmt: skip
    autoencoder = AutoencoderKL(
        block_out_channels=(16, 32), norm_num_groups=8, latent_channels=4, sample_size=16, scaling_factor=1.0,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    pipeline = StableDiffusionPipeline(
        vae=autoencoder, text_encoder=CLIPTextModel(text), tokenizer=make_tokenizer(), unet=unet,
        scheduler=DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    torch.random.set_rng_state(before)
    return pipeline


def make_tokenizer() -> CLIPTokenizer:
    """One that reads each byte as a token: CLIP's own alphabet without a single merge."""
    alphabet = byte_letters()
    words = [*alphabet, *(f"{letter}</w>" for letter in alphabet), "<|startoftext|>", "<|endoftext|>"]
    with tempfile.TemporaryDirectory() as folder:
        vocabulary, merges = Path(folder, "vocab.json"), Path(folder, "merges.txt")
        vocabulary.write_text(json.dumps({word: number for number, word in enumerate(words)}))
        merges.write_text("#version: 0.2\n")
        return CLIPTokenizer(str(vocabulary), str(merges), model_max_length=32)


def byte_letters() -> list[str]:
    """The 256 letters that CLIP's tokenizer writes bytes with."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) for byte in printable] + [chr(256 + number) for number in range(len(others))]
