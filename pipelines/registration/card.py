"""The version's model card (Mitchell et al., 2019, in the form of Hugging Face's), written from what the stages said."""

from __future__ import annotations

import csv
import importlib.metadata
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2

from pipelines.catalogue import SCORES
from pipelines.core import paths
from pipelines.feedback.curated import About
from pipelines.registration import licences
from pipelines.registration.origin import report
from pipelines.settings.schema import Params

NAME = "model-card.md"
TEMPLATE = Path(__file__).with_name(NAME)
LIMIT = 5_000  # characters that MLflow keeps of a version's description
NAMED = 12  # classes that are named in a sentence
IDEAL = {"memorisation": "near 0.5"}


def write(params: Params, learned: About, origin: Mapping[str, str]) -> str:
    """The card, as Markdown. origin: the tags of the version."""
    metrics, train, cleaned, data = (report(name) for name in ("metrics", "train", "clean", "validate"))
    lines = by_class()
    classes = cleaned.get("classes") or [line["class"] for line in lines]
    # Markdown, no HTML: names are made harmless by `plain`.
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined, autoescape=False)
    text = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        model=params.registry.model,
        kind=f"{params.image.size}x{params.image.size} {'grey' if params.image.channels == 1 else 'colour'} images",
        size=params.image.size,
        channels=params.image.channels,
        classes=classes,
        listed=listed([plain(name) for name in classes]),
        family=params.model.family,
        preset=params.model.preset,
        change=params.model.change,
        seed=params.train.seed,
        train={"weights": None, "step": None, "batch_size": None, **train},
        start="from scratch" if "genloop.parent" not in origin else f"went on from version {origin['genloop.parent']}",
        at=f"{datetime.now(UTC):%Y-%m-%d}",
        generation=learned.generation,
        code=importlib.metadata.metadata("genloop").json.get("license_expression", "its own licence"),
        sources=sources(params),
        cleaned=cleaned,
        refused=refused(cleaned.get("refused", {})),
        feedback=feedback(learned),
        share=share(train),
        warnings=[plain(f"{fault['expected']}; came: {fault['observed']}") for fault in data.get("failed", [])],
        samples=metrics["samples"],
        benchmark_id=metrics["benchmark_id"],
        extractor=report("reference").get("how"),
        scores=list(scored(metrics)),
        failures=[*failures(metrics), *failing_classes(metrics, lines)],
        neighbours=neighbours(metrics),
        by_class=table(lines),
    )
    return re.sub(r"\n{3,}", "\n\n", text)


def short(card: str) -> str:
    """As much of the card as MLflow keeps, whole sections of it, without the pictures, which its page does not find."""
    card = re.sub(r"!\[[^\]]*\]\([^)]*\)\n*", "", card)
    if len(card) <= LIMIT:
        return card
    more = f"\n\nThe rest is in `{NAME}`, an artifact of the version's run."
    cut = card[: LIMIT - len(more)]
    return cut[: max(cut.rfind("\n\n## "), cut.rfind("\n\n", 0, LIMIT // 2))] + more


def plain(text: str) -> str:
    """A name on one line, without what Markdown or HTML would take for its own."""
    return re.sub(r"([\\`*_{}\[\]<>|#!])", r"\\\1", " ".join(str(text).split()))


def listed(names: list[str]) -> str:
    return ", ".join([*names[:NAMED], *([f"and {len(names) - NAMED:,} more"] if len(names) > NAMED else [])])


def sources(params: Params) -> list[dict[str, str]]:
    found = report("ingest").get("sources", {})
    return [
        {"name": plain(name), "images": f"{found[name]:,}" if name in found else "", "licence": licence}
        for name, licence in licences.named(params)
    ]


def refused(reasons: Mapping[str, int]) -> str:
    counts = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in reasons.items() if count)
    return f"{sum(reasons.values()):,} were refused ({counts})" if counts else "none was refused"


def feedback(learned: About) -> str:
    if not learned.events:
        return "People's judgements: none yet."
    said = report("feedback")
    changes = {
        "rows_uploaded": "images that people sent",
        "labels_corrected": "corrected labels",
        "rows_removed": "rows taken away",
        "reported": "images reported",
    }
    done = ", ".join(f"{said[key]:,} {words}" for key, words in changes.items() if said.get(key))
    return f"People's judgements: {learned.events:,} events of {said.get('raters', 0):,} raters{f': {done}' if done else ''}."


def share(train: Mapping[str, Any]) -> str:
    """Of the rows that it was trained on, those that a model drew."""
    drawn, rows = report("feedback").get("rows_generated", 0), train.get("rows", 0)
    return f"{drawn / rows:.1%}, {drawn:,} of {rows:,} rows that it was trained on" if drawn and rows else "none"


def scored(metrics: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    for name, better in SCORES.items():
        if name in metrics:
            interval = f"{figure(metrics[f'{name}_low'])} to {figure(metrics[f'{name}_high'])}"
            better = IDEAL.get(name, better)
            yield {"name": f"`{name}`", "value": figure(metrics[name]), "interval": interval, "better": better}


def failures(metrics: Mapping[str, Any]) -> Iterator[str]:
    """What the scores say for sure, the interval's better end counted; and what they cannot say."""
    if (recall := metrics.get("recall_high", 1.0)) < 1:
        yield f"Variety: at least {1 - recall:.0%} of real images look like nothing that it draws (recall)."
    if (precision := metrics.get("precision_high", 1.0)) < 1:
        yield f"Quality: at least {1 - precision:.0%} of what it draws looks like no real image (precision)."
    if (accuracy := metrics.get("class_accuracy_high", 1.0)) < 1:
        yield f"Classes: at least {1 - accuracy:.1%} of its images are of another class than was asked for."
    if (least := metrics.get("memorisation_low", 0.0)) > 0.5:
        yield f"Copies: at least {least:.0%} of its images are nearer to a training image than to an unseen one."
    for why in metrics.get("not_enough", {}).values():
        yield f"Not known: {plain(why)}."


def by_class() -> list[dict[str, str]]:
    """The lines of classes.csv."""
    path = paths.REPORTS / "classes.csv"
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def failing_classes(metrics: Mapping[str, Any], lines: list[dict[str, str]]) -> Iterator[str]:
    """Classes whose interval lies below that of all together, the worst first."""
    below = [line for line in lines if line.get("class_accuracies_high")]
    below = [line for line in below if float(line["class_accuracies_high"]) < metrics.get("class_accuracy_low", 0.0)]
    for line in sorted(below, key=lambda line: float(line["class_accuracies"]))[:NAMED]:
        yield f"Class {plain(line['class'])}: {float(line['class_accuracies']):.0%} of its images are taken for it."


def table(lines: list[dict[str, str]]) -> dict[str, list[Any]] | None:
    """Figures of each class with their intervals."""
    titles = [name for name in (lines[0] if lines else {}) if f"{name}_low" in lines[0]]
    if not titles:
        return None
    rows = [[plain(line["class"]), *(cell(line, title) for title in titles)] for line in lines]
    return {"columns": ["class", *(f"`{title}`" for title in titles)], "lines": rows}


def cell(line: Mapping[str, str], title: str) -> str:
    if not line[title]:
        return ""
    value, low, high = (figure(float(line[f"{title}{end}"])) for end in ("", "_low", "_high"))
    return f"{value} ({low} to {high})"


def neighbours(metrics: Mapping[str, Any]) -> str:
    if "memorisation" not in metrics:
        return "How near its images come to training images was not measured."
    value, low, high = (metrics[f"memorisation{end}"] for end in ("", "_low", "_high"))
    return (
        f"{value:.0%} ({low:.0%} to {high:.0%}) of its images are nearer to a training image than to an unseen real one; a "
        "model that copies nothing gets about 50%. `neighbours.png`, an artifact of the run, shows those that come nearest."
    )


def figure(value: float) -> str:
    """Four significant digits."""
    return f"{value:,.0f}" if 10_000 <= abs(value) < 1e9 else f"{value:,.4g}"
