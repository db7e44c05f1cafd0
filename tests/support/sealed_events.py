"""All events that are sealed in a folder."""

from __future__ import annotations

from pathlib import Path

from pipelines.feedback.events import Event
from pipelines.feedback.sealed import seal


def read(folder: Path) -> list[Event]:
    return [event for path in seal.sealed_files(folder) for event in seal.events(folder, seal.footer(path)[0])]
