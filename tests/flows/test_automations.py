"""Automations of Prefect's server: made once, kept as they should be."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from prefect import get_client
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import SyncPrefectClient
from prefect.events import emit_event
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from flows import automations
from flows.notices import VERDICT
from tests.support import http_servers
from tests.support.tiny_project import until

pytestmark = pytest.mark.slow  # on a server of Prefect's


@pytest.fixture
def client(prefect_server: dict[str, str]) -> Iterator[SyncPrefectClient]:
    settings = {PREFECT_API_URL: prefect_server["PREFECT_API_URL"]}
    settings |= {PREFECT_API_AUTH_STRING: prefect_server["PREFECT_API_AUTH_STRING"]}
    with temporary_settings(settings), get_client(sync_client=True) as found:
        yield found


def test_a_second_call_changes_nothing_and_what_a_person_has_paused_stays_so(
    client: SyncPrefectClient, capsys: pytest.CaptureFixture[str]
) -> None:
    automations.main([])
    for found in client.read_automations():
        client.pause_automation(found.id)
    before = contents(client)
    capsys.readouterr()
    automations.main([])
    assert capsys.readouterr().err.splitlines() == [
        "kept: genloop: a run without heartbeats has crashed",
        "kept: genloop: a run without heartbeats is run again",
    ]
    assert contents(client) == before
    for found in client.read_automations():
        client.resume_automation(found.id)


def contents(client: SyncPrefectClient) -> dict[Any, Any]:
    """Without triggers, whose parts get new ids each time."""
    keys = {"name", "description", "enabled", "actions"}
    return {found.id: found.model_dump(include=keys) for found in client.read_automations()}


def test_faults_are_a_line_and_an_exit_code(client: SyncPrefectClient, capsys: pytest.CaptureFixture[str]) -> None:
    for block, words in (
        ("team", "expected TYPE/NAME, as in sendgrid-email/team"),
        ("sendgrid-email/nobody", "has no such block"),
    ):
        with pytest.raises(SystemExit) as caught:
            automations.main(["--notify", block])
        assert caught.value.code == 2
        assert words in capsys.readouterr().err
    with temporary_settings({PREFECT_API_URL: None}), pytest.raises(SystemExit) as caught:
        automations.main([])
    assert caught.value.code == 2
    assert "PREFECT_API_URL is not set" in capsys.readouterr().err
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}), pytest.raises(SystemExit) as caught:
        automations.main([])
    assert caught.value.code == 1


@pytest.mark.slow
def test_a_notification_block_is_told_of_a_verdict(client: SyncPrefectClient) -> None:
    with http_servers.receiving() as (url, received):
        name = f"team-{uuid4().hex[:8]}"
        block = CustomWebhookNotificationBlock(name="team", url=url, json_data={"text": "{{ body }}"}, allow_private_urls=True)
        block.save(name)
        automations.main(["--notify", f"custom-webhook/{name}"])

        def told() -> bool:
            emit_event(VERDICT, {"prefect.resource.id": "genloop.model.digits.4"}, payload={"text": "version 4: promote"})
            return any(b"version 4: promote" in one.body for one in received)

        until(told, 60)
