"""JSON: a value on each line, one list, or values one after the other over as many lines as they take."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import IO, Any, NoReturn

from pipelines.feedback.events import RecordError
from pipelines.feedback.imports.base import Format, ImportFile, Match, Record
from pipelines.feedback.imports.lines import SHOWN, Lines, size

RECORD_CHARACTERS = 2**24  # of a list, where a record may hold images
CHUNK = 2**18


class JsonLines(Format):
    suffixes = (".jsonl", ".ndjson")

    def match(self, file: ImportFile) -> Match:
        if file.first_sign == b"[":
            return Match.NO
        return super().match(file) or (Match.SIGN if file.first_sign == b"{" else Match.NO)

    def records(self, file: ImportFile) -> Iterator[Record]:
        with file.open_text() as opened:
            lines = Lines(opened)
            while (line := lines.next()) is not None:
                if line.fault:
                    yield line
                elif text := line.content.strip():
                    try:
                        content = DECODER.decode(text)
                    except (ValueError, RecursionError) as error:
                        yield Record(line.line, text[:SHOWN], line.done, json_error(error))
                    else:
                        yield Record(line.line, content, line.done)


class JsonValues(Format):
    suffixes = (".json",)

    def match(self, file: ImportFile) -> Match:
        return super().match(file) or (Match.SIGN if file.first_sign == b"[" else Match.NO)

    def records(self, file: ImportFile) -> Iterator[Record]:
        with file.open_text() as opened:
            text, number = JsonText(opened), 0
            try:
                for value in values(text):
                    number += 1
                    yield Record(number, value, text.done)
            except RecordError as fault:  # there is no telling where the next record begins
                found = RecordError(fault.reason, f"{fault.detail}; the rest is not read")
                yield Record(number + 1, text.text[text.place : text.place + SHOWN], 1.0, found)


def values(text: JsonText) -> Iterator[Any]:
    is_list = text.skip("[")
    if is_list and text.skip("]"):
        return
    while not text.at_end():
        yield text.value()
        if is_list and text.skip("]"):
            if not text.at_end():
                raise RecordError("not JSON", "something follows the list's end")
            return
        if is_list and not text.skip(","):
            break
    if is_list:
        words = "the file ends before its list does" if text.at_end() else "expected a comma between records"
        raise RecordError("not JSON", words)


class JsonText:
    """The part of a JSON text that has been read and not yet decoded.

    No library does this: ijson sets no bound to the size and the depth of a record, and does not tell the text that it could
    not read.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.size = file, size(file)
        self.decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self.text, self.place, self.whole = "", 0, False

    @property
    def done(self) -> float:
        return self.file.tell() / self.size

    def more(self) -> None:
        """Read as much again as there is, so that a large value is not tried too often."""
        chunk = self.file.read(max(CHUNK, len(self.text) - self.place))
        self.whole = not chunk
        try:
            self.text = self.text[self.place :] + self.decoder.decode(chunk, final=self.whole)
        except UnicodeDecodeError as error:
            where = self.file.tell() - len(chunk) + error.start
            raise RecordError("not UTF-8", f"near byte {where:,}: {error.reason}") from None
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
                    raise json_error(error) from None
            if len(self.text) - self.place > RECORD_CHARACTERS:
                raise RecordError("too long", f"expected a record of at most {RECORD_CHARACTERS:,} characters")
            self.more()


def reject_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


DECODER = json.JSONDecoder(parse_constant=reject_constant)


def json_error(error: Exception) -> RecordError:
    return RecordError("not JSON", "nested too deep" if isinstance(error, RecursionError) else str(error)[:200])
