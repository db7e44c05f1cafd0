"""The page's languages: English, which the templates are written in, and translations in `locales`."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).with_name("locales")
LANGUAGES = {"en": "English", "zh": "中文"}
COOKIE = "genloop_language"


@cache
def read_translations(language: str) -> dict[str, str]:
    """By the English text; none for English itself."""
    path = FOLDER / f"{language}.json"
    found: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return found


def translator(language: str) -> Callable[..., str]:
    """A function from an English text, with {names} in it, to the text in that language."""
    known = read_translations(language)

    def translate(text: str, **values: object) -> str:
        return known.get(text, text).format(**values) if values else known.get(text, text)

    return translate


def choose(cookie: str | None, accepted: str) -> str:
    """A language: the chosen one, else the first of a header Accept-Language that there is, else English."""
    if cookie in LANGUAGES:
        return cookie
    weighted = []
    for place, part in enumerate(accepted.split(",")[:20]):
        name, _, quality = part.partition(";q=")
        try:
            weight = float(quality or 1)
        except ValueError:
            weight = 0.0
        weighted.append((-weight, place, name.strip().lower().partition("-")[0]))
    return next((name for _, _, name in sorted(weighted) if name in LANGUAGES), "en")
