"""Fits principal components, and for each class a mixture of Gaussians in their space, by online EM (Cappé and Moulines, 2009).

Genloop runs `python train.py job.json`, and reads what this prints: a line of JSON for each report.
"""

from __future__ import annotations

import io
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for matrices as small as these, threads cost more than they bring

import numpy as np
import pyarrow.parquet as pq
from PIL import Image
from sampler import WEIGHTS, Sampler

Arrays = dict[str, np.ndarray]
ROWS = 3000  # that the principal components are found from
FLOOR = 1e-4  # of a variance, so that a mode of few images does not become one of them


def main(job: dict[str, Any]) -> None:
    images, labels, weights = read(job)
    state = begin(job, images, labels, weights)
    codes = (images - state["centre"]) @ state["basis"].T
    chances = weights / weights.sum()  # a row of twice the weight comes twice as often
    started, first = time.monotonic(), int(state["done"])
    for step in range(first + 1, job["steps"] + 1):
        random = np.random.default_rng([job["seed"], step])  # so that a training that was killed goes on as it would have
        batch = random.choice(len(codes), job["batch_size"], p=chances)
        loss = learn(state, codes[batch], labels[batch])
        state["done"] = np.array(step)
        last = step == job["steps"]
        if step % job["report_every"] == 0 or last:
            speed = (step - first) * job["batch_size"] / (time.monotonic() - started)
            save(state, Path(job["checkpoints"]) / WEIGHTS)
            report(step=step, loss=loss, images_per_second=round(speed, 1), **preview(job, step))
        elif step % max(job["report_every"] // 20, 1) == 0:
            report(step=step, loss=loss)
    save(state, Path(job["result"]) / WEIGHTS)


def read(job: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images (n, pixels) float32 0..1, labels (n,) with -1 for none, weights (n,)."""
    images, labels, weights = [], [], []
    mode = "L" if job["image"]["channels"] == 1 else "RGB"
    for part in sorted(Path(job["data"]).glob("part-*.parquet")):
        for row in pq.read_table(part, columns=["image", "label", "weight"]).to_pylist():
            with Image.open(io.BytesIO(row["image"]["bytes"])) as image:
                images.append(np.asarray(image.convert(mode), np.float32).ravel() / 255)
            labels.append(-1 if row["label"] is None or not job["classes"] else row["label"])
            weights.append(row["weight"])
    return np.array(images), np.array(labels), np.array(weights, np.float64)


def begin(job: dict[str, Any], images: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> Arrays:
    """Where a killed training stood; or the champion's model; or one that has seen only which images there are."""
    checkpoint = Path(job["checkpoints"]) / WEIGHTS
    if checkpoint.is_file():
        return load(checkpoint)
    params, classes = job["params"], max(len(job["classes"]), 1)
    components = min(params["components"], images.shape[1], len(images) - 1)
    if job["champion"]:
        state = load(Path(job["champion"]) / WEIGHTS)
        if state["mean"].shape == (classes, params["modes"], components) and state["centre"].shape == images.shape[1:]:
            return {**state, "done": np.array(0)}
        print("the champion has another shape, so this training begins anew")
    random = np.random.default_rng(job["seed"])
    some = images[random.choice(len(images), min(len(images), ROWS), replace=False, p=weights / weights.sum())]
    centre = some.mean(axis=0)
    basis = np.linalg.svd(some - centre, full_matrices=False)[2][:components]
    mean, spread = [], []
    for label in range(classes):
        own = (images[labels == label] if (labels == label).any() else images) - centre
        codes = own[random.choice(len(own), ROWS)] @ basis.T
        mean.append(codes[: params["modes"]])
        spread.append([np.cov(codes.T) + FLOOR * np.eye(components)] * params["modes"])
    state = {"centre": centre, "basis": basis, "done": np.array(0), "seen": np.array(0)}
    share = np.full((classes, params["modes"]), 1 / classes / params["modes"])
    mean, moment = np.array(mean), np.array(spread) + np.array(mean)[..., :, None] * np.array(mean)[..., None, :]
    state |= {"share": share, "sums": share[..., None] * mean, "squares": share[..., None, None] * moment}
    return maximise(state)


def learn(state: Arrays, codes: np.ndarray, labels: np.ndarray) -> float:
    """Move the model towards a batch; returns its mean negative log-likelihood for each component."""
    classes, modes, components = state["mean"].shape
    inverse = np.linalg.inv(state["spread"]).reshape(-1, components, components).astype(np.float32)
    offset = (inverse @ state["mean"].reshape(-1, components, 1).astype(np.float32))[..., 0]
    white = (codes @ inverse.reshape(-1, components).T).reshape(len(codes), -1, components) - offset
    scale = np.log(np.diagonal(inverse, axis1=1, axis2=2)).sum(axis=1) + np.log(state["share"].ravel())
    density = scale - (white**2).sum(axis=2) / 2
    density[(labels[:, None] >= 0) & (labels[:, None] != np.arange(classes * modes) // modes)] = -np.inf
    most = density.max(axis=1, keepdims=True)
    chances = np.exp(density - most)
    total = chances.sum(axis=1, keepdims=True)
    chances /= total * len(codes)
    state["seen"] = state["seen"] + 1
    rate = (float(state["seen"]) + 2) ** -0.6
    squares = (codes[:, :, None] * codes[:, None, :]).reshape(len(codes), -1)
    for name, sums in (("share", chances.sum(axis=0)), ("sums", chances.T @ codes), ("squares", chances.T @ squares)):
        state[name] = (1 - rate) * state[name] + rate * sums.reshape(state[name].shape)
    maximise(state)
    return float(-(most + np.log(total)).mean() / components)


def maximise(state: Arrays) -> Arrays:
    """Means and spreads from what was summed up; every class keeps a little of each mode."""
    state["share"] = np.maximum(state["share"], 1e-6)
    state["mean"] = state["sums"] / state["share"][..., None]
    covariance = state["squares"] / state["share"][..., None, None] - state["mean"][..., :, None] * state["mean"][..., None, :]
    state["spread"] = np.linalg.cholesky(covariance + FLOOR * np.eye(covariance.shape[-1]))
    return state


def preview(job: dict[str, Any], step: int) -> dict[str, Any]:
    """A picture of eight images of each class, side by side, by what was saved last."""
    sampler = Sampler(Path(job["checkpoints"]), job["image"])
    labels = np.repeat(np.arange(max(len(job["classes"]), 1)), 8)
    images = sampler.draw(np.arange(len(labels)), labels)
    side, channels = job["image"]["size"], job["image"]["channels"]
    grid = images.reshape(-1, 8, side, side, channels).swapaxes(1, 2).reshape(-1, 8 * side, channels)
    name = f"step-{step}.png"
    Image.fromarray(grid[..., 0] if channels == 1 else grid).save(Path(job["previews"]) / name)
    return {"preview": name, "labels": labels.tolist()} if job["classes"] else {"preview": name}


def save(state: Arrays, path: Path) -> None:
    """Whole or not at all: a training may be killed at any moment."""
    partial = path.with_suffix(".partial")
    with partial.open("wb") as file:
        np.savez(file, **state)
    os.replace(partial, path)


def load(path: Path) -> Arrays:
    with np.load(path) as arrays:
        return dict(arrays)


def report(**values: Any) -> None:
    print(json.dumps(values), flush=True)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
