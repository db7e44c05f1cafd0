"""approval: data/curated + data/reference -> data/approval. Fits a model of what people like and weighs the real rows by it."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self

import numpy as np
import pyarrow as pa

from pipelines.core import backend, files, images, reports, rows
from pipelines.core.project import Project
from pipelines.core.rows import Rows, Split
from pipelines.features.base import Extractor, Features
from pipelines.feedback import curated
from pipelines.metrics.inputs import Benchmark
from pipelines.preference import fit, page, weights
from pipelines.preference.accuracy import ReliabilityBin
from pipelines.preference.fit import FittedPreference, Spread
from pipelines.preference.judgements import Judgements, gather, shortage
from pipelines.scoring import approval, benchmark, views
from pipelines.scoring.approval import ApprovalModel
from pipelines.settings.schema import Params
from pipelines.stage import main

SHOWN = 24  # images of each strip of the page


@dataclass(frozen=True)
class RowWeights:
    """ids: (n,) str, of real rows. liked: (n,) float64, how likely people like each. weights: (n,) float64."""

    ids: np.ndarray
    liked: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, real: Rows, liked: np.ndarray, strength: float) -> Self:
        return cls(real.ids, liked, weights.tilt(liked, real.labels, strength))


@dataclass(frozen=True)
class ApprovalOutcome:
    """why: what changes, or the reason why nothing does. The later fields are None where the stage did not get there.

    rows, holdout: of training rows, and of the rows held out, weighed by the same `strength`.
    strips: images (k, size, size, channels).
    """

    why: str
    fitted: FittedPreference | None = None
    model: ApprovalModel | None = None
    rows: RowWeights | None = None
    holdout: RowWeights | None = None
    strength: float = 0.0
    strips: dict[str, np.ndarray] = field(default_factory=dict)


def run(project: Project, params: Params) -> None:
    samples, votes, choices = (curated.read_table(project.curated, name) for name in ("samples", "votes", "choices"))
    judgements, numbers = gather(samples, votes, choices)
    samples = samples.take(numbers)
    if (why := shortage(judgements)) is not None:
        outcome = ApprovalOutcome(why)
    else:
        outcome = learn(project, judgements, samples, params.feedback.min_effective_share)
    report = figures(judgements, outcome)
    with files.replacement(project.approval) as folder:
        approval.write(folder, report, outcome.model)
        for place, weighed in ((approval.weights_file, outcome.rows), (approval.holdout_file, outcome.holdout)):
            if weighed is not None:
                approval.write_weights(place(folder), weighed.ids, weighed.weights, weighed.liked)
    bins = outcome.fitted.bins if outcome.fitted else []
    files.write(project.reports / "approval.csv", table(bins))
    files.write(project.reports / "approval.html", page.render(report, bins, outcome.strips))
    reports.write(project.reports, "approval", report)
    print(f"approval: {outcome.why}{'; nothing changes' if len(judgements) and not report['changed'] else ''}")


def learn(project: Project, judgements: Judgements, samples: pa.Table, floor: float) -> ApprovalOutcome:
    """The model of what was judged, and the weights of the real rows that follow.

    floor: the least effective share of the real training rows.
    """
    backend.load()
    pinned, extractor = benchmark.read(project.reference)
    generated = rows.stack([images.decode_pixels(png.as_py()) for png in samples["image"]], project.curated)
    labels = samples["label"].fill_null(-1).to_numpy()
    generated_views = views.compute(extractor.extract(generated), generated, labels, pinned.of_classes)
    real = rows.load(project.clean, "train", origin="real")
    real_views = compute_views(real, pinned, "train", extractor)
    liked = samples["liked"].to_numpy().astype(np.float64)
    prior = views.prior(real_views, pinned.holdout.vectors.shape[1], generated.shape[3])
    fitted = fit.learn(generated_views, judgements, Spread.of(real_views, prior), liked)
    why = page.order(fitted.auc.value, *fitted.auc.interval)
    if not fitted.significant:
        return ApprovalOutcome(f"{why}, which may be chance", fitted)

    model = ApprovalModel(fitted.model.direction, fitted.model.bias, pinned.id)
    liked = model.predict(real_views)
    strength = weights.strength(liked, real.labels, floor)
    weighed = RowWeights.of(real, liked, strength)
    strips = {
        **extremes("samples", generated, model.predict(generated_views)),
        **extremes("real", real.images, weighed.weights),
    }
    if not strength:
        why += f", but feedback.min_effective_share: {floor} lets no row count more than another"
        return ApprovalOutcome(why, fitted, model)
    held_out = rows.load(project.clean, "holdout", origin="real")
    holdout = RowWeights.of(held_out, model.predict(compute_views(held_out, pinned, "holdout", extractor)), strength)
    why += f"; real rows count up to {weighed.weights.max():.1f} times"
    return ApprovalOutcome(why, fitted, model, weighed, holdout, strength, strips)


def compute_views(real: Rows, pinned: Benchmark, split: Split, extractor: Extractor) -> np.ndarray:
    """(n, v) float32, the views of the real rows of a split."""
    kept, ids = (pinned.train, pinned.train_ids) if split == "train" else (pinned.holdout, pinned.ids)
    assert kept is not None
    assert ids is not None
    return views.compute(features(real, kept, ids, extractor), real.images, real.labels, pinned.of_classes)


def features(real: Rows, kept: Features, ids: np.ndarray, extractor: Extractor) -> Features:
    """The features of real rows. kept: what `reference` has kept, of the rows `ids`: in most data sets those of most rows."""
    places = {row_id: place for place, row_id in enumerate(ids.tolist())}
    stored = np.array([places.get(row_id, -1) for row_id in real.ids.tolist()])
    vectors, probabilities = kept.vectors[stored], kept.probabilities
    probabilities = None if probabilities is None else probabilities[stored]
    if (stored < 0).any():
        extracted = extractor.extract(real.images[stored < 0])
        vectors[stored < 0] = extracted.vectors
        if probabilities is not None:
            probabilities[stored < 0] = extracted.probabilities
    return Features(vectors, probabilities)


def extremes(name: str, shown: np.ndarray, values: np.ndarray) -> dict[str, np.ndarray]:
    """Images with the greatest and with the least of (n,) values."""
    order = np.argsort(-values, kind="stable")
    return {f"{name}_most": shown[order[:SHOWN]], f"{name}_least": shown[order[::-1][:SHOWN]]}


def figures(judgements: Judgements, outcome: ApprovalOutcome) -> dict[str, Any]:
    """The content of the stage's report."""
    found: dict[str, Any] = {**judgements.counts, "samples": judgements.samples}
    if (fitted := outcome.fitted) is not None:
        low, high = fitted.auc.interval
        found |= {"auc": fitted.auc.value, "auc_low": low, "auc_high": high, "brier": fitted.brier}
    weighed = outcome.rows
    return found | {
        "effective_share": weights.effective_share(weighed.weights) if weighed else 1.0,
        "strength": outcome.strength,
        "changed": weighed is not None,
        "why": outcome.why,
    }


def table(bins: list[ReliabilityBin]) -> str:
    """CSV: a line for each bin of the reliability table."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [column.name for column in fields(ReliabilityBin)])
    writer.writeheader()
    writer.writerows(asdict(line) for line in bins)
    return text.getvalue()


if __name__ == "__main__":
    main(run)
