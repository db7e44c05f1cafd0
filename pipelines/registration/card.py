"""The version's model card (Mitchell et al., 2019, in the form of Hugging Face's), written from the stage reports."""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jinja2

from pipelines.core import timestamps
from pipelines.core.project import Project
from pipelines.evaluation import summary
from pipelines.evaluation.summary import Findings
from pipelines.feedback.curated import CuratedSummary
from pipelines.registration.origin import stage_report
from pipelines.registry.versions import DETERMINISTIC, NOT_DETERMINISTIC
from pipelines.scoring import readings
from pipelines.scoring.readings import Reading
from pipelines.settings.schema import Params

NAME = "model-card.md"
TEMPLATE = Path(__file__).with_name(NAME)
LIMIT = 5_000  # characters that MLflow keeps of a version's description
ORIGIN = ("base", "adapter", "licence")  # what the manifest of an external model may tell people
MAX_NAMES = 12  # classes that are named in a sentence

# Under what licence the images of a source come, where the source itself settles that.
LICENCES = {
    "digits": "CC BY 4.0 (Alpaydin & Kaynak 1998, UCI Machine Learning Repository)",
    "glyphs": "pictures of the fonts that come with matplotlib, whose licences lie beside them",
}
KERAS_LICENCES = {
    "mnist": "CC BY-SA 3.0 (LeCun & Cortes)",
    "fashion_mnist": "MIT (Zalando SE)",
    "cifar10": "none stated (Krizhevsky 2009)",
}
OTHER_LICENCE = "as its owner says, whom Genloop cannot ask"


def write(
    project: Project,
    params: Params,
    learned: CuratedSummary,
    tags: Mapping[str, str],
    external: Mapping[str, Any] | None = None,
) -> str:
    """The card, as Markdown. tags: of the version. external: what model.json says of an external model."""
    names = ("metrics", "train", "clean", "validate", "ingest", "feedback", "reference")
    metrics, train, cleaned, data, ingested, curation, reference = (stage_report(project.reports, name) for name in names)
    lines = readings.class_lines(project.reports)
    findings = summary.find(metrics, readings.read_classes(lines))
    classes = cleaned.get("classes") or [line["class"] for line in lines]
    # Markdown, no HTML: names are made harmless by `plain`.
    environment = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined, autoescape=False)
    text = environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        model=params.registry.model,
        kind=f"{params.image.size}x{params.image.size} {'grey' if params.image.channels == 1 else 'colour'} images",
        size=params.image.size,
        channels=params.image.channels,
        classes=classes,
        listed=list_names([escape(name) for name in classes]),
        family=params.model.family,
        preset=params.model.preset,
        change=params.model.change,
        origin=list(describe_origin(external or {})),
        trained=not external or external.get("manifest", {}).get("train", "") is not None,
        deterministic=tags.get(DETERMINISTIC) != "false",
        not_deterministic=NOT_DETERMINISTIC,
        seed=params.train.seed,
        train={"weights": None, "weights_unit": None, "step": None, "batch_size": None, **train},
        start="from scratch" if "genloop.parent" not in tags else f"went on from version {tags['genloop.parent']}",
        at=f"{timestamps.now():%Y-%m-%d}",
        generation=learned.generation,
        code=importlib.metadata.metadata("genloop").json.get("license_expression", "its own licence"),
        sources=list(sources(params, ingested)),
        cleaned=cleaned,
        refused=describe_refused(cleaned.get("refused", {})),
        feedback=describe_feedback(learned, curation),
        share=describe_share(train, curation),
        warnings=[escape(f"{fault['expected']}; came: {fault['observed']}") for fault in data.get("failed", [])],
        samples=metrics["samples"],
        benchmark_id=metrics["benchmark_id"],
        extractor=reference.get("how"),
        headline=escape(" ".join(summary.headline(findings))),
        scores=[row.cells() for row in readings.rows(metrics)],
        failures=list(failures(findings)),
        neighbours=describe_neighbours(findings.scores),
        by_class=class_table([line["class"] for line in lines], findings.classes),
    )
    return re.sub(r"\n{3,}", "\n\n", text)


def describe_origin(external: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What an external model's manifest says of the model, by title, and the hash of the code that the version carries."""
    for title in ORIGIN:
        if text := (external.get("manifest", {}).get("card") or {}).get(title):
            yield f"**{title.capitalize()}**, as its owner says", escape(text)
    if digest := external.get("content"):
        yield "**Code and manifest**", f"in the version's folder `external`, sha256 of its content `{digest}`"


def shorten(card: str) -> str:
    """As much of the card as MLflow keeps, whole sections of it, without the pictures, which its page does not find."""
    card = re.sub(r"!\[[^\]]*\]\([^)]*\)\n*", "", card)
    if len(card) <= LIMIT:
        return card
    more = f"\n\nThe rest is in `{NAME}`, an artifact of the version's run."
    cut = card[: LIMIT - len(more)]
    return cut[: max(cut.rfind("\n\n## "), cut.rfind("\n\n", 0, LIMIT // 2))] + more


def escape(text: str) -> str:
    """A name on one line, without what Markdown or HTML would take for its own."""
    return re.sub(r"([\\`*_{}\[\]<>|#!])", r"\\\1", " ".join(str(text).split()))


def list_names(names: list[str]) -> str:
    return ", ".join([*names[:MAX_NAMES], *([f"and {len(names) - MAX_NAMES:,} more"] if len(names) > MAX_NAMES else [])])


def sources(params: Params, ingested: Mapping[str, Any]) -> Iterator[dict[str, str]]:
    """Each of `sources`, in their order, named as rows name it."""
    counts = ingested.get("sources", {})
    for number, source in enumerate(params.sources):
        name, of_keras = f"{source.type}-{number}", source.type == "keras"
        licence = KERAS_LICENCES.get(getattr(source, "name", "")) if of_keras else LICENCES.get(source.type)
        images = f"{counts[name]:,}" if name in counts else ""
        yield {"name": escape(name), "images": images, "licence": licence or OTHER_LICENCE}


def describe_refused(reasons: Mapping[str, int]) -> str:
    counts = ", ".join(f"{count:,} {reason.replace('_', ' ')}" for reason, count in reasons.items() if count)
    return f"{sum(reasons.values()):,} were refused ({counts})" if counts else "none was refused"


def describe_feedback(learned: CuratedSummary, curation: Mapping[str, Any]) -> str:
    """curation: the report of `curate`."""
    if not learned.events:
        return "People's judgements: none yet."
    changes = {
        "rows_uploaded": "images that people sent",
        "labels_corrected": "corrected labels",
        "rows_removed": "rows taken away",
        "reported": "images reported",
    }
    done = ", ".join(f"{curation[key]:,} {words}" for key, words in changes.items() if curation.get(key))
    return (
        f"People's judgements: {learned.events:,} events of {curation.get('raters', 0):,} raters{f': {done}' if done else ''}."
    )


def describe_share(train: Mapping[str, Any], curation: Mapping[str, Any]) -> str:
    """The share of generated rows among the rows that the version was trained on."""
    generated, rows = curation.get("rows_generated", 0), train.get("rows", 0)
    return f"{generated / rows:.1%}, {generated:,} of {rows:,} rows that it was trained on" if generated and rows else "none"


def failures(findings: Findings) -> Iterator[str]:
    """Known faults, in the sentences of the evaluation, and faults that the scores cannot show."""
    for sentence in summary.sentences(findings):
        if sentence.colour in ("warn", "bad"):
            yield escape(sentence.text(findings))
    for name in findings.weak_classes()[1:MAX_NAMES]:  # the worst one has its sentence
        share = summary.shares(findings.classes["class_accuracies"][name], " of 100 of its images")
        yield f"Class {escape(name)}: a classifier takes {share} for it."
    for why in findings.metrics.get("not_enough", {}).values():
        yield f"Not known: {escape(why)}."


def class_table(names: list[str], classes: Mapping[str, Mapping[str, Reading]]) -> dict[str, list[Any]] | None:
    """Figures of each class with their intervals."""
    if not classes:
        return None
    rows = [[escape(name), *(table[name].text if name in table else "" for table in classes.values())] for name in names]
    return {"columns": ["class", *(f"`{title}`" for title in classes)], "lines": rows}


def describe_neighbours(scores: Mapping[str, Reading]) -> str:
    if "memorisation" not in scores:
        return "How near its images come to training images was not measured."
    return (
        f"{summary.shares(scores['memorisation'], ' of 100 of its images')} are nearer to a training image than to an unseen "
        f"real one, of an ideal model's {summary.hundredths(scores['memorisation'].ideal or 0.5)}. `neighbours.png`, an "
        "artifact of the run, shows those that come nearest."
    )
