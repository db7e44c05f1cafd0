"""FILE.rejected.jsonl: what an import did not take, a line each with its line number, the reason and the record."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from pipelines.core import files
from pipelines.feedback.events import Refused, brief


class Rejects:
    """Written under a temporary name, and there when the import has ended; no file where nothing was rejected."""

    def __init__(self, imported: Path) -> None:
        self.path = imported.with_name(f"{imported.name}.rejected.jsonl")
        self.temporary = imported.with_name(f".{self.path.name}.{os.getpid()}.partial")
        self.reasons: Counter[str] = Counter()
        self.file: IO[str] | None = None

    def add(self, line: int, fault: Refused, record: Any) -> None:
        self.reasons[fault.reason] += 1
        self.file = self.file or self.temporary.open("w", encoding="utf-8")
        about = {"line": line, "reason": fault.reason, "detail": fault.detail}
        self.file.write(as_line({**about, "record": record}) or as_line({**about, "record": brief.repr(record)}) or "")

    def __enter__(self) -> Rejects:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self.file is not None:
            self.file.flush()
            os.fsync(self.file.fileno())
            self.file.close()
        if kind is not None:
            self.temporary.unlink(missing_ok=True)
        elif self.file is not None:
            self.temporary.replace(self.path)
            files.sync(self.path.parent)
        else:
            self.path.unlink(missing_ok=True)  # of an earlier import, of which nothing is true any more


def as_line(content: dict[str, Any]) -> str | None:
    """As ASCII, so that half a character can be written, too; dates of Parquet as text. None of what JSON cannot say."""
    try:
        return json.dumps(content, default=str, allow_nan=False) + "\n"
    except (ValueError, RecursionError):
        return None
