"""python -m flows.automations: what Prefect's server does by itself for runs of work pools; each call makes it as it should be.

A run from which no heartbeat has come for a while is marked as Crashed, and run again. With --notify TYPE/NAME, one of
Prefect's notification blocks (such as sendgrid-email/team or slack-webhook/team) tells of failed runs and of verdicts. It needs
a server that goes on, named by PREFECT_API_URL.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from pipelines.core.errors import GenloopError, InputError
from pipelines.core.processes import set_defaults
from pipelines.core.progress import say

HEARTBEATS = 3  # that may stay away
SILENT = "no heartbeat came from it"  # the message of a state, by which one automation finds what another did
ENDS = ("Completed", "Failed", "Crashed", "Cancelled", "Cancelling", "Suspended", "Paused", "TimedOut", "AwaitingRetry")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m flows.automations", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--notify", metavar="TYPE/NAME", help="a notification block of Prefect's")
    options = parser.parse_args(arguments)
    try:
        set_defaults()
        create(options.notify)
    except GenloopError as error:
        say(f"automations: {error}")
        sys.exit(error.exit_code)


def create(block: str | None) -> None:
    """Create the automations, or change them to what they should be. Raises InputError without a server, or such a block."""
    from prefect import get_client
    from prefect.settings import PREFECT_API_URL

    from flows import health

    if not (url := PREFECT_API_URL.value()):
        raise InputError("PREFECT_API_URL is not set; automations need a server that goes on, see docs/schedules.md")
    if (wrong := health.fault(url)) is not None:
        raise GenloopError(wrong)
    with get_client(sync_client=True) as client:
        wanted = [heartbeat_automation(), rerun_automation()]
        if block:
            document = block_id(client, block)
            wanted += [failure_automation(block, document), verdict_automation(block, document)]
        for automation in wanted:
            ensure(client, automation)


def ensure(client: Any, automation: Any) -> None:
    """One automation of that name, with that content."""
    first, *others = client.read_automations_by_name(automation.name) or [None]
    if first is None:
        client.create_automation(automation)
    else:
        client.update_automation(first.id, automation)
    for other in others:
        client.delete_automation(other.id)
    say(f"{'created' if first is None else 'kept'}: {automation.name}")


def heartbeat_automation() -> Any:
    from prefect.automations import AutomationCore, ChangeFlowRunState, EventTrigger, Posture
    from prefect.client.schemas.objects import StateType
    from prefect.settings import get_current_settings

    frequency = get_current_settings().flows.heartbeat_frequency or 30
    heartbeat = "prefect.flow-run.heartbeat"
    return AutomationCore(
        name="genloop: a run without heartbeats has crashed",
        description="Its process was killed, or its machine is gone.",
        trigger=EventTrigger(
            posture=Posture.Proactive,
            after={heartbeat},
            expect={heartbeat, *(f"prefect.flow-run.{name}" for name in ENDS)},
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related=of_flows(),
            for_each={"prefect.resource.id"},
            within=timedelta(seconds=HEARTBEATS * frequency),
        ),
        actions=[ChangeFlowRunState(state=StateType.CRASHED, name="Crashed", message=SILENT)],
    )


def rerun_automation() -> Any:
    """Only after the automation above: of others the process that started the run knows sooner (flows/recovery.py)."""
    from prefect.automations import AutomationCore, EventTrigger, Posture, RunDeployment

    return AutomationCore(
        name="genloop: a run without heartbeats is run again",
        description="The flow itself refuses to begin after several such runs in a row.",
        trigger=EventTrigger(
            posture=Posture.Reactive,
            expect={"prefect.flow-run.Crashed"},
            match={"prefect.resource.id": "prefect.flow-run.*", "prefect.state-message": SILENT},
            match_related=of_flows(),
            for_each={"prefect.resource.id"},
        ),
        actions=[RunDeployment(source="inferred")],
    )


def failure_automation(block: str, document: UUID) -> Any:
    from prefect.automations import AutomationCore, EventTrigger, Posture, SendNotification

    return AutomationCore(
        name=f"genloop: {block} is told of runs that failed or were killed",
        trigger=EventTrigger(
            posture=Posture.Reactive,
            expect={f"prefect.flow-run.{name}" for name in ("Failed", "Crashed", "TimedOut")},
            match={"prefect.resource.id": "prefect.flow-run.*"},
            match_related=of_flows(),
            for_each={"prefect.resource.id"},
        ),
        actions=[
            SendNotification(
                block_document_id=document,
                subject="Genloop: {{ flow.name }} {{ flow_run.state.name }}",
                body="The run {{ flow_run.name }}: {{ flow_run.state.message }} {{ flow_run|ui_url }}",
            )
        ],
    )


def verdict_automation(block: str, document: UUID) -> Any:
    from prefect.automations import AutomationCore, EventTrigger, Posture, SendNotification

    from flows.notices import VERDICT

    return AutomationCore(
        name=f"genloop: {block} is told of verdicts",
        trigger=EventTrigger(posture=Posture.Reactive, expect={VERDICT}, for_each={"prefect.resource.id"}),
        actions=[
            SendNotification(block_document_id=document, subject="Genloop: a verdict", body="{{ event.payload.text }}"),
        ],
    )


def of_flows() -> dict[str, Any]:
    from flows.recovery import FLOWS

    return {"prefect.resource.role": "flow", "prefect.resource.name": list(FLOWS)}


def block_id(client: Any, block: str) -> UUID:
    from prefect.exceptions import ObjectNotFound

    kind, slash, name = block.partition("/")
    if not (kind and slash and name):
        raise InputError(f"--notify {block}: expected TYPE/NAME, as in sendgrid-email/team; `prefect block ls` lists them")
    try:
        found = client.read_block_document_by_name(name, kind)
    except ObjectNotFound:
        raise InputError(
            f"--notify {block}: Prefect's server has no such block; `prefect block ls` lists those it has"
        ) from None
    return UUID(str(found.id))


if __name__ == "__main__":
    main()
