"""The scores in sentences: how good the model is, and what is wrong with it.

SENTENCES is the one table that the page, the terminal and the model card choose their words from. Each sentence stands there
with the condition under which it may be said. Conditions go by whole 95% intervals, never by points: what may be chance is not
said, and where an interval is too wide to say anything, that is said. Of each question one sentence at most may be said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pipelines.core import reports
from pipelines.core.numbers import three_digits
from pipelines.metrics.intervals import Interval
from pipelines.scoring import readings
from pipelines.scoring.readings import Reading

# Accuracies of a classifier that tells generated images from real ones.
GUESSING, HARDLY, EASILY = 0.5, 0.6, 0.85
BALANCE = ("precision", "recall")  # quality and variety
WIDE = 0.2  # of precision and recall, as a share of what an ideal model gets: an interval wider than this tells little
LITTLE = 0.05  # likewise: a shortfall up to this is none worth a sentence
COPYING = 0.05  # memorisation up to so much above an ideal model's is worth no sentence
UNKNOWN = math.nan  # no condition holds for it


@dataclass(frozen=True)
class Findings:
    """What is known of a set of generated images.

    scores: by name. metrics: the keys of metrics.json. classes: name of a table -> class -> its score.
    candidate, reference: what the images are called, and what they were compared with.
    """

    scores: Mapping[str, Reading]
    metrics: Mapping[str, Any] = field(default_factory=dict)
    classes: Mapping[str, Mapping[str, Reading]] = field(default_factory=dict)
    candidate: str = "the generated images"
    reference: str = "real ones"

    def low(self, name: str) -> float:
        """The lower end of a score's interval; UNKNOWN where there is none."""
        interval = self.scores[name].interval if name in self.scores else None
        return interval.low if interval else UNKNOWN

    def high(self, name: str) -> float:
        interval = self.scores[name].interval if name in self.scores else None
        return interval.high if interval else UNKNOWN

    def ideal(self, name: str) -> float:
        """What an ideal model would get."""
        ideal = self.scores[name].ideal if name in self.scores else None
        return UNKNOWN if ideal is None else ideal

    def shortfall(self, name: str) -> Interval:
        """By how much a score lies below an ideal model's, as a share of that."""
        ideal = self.ideal(name) or UNKNOWN
        return Interval(1 - self.high(name) / ideal, 1 - self.low(name) / ideal)

    def guesses(self) -> str:
        return f"a classifier is right in {shares(self.scores['told_apart'], ' of 100 cases')}"

    def weak_classes(self) -> list[str]:
        """Classes of which the classifier surely takes fewer images for what they should be than of all, the worst first."""
        table = self.classes.get("class_accuracies", {})
        weak = [name for name in table if (interval := table[name].interval) and interval.high < self.low("class_accuracy")]
        return sorted(weak, key=lambda name: table[name].value)


def find(metrics: Mapping[str, Any], classes: Mapping[str, Mapping[str, Reading]] | None = None, **names: str) -> Findings:
    """metrics: the keys of metrics.json. names: `candidate` and `reference` of Findings."""
    return Findings(readings.read(metrics), metrics, classes or {}, **names)


def read(folder: Path) -> Findings:
    """Of the newest model, by the stage reports in `folder`."""
    return find(reports.read(folder, "metrics"), readings.read_classes(readings.class_lines(folder)))


def shares(reading: Reading, words: str = " of 100") -> str:
    """A share as people say it: 97 of 100 (96 to 98)"""
    assert reading.interval is not None
    low, high = map(hundredths, reading.interval)
    return f"{hundredths(reading.value)}{words} ({low} to {high})"


def hundredths(share: float) -> str:
    """A whole number; digits behind the point only where it would be 0 or 100 otherwise."""
    number = 100 * float(share)
    return f"{number:.0f}" if 1 <= number <= 99 else three_digits(number)


def against_ideals(findings: Findings, *names: str) -> str:
    """recall is 0.41 (0.38 to 0.44), an ideal model's 0.87; precision is …"""
    scores = {name: findings.scores[name] for name in names}
    return "; ".join(f"{name} is {score.text}, an ideal model's {score.ideal_text}" for name, score in scores.items())


def width(findings: Findings, name: str) -> float:
    """Of an interval, as a share of what an ideal model gets."""
    low, high = findings.shortfall(name)
    return high - low


def well_measured(findings: Findings) -> bool:
    return all(width(findings, name) <= WIDE for name in BALANCE)


def lacks_more(findings: Findings, one: str, other: str) -> bool:
    """Whether the shortfall of one surely is larger than that of the other."""
    return well_measured(findings) and findings.shortfall(one).low > max(findings.shortfall(other).high, LITTLE)


def lacks_both(findings: Findings) -> bool:
    """Whether both surely fall short, and neither surely more."""
    sure = well_measured(findings) and all(findings.shortfall(name).low > LITTLE for name in BALANCE)
    return sure and not lacks_more(findings, *BALANCE) and not lacks_more(findings, *reversed(BALANCE))


@dataclass(frozen=True)
class Sentence:
    """question: what it answers; no two sentences of a question are allowed at once. allowed: whether it may be said, in its
    words, which begin with a small letter."""

    name: str
    question: str
    colour: Literal["good", "warn", "bad", "soft"]
    allowed: Callable[[Findings], bool]
    says: Callable[[Findings], str]

    def text(self, findings: Findings) -> str:
        words = self.says(findings)
        return words[0].upper() + words[1:]


SENTENCES = (
    # Can its images be told from real ones? Only `told_apart` says so.
    Sentence(
        "hardly told apart",
        "told apart",
        "good",
        lambda f: f.high("told_apart") < HARDLY,
        lambda f: f"{f.candidate} can hardly be told from {f.reference}: {f.guesses()}, and guessing in 50.",
    ),
    Sentence(
        "easily told apart",
        "told apart",
        "bad",
        lambda f: f.low("told_apart") >= EASILY,
        lambda f: f"{f.candidate} are easily told from {f.reference}: {f.guesses()}, and guessing in 50.",
    ),
    Sentence(
        "often told apart",
        "told apart",
        "warn",
        lambda f: HARDLY <= f.low("told_apart") < EASILY,
        lambda f: f"{f.candidate} are often told from {f.reference}: {f.guesses()}, and guessing in 50.",
    ),
    Sentence(
        "sometimes told apart",
        "told apart",
        "warn",
        lambda f: GUESSING < f.low("told_apart") < HARDLY <= f.high("told_apart"),
        lambda f: (
            f"{f.candidate} are told from {f.reference} more often than by guessing: {f.guesses()}. More images would say how "
            "often."
        ),
    ),
    Sentence(
        "perhaps told apart",
        "told apart",
        "soft",
        lambda f: f.low("told_apart") <= GUESSING and f.high("told_apart") >= HARDLY,
        lambda f: (
            f"whether {f.candidate} can be told from {f.reference} takes more images to say: {f.guesses()}, and guessing in 50."
        ),
    ),
    # Are they copies of what the model was trained on?
    Sentence(
        "copies",
        "copies",
        "bad",
        lambda f: f.low("memorisation") > f.ideal("memorisation") + COPYING,
        lambda f: (
            f"some may be copies: {shares(f.scores['memorisation'], ' of 100 images')} are nearer to a training image than to "
            f"an unseen one, of an ideal model's {hundredths(f.ideal('memorisation'))}. Look at the nearest training images."
        ),
    ),
    # Does it lack quality, the look of single images, or variety?
    Sentence(
        "balance unknown",
        "balance",
        "soft",
        lambda f: all(width(f, name) >= 0 for name in BALANCE) and not well_measured(f),
        lambda f: f"whether quality or variety is lacking takes more images to say: {against_ideals(f, *BALANCE)}.",
    ),
    Sentence(
        "lacks variety",
        "balance",
        "warn",
        lambda f: lacks_more(f, "recall", "precision"),
        lambda f: f"variety is lacking more than quality: {against_ideals(f, 'recall', 'precision')}.",
    ),
    Sentence(
        "lacks quality",
        "balance",
        "warn",
        lambda f: lacks_more(f, "precision", "recall"),
        lambda f: f"quality is lacking more than variety: {against_ideals(f, *BALANCE)}.",
    ),
    Sentence(
        "lacks both",
        "balance",
        "warn",
        lambda f: lacks_both(f),
        lambda f: f"both quality and variety are lacking: {against_ideals(f, *BALANCE)}.",
    ),
    Sentence(
        "lacks neither",
        "balance",
        "good",
        lambda f: well_measured(f) and all(f.shortfall(name)[1] <= LITTLE for name in BALANCE),
        lambda f: f"quality and variety are near an ideal model's: {against_ideals(f, *BALANCE)}.",
    ),
    # Do they show the classes that were asked for?
    Sentence(
        "weak class",
        "worst class",
        "warn",
        lambda f: bool(f.weak_classes()),
        lambda f: (
            f"the class “{f.weak_classes()[0]}” comes out worse than the average: a classifier takes "
            f"{shares(f.classes['class_accuracies'][f.weak_classes()[0]], ' of 100 of its images')} for it, and of all images "
            f"{shares(f.scores['class_accuracy'])} for what they should be."
        ),
    ),
    Sentence(
        "wrong classes",
        "classes",
        "warn",
        lambda f: f.high("class_accuracy") < f.ideal("class_accuracy") * (1 - LITTLE),
        lambda f: (
            f"a classifier sees the class that was asked for in {shares(f.scores['class_accuracy'], ' of 100 images')}, and in "
            f"{hundredths(f.ideal('class_accuracy'))} of 100 real ones."
        ),
    ),
    # Do people like them?
    Sentence(
        "liked",
        "approval",
        "good",
        lambda f: f.low("approval") > 0.5,
        lambda f: (
            f"people like {shares(f.scores['approval'], ' of 100 images')}, by a forecast from their votes: more than half."
        ),
    ),
    Sentence(
        "not liked",
        "approval",
        "warn",
        lambda f: f.high("approval") < 0.5,
        lambda f: (
            f"people like {shares(f.scores['approval'], ' of 100 images')}, by a forecast from their votes: less than half."
        ),
    ),
    # How far are all images together from real ones? No scale says what is far, so only whether there is a distance is said.
    Sentence(
        "distance",
        "distance",
        "soft",
        lambda f: f.low("fid") > 0,
        lambda f: (
            f"as a whole {f.candidate} surely differ from {f.reference}: their distance, fid without its bias, is "
            f"{f.scores['fid'].text}, an ideal model's 0."
        ),
    ),
    Sentence(
        "no distance seen",
        "distance",
        "soft",
        lambda f: f.low("fid") <= 0,
        lambda f: (
            f"with so many images no distance of {f.candidate} as a whole from {f.reference} can be seen: fid without its bias "
            f"is {f.scores['fid'].text}. More images would show a smaller one."
        ),
    ),
    # Are there enough images?
    Sentence(
        "few images",
        "few images",
        "soft",
        lambda f: f.high("fid") < f.metrics.get("fid", UNKNOWN) / 2,
        lambda f: (
            f"other libraries would print a fid of {three_digits(float(f.metrics['fid']))}, and more than half of that is due "
            "to the images being few."
        ),
    ),
    Sentence(
        "nothing known",
        "nothing known",
        "soft",
        lambda f: not any(name in f.scores for name in ("told_apart", "fid", *BALANCE)),
        lambda f: "how good the images are these scores do not say; more images, or more metrics, would.",
    ),
)


def sentences(findings: Findings) -> list[Sentence]:
    """All that may be said, in the order of the table: what matters most comes first."""
    return [sentence for sentence in SENTENCES if sentence.allowed(findings)]


def headline(findings: Findings) -> list[str]:
    """The two sentences that matter most, or one."""
    return [sentence.text(findings) for sentence in sentences(findings)[:2]]
