"""Timestamps as the project writes them. Each has a time zone; the project keeps UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Literal


def now() -> datetime:
    return datetime.now(UTC)


def iso(at: datetime, precision: Literal["auto", "seconds", "microseconds"] = "auto") -> str:
    """2026-01-31T12:00:00Z; with "microseconds" all texts have one length, and sort as the instants do."""
    return at.astimezone(UTC).isoformat(timespec=precision).removesuffix("+00:00") + "Z"


def minutes(at: datetime) -> str:
    """2026-01-31 12:00 UTC, for people."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def seconds(at: datetime) -> str:
    """2026-01-31 12:00:00, for people; in tables whose heading or docs say UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S}"
