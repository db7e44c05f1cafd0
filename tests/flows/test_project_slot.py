"""One run at a time also among machines that share only Prefect's server, and no slot that is taken for good."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL, temporary_settings

from flows import project_slot
from flows.project_slot import ProjectSlot
from tests.conftest import MakeParams, project_in

pytestmark = pytest.mark.slow  # on a server of Prefect's


@pytest.fixture
def client(prefect_server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncPrefectClient]:
    monkeypatch.setattr(project_slot, "POLL", 0.05)
    settings = {PREFECT_API_URL: prefect_server["PREFECT_API_URL"]}
    settings |= {PREFECT_API_AUTH_STRING: prefect_server["PREFECT_API_AUTH_STRING"]}
    with temporary_settings(settings), get_client(sync_client=True) as found:
        yield found


@pytest.fixture
def name() -> str:
    return f"genloop-{uuid4().hex}"


@contextmanager
def held(slot: ProjectSlot, waits: list[str] | None = None) -> Iterator[None]:
    slot.acquire((waits if waits is not None else []).append)
    try:
        yield
    finally:
        slot.release()


def forget(client: SyncPrefectClient, slot: ProjectSlot) -> None:
    """As a server that keeps leases in memory and was started anew: the slot is taken, and nobody's."""
    assert slot.lease is not None
    client.release_concurrency_slots_with_lease(slot.lease)
    client.update_global_concurrency_limit(slot.name, GlobalConcurrencyLimitUpdate(active_slots=1))


def slots(client: SyncPrefectClient, name: str) -> int:
    return client.read_global_concurrency_limit_by_name(name).active_slots


def test_another_machine_waits_until_the_run_has_ended(client: SyncPrefectClient, name: str, tmp_path: Path) -> None:
    one, other = ProjectSlot(client, name, tmp_path / "a/lease"), ProjectSlot(client, name, tmp_path / "b/lease")
    waits: list[str] = []
    with ThreadPoolExecutor() as pool:
        with held(one):
            waiting = pool.submit(other.acquire, waits.append)
            time.sleep(0.5)
            assert not waiting.done()
        waiting.result(30)
    assert [words.partition(", on ")[0] for words in waits] == ["another run is going on in this project"]
    other.release()
    assert slots(client, name) == 0


def test_the_slot_of_a_killed_run_is_free_at_once_on_its_machine(client: SyncPrefectClient, name: str, tmp_path: Path) -> None:
    killed = ProjectSlot(client, name, tmp_path / "lease")
    killed.acquire(pytest.fail)
    again = ProjectSlot(client, name, tmp_path / "lease")
    with held(again):
        assert again.lease != killed.lease
        assert slots(client, name) == 1


def test_a_slot_whose_lease_the_server_has_forgotten_is_not_taken_for_good(
    client: SyncPrefectClient, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed = ProjectSlot(client, name, tmp_path / "lease")
    killed.acquire(pytest.fail)
    forget(client, killed)
    started = time.monotonic()
    with held(ProjectSlot(client, name, tmp_path / "lease")):
        assert time.monotonic() - started < 10  # on its machine at once
        forget(client, killed)
    killed.give_sign(client)
    client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(active_slots=1))
    monkeypatch.setattr(project_slot, "PATIENCE", 0.5)
    with held(ProjectSlot(client, name, tmp_path / "elsewhere")):  # on another one when it has given no sign for long enough
        assert slots(client, name) == 1


def test_a_run_that_gives_signs_is_waited_for_however_long(
    client: SyncPrefectClient, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project_slot, "PATIENCE", 0.5)
    monkeypatch.setattr(project_slot, "RENEWAL", 0.05)
    one, other = ProjectSlot(client, name, tmp_path / "a"), ProjectSlot(client, name, tmp_path / "b")
    with ThreadPoolExecutor() as pool:
        with held(one), one.renewed():
            waiting = pool.submit(other.acquire, lambda _: None)
            time.sleep(2)
            assert not waiting.done()
        waiting.result(30)
    other.release()


def test_who_lost_the_lease_takes_the_slot_again_unless_another_run_has_it(
    client: SyncPrefectClient, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signals: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _, number: signals.append(number))
    one, other = ProjectSlot(client, name, tmp_path / "a"), ProjectSlot(client, name, tmp_path / "b")
    one.acquire(pytest.fail)
    forget(client, one)
    before = one.lease
    one.renew_once(client)
    assert one.lease != before
    assert slots(client, name) == 1
    assert one.lease is not None
    client.release_concurrency_slots_with_lease(one.lease)  # it did not renew in time, so the server has taken it for dead
    before = one.lease
    one.renew_once(client)
    assert one.lease != before
    client.release_concurrency_slots_with_lease(one.lease)
    other.acquire(pytest.fail)
    assert signals == []
    one.renew_once(client)
    assert signals == [signal.SIGTERM]
    other.release()


def test_a_server_that_goes_away_does_not_end_the_run(
    client: SyncPrefectClient, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(project_slot, "RENEWAL", 0.05)
    signals: list[int] = []
    monkeypatch.setattr(os, "kill", lambda _, number: signals.append(number))
    slot = ProjectSlot(client, name, tmp_path / "lease")
    slot.acquire(pytest.fail)
    with temporary_settings({PREFECT_API_URL: "http://127.0.0.1:9/api"}), slot.renewed():
        time.sleep(1)
    slot.release()
    assert signals == []
    assert slots(client, name) == 0


def test_machines_that_share_a_registry_share_a_name(tmp_path: Path, make_params: MakeParams) -> None:
    params = make_params()
    urls = ("http://mlflow:5000", "http://ann:secret@mlflow:5000", "postgresql://ann:secret@db/mlflow", "sqlite:///mlflow.db")
    names = [
        [project_slot.name(project_in(tmp_path / place, MLFLOW_TRACKING_URI=url), params) for place in "ab"] for url in urls
    ]
    assert [one == other for one, other in names] == [True, True, True, False]  # a file of this machine is this folder's
    assert names[0] == names[1]
    assert len({name for pair in names for name in pair}) == 4
    assert "secret" not in str(names)
    named = project_in(tmp_path, GENLOOP_PROJECT_NAME="Faces of Ann & Bob")
    assert project_slot.name(named, params) == "genloop-faces-of-ann-bob"
