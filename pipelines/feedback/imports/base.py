"""What a format of imported files is, and which one a file has. A new one is a subclass and a line of catalogue.IMPORTS.

A file is read as records, one after the other, however large it is. A record that cannot be read has a fault, and reading goes
on behind it where there is a way to find the next one.
"""

from __future__ import annotations

import codecs
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import IO, Any, ClassVar

from pipelines import catalogue
from pipelines.core.errors import InputError
from pipelines.feedback.events import RecordError
from pipelines.feedback.imports import foreign
from pipelines.feedback.imports.columns import check_table

ENCODINGS = {
    codecs.BOM_UTF32_LE: "UTF-32",  # before UTF-16, whose mark is how this one begins
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


@dataclass(frozen=True)
class ImportFile:
    """start: its first bytes, a few thousand."""

    path: Path
    start: bytes

    @classmethod
    def open(cls, path: Path) -> ImportFile:
        """Raises InputError where there is no such file, or an empty one."""
        if not path.is_file():
            raise InputError(f"{path}: {'is not a file' if path.exists() else 'no such file'}")
        with path.open("rb") as file:
            start = file.read(4096)
        if not start.strip():
            raise InputError(f"{path}: the file is empty")
        return cls(path, start)

    @property
    def first_sign(self) -> bytes:
        """The first byte that is no white space."""
        return self.start.removeprefix(codecs.BOM_UTF8).lstrip()[:1]

    def open_text(self) -> IO[bytes]:
        """The file, which must look like text in UTF-8; raises InputError where it does not."""
        self.check_text()
        return self.path.open("rb")

    def check_text(self) -> None:
        if what := foreign.describe_start(self.start):
            raise InputError(f"{self.path}: this is {what}")
        for mark, encoding in ENCODINGS.items():
            if self.start.startswith(mark):
                raise InputError(f"{self.path}: is in {encoding}; save it as UTF-8")
        if b"\0" in self.start:
            raise InputError(f"{self.path}: is binary; expected JSON lines, a JSON list, CSV (all in UTF-8) or Parquet")


@dataclass(frozen=True)
class Record:
    """line: from 1; of a JSON list and of Parquet the record's number. content: text where it could not be read.
    done: the share of the file that has been read."""

    line: int
    content: Any
    done: float
    fault: RecordError | None = None


@dataclass(frozen=True)
class Entry:
    """One answer of a record. content: the JSON form of an event, not validated yet. excerpt: the part of the record
    that is listed if it is rejected; None for all of it. undated: the format has no times, so `at` is that of the import."""

    content: Any = None
    excerpt: Any = None
    fault: RecordError | None = None
    undated: bool = False


@dataclass(frozen=True)
class AnswerWords:
    """What answers mean: texts that are a like or a dislike, and the names of the classes in their order."""

    like: Sequence[str] = ("like", "good", "up", "+1")
    dislike: Sequence[str] = ("dislike", "bad", "down", "-1")
    classes: Sequence[str] = ()


class Match(IntEnum):
    """How a file was recognised; the format with the highest match reads it."""

    NO = 0
    SIGN = 1  # by its first sign, which files of other formats may have as well
    NAME = 2  # by its suffix
    SIGNATURE = 3  # by first bytes that no other format has
    RECORDS = 4  # by what its records hold


class Format(ABC):
    """`suffixes` and `records` are enough. Modules of formats import nothing heavy at the top: each is asked for its match.

    suffixes: of files' names, in lower case, with the dot.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()

    def match(self, file: ImportFile) -> Match:
        return Match.NAME if file.path.suffix.lower() in self.suffixes else Match.NO

    def columns(self, file: ImportFile) -> list[str] | None:
        """The names of a table's columns, where it is one: its records are rows as imports/columns.py describes them."""
        return None

    @abstractmethod
    def records(self, file: ImportFile) -> Iterator[Record]:
        """The file from its beginning, never in memory as a whole. Raises InputError where it is unusable as a whole."""

    def entries(self, content: Any, words: AnswerWords) -> Iterable[Entry]:
        """What a record says: as a rule it is one event. Raises RecordError where the format has no such records."""
        return [Entry(content)]

    def not_read(self, content: Any) -> Iterable[str]:
        """Names of the parts of a record that `entries` leaves out because they are no answers of people, each as often as it
        is there."""
        return ()


def best_match(formats: Iterable[Format], file: ImportFile) -> Format | None:
    matches = [(one.match(file), one) for one in formats]
    match, found = max(matches, key=lambda pair: pair[0])
    return found if match else None


def recognise(file: ImportFile) -> str:
    """The name of the file's format in catalogue.IMPORTS, by its name, its first bytes, and where these leave it open by its
    first record; raises InputError where it looks like none of them."""
    formats: dict[str, Format] = {name: catalogue.get(catalogue.IMPORTS, name)() for name in catalogue.IMPORTS}
    found = best_match(formats.values(), file)
    if found is None:
        file.check_text()
        if "\t" in (first_line := file.start.decode(errors="replace").splitlines()[0]):
            check_table([first_line], file.path)
        suffixes = [suffix for one in formats.values() for suffix in one.suffixes]
        raise InputError(f"{file.path}: give --format, or a name that ends in {', '.join(suffixes)}")
    return next(name for name, one in formats.items() if one is found)
