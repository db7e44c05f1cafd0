"""genloop import-feedback as a user calls it, and what came of it."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from typer.testing import CliRunner

import genloop
from pipelines.feedback.events import to_json
from pipelines.feedback.store.event_store import Store


def call(*arguments: str) -> SimpleNamespace:
    result = CliRunner().invoke(genloop.app, ["import-feedback", *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return SimpleNamespace(code=result.exit_code, out=result.stdout, err=result.stderr)


def imported(*arguments: str, code: int = 0) -> dict[str, Any]:
    result = call(*arguments, "--json")
    assert result.code == code, result.err
    return json.loads(result.out)


def numbers(found: dict[str, Any]) -> tuple[int, int, int]:
    assert found["rows"] == found["stored"] + found["known"] + sum(found["rejected"].values())
    return found["stored"], found["known"], sum(found["rejected"].values())


def rejects(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path(f"{name}.rejected.jsonl").read_text().splitlines()]


def lines(*records: Any) -> str:
    return "".join(f"{record if isinstance(record, str) else json.dumps(record)}\n" for record in records)


def stored() -> list[dict[str, Any]]:
    with Store.open() as store:
        found = store.claim("looked at")
        store.release("looked at")
    return [json.loads(to_json(event)) for event in found]
