"""Notifications: a signed JSON message to a webhook when a run fails or the gate gives a verdict; docs/schedules.md.

A notification that does not arrive is said in a line, and never fails what it is about.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from pipelines.core import timestamps
from pipelines.core.environment import is_this_machine, split
from pipelines.core.progress import say
from pipelines.core.project import Project
from pipelines.settings.schema import NotifyParams, Params

URL = "GENLOOP_WEBHOOK_URL"  # instead of notify.webhook, where the address itself is a secret
SECRET = "GENLOOP_WEBHOOK_SECRET"
TIMEOUT = 5.0  # seconds, for each try
PAUSES = (0.5, 2.0)  # seconds before the second and the third try
ERRORS = (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError, ImportError)


@dataclass(frozen=True)
class Notice:
    """flow, run: of Prefect, by name and id. text: for people. about: what makes it another message than others of its event;
    by default the run and the text. facts: more keys of the message."""

    event: Literal["failed", "verdict"]
    flow: str | None
    run: str | None
    text: str
    about: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    def message(self, project: str, at: str, link: str | None = None) -> dict[str, Any]:
        about = "\n".join([project, self.event, self.about or f"{self.run} {self.text}"])
        run = {"id": self.run, "flow": self.flow, "url": link}
        name = hashlib.sha256(about.encode()).hexdigest()[:32]
        return {"id": name, "event": self.event, "project": project, "at": at, "text": self.text, "run": run, **self.facts}


def send(project: Project, params: Params | None, notice: Notice, link: str | None = None) -> bool:
    """Whether the webhook has taken the notice; False also where there is none for it.

    params: None where they cannot be read.
    """
    notify = params.notify if params else NotifyParams()
    url = project.environment.get(URL) or notify.webhook
    if not url or notice.event not in notify.events:
        return False
    name = project.environment.get("GENLOOP_PROJECT_NAME") or (params.registry.model if params else project.root.name)
    message = notice.message(name, timestamps.iso(timestamps.now(), "seconds"), link)
    message["text"] = project.shorten(message["text"])
    fault = post(url, message, project.environment.get(SECRET))
    if fault:
        say(f"the notification to {split(url).hostname or 'the webhook'} was not delivered: {fault}")
    return fault is None


def post(url: str, message: dict[str, Any], secret: str | None) -> str | None:
    """What went wrong, in words without the address, which may be a secret; None where the message was taken."""
    body = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    host = split(url).hostname
    if host is None or not url.startswith(("http://", "https://")):
        return f"expected an address like https://HOST/PATH in {URL}"
    fault = ""
    for pause in (0.0, *PAUSES):
        time.sleep(pause)
        try:
            with httpx.Client(trust_env=not is_this_machine(host), timeout=TIMEOUT) as client:
                answer = client.post(url, content=body, headers=headers(message["id"], body, secret))
        except ERRORS as error:
            fault = type(error).__name__
            continue
        if answer.is_success:
            return None
        fault = f"HTTP {answer.status_code}"
        if answer.status_code < httpx.codes.INTERNAL_SERVER_ERROR and answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
            break  # the same message would be refused again
    return fault


def headers(name: str, body: bytes, secret: str | None) -> dict[str, str]:
    found = {"Content-Type": "application/json", "User-Agent": "genloop", "Idempotency-Key": name}
    return found | ({"X-Genloop-Signature": sign(body, secret, int(time.time()))} if secret else {})


def sign(body: bytes, secret: str, at: int) -> str:
    """The header's value. `at` is signed as well, so that a receiver can refuse a message that is sent again later."""
    digest = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"
