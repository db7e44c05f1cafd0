"""clean: data/raw -> data/clean. Refuses the rows that break a rule, and brings the others to one form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipelines.core import facts, files, images, parallel, png, reports, shards
from pipelines.core.errors import InputError
from pipelines.core.facts import Facts
from pipelines.core.form import Form
from pipelines.core.progress import Progress
from pipelines.core.project import Project
from pipelines.rules import copies
from pipelines.rules.base import NOT_REFUSED, CopyRule, Rule, first_refusals
from pipelines.rules.exact_copy import ExactCopy
from pipelines.settings.schema import CleanParams, Params
from pipelines.stage import main

# Reasons to refuse a row, by number; the rules' names follow.
REASONS = (
    "conflicting labels",
    "copy of a held-out row",
    "same pixels as another row after resizing",
    "class without training rows",
)
CONFLICT, HELD_OUT, SAME_PIXELS, NO_TRAINING_ROWS = range(len(REASONS))

WRITTEN = np.dtype([(name, facts.FACT[name]) for name in ("id", "label", "held_out")])  # facts of rows of data/clean
NAMES_SHOWN = 5  # of classes, in a message


@dataclass(frozen=True)
class CleaningPlan:
    """What becomes of the n rows of data/raw.

    refusals: (n,) int16, the number of the reason in `reasons`; NOT_REFUSED where there is none.
    classes: those of data/clean. labels: for each class of data/raw its place among them; None for what is no class any more.
    conflicts: number of pictures that have several labels.
    """

    refusals: np.ndarray
    reasons: list[str]
    classes: list[str]
    labels: list[int | None]
    conflicts: int

    @property
    def refused(self) -> dict[str, int]:
        """Numbers of refused rows by reason; a rule is there also where it refuses none."""
        counts = np.bincount(self.refusals[self.refusals != NOT_REFUSED], minlength=len(self.reasons)).tolist()
        refused: Counter[str] = Counter()
        for name, count in zip(self.reasons[len(REASONS) :], counts[len(REASONS) :], strict=True):
            refused[name] += count
        return dict(refused) | {name: count for name, count in zip(REASONS, counts, strict=False) if count}


def run(project: Project, params: Params) -> None:
    measured = facts.read(project.facts / "facts.parquet")
    plan = plan_by_facts(measured, shards.classes(project.raw), params.clean)
    with files.replacement(project.quarantine / "clean") as quarantine, files.replacement(project.clean) as folder:
        written = write(project, params, plan, folder, quarantine)
        final = plan_by_form(plan, written, params.clean)
        if final is not plan:  # rare: to know it before it writes, the stage would bring every image to the form twice
            for path in [*folder.iterdir(), *quarantine.iterdir()]:
                path.unlink()
            written = write(project, params, final, folder, quarantine)
        held_out = int(written["held_out"].sum())
        splits = {"train": len(written) - held_out, "holdout": held_out}
        check_splits(project, params, splits)
    left_out = {
        name: int((measured["label"] == label).sum()) for label, name in enumerate(plan.classes) if final.labels[label] is None
    }
    content = {
        **reports.row_counts(len(measured), len(written), final.refused),
        **splits,
        "classes": final.classes,
        "classes_left_out": left_out,
        "pictures_with_several_labels": final.conflicts,
    }
    reports.write(project.reports, "clean", content)
    print(f"clean: {len(measured):,} rows in, {len(written):,} out ({splits['train']:,} to train, {held_out:,} held out)")
    for reason, count in final.refused.items():
        if count:
            by = "for" if reason in REASONS else "by"
            print(f"clean: {count:,} refused {by} {reason}, in {project.relative(project.quarantine / 'clean')}")
    for line in explanations(params, final, left_out, splits["train"]):
        print(f"clean: {line}")


def plan_by_facts(measured: Facts, classes: list[str], params: CleanParams) -> CleaningPlan:
    """What is known of the images as they came: the rules, and the labels of copies."""
    refusals, conflicts = judge(measured, dict(enumerate(params.rules, len(REASONS))), classes, params)
    reasons = [*REASONS, *(rule.rule for rule in params.rules)]
    plan = CleaningPlan(refusals, reasons, classes, list(range(len(classes))), conflicts)
    if (refusals != NOT_REFUSED).all():
        raise InputError(f"every row was refused: {plan.refused}; loosen clean.rules in params.yaml, or mend the data")
    return plan


def plan_by_form(plan: CleaningPlan, written: np.ndarray, params: CleanParams) -> CleaningPlan:
    """The plan itself, unless the rows that it wrote show more: different images may have become equal, but a row_id stands for
    one row; and a class may have no training row. Where no training row has a label, nobody has one.

    written: as `write` returns it.
    """
    labels = written["label"]
    refusals, conflicts = judge(written, {SAME_PIXELS: ExactCopy(rule="exact_copy")}, plan.classes, params)
    trained = (refusals == NOT_REFUSED) & ~written["held_out"] & (labels >= 0)
    has_rows = np.bincount(labels[trained], minlength=len(plan.classes)) > 0
    if has_rows.any():
        refusals[(refusals == NOT_REFUSED) & np.isin(labels, np.flatnonzero(~has_rows))] = NO_TRAINING_ROWS
    if (refusals == NOT_REFUSED).all() and has_rows.all():
        return plan
    all_refusals = plan.refusals.copy()
    all_refusals[plan.refusals == NOT_REFUSED] = refusals
    places = np.cumsum(has_rows) - 1
    return CleaningPlan(
        all_refusals,
        plan.reasons,
        [name for name, usable in zip(plan.classes, has_rows, strict=True) if usable],
        [int(place) if usable else None for place, usable in zip(places, has_rows, strict=True)],
        plan.conflicts + conflicts,
    )


def judge(rows: np.ndarray, rules: Mapping[int, Rule], classes: list[str], params: CleanParams) -> tuple[np.ndarray, int]:
    """(n,) int16 refusals, and the number of pictures that have several labels. Raises InputError where these are to stop it.

    rows: (n,) with the facts that the rules go by, `label` and `held_out`. rules: by the numbers of their reasons.
    """
    labels, held_out = rows["label"], rows["held_out"]
    groups = copies.groups_of(rows, list(rules.values()))
    conflicting = copies.label_conflicts(groups, labels)
    conflicts = len(np.unique(groups[conflicting]))
    if conflicts and params.conflicting_labels == "stop":
        one = (groups == groups[np.argmax(conflicting)]) & (labels >= 0)
        names = " and ".join(repr(classes[label]) for label in np.unique(labels[one])[:2])
        raise InputError(
            f"pictures with several labels: {conflicts:,}, the first with {names}; data/reports/data.html shows them. "
            "Mend the data, or set clean.conflicting_labels to neither or majority"
        )
    refusals = np.full(len(rows), NOT_REFUSED, np.int16)
    refusals[copies.refused_labels(groups, labels, params.conflicting_labels)] = CONFLICT
    order = copies.preferred_first(rows)
    order = order[refusals[order] == NOT_REFUSED]
    # As they lie where that is their order, else a copy of the whole table would be made for nothing.
    judged = rows if np.array_equal(order, np.arange(len(rows))) else rows[order]
    numbers = np.array([*rules, NOT_REFUSED], np.int16)
    refusals[order] = numbers[first_refusals(judged, list(rules.values()))]
    copied = [number for number, rule in rules.items() if isinstance(rule, CopyRule)]
    with_held_out = np.isin(groups, groups[held_out])
    refusals[np.isin(refusals, copied) & with_held_out & ~held_out] = HELD_OUT
    return refusals, conflicts


def write(project: Project, params: Params, plan: CleaningPlan, folder: Path, quarantine: Path) -> np.ndarray:
    """Fill the two folders, which are empty; (m,) of dtype WRITTEN, the rows of data/clean in the order of data/raw."""
    written = np.empty(int((plan.refusals == NOT_REFUSED).sum()), WRITTEN)
    # Not the plan, whose refusals are as long as the data, because each batch takes this to another process.
    work = partial(transform, reasons=plan.reasons, labels=plan.labels, form=params.form, holdout=params.clean.holdout)
    with (
        shards.ShardWriter(quarantine, shards.QUARANTINED) as quarantined,
        shards.ShardWriter(folder, classes=plan.classes) as writer,
        Progress("clean", len(plan.refusals), "images") as progress,
    ):
        for rows in parallel.map_ordered(work, batches_with_refusals(project, plan.refusals)):
            for row in rows:
                if "reason" in row:
                    quarantined.add(row)
                else:
                    label = -1 if row["label"] is None else row["label"]
                    written[writer.rows] = bytes.fromhex(row["row_id"][:32]), label, row["split"] == "holdout"
                    writer.add(row)
            progress.advance(len(rows))
    return written


def batches_with_refusals(project: Project, refusals: np.ndarray) -> Iterator[tuple[pa.RecordBatch, np.ndarray]]:
    """Each batch of data/raw with the refusals of its rows."""
    first = 0
    for batch in shards.read(project.raw):
        yield batch, refusals[first : first + batch.num_rows]
        first += batch.num_rows
    if first != len(refusals):
        raise InputError(f"{project.facts} has {len(refusals):,} rows and {project.raw} {first:,}; run `validate` again")


def transform(
    work: tuple[pa.RecordBatch, np.ndarray], reasons: list[str], labels: list[int | None], form: Form, holdout: float
) -> list[dict[str, Any]]:
    """Rows of `data/clean`, and rows with a `reason` for the quarantine. reasons, labels: as CleaningPlan has them."""
    batch, refusals = work
    rows = []
    for row, refusal in zip(batch.to_pylist(), refusals.tolist(), strict=True):
        if refusal != NOT_REFUSED:
            rows.append({"image": row["image"], "source": row["source"], "reason": reasons[refusal]})
        else:
            pixels = form.apply(images.decode_pixels(row["image"]["bytes"]))
            row_id = images.row_id(pixels)
            changes = {
                "image": {"bytes": png.encode(pixels), "path": row["image"]["path"]},
                "label": None if row["label"] is None else labels[row["label"]],
                "row_id": row_id,
                "split": row["split"] or split(row_id, holdout),  # set already where the source itself says what is held out
            }
            rows.append({**row, **changes})
    return rows


def split(row_id: str, holdout: float) -> str:
    """The split goes by content, so that a row never moves to the other one, however the data grows."""
    return "holdout" if int(row_id[:13], 16) < holdout * 16**13 else "train"


def check_splits(project: Project, params: Params, splits: Mapping[str, int]) -> None:
    """Raises InputError where one of them has no rows."""
    for name, count in splits.items():
        if count == 0:
            chosen = any(getattr(source, "test", None) == "holdout" for source in params.sources)
            why = ", and `test: holdout` of a source goes by its own splits" if chosen else ""
            raise InputError(
                f"no row fell into the {name} split of {sum(splits.values())}; clean.holdout is {params.clean.holdout}{why}"
            )


def explanations(params: Params, plan: CleaningPlan, left_out: Mapping[str, int], train: int) -> Iterator[str]:
    """What else people should know, a sentence each.

    left_out: classes of data/raw that are none any more, with their rows. train: number of training rows.
    """
    if plan.conflicts:
        majority = params.clean.conflicting_labels == "majority"
        kept = "the label that most copies have, none at a tie," if majority else "none of their rows"
        yield f"pictures with several labels: {plan.conflicts:,}; by clean.conflicting_labels {kept} is kept"
    if left_out and not plan.classes:
        yield "no training row has a label, so the labels of the held-out rows are left out"
    elif left_out:
        names = ", ".join(f"{name} ({count:,} rows)" for name, count in list(left_out.items())[:NAMES_SHOWN])
        more = f" and {len(left_out) - NAMES_SHOWN:,} more" if len(left_out) > NAMES_SHOWN else ""
        yield f"no class any more, because no row of it is left to train on: {names}{more}"
    if train < params.train.batch_size:
        yield (
            f"{train:,} rows to train on are fewer than train.batch_size: {params.train.batch_size}; set train.batch_size to "
            f"{max(train, 2)} or less, or add images, or feedback must add some"
        )


if __name__ == "__main__":
    main(run)
