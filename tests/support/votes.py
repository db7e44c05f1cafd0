"""Votes with ids e0, e1, … by three raters."""

from __future__ import annotations

from typing import Any

from pipelines.feedback.events import Event, parse


def votes(first: int, count: int) -> list[Event]:
    return [vote(number) for number in range(first, first + count)]


def vote(number: int, **other: Any) -> Event:
    """One of them, with the keys of `other`; None leaves a key out."""
    fields = {"id": f"e{number}", "type": "vote", "rater": f"r{number % 3}", "at": f"2026-01-{1 + number % 31:02}T12:00:00Z"}
    fields |= {"sample": {"version": 1, "seed": number, "label": number % 3}, "value": 1, **other}
    return parse({key: value for key, value in fields.items() if value is not None})
