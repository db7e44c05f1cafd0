"""Whether the sources have changed since `ingest` last read them: DVC watches the project, not the places outside of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.core import files
from pipelines.core.errors import GenloopError
from pipelines.core.project import Project

if TYPE_CHECKING:
    from pipelines.sources.base import Source


def record_file(project: Project) -> Path:
    """The states that `ingest` read; of this machine alone, because times of files mean nothing elsewhere."""
    return project.logs / "sources.json"


def state(project: Project, sources: Sequence[Source]) -> dict[str, str]:
    """The state of each source now, by its settings; raises GenloopError where a place cannot be read."""
    return {source.model_dump_json(): source.at(project.root).state() for source in sources}


def record(project: Project, states: dict[str, str]) -> None:
    """Remember what `ingest` has read."""
    files.write(record_file(project), json.dumps(states, indent=2) + "\n")


def have_changed(project: Project, sources: Sequence[Source], log: Callable[[str], None] = lambda line: None) -> bool:
    """Whether a source is not as it was read. Unknown counts as unchanged: no record (a fresh clone), or out of reach now.

    log: gets a line where a source is out of reach.
    """
    try:
        now = state(project, sources)
        before = json.loads(record_file(project).read_text(encoding="utf-8"))
    except FileNotFoundError:
        record(project, now)
        return False
    except GenloopError as error:
        log(f"warning: {error}; the source counts as unchanged")
        return False
    except (OSError, ValueError):  # of the record
        return False
    return any(before.get(source, text) != text for source, text in now.items())
