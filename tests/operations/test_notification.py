"""Notifications come signed, once, or with a line that says why not; and they never fail what they tell of."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from pathlib import Path

import pytest

from operations import notification
from operations.notification import Notice
from pipelines.core.project import Project
from pipelines.settings.schema import Params
from tests.conftest import MakeParams, project_in
from tests.support import http_servers
from tests.support.http_servers import Received

SECRET = "correct horse battery staple"
FAILED = Notice("failed", "retrain", "0198", "retrain: train: killed by SIGKILL", facts={"state": "failed"})


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notification, "PAUSES", (0.0, 0.0))


def params_with(make_params: MakeParams, url: str, *events: str) -> Params:
    return make_params({"notify.webhook": url, "notify.events": list(events or ("failed", "verdict"))})


def signed(project: Project) -> Project:
    return project.with_variables({notification.SECRET: SECRET})


def is_genuine(received: Received, secret: str, now: float, tolerance: float = 300) -> bool:
    """What docs/schedules.md tells a receiver to do."""
    parts = dict(part.split("=", 1) for part in received.headers["X-Genloop-Signature"].split(","))
    expected = hmac.new(secret.encode(), parts["t"].encode() + b"." + received.body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, parts["v1"]) and abs(now - int(parts["t"])) <= tolerance


def test_a_receiver_can_tell_that_a_message_is_ours_and_new(project: Project, make_params: MakeParams) -> None:
    with http_servers.receiving() as (url, received):
        assert notification.send(signed(project), params_with(make_params, url), FAILED, "http://prefect/runs/flow-run/0198")
    (one,) = received
    assert is_genuine(one, SECRET, time.time())
    assert not is_genuine(one, "another secret", time.time())
    assert not is_genuine(one, SECRET, time.time() + 301)  # somebody sends it again later
    assert not is_genuine(Received(one.headers, one.body.replace(b"train", b"paint")), SECRET, time.time())
    message = json.loads(one.body)
    at = message.pop("at")
    assert at.endswith("Z")
    assert one.headers["Idempotency-Key"] == message.pop("id")
    assert message == {
        "event": "failed",
        "project": "genloop-digits",
        "text": "retrain: train: killed by SIGKILL",
        "state": "failed",
        "run": {"id": "0198", "flow": "retrain", "url": "http://prefect/runs/flow-run/0198"},
    }


def test_the_same_notice_has_the_same_id_and_another_one_another(project: Project) -> None:
    verdict = Notice("verdict", "retrain", "1", "version 4: reject", about="4 3 2026-01-31", facts={"verdict": {}})
    later = Notice("verdict", "promote", "2", "version 4: reject", about="4 3 2026-01-31", facts={"verdict": {}})
    ids = [notice.message("digits", "now")["id"] for notice in (verdict, later, FAILED)]
    assert ids[0] == ids[1] != ids[2]
    assert FAILED.message("digits", "now")["id"] == FAILED.message("digits", "later")["id"]


def test_a_receiver_that_fails_is_asked_again_with_the_same_id(project: Project, make_params: MakeParams) -> None:
    with http_servers.receiving(503, 429, 200) as (url, received):
        assert notification.send(signed(project), params_with(make_params, url), FAILED)
    assert len(received) == 3
    assert len({one.headers["Idempotency-Key"] for one in received}) == 1
    assert len({one.body for one in received}) == 1


@pytest.mark.parametrize(("status", "tries"), [(400, 1), (404, 1), (302, 1), (500, 3)])
def test_what_is_not_delivered_is_said_without_secrets(
    status: int, tries: int, project: Project, make_params: MakeParams, capsys: pytest.CaptureFixture[str]
) -> None:
    with http_servers.receiving(status) as (url, received):
        assert not notification.send(signed(project), params_with(make_params, f"{url}/hooks/T0P-5ECRET"), FAILED)
    assert len(received) == tries
    said = capsys.readouterr().err
    assert said == f"the notification to 127.0.0.1 was not delivered: HTTP {status}\n"


def test_a_receiver_that_is_away_or_silent_takes_seconds_at_most(
    project: Project, make_params: MakeParams, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not notification.send(project, params_with(make_params, "http://127.0.0.1:9/hook"), FAILED)
    assert capsys.readouterr().err == "the notification to 127.0.0.1 was not delivered: ConnectError\n"
    import socket

    monkeypatch.setattr(notification, "TIMEOUT", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        started = time.monotonic()
        assert not notification.send(project, params_with(make_params, url), FAILED)
    assert time.monotonic() - started < 3
    assert "ReadTimeout" in capsys.readouterr().err


def test_only_events_that_are_asked_for_are_sent(project: Project, make_params: MakeParams) -> None:
    with http_servers.receiving() as (url, received):
        assert not notification.send(project, params_with(make_params, url, "verdict"), FAILED)
        assert not notification.send(project, make_params(), FAILED)
        assert received == []
        assert notification.send(project, params_with(make_params, url, "failed"), FAILED)
    assert "X-Genloop-Signature" not in received[0].headers  # nobody has given a secret


def test_the_environment_may_name_the_webhook_also_where_params_cannot_be_read(tmp_path: Path) -> None:
    with http_servers.receiving() as (url, received):
        project = project_in(tmp_path, **{notification.URL: url, "GENLOOP_PROJECT_NAME": "faces"})
        assert notification.send(project, None, FAILED)
    assert json.loads(received[0].body)["project"] == "faces"


@pytest.mark.parametrize("url", ["hooks.example.org/x", "ftp://example.org", "http://[::1", "http://example.org:port/"])
def test_an_address_that_is_none_is_a_line(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert not notification.send(project_in(tmp_path, **{notification.URL: url}), None, FAILED)
    said = capsys.readouterr().err
    assert "was not delivered" in said
    assert "Traceback" not in said
