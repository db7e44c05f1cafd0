"""A client of the studio's API for a product's own backend: typed, and it asks again where that is safe.

>>> with Client("http://127.0.0.1:8400", key) as studio:
...     pictures = studio.generate(4, guided=True, visitor="alice")
...     studio.vote(pictures[0], 1, visitor="alice")

It needs httpx and nothing else of the project, so that the file can be copied.
"""

from __future__ import annotations

import random
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx

AGAIN = {408, 429, 502, 503, 504}  # statuses after which the same request may succeed
TRIES = 5
LONGEST = 30.0  # seconds between two tries


class StudioError(Exception):
    """The studio refused a request; `status` and `detail` are its own."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(f"{status}: {detail}")
        self.status, self.detail = status, detail


@dataclass(frozen=True)
class Picture:
    """A sample that was shown. token: by which its visitor votes on it. approval: how likely people like it, if known.
    prompt: by which it was asked for, in place of a label."""

    version: int
    seed: int
    label: int | None
    url: str
    token: str
    guided: bool
    approval: float | None = None
    prompt: str | None = None


@dataclass(frozen=True)
class Stored:
    """What became of events: how many are new, how many were known, and why others were rejected, by their places."""

    stored: int
    known: int
    rejected: dict[int, str]


class Client:
    """Every request is tried again for a while where the studio is busy or away: events have ids, so that none counts twice."""

    def __init__(self, address: str, key: str, timeout: float = 30.0, tries: int = TRIES) -> None:
        headers = {"authorization": f"Bearer {key}"}
        self.http = httpx.Client(base_url=address, headers=headers, timeout=timeout)
        self.tries = tries

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self.http.close()

    def generate(
        self,
        count: int,
        label: str | int | None = None,
        seed: int | None = None,
        guided: bool = False,
        temperature: float | None = None,
        visitor: str | None = None,
        prompt: str | None = None,
    ) -> list[Picture]:
        """visitor: whom the pictures are shown to, as your product names them; guided pictures go by their taste.
        prompt: in place of a label, where the studio and its version take prompts."""
        asked = {"label": label, "seed": seed, "temperature": temperature, "visitor": visitor, "prompt": prompt}
        body = {"count": count, "guided": guided, **{name: value for name, value in asked.items() if value is not None}}
        return [Picture(**sample) for sample in self.ask("POST", "/api/v1/generate", body)["samples"]]

    def variations(self, picture: Picture, count: int = 12, seed: int = 0, visitor: str | None = None) -> list[Picture]:
        """Others that look like a picture."""
        body = {"sample": sample_of(picture), "count": count, "seed": seed, **({"visitor": visitor} if visitor else {})}
        return [Picture(**sample) for sample in self.ask("POST", "/api/v1/variations", body)["samples"]]

    def picture(self, picture: Picture) -> bytes:
        """Its PNG."""
        return self.send("GET", picture.url, None).content

    def vote(self, picture: Picture, value: int, visitor: str | None = None, reason: str | None = None) -> Stored:
        """value: 1 for a like, -1 for a dislike."""
        event = {"type": "vote", "sample": sample_of(picture), "value": value, "token": picture.token}
        named = {"rater": visitor, "reason": reason}
        return self.events([{**event, **{name: text for name, text in named.items() if text is not None}}])

    def events(self, events: Sequence[Mapping[str, Any]]) -> Stored:
        """Send events as the API takes them; those without an id get one."""
        sent = [{"id": uuid.uuid4().hex, **event} for event in events]
        answer = self.ask("POST", "/api/v1/events", sent)
        rejected = {one["index"]: one["reason"] for one in answer["rejected"]}
        return Stored(answer["stored"], answer["known"], rejected)

    def model(self) -> dict[str, Any]:
        """The version that is shown, its classes and the size of its pictures."""
        found: dict[str, Any] = self.ask("GET", "/api/v1/model")
        return found

    def stats(self) -> dict[str, Any]:
        """How much has been said, and how many judgements are lacking until pictures can be chosen by what people like."""
        found: dict[str, Any] = self.ask("GET", "/api/v1/stats")
        return found

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        return self.send(method, path, body).json()

    def send(self, method: str, path: str, body: Any) -> httpx.Response:
        """Raises StudioError, or httpx.TransportError where the studio cannot be reached for all that."""
        for number in range(1, self.tries + 1):
            try:
                answer = self.http.request(method, path, json=body)
            except httpx.TransportError:
                if number == self.tries:
                    raise
                time.sleep(pause(number, None))
                continue
            if answer.is_success:
                return answer
            if answer.status_code not in AGAIN or number == self.tries:
                raise StudioError(answer.status_code, detail_of(answer))
            time.sleep(pause(number, answer.headers.get("retry-after")))
        raise AssertionError


def pause(number: int, told: str | None) -> float:
    """Seconds to wait: what the studio says, or longer each time and by chance, so that many do not come back at once."""
    if told is not None and told.isdigit():
        return min(float(told), LONGEST)
    return random.uniform(0.5, 1) * min(0.2 * 2**number, LONGEST)


def detail_of(answer: httpx.Response) -> str:
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return answer.reason_phrase


def sample_of(picture: Picture) -> dict[str, Any]:
    given = {"label": picture.label, "prompt": picture.prompt}
    return {
        "version": picture.version,
        "seed": picture.seed,
        **{name: value for name, value in given.items() if value is not None},
    }
