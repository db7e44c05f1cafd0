"""A studio that a test runs: the application on a port of its own, in a thread, and clients of it."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Any

import httpx
import uvicorn

from pipelines.core.project import Project
from studio import app, settings
from studio.server import listen

PRODUCT, WRITER, BOSS = "0123456789abcdef-product", "0123456789abcdef-writer", "0123456789abcdef-boss"
KEYS = f"shop:generate+events:{PRODUCT},writer:events:{WRITER},boss:admin:{BOSS}"
SECRET = "a secret of these tests, that is long enough"
PATIENCE = 20.0  # seconds


class Studio:
    """log: what the studio has said to those who run it."""

    def __init__(self, project: Project) -> None:
        self.project, self.log = project, list[str]()
        self.listener = listen("127.0.0.1", 0)
        self.port = self.listener.getsockname()[1]
        self.address = f"http://127.0.0.1:{self.port}"
        self.app = app.make(project, settings.read(project, "127.0.0.1", self.port), self.log.append)
        self.service, self.painter = self.app.state.service, self.app.state.service.painter
        self.server = uvicorn.Server(uvicorn.Config(self.app, log_level="error", server_header=False))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]}, daemon=True)

    def __enter__(self) -> Studio:
        self.thread.start()
        wait_for(lambda: self.server.started)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.server.should_exit = True
        self.thread.join(PATIENCE)
        assert not self.thread.is_alive()

    def wait_ready(self) -> None:
        wait_for(lambda: self.painter.guide is not None)

    def client(self, key: str | None = None, **headers: str) -> httpx.Client:
        """Of the holder of a key, or without one a browser that has opened the page."""
        named = {"authorization": f"Bearer {key}"} if key else {}
        client = httpx.Client(base_url=self.address, headers={**named, **headers}, timeout=PATIENCE)
        if key is None:
            assert client.get("/give").status_code == 200
        return client


def wait_for(true: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it has not come about in time"
        time.sleep(0.01)


def generate(client: httpx.Client, count: int = 1, **more: Any) -> list[dict[str, Any]]:
    answer = client.post("/api/v1/generate", json={"count": count, **more})
    assert answer.status_code == 200, answer.text
    samples: list[dict[str, Any]] = answer.json()["samples"]
    return samples


def vote_on(sample: dict[str, Any], name: str, value: int = 1, **more: Any) -> dict[str, Any]:
    about = {key: sample[key] for key in ("version", "seed", "label") if sample[key] is not None}
    return {"id": name, "type": "vote", "sample": about, "value": value, "token": sample["token"], **more}
