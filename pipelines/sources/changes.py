"""Whether the sources have changed since `ingest` last read them: DVC watches the project, not the places outside of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pipelines.core import files, paths
from pipelines.core.errors import GenloopError

if TYPE_CHECKING:
    from pipelines.sources.base import Source

SEEN = paths.LOGS / "sources.json"  # of this machine alone: times of files mean nothing elsewhere


def state(sources: Sequence[Source]) -> dict[str, str]:
    """What each source is like now, by its settings.

    Raises:
        InputError, GenloopError: a place cannot be had.
    """
    return {source.model_dump_json(): source.state() for source in sources}


def record(seen: dict[str, str]) -> None:
    """Remember what `ingest` has read."""
    files.write(SEEN, json.dumps(seen, indent=2) + "\n")


def changed(sources: Sequence[Source]) -> bool:
    """Whether a source is not as it was read. Unknown counts as unchanged: no record (a fresh clone), or out of reach now."""
    try:
        now = state(sources)
        seen = json.loads(SEEN.read_text(encoding="utf-8"))
    except FileNotFoundError:
        record(now)
        return False
    except (OSError, ValueError, GenloopError):
        return False
    return any(seen.get(source, text) != text for source, text in now.items())
