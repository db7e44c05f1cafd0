"""Prompts that visitors write: whether they may, and which of them are refused.

A denied word is found whole, in any case, with or without accents, and with whatever is put between its letters that nobody
sees. It is a net with wide meshes: a word that is written otherwise on purpose gets through, and reports are for that.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cached_property

from pipelines.core.errors import InputError
from pipelines.feedback.events import prompt_fault
from pipelines.settings.schema import PromptsParams

WORD = r"[^\W_]"  # a letter or a digit
# Scripts that put no blanks between words: Thai, Lao, Burmese, Khmer, Japanese and Chinese. A word ends anywhere in them.
UNBROKEN = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]")
UNSEEN = {"Mn", "Me", "Cf"}  # marks, as accents are, and signs without a width


class PromptRefusedError(InputError):
    """Raised for a prompt that must not be used here. The message does not repeat it."""


class PromptRules:
    def __init__(self, settings: PromptsParams) -> None:
        self.settings = settings

    @cached_property
    def denied(self) -> re.Pattern[str] | None:
        """Finds a denied word in what `plain` gives; None where none is denied."""
        words = [pattern for word in self.settings.denied if (pattern := word_pattern(word))]
        return re.compile("|".join(words)) if words else None

    def accept(self, text: str) -> str:
        """The prompt as it is kept: of two that look the same, one text. Raises PromptRefusedError."""
        if not self.settings.free:
            raise PromptRefusedError("prompt: this studio takes none; leave it out (studio.prompts.free)")
        prompt = unicodedata.normalize("NFC", text).strip()
        if fault := prompt_fault(prompt):
            raise PromptRefusedError(f"prompt: {fault}")
        if len(prompt) > self.settings.longest:
            raise PromptRefusedError(f"prompt: expected at most {self.settings.longest} characters, came {len(prompt)}")
        if not self.allow(prompt):  # which word it is nobody is told, or they would go around it
            raise PromptRefusedError("prompt: this prompt is not allowed here; ask for something else")
        return prompt

    def allow(self, prompt: str) -> bool:
        """Whether it has no denied word."""
        return self.denied is None or self.denied.search(plain(prompt)) is None


def plain(text: str) -> str:
    """A text without what tells no words apart: forms of letters, accents, case, signs without a width."""
    for _ in range(2):  # folding a letter's case may give it an accent
        parts = unicodedata.normalize("NFKD", text)
        text = "".join(sign for sign in parts if unicodedata.category(sign) not in UNSEEN).casefold()
    return unicodedata.normalize("NFKC", text)


def word_pattern(word: str) -> str:
    """Of a denied word, or of a phrase with any blanks between its words; empty where nothing is left of it."""
    parts: Sequence[str] = plain(word).split()
    if not parts:
        return ""
    first, last = parts[0][0], parts[-1][-1]
    before = "" if UNBROKEN.match(first) or not re.match(WORD, first) else f"(?<!{WORD})"
    after = "" if UNBROKEN.match(last) or not re.match(WORD, last) else f"(?!{WORD})"
    return before + r"\s+".join(map(re.escape, parts)) + after
