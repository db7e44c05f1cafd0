"""register: data/model + its scores -> a version in MLflow's registry. The same model is never registered twice."""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from pipelines.core import files, reports
from pipelines.core.numbers import three_digits
from pipelines.core.project import Project
from pipelines.core.temporary_folder import TemporaryFolder
from pipelines.feedback import curated
from pipelines.feedback.curated import CuratedSummary
from pipelines.models import base
from pipelines.promotion import rules
from pipelines.registration import card, machine, origin
from pipelines.registry.client import Registry
from pipelines.registry.publish import Publication, TrainingCurves, log_and_register
from pipelines.registry.versions import (
    CHAMPION,
    DETERMINISTIC,
    FEEDBACK,
    GENERATION,
    NOT_DETERMINISTIC,
    PACKAGES,
    WORKSPACE,
    NoVersionError,
)
from pipelines.settings.schema import Params
from pipelines.stage import main

REPORTS = (
    "samples.png", "real.png", "neighbours.png", "told_apart.png", "training-samples.png", "evaluation.html", "data.html",
    "metrics.json", "estimates.npz", "drawn.npz", "clean.json", "reference.json", "train.json", "classes.csv",
)  # fmt: skip


def run(project: Project, params: Params) -> None:
    scores = reports.read(project.reports, "metrics")
    registry = Registry.open(project, params.registry)
    key = identity(project)
    version = registry.find(key)
    if version is not None:
        print(f"register: already registered; this model is version {version} of {registry.name}")
    else:
        version = add(project, params, registry, key, scores)
    alias = next(iter(registry.aliases_of(version)), None)
    place = f"sqlite:///{project.relative(registry.store)}" if registry.store else registry.place  # true in a copy too
    receipt = {"model": registry.name, "version": version, "alias": alias, "key": key, "registry": place}
    files.write(registry.receipt_file, json.dumps(receipt, indent=2) + "\n")
    print(f"register: version {version} of {registry.name}{f', the {alias}' if alias else ''}")


def add(project: Project, params: Params, registry: Registry, key: str, scores: dict[str, Any]) -> int:
    """Register the model in data/ as a new version; its number."""
    metrics = {name: float(value) for name, value in scores.items() if isinstance(value, int | float)}
    train = origin.stage_report(project.reports, "train")
    about = base.describe(project.model)
    learned = curated.read_summary(project.curated) if about.trained else CuratedSummary([], 0, 0)
    learned = replace(learned, generation=max(learned.generation, parents_generation(registry, train)))
    tags = {**origin.tags(project, scores["benchmark_id"], learned), GENERATION: str(learned.generation)}
    results = rules.judge_first_version(params.promotion.rules, scores)
    fit = rules.combine(results, champion=False) != "reject"
    if not about.deterministic:
        tags[DETERMINISTIC] = "false"
        print(f"register: its manifest says `deterministic: false`: {NOT_DETERMINISTIC}")
    text = card.write(project, params, learned, tags, about.external)
    with TemporaryFolder() as temporary:
        folder = Path(temporary)
        gather(project, folder, learned, text)
        curves = training_curves(project, train)
        publication = Publication(key, metrics, tags, folder, card.shorten(text), fit, curves)
        version = log_and_register(params, registry, publication)
    champion = registry.alias(CHAMPION)
    for rule in results:
        limit = f"{rule.metric} {rule.kind} {rule.margin:g}"
        if rule.verdict == "reject" and champion is None:
            interval = " to ".join(three_digits(end) for end in (rule.low, rule.high) if end is not None)
            print(f"register: no champion yet: {limit}: {rule.why}, {interval}")
        elif rule.verdict == "undecided" and champion == version:
            print(f"register: champion, because it is the first; that {limit} holds is not known: {rule.why}")
    return version


def parents_generation(registry: Registry, train: dict[str, Any]) -> int:
    """Of the version that the training went on from: it has learned from whatever that one had."""
    parent = train.get("parent_version")
    if parent is None:
        return 0
    try:
        return registry.version(parent).generation
    except NoVersionError:  # of another registry
        return 0


def gather(project: Project, folder: Path, learned: CuratedSummary, text: str) -> None:
    """Put together in `folder` what the version's run keeps beside the model. text: the model card."""
    for path in (project.params_file, *(project.reports / name for name in REPORTS)):
        if path.exists():
            shutil.copy2(path, folder / path.name)
    origin.copy_files(project, folder / WORKSPACE)
    (folder / card.NAME).write_text(text, encoding="utf-8")
    for name, content in ((FEEDBACK, asdict(learned)), (PACKAGES, machine.packages())):
        (folder / name).write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def training_curves(project: Project, train: dict[str, Any]) -> TrainingCurves:
    """Losses and grids of the training; its grids, where they are on this machine."""
    with (project.reports / "training.csv").open(newline="", encoding="utf-8") as file:
        lines = [{name: float(value) for name, value in line.items() if value} for line in csv.DictReader(file)]
    values = {int(line.pop("step")): line for line in lines}
    log = project.root / train.get("log", "")
    return TrainingCurves(values, {step: path for step in values if (path := log / f"samples-{step:08d}.png").is_file()})


def identity(project: Project) -> str:
    """A hash of the model and of its scores; of an external model, of all files that travel with a version.

    Where nothing was trained, scores do not count: they move with what people say, and the model stays the same version.
    """
    scores = project.reports / "metrics.json"
    about = base.describe(project.model)
    if about.external is None:
        sources = (project.model / "model.json", project.model / "weights.safetensors", scores)
        return hashlib.sha256("".join(files.sha256(path) for path in sources).encode()).hexdigest()[:32]
    names = (str(path.relative_to(project.model)) for path in base.own_files(project.model))
    lines = [
        *(f"{name} {files.sha256(project.model / name)}" for name in names),
        *([files.sha256(scores)] if about.trained else []),
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:32]


if __name__ == "__main__":
    main(run)
