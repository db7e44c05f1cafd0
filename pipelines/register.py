"""register: data/model + its scores -> a version in MLflow's registry. The same model is never registered twice."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
import tempfile
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pipelines.core import files, paths, reports
from pipelines.feedback import curated
from pipelines.feedback.curated import About
from pipelines.promotion import rules
from pipelines.registration import card, machine, origin
from pipelines.registry import client as tracking
from pipelines.settings.schema import Params
from pipelines.stage import main

REPORTS = (
    "samples.png",
    "real.png",
    "neighbours.png",
    "training-samples.png",
    "evaluation.html",
    "data.html",
    "metrics.json",
    "estimates.npz",
    "drawn.npz",
    "clean.json",
    "reference.json",
    "train.json",
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
        version = add(params, key, scores)
    alias = tracking.alias_of(client, params.registry.model, version)
    receipt = {"model": params.registry.model, "version": version, "alias": alias, "key": key, "registry": tracking.uri()}
    files.write(tracking.RECEIPT, json.dumps(receipt, indent=2) + "\n")
    print(f"register: version {version} of {params.registry.model}{f', the {alias}' if alias else ''}")


def add(params: Params, key: str, scores: dict[str, Any]) -> int:
    """Register what lies in data/ as a new version; its number."""
    metrics = {name: float(value) for name, value in scores.items() if isinstance(value, int | float)}
    learned = curated.read_about(paths.CURATED)
    learned = replace(learned, generation=max(learned.generation, parents_generation(params)))
    tags = {**origin.tags(scores["benchmark_id"], learned), tracking.GENERATION: str(learned.generation)}
    judged = rules.first(params.promotion.rules, scores)
    fit = rules.overall(judged, champion=False) != "reject"
    described = card.write(params, learned, tags)
    with tempfile.TemporaryDirectory(prefix="genloop-") as temporary:
        folder = Path(temporary)
        gather(folder, learned, described)
        version = tracking.log_and_register(params, key, metrics, tags, folder, card.short(described), fit, course())
    if not fit and tracking.holder(params, tracking.CHAMPION) is None:
        for rule in judged:
            if rule.verdict == "reject":
                print(f"register: no champion yet: {rule.metric} {rule.kind} {rule.margin:.4g}: {rule.why}")
    return version


def parents_generation(params: Params) -> int:
    """Of the version that the training went on from: it has learned from whatever that one had."""
    parent = origin.report("train").get("parent_version")
    if parent is None:
        return 0
    try:
        return int(tracking.version(params, parent).tags.get(tracking.GENERATION, 0))
    except tracking.NoVersionError:  # of another registry
        return 0


def gather(folder: Path, learned: About, described: str) -> None:
    """Put together in `folder` what the version's run keeps beside the model."""
    for path in (paths.PARAMS, *(paths.REPORTS / name for name in REPORTS)):
        if path.exists():
            shutil.copy2(path, folder / path.name)
    origin.keep(folder / tracking.WORKSPACE)
    (folder / card.NAME).write_text(described, encoding="utf-8")
    for name, content in ((tracking.FEEDBACK, asdict(learned)), (tracking.PACKAGES, machine.packages())):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def course() -> tracking.Course:
    """How the training went; its grids, where it was here."""
    with (paths.REPORTS / "training.csv").open(newline="", encoding="utf-8") as file:
        lines = [{name: float(value) for name, value in line.items()} for line in csv.DictReader(file)]
    values = {int(line.pop("step")): line for line in lines}
    log = Path(origin.report("train").get("log", ""))
    return tracking.Course(values, {step: path for step in values if (path := log / f"samples-{step:08d}.png").is_file()})


def identity() -> str:
    """A hash of the model and of what was said of it."""
    made_of = (paths.MODEL / "model.json", paths.MODEL / "weights.safetensors", paths.REPORTS / "metrics.json")
    return hashlib.sha256("".join(files.sha256(path) for path in made_of).encode()).hexdigest()[:32]


if __name__ == "__main__":
    main(run)
