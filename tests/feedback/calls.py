"""genloop import-feedback as a user calls it, and what came of it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pipelines.core.project import Project
from pipelines.feedback.events import TYPES, to_json
from pipelines.feedback.store.event_store import EventStore
from tests.support.calls import Called
from tests.support.calls import call as call_command


def call(project: Project, *arguments: str) -> Called:
    return call_command(project, "import-feedback", *arguments)


def imported(project: Project, *arguments: str, code: int = 0) -> dict[str, Any]:
    result = call(project, *arguments, "--json")
    assert result.code == code, result.err
    return json.loads(result.out)


def numbers(found: dict[str, Any]) -> tuple[int, int, int]:
    assert found["rows"] == found["stored"] + found["known"] + sum(found["rejected"].values())
    return found["stored"], found["known"], sum(found["rejected"].values())


def rejects(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(f"{name}.rejected.jsonl").read_text().splitlines()]


def lines(*records: Any) -> str:
    return "".join(f"{record if isinstance(record, str) else json.dumps(record)}\n" for record in records)


def stored(project: Project) -> list[dict[str, Any]]:
    with EventStore.open(project.database_url) as store:
        found = [event for kind in TYPES for event in store.events_outside(kind, [])]
    return [json.loads(to_json(event)) for event in sorted(found, key=lambda event: (event.at, event.id))]
