"""register: data/model + its scores -> a version in MLflow's registry. The same model is never registered twice."""

from __future__ import annotations

import hashlib
import json
import subprocess
from dataclasses import asdict

from ruamel.yaml import YAML

from pipelines.core import backend, files, paths, reports, stage, tracking
from pipelines.core.params import Params
from pipelines.feedback import curated

REPORTS = (
    "samples.png",
    "real.png",
    "neighbours.png",
    "training-samples.png",
    "evaluation.html",
    "data.html",
    "metrics.json",
    "estimates.npz",
    "clean.json",
    "reference.json",
    "classes.csv",
)


def run(params: Params) -> None:
    scores = reports.read("metrics")
    key = identity()
    client = tracking.client()
    known = tracking.find(client, params.registry.model, key)
    if known:
        version = int(known.version)
        print(f"register: nothing new to say; this model is version {version} of {params.registry.model} already")
    else:
        metrics = {name: float(value) for name, value in scores.items() if isinstance(value, int | float)}
        present = [paths.REPORTS / name for name in REPORTS if (paths.REPORTS / name).exists()]
        learned = curated.read_about(paths.CURATED)
        tags = {**lineage(scores["benchmark_id"]), tracking.GENERATION: str(learned.generation)}
        version = tracking.log_and_register(params, key, metrics, tags, present, asdict(learned))
    alias = tracking.alias_of(client, params.registry.model, version)
    receipt = {"model": params.registry.model, "version": version, "alias": alias, "key": key, "registry": tracking.uri()}
    files.write(tracking.RECEIPT, json.dumps(receipt, indent=2) + "\n")
    print(f"register: version {version} of {params.registry.model}{f', the {alias}' if alias else ''}")


def identity() -> str:
    """A hash of the model and of what was said of it."""
    made_of = (paths.MODEL / "model.json", paths.MODEL / "weights.safetensors", paths.REPORTS / "metrics.json")
    return hashlib.sha256("".join(files.sha256(path) for path in made_of).encode()).hexdigest()[:32]


def lineage(benchmark_id: str) -> dict[str, str]:
    """Where the model comes from, as tags of its run and its version."""
    tags = {"genloop.benchmark_id": benchmark_id, "genloop.git_commit": git("rev-parse", "HEAD") or "none"}
    tags["genloop.git_dirty"] = str(bool(git("status", "--porcelain", "--untracked-files=no"))).lower()
    tags |= {f"genloop.machine.{key}": json.dumps(value) for key, value in backend.describe().items()}
    tags |= {f"genloop.data.{path}": digest for path, digest in data_hashes().items()}
    return tags


def git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def data_hashes() -> dict[str, str]:
    """DVC's hash of every output under data/, of the stages that dvc.lock knows."""
    if not paths.LOCK.exists():
        return {}
    stages = YAML(typ="safe").load(paths.LOCK.read_text(encoding="utf-8")).get("stages", {})
    outputs = [output for entry in stages.values() for output in entry.get("outs", [])]
    return {output["path"]: output["md5"] for output in outputs if output["path"].startswith("data/")}


if __name__ == "__main__":
    stage.main(run)
