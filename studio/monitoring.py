"""What those who run a studio see of it: figures for Prometheus, and logs of which each line is a JSON object."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from pipelines.core import timestamps

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}  # others are counted together
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class Monitor:
    """Of one studio."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route")
        self.requests = Counter("genloop_requests_total", "Answers.", (*labels, "status"), registry=self.registry)
        self.seconds = Histogram("genloop_request_seconds", "Time to answer.", labels, buckets=SECONDS, registry=self.registry)
        self.events = Counter("genloop_events_total", "Events that were stored.", ("type",), registry=self.registry)
        self.samples = Counter("genloop_samples_total", "Pictures that were shown.", ("guided",), registry=self.registry)
        self.version = Gauge("genloop_champion_version", "Version that is shown; 0 for none.", registry=self.registry)
        self.failing = Gauge("genloop_champion_failing", "1 where the champion cannot be shown.", registry=self.registry)
        self.judgements = Gauge("genloop_judgements", "Judgements that the live model knows.", registry=self.registry)
        self.guided = Gauge("genloop_taste_known", "1 where it is known what people like.", registry=self.registry)

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        method = method if method in METHODS else "other"
        self.requests.labels(method, route, str(status)).inc()
        self.seconds.labels(method, route).observe(seconds)

    def text(self) -> bytes:
        """In Prometheus' text format."""
        return generate_latest(self.registry)


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {"at": timestamps.iso(timestamps.now(), "microseconds"), "level": record.levelname.lower()}
        line |= {"message": record.getMessage(), **getattr(record, "facts", {})}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line)


class PlainFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        facts = " ".join(f"{value}" for name, value in getattr(record, "facts", {}).items() if name != "id")
        text = facts if record.getMessage() == "request" else f"{record.getMessage()} {facts}".strip()
        if record.exc_info:
            text += f"\n{self.formatException(record.exc_info)}"
        return text


def set_up_logs(kind: str = "") -> logging.Logger:
    """Lines on stderr: JSON for programs, short ones for a person at a terminal.

    kind: json or plain, whatever stderr is; plain leaves out requests that were answered well.
    """
    log = logging.getLogger("genloop.studio")
    log.handlers.clear()
    handler = logging.StreamHandler(sys.stderr)
    plain = kind == "plain" or (not kind and sys.stderr.isatty())
    handler.setFormatter(PlainFormatter() if plain else JsonFormatter())
    if kind == "plain":
        handler.addFilter(lambda record: getattr(record, "facts", {}).get("status", 500) >= 400)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
    return log
