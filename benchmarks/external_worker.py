"""Images a second of an external model through Genloop's worker, against the same sampler called in a process of its own.

    python -m benchmarks.external_worker                                     # examples/external/numpy
    python -m benchmarks.external_worker --folder my-model --steps 500
    python -m benchmarks.external_worker --model data/model                  # one that `genloop run` has trained

The two take turns, 64 images at a time, so that what else the machine does slows both alike; the ratio is the median over
turns. A folder is trained first, for `--steps` steps on scikit-learn's digits, unless nobody trains it.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import shlex
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image
from ruamel.yaml import YAML
from sklearn.datasets import load_digits

from benchmarks.turns import Turns
from benchmarks.workspace import REPOSITORY
from pipelines.models import base
from pipelines.models.external import ExternalGenerator
from pipelines.settings import manifest as manifests

BATCH = 64
# In the sampler's own interpreter, which need not have Genloop: a turn for each line of input.
DIRECT = """
import importlib, json, pathlib, sys, time
import numpy as np
given = json.loads(sys.argv[1])
sys.path.insert(0, given["folder"])
answers, sys.stdout = sys.stdout, sys.stderr
module, _, name = given["sampler"].partition(":")
sampler = getattr(importlib.import_module(module), name)(pathlib.Path(given["weights"]), given["about"])
labels = given["prompts"] or (np.array(given["labels"], np.int32) if given["labels"] else None)
batch = lambda first: np.ascontiguousarray(sampler.draw(first + np.arange(len(given["labels"]) or given["batch"]), labels))
batch(0)
print("ready", file=answers, flush=True)
first = 0
for line in sys.stdin:
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < given["seconds"]:
        count += len(batch(first))
        first += given["batch"]
    print(count / (time.perf_counter() - began), file=answers, flush=True)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=REPOSITORY / "examples/external/numpy", help="with a manifest.yaml")
    parser.add_argument("--model", type=Path, help="a trained model instead, as data/model is one")
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--size", type=int, help="pixels a side; by default the least that the manifest allows, from 8 on")
    parser.add_argument("--preset", help="by default the manifest's first one")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one turn")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="genloop-") as temporary:
        folder = options.model or build(options, Path(temporary))
        generator = ExternalGenerator(folder.absolute(), REPOSITORY)
        try:
            compare(generator, options.rounds, options.seconds)
        finally:
            generator.close()


def compare(generator: ExternalGenerator, rounds: int, seconds: float) -> None:
    labels = (np.arange(BATCH) % max(1, len(generator.classes))).astype(np.int32)
    generator.draw(np.arange(BATCH), labels)  # loads it
    program, condition = generator.worker.program, generator.manifest["condition"]
    given = {
        "folder": str(program.folder),
        "sampler": program.sampler,
        "weights": str(program.weights),
        "about": program.about,
        "labels": labels.tolist() if condition == "classes" and generator.classes else [],
        "prompts": [generator.prompt(label) for label in labels.tolist()] if condition == "prompts" else [],
        "batch": BATCH,
        "seconds": seconds,
    }
    found = []
    with Turns([program.python, "-c", DIRECT, json.dumps(given)], program.folder) as direct:
        for number in range(rounds):
            alone, through = direct.take(), turn(generator, labels, seconds)
            found.append((alone, through))
            print(f"turn {number + 1}: alone {alone:,.0f}, through the worker {through:,.0f} images/s", flush=True)
    alone, through = (statistics.median(rates) for rates in zip(*found, strict=True))
    ratio = statistics.median(through / alone for alone, through in found)
    size = generator.spec.size
    print(f"{size}x{size}, batch {BATCH}: alone {alone:,.0f}, through the worker {through:,.0f} images/s: {ratio:.3f} x")


def turn(generator: ExternalGenerator, labels: np.ndarray, seconds: float) -> float:
    """Images a second."""
    began, first = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        generator.draw(first + np.arange(BATCH), labels)
        first += BATCH
    return first / (time.perf_counter() - began)


def build(options: argparse.Namespace, into: Path) -> Path:
    """A model of the folder, trained on digits where it trains."""
    manifest: dict[str, Any] = json.loads(json.dumps(YAML(typ="safe").load((options.folder / "manifest.yaml").read_text())))
    sizes, condition = manifest.get("sizes", {}), manifest.get("condition", "none")
    multiple = sizes.get("multiple_of", 1)
    size = options.size or -(-max(8, sizes.get("least", 8)) // multiple) * multiple
    channels = min(manifest.get("channels", [1]))
    presets = manifest.get("presets") or {"": {}}
    preset = presets[options.preset or next(iter(presets))]
    classes = [] if condition == "none" else [str(digit) for digit in range(10)]
    prompts = {name: f"a photo of a {name}" for name in classes} if condition == "prompts" else None
    model = into / "model"
    ignored = shutil.ignore_patterns(".*", "__pycache__", "*.pyc")
    shutil.copytree(options.folder, model / "external", ignore=ignored)
    (model / "weights").mkdir()
    python = manifests.interpreter(manifests.read(options.folder), options.folder, os.environ)
    if manifest.get("train"):
        if manifest.get("data", "parquet") != "parquet":
            raise SystemExit(
                f"{options.folder} trains on `data: files`; train it by `genloop run`, and give --model data/model"
            )
        job = {
            "format": 1,
            "data": str(into / "data"),
            "rows": write_digits(into / "data", size, channels, bool(classes)),
            "classes": classes,
            "prompts": prompts,
            "params": preset,
            "image": {"size": size, "channels": channels},
            "seed": 0,
            "steps": options.steps,
            "batch_size": BATCH,
            "report_every": options.steps,
            "checkpoints": str(into / "checkpoints"),
            "champion": None,
            "result": str(model / "weights"),
            "previews": str(into / "previews"),
        }
        for name in ("checkpoints", "previews"):
            (into / name).mkdir()
        (into / "job.json").write_text(json.dumps(job))
        first, *rest = shlex.split(manifest["train"])
        command = [python if first == "python" else first, *rest, str(into / "job.json")]
        subprocess.run(command, cwd=model / "external", stdout=subprocess.DEVNULL, check=True)
    names = {path.relative_to(model / "weights").as_posix(): path for path in base.own_files(model / "weights")}
    external = {
        "manifest": {**manifest, "python": python, "condition": condition},
        "prompts": prompts,
        "content": "",
        "files": {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in names.items()},
        "steps": options.steps,
    }
    spec = base.ImageSpec(size, channels, len(classes))
    about = base.Description("external", "external", "ExternalGenerator", preset, spec, classes, external=external)
    (model / base.DESCRIPTION).write_text(json.dumps(asdict(about)))
    return model


def write_digits(folder: Path, size: int, channels: int, labelled: bool) -> int:
    """One shard as the training contract has it; the number of its rows."""
    folder.mkdir()
    digits = load_digits()
    rows = []
    for number, (picture, label) in enumerate(zip(digits.images, digits.target.tolist(), strict=True)):
        image = Image.fromarray((picture * 15.9).astype(np.uint8)).resize((size, size))
        content = io.BytesIO()
        image.convert("L" if channels == 1 else "RGB").save(content, "PNG")
        rows.append({"image": {"bytes": content.getvalue(), "path": None}, "label": label if labelled else None, "weight": 1.0})
        rows[-1] |= {"origin": "real", "generation": 0, "split": "train", "row_id": f"{number:064x}"}
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    columns = [("image", picture), ("label", pa.int32()), ("weight", pa.float32()), ("origin", pa.string())]
    schema = pa.schema([*columns, ("generation", pa.int32()), ("split", pa.string()), ("row_id", pa.string())])
    pq.write_table(pa.Table.from_pylist(rows, schema), folder / "part-0.parquet")
    return len(rows)


if __name__ == "__main__":
    main()
