"""What `flows.health` says of what answers at a PREFECT_API_URL."""

from __future__ import annotations

import importlib.metadata
import sys

import pytest

from flows import health
from tests.support import http_servers
from tests.support.http_servers import Answer

JSON, HTML = "application/json", "text/html; charset=utf-8"
OWN = importlib.metadata.version("prefect")
HEALTHY: Answer = (200, JSON, "true")


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        ({"/api/health": HEALTHY, "/api/admin/version": (200, JSON, f'"{OWN}"')}, None),
        ({"/api/health": HEALTHY, "/api/admin/version": (200, JSON, '"3.0.1"')}, None),
        ({"/api/health": HEALTHY, "/api/admin/version": (401, JSON, "{}")}, None),
        (
            {"/api/health": HEALTHY, "/api/admin/version": (200, JSON, '"2.20.3"')},
            f"is Prefect 2.20.3, and here is {OWN}; start one",
        ),
        ({"/api/health": (200, HTML, "<html>Please log in</html>")}, "is not Prefect's API (HTTP 200, text/html)"),
        ({"/api/health": (302, HTML, "")}, "is not Prefect's API (HTTP 302, text/html)"),
        ({"/api/health": (200, JSON, '{"status": "OK"}')}, "is not Prefect's API (HTTP 200, application/json)"),
        ({"/api/health": (401, HTML, ""), "/api/admin/version": (401, HTML, "")}, None),  # it may know Prefect's own client
        ({"/api/health": (403, HTML, "")}, "is not Prefect's API (HTTP 403, text/html)"),
        ({}, "its address ends with /api"),
        ({"/api/health": (503, JSON, "{}")}, "answers with HTTP 503"),
    ],
)
def test_what_answers_is_named(answers: dict[str, Answer], words: str | None) -> None:
    with http_servers.answering(answers) as server:
        found = health.fault(f"{server}/api")
        assert found is None if words is None else (words in (found or "") and server in (found or ""))
        assert health.fault(f"{server}/api/") == found or words  # a slash at the end makes no difference


def test_what_does_not_answer_is_told_from_what_is_no_address() -> None:
    assert "http://127.0.0.1:9/api does not answer" in (health.fault("http://127.0.0.1:9/api") or "")
    assert "http://127.0.0.1:port/api does not answer" in (health.fault("http://127.0.0.1:port/api") or "")
    for url in ("127.0.0.1", "http://[::1/api"):
        assert f"PREFECT_API_URL={url} is no address" in (health.fault(url) or "")


@pytest.mark.parametrize("name", ["HTTP_PROXY", "all_proxy"])
def test_a_server_of_this_machine_is_asked_without_a_proxy_and_another_with_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with http_servers.proxy() as (proxy, asked), http_servers.answering({"/api/health": HEALTHY}) as server:
        monkeypatch.setenv(name, proxy)
        assert health.fault(f"{server}/api") is None
        assert asked == []
        assert "HTTP 502" in (health.fault("http://far.example/api") or "")
        assert asked[0] == "GET http://far.example/api/health"


def test_a_socks_proxy_without_its_package_is_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    with http_servers.answering({"/api/health": HEALTHY}) as server:
        assert health.fault(f"{server}/api") is None
    assert "socksio" in (health.fault("http://far.example/api") or "")
