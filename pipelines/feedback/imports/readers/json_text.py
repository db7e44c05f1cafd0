"""JSON: a value on each line, or one list, or values one after the other over as many lines as they take."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, NoReturn

from pipelines.feedback.events import Refused
from pipelines.feedback.imports.readers.base import SHOWN, Lines, Record, Source, size

RECORD_CHARACTERS = 2**24  # of a list, where a record may hold images
CHUNK = 2**18


def of_lines(path: Path) -> Source:
    def records() -> Iterator[Record]:
        with path.open("rb") as file:
            lines = Lines(file)
            while (line := lines.next()) is not None:
                if line.fault:
                    yield line
                elif text := line.content.strip():
                    try:
                        content = DECODER.decode(text)
                    except (ValueError, RecursionError) as error:
                        yield Record(line.line, text[:SHOWN], line.done, not_json(error))
                    else:
                        yield Record(line.line, content, line.done)

    return Source("jsonl", None, records())


def of_values(path: Path) -> Source:
    def records() -> Iterator[Record]:
        with path.open("rb") as file:
            text, number = Text(file), 0
            try:
                for value in values(text):
                    number += 1
                    yield Record(number, value, text.done)
            except Refused as fault:  # there is no telling where the next record begins
                yield Record(number + 1, text.rest(), 1.0, Refused(fault.reason, f"{fault.detail}; the rest is not read"))

    return Source("json", None, records())


def values(text: Text) -> Iterator[Any]:
    in_list = text.skip("[")
    if in_list and text.skip("]"):
        return
    while not text.at_end():
        yield text.value()
        if in_list and text.skip("]"):
            if not text.at_end():
                raise Refused("not JSON", "something follows the list's end")
            return
        if in_list and not text.skip(","):
            break
    if in_list:
        raise Refused("not JSON", "the file ends before its list does" if text.at_end() else "expected a comma between records")


class Text:
    """The part of a JSON text that has been read and not yet decoded."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.size = file, size(file)
        self.decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.text, self.place, self.whole = "", 0, False

    @property
    def done(self) -> float:
        return self.file.tell() / self.size

    def more(self) -> None:
        """As much again as there is, so that a large value is not tried too often."""
        chunk = self.file.read(max(CHUNK, len(self.text) - self.place))
        self.whole = not chunk
        try:
            self.text = self.text[self.place :] + self.decoder.decode(chunk, final=self.whole)
        except UnicodeDecodeError as error:
            where = self.file.tell() - len(chunk) + error.start
            raise Refused("not UTF-8", f"near byte {where:,}: {error.reason}") from None
        self.place = 0

    def at_end(self) -> bool:
        """Whether nothing but white space is left; moves past that."""
        while True:
            while self.place < len(self.text) and self.text[self.place] in " \t\r\n":
                self.place += 1
            if self.place < len(self.text) or self.whole:
                return self.place == len(self.text)
            self.more()

    def skip(self, sign: str) -> bool:
        found = not self.at_end() and self.text[self.place] == sign
        self.place += found
        return found

    def value(self) -> Any:
        while True:
            try:
                value, self.place = DECODER.raw_decode(self.text, self.place)
                return value
            except (ValueError, RecursionError) as error:
                if self.whole or isinstance(error, RecursionError):
                    raise not_json(error) from None
            if len(self.text) - self.place > RECORD_CHARACTERS:
                raise Refused("too long", f"expected a record of at most {RECORD_CHARACTERS:,} characters")
            self.more()

    def rest(self) -> str:
        return self.text[self.place : self.place + SHOWN]


def not_finite(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


DECODER = json.JSONDecoder(parse_constant=not_finite)


def not_json(error: Exception) -> Refused:
    return Refused("not JSON", "nested too deep" if isinstance(error, RecursionError) else str(error)[:200])
