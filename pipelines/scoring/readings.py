"""Scores as people read them: each value within its interval, beside what an ideal model would get.

Every place that shows scores to people shows these: the terminal, pages, the model card, Prefect. They are made from the keys
of metrics.json, so what a version in the registry has is read in the same way, also that of an older version.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines import catalogue
from pipelines.core.numbers import three_digits
from pipelines.metrics.intervals import Estimate, Interval

FIRST = "fid"  # the score that rules and searches go by where nobody chooses another
IDEALS = {"fid": "fid_floor"}  # of values that other libraries print: the key of what an ideal model would get
ELSEWHERE = "as other libraries print it"
ELSEWHERE_MEANING = "The same with the bias of few images left in, which raises it; for comparing with papers."


@dataclass(frozen=True)
class Reading:
    """A score. interval: None where there is none for this value. ideal: None where it is not known."""

    value: float
    interval: Interval | None = None
    ideal: float | None = None

    @classmethod
    def of(cls, estimate: Estimate) -> Reading:
        return cls(estimate.unbiased, estimate.interval, estimate.ideal)

    @property
    def value_text(self) -> str:
        return three_digits(float(self.value))

    @property
    def interval_text(self) -> str:
        return "" if self.interval is None else " to ".join(three_digits(float(end)) for end in self.interval)

    @property
    def ideal_text(self) -> str:
        return "" if self.ideal is None else three_digits(float(self.ideal))

    @property
    def text(self) -> str:
        """0.812 (0.79 to 0.83)"""
        return f"{self.value_text} ({self.interval_text})" if self.interval else self.value_text

    @property
    def sentence(self) -> str:
        """0.812, 95% interval 0.79 to 0.83, an ideal model 0.9"""
        interval = f", 95% interval {self.interval_text}" if self.interval else ""
        return f"{self.value_text}{interval}{f', an ideal model {self.ideal_text}' if self.ideal_text else ''}"


@dataclass(frozen=True)
class ScoreRow:
    """A line of a table of scores. name: of the score in the catalogue. key: in metrics.json. note: what value it is."""

    name: str
    key: str
    note: str
    reading: Reading
    meaning: str
    better: str

    @property
    def label(self) -> str:
        return f"{self.key} {self.note}".rstrip()

    def fact(self) -> tuple[str, str]:
        """For a list of facts: the key, and value, interval and what an ideal model gets, in words."""
        return self.key, f"{self.reading.sentence}{f', {self.note}' if self.note else ''}"

    def cells(self) -> dict[str, str]:
        """What a table on the terminal, in Prefect or in the model card shows, by column."""
        return {
            "score": self.label,
            "value": self.reading.value_text,
            "95 % interval": self.reading.interval_text,
            "ideal model": self.reading.ideal_text,
            "better": self.better,
        }


def tables(by_class: Mapping[str, Mapping[str, Estimate]]) -> dict[str, dict[str, Reading]]:
    """The same of estimates for each class."""
    return {title: {name: Reading.of(estimate) for name, estimate in table.items()} for title, table in by_class.items()}


def class_lines(folder: Path) -> list[dict[str, str]]:
    """The lines of classes.csv, a stage report; none where there is no such file."""
    path = folder / "classes.csv"
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def read_classes(lines: Sequence[Mapping[str, str]]) -> dict[str, dict[str, Reading]]:
    """Name of a table -> class -> its score, of classes.csv.

    Those of an older version may lie outside of their intervals, which are left out then.
    """
    found: dict[str, dict[str, Reading]] = {}
    for line in lines:
        for title in (name for name in line if f"{name}_low" in line and line[name]):
            value, low, high = (float(line[f"{title}{end}"]) for end in ("", "_low", "_high"))
            ideal = line.get(f"{title}_ideal")
            interval = Interval(low, high) if low <= value <= high else None
            found.setdefault(title, {})[line["class"]] = Reading(value, interval, float(ideal) if ideal else None)
    return found


def unbiased_key(name: str) -> str:
    """The key in metrics.json of the value that lies in the interval of this score."""
    declared = catalogue.scores().get(name)
    return (declared.unbiased_name if declared else "") or name


def read(metrics: Mapping[str, Any]) -> dict[str, Reading]:
    """By name, the scores among `metrics`, the keys of metrics.json, that have a value which lies in its interval.

    Before there was `fid_unbiased`, the biased value was kept alone, beside the interval of the other one: it is left out.
    """
    found = {}
    for name, score in catalogue.scores().items():
        value, low, high = (metrics.get(key) for key in (unbiased_key(name), f"{name}_low", f"{name}_high"))
        if value is not None and low is not None and high is not None and low <= value <= high:
            found[name] = Reading(value, Interval(low, high), metrics.get(f"{name}_ideal", score.ideal))
    return found


def elsewhere(metrics: Mapping[str, Any], name: str) -> Reading | None:
    """The value of a score as other libraries print it, where that is another one; it has no interval."""
    if unbiased_key(name) == name or metrics.get(name) is None:
        return None
    return Reading(metrics[name], None, metrics.get(IDEALS[name]))


def rows(metrics: Mapping[str, Any]) -> list[ScoreRow]:
    """`fid` first, the others in the order of `metrics`. What is an ideal alone, as `fid_floor`, has no row of its own."""
    declared = catalogue.scores()
    ideals = {IDEALS[name] for name in IDEALS if name in metrics}
    names = [name for name in metrics if name in declared and name not in ideals]
    found = read(metrics)
    return [row for name in sorted(names, key=lambda name: name != FIRST) for row in rows_of(metrics, name, found.get(name))]


def rows_of(metrics: Mapping[str, Any], name: str, reading: Reading | None) -> Iterator[ScoreRow]:
    score = catalogue.scores()[name]
    other = elsewhere(metrics, name)
    if reading is None and other is None:  # of an older version, whose value lies outside of its interval
        reading = Reading(metrics[name], None, metrics.get(f"{name}_ideal", score.ideal))
    if reading is not None:
        yield ScoreRow(name, unbiased_key(name), "", reading, score.meaning, score.goal)
    if other is not None:
        yield ScoreRow(name, name, ELSEWHERE, other, ELSEWHERE_MEANING, score.goal)
