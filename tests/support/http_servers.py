"""Small HTTP servers on this machine: a proxy that notes what it is asked for, one that answers with what it was given, and one
that takes what is posted to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

Answer = tuple[int, str, str]  # HTTP status, content type, text


@contextmanager
def proxy() -> Iterator[tuple[str, list[str]]]:
    """The address of a proxy that passes nothing on, and the list of what it was asked for."""
    asked: list[str] = []

    class Refusing(BaseHTTPRequestHandler):
        def refuse(self) -> None:
            asked.append(f"{self.command} {self.path}")
            self.send_error(502, "no way out")

        do_GET = do_POST = do_CONNECT = refuse  # noqa: N815

        def log_message(self, *_: object) -> None:
            pass

    with serving(Refusing) as port:
        yield f"http://127.0.0.1:{port}", asked


@contextmanager
def answering(answers: dict[str, Answer], host: str = "127.0.0.1") -> Iterator[str]:
    """The address of a server that gives these answers by path, and to any other path 404."""

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, kind, text = answers.get(self.path, (404, "application/json", '{"detail": "Not Found"}'))
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with serving(Answering, host) as port:
        yield f"http://{host}:{port}"


@contextmanager
def serving(handler: type[BaseHTTPRequestHandler], host: str = "127.0.0.1") -> Iterator[int]:
    with ThreadingHTTPServer((host, 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


@dataclass
class Received:
    """What was posted: headers and body, as they came."""

    headers: dict[str, str]
    body: bytes


@contextmanager
def receiving(*statuses: int) -> Iterator[tuple[str, list[Received]]]:
    """The address of a server that takes what is posted to it, and the list of that.

    statuses: its answers, one after the other; the last one to all that come after.
    """
    received: list[Received] = []

    class Receiving(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            received.append(Received(dict(self.headers.items()), body))
            self.send_response(statuses[min(len(received), len(statuses)) - 1] if statuses else 200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with serving(Receiving) as port:
        yield f"http://127.0.0.1:{port}", received
