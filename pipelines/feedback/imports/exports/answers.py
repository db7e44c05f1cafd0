"""An answer about a picture, two pictures or a row of the dataset, as what an event says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipelines.feedback.events import Refused, brief
from pipelines.feedback.imports.columns import SAMPLE, side, whole

LIKE = ("like", "good", "up", "+1")
DISLIKE = ("dislike", "bad", "down", "-1")
SIDES = ("left", "right")
KEYS = ("row", *SAMPLE, *(f"{name}_{part}" for name in SIDES for part in SAMPLE))


@dataclass(frozen=True)
class Words:
    """What the answers mean: texts that are a like or a dislike, and the names of the classes in their order."""

    like: Sequence[str] = LIKE
    dislike: Sequence[str] = DISLIKE
    classes: Sequence[str] = ()


@dataclass(frozen=True)
class Answered:
    """One answer: as it was (for the list of the rejected), and the event's record or why there is none."""

    shown: dict[str, Any]
    record: dict[str, Any] | None = None
    fault: Refused | None = None


def judged(about: Mapping[str, Any], answer: Any, words: Words) -> dict[str, Any]:
    """The type of an event and what belongs to it.

    Args:
        about: what was shown, by the keys in KEYS: `version`, `seed` and `label` of one sample, the same with `left_` and
            `right_` of two, or the `row` of one.
        answer: a text, a number, or a ranking as a list of {"value", "rank"}.

    Raises:
        Refused: it is not said what was shown, or the answer can mean several things.
    """
    known = {name: whole(found) for name, found in asked(about).items()}
    sample, left, right = ({part: known[part] for part in SAMPLE if part in known}, *(side(name, known) for name in SIDES))
    if (("version" in sample) + ("row" in known) + bool(left or right)) != 1:
        raise Refused(
            "not said what was shown",
            "expected either version and seed (and label), or left_version, left_seed, right_version and right_seed, or row; "
            f"came {', '.join(known) or 'none of these'}",
        )
    if "row" in known:
        return {"type": "label", "row": known["row"], "label": index(answer, words)}
    if left or right:
        chosen = preferred(answer)
        winner, loser = (left, right) if chosen == "left" else (right, left)
        return {"type": "choice", "winner": winner, "loser": loser}
    return {"type": "vote", "sample": sample, "value": value(answer, words)}


def asked(about: Mapping[str, Any]) -> dict[str, Any]:
    """Of all that a tool knows about what it showed, what says which pictures these were."""
    return {name: about[name] for name in KEYS if about.get(name) not in (None, "")}


def value(answer: Any, words: Words) -> int:
    text = str(answer).strip().lower()
    if text in words.like or text in words.dislike:
        return 1 if text in words.like else -1
    expected = f"a like is {', '.join(words.like)}, a dislike {', '.join(words.dislike)}; --like and --dislike name others"
    raise Refused("ambiguous answer", f"{brief.repr(answer)} is neither; {expected}")


def preferred(answer: Any) -> str:
    """ "left" or "right": named, or the better one of a ranking of both."""
    if isinstance(answer, list) and len(answer) == len(SIDES) and all(isinstance(place, dict) for place in answer):
        ranks = {str(place.get("value")).strip().lower(): place.get("rank") for place in answer}
        first, second = (ranks.get(name) for name in SIDES)
        if isinstance(first, int) and isinstance(second, int) and first != second:
            return "left" if first < second else "right"
    elif isinstance(answer, str) and answer.strip().lower() in SIDES:
        return answer.strip().lower()
    raise Refused("ambiguous answer", f"expected left or right, or a ranking of these two; came {brief.repr(answer)}")


def index(answer: Any, words: Words) -> int:
    """A class by its name, else by its number; any number where the classes are not known."""
    text = str(answer).strip()
    if text in words.classes:
        return list(words.classes).index(text)
    number = whole(text)
    if isinstance(number, int) and 0 <= number < (len(words.classes) or number + 1):
        return number
    raise Refused("unknown class", f"{brief.repr(answer)}; classes: {', '.join(words.classes) or 'numbers from 0'}")
