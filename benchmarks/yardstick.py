"""Whether the scores see what people see: disturbances of real images in four strengths each, scored by each extractor.

    python -m benchmarks.yardstick                                                     # digits by `domain` and `random`
    python -m benchmarks.yardstick --data digits mnist=mnist.npz cifar10=cifar10-train.parquet glyphs
    python -m benchmarks.yardstick --extractors domain inception=inception-2015-12-05.tgz keras_hub=FOLDER
    python -m benchmarks.yardstick --data mnist=mnist.npz --unlabelled --kinds blur JPEG
    python -m benchmarks.yardstick --sheet ladder.png                                  # what the disturbances look like
    python -m benchmarks.yardstick --ranks                                             # scores of models of growing training

Rows are divided as `clean` and `reference` divide them. What is disturbed are training rows that the extractor has not learned
from; the floor is the FID of the same rows undisturbed. All are compared with the held-out rows. Prints Markdown.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from scipy import stats

from benchmarks import instrument, ladder
from benchmarks.instrument import Instrument, LabelledImages
from pipelines import catalogue
from pipelines.core import backend, files, grids
from pipelines.metrics import density_coverage, precision_recall

FLOORS = 5.0  # FID of a disturbance, in floors, at the least
PRECISION = 0.8  # precision of a disturbance, as a share of that of real rows, at the most
SPEARMAN = 0.95  # correlation of FID and strength, at the least
UNTAUGHT = 5 / 6  # of the kinds never taught, at the least


@dataclass(frozen=True)
class Scored:
    """Scores of one set of images by one instrument."""

    fid: float
    precision: float
    coverage: float


@dataclass(frozen=True)
class KindScores:
    """Of a kind of disturbance by one instrument.

    fids: at each strength. reference: scores at the reference strength. real: those of the undisturbed rows.
    """

    name: str
    fids: list[float]
    reference: Scored
    real: Scored

    @property
    def kind(self) -> ladder.Kind:
        return ladder.KINDS[self.name]

    @property
    def floors(self) -> list[float]:
        """The FID at each strength, in floors."""
        return [fid / self.real.fid for fid in self.fids]

    @property
    def precision(self) -> float:
        """As a share of that of real rows."""
        return self.reference.precision / self.real.precision

    @property
    def coverage(self) -> float:
        """As a share of that of real rows."""
        return self.reference.coverage / self.real.coverage

    @property
    def spearman(self) -> float:
        return float(stats.spearmanr(range(len(self.fids)), self.fids).statistic)

    @property
    def seen_by_fid(self) -> bool:
        return self.reference.fid >= FLOORS * self.real.fid

    @property
    def seen_by_precision(self) -> bool:
        return self.precision <= PRECISION

    @property
    def in_order(self) -> bool:
        return self.spearman >= SPEARMAN


@dataclass(frozen=True)
class Outcome:
    """All kinds by one instrument."""

    by: Instrument
    real: Scored
    kinds: list[KindScores] = field(default_factory=list)

    @property
    def title(self) -> str:
        return ", ".join(filter(None, (self.by.rows.name, self.by.name, self.by.labels)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", nargs="+", default=["digits"], metavar="NAME[=PATH]", help=f"of {', '.join(instrument.DATA)}")
    parser.add_argument("--extractors", nargs="+", default=["domain", "random"], metavar="NAME[=WEIGHTS]")
    parser.add_argument("--kinds", nargs="+", default=list(ladder.KINDS), choices=ladder.KINDS, metavar="KIND")
    parser.add_argument("--labelled", action="store_true", help="with labels alone; with and without by default")
    parser.add_argument("--unlabelled", action="store_true", help="without labels alone")
    parser.add_argument("--rows", type=int, default=20_000, help="of each data set, at most")
    parser.add_argument("--steps", type=int, default=400, help="of making an extractor that learns")
    parser.add_argument("--apart", action="store_true", help="told_apart as well")
    parser.add_argument("--sheet", type=Path, help="write pictures of the disturbances, FILE-DATA.png, and score nothing")
    parser.add_argument("--ranks", action="store_true", help="how scores rank models of growing training, and nothing else")
    options = parser.parse_args()
    backend.load()
    if options.sheet:
        for name in options.data:
            path = options.sheet.with_stem(f"{options.sheet.stem}-{name.partition('=')[0]}")
            files.write(path, grids.png(ladder.sheet(instrument.read(name, options.rows).unseen.images)))
    elif options.ranks:
        from benchmarks import ranks

        ranks.run(instrument.make(instrument.read("digits", options.rows), "domain", [True], options.steps)[0])
    else:
        both = options.labelled == options.unlabelled
        labelled = [value for value in (True, False) if both or value == options.labelled]
        found = []
        for name in options.data:
            found += score(name, options.rows, options.extractors, labelled, options.steps, options.kinds, options.apart)
        print("\n".join(summary(found)))


def score(
    data: str, most: int, extractors: Sequence[str], labelled: Sequence[bool], steps: int, kinds: Sequence[str], apart: bool
) -> list[Outcome]:
    """Score a data set by all extractors, and print the tables."""
    rows = instrument.read(data, most)
    print(
        f"{rows.name}: {len(rows.learned):,} rows learned from, {len(rows.unseen):,} unseen ones, which are disturbed, "
        f"{len(rows.holdout):,} held out\n",
        flush=True,
    )
    instruments = [one for name in extractors for one in instrument.make(rows, name, labelled, steps)]
    outcomes = climb(instruments, kinds)
    for outcome in outcomes:
        print("\n".join([*table(outcome), ""]), flush=True)
    if apart:
        print("\n".join([*tell_apart(instruments[0], kinds), ""]), flush=True)
    return outcomes


def climb(instruments: Sequence[Instrument], kinds: Sequence[str]) -> list[Outcome]:
    """Every kind in every strength, disturbed once for all instruments, which are of the same rows."""
    unseen = instruments[0].rows.unseen
    outcomes = [Outcome(one, measure(one, unseen)) for one in instruments]
    for name in kinds:
        kind = ladder.KINDS[name]
        fids: list[list[float]] = [[] for _ in instruments]
        for strength in kind.strengths:
            shown = LabelledImages(kind(unseen.images, strength), unseen.labels)
            if strength == kind.reference:
                reference = [measure(one, shown) for one in instruments]
                along = [scored.fid for scored in reference]
            else:
                along = [one.fid(one.extractor.extract(shown.images)) for one in instruments]
            for found, fid in zip(fids, along, strict=True):
                found.append(fid)
        for outcome, found, scored in zip(outcomes, fids, reference, strict=True):
            outcome.kinds.append(KindScores(name, found, scored, outcome.real))
    return outcomes


def measure(by: Instrument, shown: LabelledImages) -> Scored:
    comparison = by.compare(shown)
    precision, coverage = precision_recall.score(comparison)["precision"], density_coverage.score(comparison)["coverage"]
    return Scored(by.fid(comparison.candidate.features), precision.value, coverage.value)


def tell_apart(by: Instrument, kinds: Sequence[str]) -> list[str]:
    """Markdown: `told_apart` of real rows and of each kind at its reference strength; no extractor has a part in it."""
    metric = catalogue.get(catalogue.METRICS, "told_apart")
    lines = [f"**{by.rows.name}**, told apart from real rows:", "", "| disturbance | told apart | 95 % interval |"]
    lines.append("| --- | --- | --- |")
    unseen = by.rows.unseen
    disturbed = {name: ladder.KINDS[name](unseen.images, ladder.KINDS[name].reference) for name in kinds}
    for name, pictures in {"none": unseen.images, **disturbed}.items():
        found = metric(by.compare(LabelledImages(pictures, unseen.labels)))["told_apart"]
        lines.append(f"| {name} | {found.unbiased:.2f} | {found.interval.low:.2f} to {found.interval.high:.2f} |")
    return lines


def table(outcome: Outcome) -> list[str]:
    """Markdown; the reference strength is bold, and an exclamation mark stands where a bar is missed."""
    by, real = outcome.by, outcome.real
    lines = [
        f"**{outcome.title}** ({by.extractor.description}; made in {by.seconds:.0f} s). Real rows: FID {real.fid:.3g}, "
        f"precision {real.precision:.2f}, coverage {real.coverage:.2f}.",
        "",
        "| disturbance | strengths | FID, in floors | precision, of real | coverage, of real | Spearman |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for scores in outcome.kinds:
        kind = scores.kind
        place = kind.strengths.index(kind.reference)
        cells = [
            f"{scores.name} ({kind.group})",
            f"{bold(kind.strengths, place)} {kind.unit}",
            bold(scores.floors, place) + mark(scores.seen_by_fid),
            f"{scores.precision:.2f}" + mark(scores.seen_by_precision),
            f"{scores.coverage:.2f}",
            f"{scores.spearman:.2f}" + mark(scores.in_order),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """Markdown: which bars hold, and which kinds miss them."""
    lines = [
        f"Bars: FID at least {FLOORS:g} floors, and precision at most {PRECISION:g} of that of real rows, for each visible "
        "kind and for five of six that were never taught; Spearman's correlation of FID and strength at least "
        f"{SPEARMAN:g}, for each kind.",
        "",
        "| | visible: FID | visible: precision | never taught: FID | never taught: precision | Spearman |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for outcome in outcomes:
        visible, untaught = (
            [scores for scores in outcome.kinds if scores.kind.group == group] for group in ("visible", "never taught")
        )
        cells = [
            bar(visible, lambda scores: scores.seen_by_fid, 1),
            bar(visible, lambda scores: scores.seen_by_precision, 1),
            bar(untaught, lambda scores: scores.seen_by_fid, UNTAUGHT),
            bar(untaught, lambda scores: scores.seen_by_precision, UNTAUGHT),
            bar(outcome.kinds, lambda scores: scores.in_order, 1),
        ]
        lines.append(f"| {outcome.title} | {' | '.join(cells)} |")
    return lines


def bar(kinds: Sequence[KindScores], holds: Callable[[KindScores], bool], least: float) -> str:
    """`reached: 8 of 9; not greys`, where it must hold for at least such a share of the kinds."""
    if not kinds:
        return "not tried"
    failing = [scores.name for scores in kinds if not holds(scores)]
    held = len(kinds) - len(failing)
    names = f"; not {', '.join(failing)}" if failing else ""
    return f"{'reached' if held >= least * len(kinds) else 'missed'}: {held} of {len(kinds)}{names}"


def bold(numbers: Sequence[float], place: int) -> str:
    """`0.5, 0.75, **1**, 1.5`"""
    texts = [f"{number:,.0f}" if number >= 1000 else f"{number:.3g}" for number in numbers]
    return ", ".join(f"**{text}**" if place == at else text for at, text in enumerate(texts))


def mark(holds: bool) -> str:
    return "" if holds else " !"


if __name__ == "__main__":
    main()
