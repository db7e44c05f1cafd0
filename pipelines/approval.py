"""approval: data/curated + data/reference -> data/approval. Learns what people like, and weighs the real rows by it."""

from __future__ import annotations

import csv
import io
from dataclasses import asdict, dataclass, field, fields
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.core import backend, files, images, paths, reports, rows
from pipelines.core.rows import Rows
from pipelines.features.base import Extractor, Features
from pipelines.feedback import curated
from pipelines.metrics.inputs import Benchmark
from pipelines.preference import fit, judgements, page, weights
from pipelines.preference.accuracy import Bin
from pipelines.preference.fit import Learned
from pipelines.preference.judgements import Judgements
from pipelines.scoring import approval, benchmark, views
from pipelines.scoring.approval import Approval
from pipelines.settings.schema import Params
from pipelines.stage import main

SHOWN = 24  # images of each strip of the page


@dataclass(frozen=True)
class Weighing:
    """ids: (n,) str, of real training rows. liked: (n,) float64, how likely people like each. weights: (n,) float64."""

    ids: np.ndarray
    liked: np.ndarray
    weights: np.ndarray
    strength: float


@dataclass(frozen=True)
class Outcome:
    """why: what changes, or why nothing does. The rest is there as far as it went. strips: images (k, size, size, channels)."""

    why: str
    learned: Learned | None = None
    model: Approval | None = None
    weighing: Weighing | None = None
    strips: dict[str, np.ndarray] = field(default_factory=dict)


def run(params: Params) -> None:
    samples, votes, choices = (curated.read_table(paths.CURATED, name) for name in ("samples", "votes", "choices"))
    said, numbers = judgements.gather(samples, votes, choices)
    lack = judgements.lacking(said)
    outcome = Outcome(lack) if lack else consider(said, samples.take(numbers), params.feedback.min_effective_share)
    report = figures(said, outcome)
    with files.replacing(paths.APPROVAL) as folder:
        approval.write(folder, report, outcome.model)
        if (weighing := outcome.weighing) is not None:
            approval.write_weights(folder, weighing.ids, weighing.weights, weighing.liked)
    bins = outcome.learned.bins if outcome.learned else []
    files.write(paths.REPORTS / "approval.csv", table(bins))
    files.write(paths.REPORTS / "approval.html", page.render(report, bins, outcome.strips))
    reports.write("approval", report)
    print(f"approval: {outcome.why}{'' if report['changed'] else '; nothing changes' if len(said) else ''}")


def consider(said: Judgements, samples: pa.Table, floor: float) -> Outcome:
    """What people like, and what follows for the real rows. `samples` are those that were judged."""
    backend.load()
    pinned, extractor = benchmark.read(paths.REFERENCE)
    drawn = rows.stacked([images.decode_png(png.as_py()) for png in samples["image"]], paths.CURATED)
    asked = samples["label"].fill_null(-1).to_numpy()
    seen = views.of(extractor.extract(drawn), drawn, asked, pinned.of_classes)
    real = rows.load(paths.CLEAN, "train", origin="real")
    usual = views.of(features(real, pinned, extractor), real.images, real.labels, pinned.of_classes)
    learned = fit.learn(seen, said.agreed(samples["liked"].to_numpy().astype(np.float64)), usual)
    if not learned.believed:
        return Outcome(f"{page.order(learned.auc.value, *learned.auc.interval)}, which may be chance", learned)

    model = Approval(learned.model.direction, learned.model.bias, pinned.id)
    liked = model.predict(usual)
    strength = weights.strength(liked, real.labels, floor)
    weighing = Weighing(real.ids, liked, weights.tilted(liked, real.labels, strength), strength)
    strips = extremes("samples", drawn, model.predict(seen)) | extremes("real", real.images, weighing.weights)
    why = page.order(learned.auc.value, *learned.auc.interval)
    if not strength:
        return Outcome(f"{why}, but feedback.min_effective_share: {floor} lets no row count more than another", learned, model)
    return Outcome(f"{why}; real rows count up to {weighing.weights.max():.1f} times", learned, model, weighing, strips)


def features(real: Rows, pinned: Benchmark, extractor: Extractor) -> Features:
    """Of real training rows; `reference` has kept those of most data sets' rows."""
    assert pinned.train is not None
    assert pinned.train_ids is not None
    places = {row_id: place for place, row_id in enumerate(pinned.train_ids.tolist())}
    kept = np.array([places.get(row_id, -1) for row_id in real.ids.tolist()])
    vectors, probabilities = pinned.train.vectors[kept], pinned.train.probabilities
    probabilities = None if probabilities is None else probabilities[kept]
    if (kept < 0).any():
        more = extractor.extract(real.images[kept < 0])
        vectors[kept < 0] = more.vectors
        if probabilities is not None:
            probabilities[kept < 0] = more.probabilities
    return Features(vectors, probabilities)


def extremes(name: str, shown: np.ndarray, values: np.ndarray) -> dict[str, np.ndarray]:
    """Images with the greatest and with the least of (n,) values."""
    order = np.argsort(-values, kind="stable")
    return {f"{name}_most": shown[order[:SHOWN]], f"{name}_least": shown[order[::-1][:SHOWN]]}


def figures(said: Judgements, outcome: Outcome) -> dict[str, Any]:
    """The report's."""
    found: dict[str, Any] = {
        "votes": int((~said.choices).sum()),
        "choices": int(said.choices.sum()),
        "samples": said.samples,
    }
    if (learned := outcome.learned) is not None:
        low, high = learned.auc.interval
        found |= {"auc": learned.auc.value, "auc_low": low, "auc_high": high, "brier": learned.brier}
    weighing = outcome.weighing
    return found | {
        "effective_share": weights.effective_share(weighing.weights) if weighing else 1.0,
        "strength": weighing.strength if weighing else 0.0,
        "changed": weighing is not None,
        "why": outcome.why,
    }


def table(bins: list[Bin]) -> str:
    """CSV: a line for each bin of the reliability table."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [column.name for column in fields(Bin)])
    writer.writeheader()
    writer.writerows(asdict(line) for line in bins)
    return text.getvalue()


if __name__ == "__main__":
    main(run)
