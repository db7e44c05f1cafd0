"""Exports of labelling tools: files of a general format whose records hold answers about an image, two images or a row.

An answer becomes the fields of an event where it can only mean one thing.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any, ClassVar

from pipelines.core.errors import InputError
from pipelines.feedback.events import RecordError, short_repr
from pipelines.feedback.imports.base import AnswerWords, Format, ImportFile, Match, Record, best_match
from pipelines.feedback.imports.columns import SAMPLE, side, whole_number

RECORDS = 100  # that cannot be read, before the first one that tells what the file is
SIDES = ("left", "right")
KEYS = ("row", *SAMPLE, *(f"{name}_{part}" for name in SIDES for part in SAMPLE))


class Export(Format):
    """A format within others.

    containers: the formats that the tool exports. tool: its name.
    """

    containers: ClassVar[tuple[Format, ...]]
    tool: ClassVar[str]

    @abstractmethod
    def fits(self, content: Any) -> bool:
        """Whether a record, or the columns of a table without values, are of this export."""

    def match(self, file: ImportFile) -> Match:
        try:
            return Match.RECORDS if self.fits(self.first_content(file)) else Match.NO
        except InputError:
            return Match.NO

    def records(self, file: ImportFile) -> Iterator[Record]:
        return self.container(file).records(file)

    def container(self, file: ImportFile) -> Format:
        found = best_match(self.containers, file)
        if found is None:
            suffixes = ", ".join(suffix for container in self.containers for suffix in container.suffixes)
            raise InputError(f"{file.path}: no export of {self.tool}; expected a file whose name ends in {suffixes}")
        return found

    def first_content(self, file: ImportFile) -> Any:
        container = self.container(file)
        if (names := container.columns(file)) is not None:
            return dict.fromkeys(names)
        records = islice(container.records(file), RECORDS)
        return next((record.content for record in records if record.fault is None), None)


def event_fields(about: Mapping[str, Any], answer: Any, words: AnswerWords) -> dict[str, Any]:
    """The type of an event and what belongs to it; raises RecordError where what was shown, or the answer, is not clear.

    about: what was shown, by the keys in KEYS: `version`, `seed` and `label` of one sample, the same with `left_` and
        `right_` of two, or the `row` of one.
    answer: a text, a number, or a ranking as a list of {"value", "rank"}.
    """
    known = {name: value if is_prompt(name) else whole_number(value) for name, value in question_keys(about).items()}
    sample, left, right = ({part: known[part] for part in SAMPLE if part in known}, *(side(name, known) for name in SIDES))
    if (("version" in sample) + ("row" in known) + bool(left or right)) != 1:
        raise RecordError(
            "not said what was shown",
            "expected either version and seed (and label), or left_version, left_seed, right_version and right_seed, or row; "
            f"came {', '.join(known) or 'none of these'}",
        )
    if "row" in known:
        return {"type": "label", "row": known["row"], "label": class_index(answer, words)}
    if left or right:
        winner, loser = (left, right) if preferred_side(answer) == "left" else (right, left)
        return {"type": "choice", "winner": winner, "loser": loser}
    return {"type": "vote", "sample": sample, "value": vote_value(answer, words)}


def question_keys(about: Mapping[str, Any]) -> dict[str, Any]:
    """What tells which images were shown, of all that a tool knows about its question.

    A prompt beside a label is the tool's own: a sample has one of the two.
    """
    known = {name: about[name] for name in KEYS if about.get(name) not in (None, "")}
    return {name: value for name, value in known.items() if not is_prompt(name) or f"{name[:-6]}label" not in known}


def is_prompt(name: str) -> bool:
    return name.endswith("prompt")


def vote_value(answer: Any, words: AnswerWords) -> int:
    text = str(answer).strip().lower()
    if text in words.like or text in words.dislike:
        return 1 if text in words.like else -1
    expected = f"a like is {', '.join(words.like)}, a dislike {', '.join(words.dislike)}; --like and --dislike name others"
    raise RecordError("ambiguous answer", f"{short_repr(answer)} is neither; {expected}")


def preferred_side(answer: Any) -> str:
    """ "left" or "right": named, or the better one of a ranking of both."""
    if isinstance(answer, list) and len(answer) == len(SIDES) and all(isinstance(place, dict) for place in answer):
        ranks = {str(place.get("value")).strip().lower(): place.get("rank") for place in answer}
        first, second = (ranks.get(name) for name in SIDES)
        if isinstance(first, int) and isinstance(second, int) and first != second:
            return "left" if first < second else "right"
    elif isinstance(answer, str) and answer.strip().lower() in SIDES:
        return answer.strip().lower()
    raise RecordError("ambiguous answer", f"expected left or right, or a ranking of these two; came {short_repr(answer)}")


def class_index(answer: Any, words: AnswerWords) -> int:
    """A class by its name, else by its number; any number where the classes are not known."""
    text = str(answer).strip()
    if text in words.classes:
        return list(words.classes).index(text)
    number = whole_number(text)
    if isinstance(number, int) and 0 <= number < (len(words.classes) or number + 1):
        return number
    raise RecordError("unknown class", f"{short_repr(answer)}; classes: {', '.join(words.classes) or 'numbers from 0'}")
