"""One run at a time of a project that is worked on by machines without a common file system: a concurrency limit of Prefect's.

The limit has one slot, with a lease: Prefect's server frees the slot of a run that does not renew it any more. Two things it
does not do by itself. A killed run's slot would be taken for two minutes, also where the next run on its machine knows that it
is dead: so the lease's id is in a file. And a server that is started anew may have forgotten its leases, but not that the slot
is taken: so who holds it says so in a Prefect variable, and who waits takes the slot where that stays the same for too long.
"""

from __future__ import annotations

import contextvars
import hashlib
import json
import os
import random
import re
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any
from uuid import UUID

import httpx
from prefect import get_client
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import (
    GlobalConcurrencyLimitCreate,
    GlobalConcurrencyLimitUpdate,
    VariableCreate,
    VariableUpdate,
)
from prefect.client.schemas.objects import ConcurrencyLeaseHolder
from prefect.exceptions import ObjectAlreadyExists, ObjectNotFound
from prefect.runtime import flow_run

from flows.server import is_shared
from pipelines.core import files, timestamps
from pipelines.core.environment import split
from pipelines.core.project import Project
from pipelines.settings.schema import Params

NAME = "GENLOOP_PROJECT_NAME"
LEASE = 120.0  # seconds; Prefect allows 60 or more
RENEWAL = 20.0  # seconds between two renewals, and so between two signs of life
POLL = 2.0  # seconds between two tries to get the slot
PATIENCE = 1.5 * LEASE  # seconds without a sign of life after which the server should have freed the slot, and has not


@contextmanager
def hold(project: Project, params: Params, wait: Callable[[str], None]) -> Iterator[None]:
    """Hold the project among all machines that use its Prefect server; with a server of our own there are none.

    The caller holds the run's lock of this machine. wait: gets a message before we wait for another run.
    """
    if not is_shared(project):
        yield
        return
    with get_client(sync_client=True) as client:
        slot = ProjectSlot(client, name(project, params), project.logs / "prefect-lease.json")
        slot.acquire(wait)
        try:
            with slot.renewed():
                yield
        finally:
            slot.release()


def name(project: Project, params: Params) -> str:
    """The same on all machines that work on a project: by its registry, unless the environment names it."""
    if given := project.environment.get(NAME):
        return f"genloop-{slug(given)}"
    address = split(project.tracking_uri)
    # A local registry is one machine's; of another the password is no part of it.
    place = f"{address.hostname}:{address.port}{address.path}" if address.hostname else f"{socket.gethostname()}{address.path}"
    return f"genloop-{slug(params.registry.model)}-{hashlib.sha256(place.encode()).hexdigest()[:8]}"


def slug(text: str) -> str:
    return re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")[:80]


class ProjectSlot:
    """The one slot of a limit. file: where the lease that this machine had last is written down."""

    def __init__(self, client: SyncPrefectClient, name: str, file: Path) -> None:
        self.client, self.name, self.file = client, name, file
        self.lease: UUID | None = None

    def acquire(self, wait: Callable[[str], None]) -> None:
        self.create()
        ended = self.last_lease()  # whose holder has ended, because we hold the lock of this machine
        if ended:
            self.client.release_concurrency_slots_with_lease(ended)
        waits, seen, since = False, None, time.monotonic()
        patience = PATIENCE * random.uniform(1.0, 1.5)  # of two who wait, one loses it first
        while not self.try_acquire(self.client):
            mark = self.mark(self.client)
            if mark != seen:
                seen, since = mark, time.monotonic()
            if (ended and mark.get("lease") == str(ended)) or time.monotonic() - since > patience:
                self.free(self.client)
                ended, since = None, time.monotonic()
                continue
            if not waits:
                wait(
                    f"another run is going on in this project, on {mark.get('host', 'another machine')}; waiting for it to end"
                )
                waits = True
            time.sleep(POLL)

    @contextmanager
    def renewed(self) -> Iterator[None]:
        """A block during which the lease is renewed. Where the slot is another's by then, the block ends as by SIGTERM."""
        ended = Event()
        thread = Thread(target=contextvars.copy_context().run, args=(self.renew, ended), daemon=True, name="project slot")
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(5)

    def release(self) -> None:
        """A server that does not answer frees the slot when the lease has run out."""
        if self.lease:
            with suppress(httpx.HTTPError):
                self.client.release_concurrency_slots_with_lease(self.lease)

    def create(self) -> None:
        try:
            self.client.read_global_concurrency_limit_by_name(self.name)
        except ObjectNotFound:
            with suppress(ObjectAlreadyExists):  # by another machine, at this moment
                self.client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=self.name, limit=1))

    def try_acquire(self, client: SyncPrefectClient) -> bool:
        """Whether the slot is ours now."""
        holder = ConcurrencyLeaseHolder(type="flow_run", id=UUID(flow_run.id)) if flow_run.id else None
        try:
            answer = client.increment_concurrency_slots_with_lease([self.name], 1, "concurrency", LEASE, holder)
        except httpx.HTTPStatusError as error:
            if error.response.status_code == httpx.codes.LOCKED:
                return False
            raise
        self.lease = UUID(answer.json()["lease_id"])
        files.write(self.file, json.dumps({"lease": str(self.lease)}))
        self.give_sign(client)
        return True

    def renew(self, ended: Event) -> None:
        with get_client(sync_client=True) as client:
            while not ended.wait(RENEWAL):
                try:
                    self.renew_once(client)
                except httpx.HTTPError:  # the server does not answer; the run finds out by itself where that stays so
                    continue

    def renew_once(self, client: SyncPrefectClient) -> None:
        try:
            assert self.lease is not None
            client.renew_concurrency_lease(self.lease, LEASE)
            self.give_sign(client)
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.GONE:
                raise
            self.acquire_again(client)

    def acquire_again(self, client: SyncPrefectClient) -> None:
        """After the server has forgotten the lease, or has taken it for that of a dead run."""
        ours = str(self.lease)
        if self.try_acquire(client):
            return
        if self.mark(client).get("lease") == ours:  # nobody else has had it since
            self.free(client)
            if self.try_acquire(client):
                return
        os.kill(os.getpid(), signal.SIGTERM)  # two runs must not go on; this one is run again

    def free(self, client: SyncPrefectClient) -> None:
        client.update_global_concurrency_limit(self.name, GlobalConcurrencyLimitUpdate(active_slots=0))

    def give_sign(self, client: SyncPrefectClient) -> None:
        value = {"lease": str(self.lease), "host": socket.gethostname(), "at": timestamps.iso(timestamps.now())}
        try:
            client.update_variable(VariableUpdate(name=self.name, value=value))
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.NOT_FOUND:
                raise
            client.create_variable(VariableCreate(name=self.name, value=value))

    def mark(self, client: SyncPrefectClient) -> dict[str, Any]:
        """What the holder said last."""
        found = client.read_variable_by_name(self.name)
        return found.value if found and isinstance(found.value, dict) else {}

    def last_lease(self) -> UUID | None:
        try:
            return UUID(json.loads(self.file.read_text())["lease"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
