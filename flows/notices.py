"""What a run tells others: that it has failed or was killed, or what the gate said."""

from __future__ import annotations

from prefect.client.schemas.objects import FlowRun
from prefect.events import emit_event
from prefect.runtime import flow_run
from prefect.settings import PREFECT_UI_URL

from flows.server import is_shared
from operations import notification
from operations.notification import Notice
from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from pipelines.promotion import decisions
from pipelines.promotion.decisions import Decision
from pipelines.settings.load import load_params
from pipelines.settings.schema import Params

VERDICT = "genloop.verdict"  # an event of Prefect's, for automations


def failed(project: Project, message: str) -> None:
    send(
        project,
        Notice("failed", flow_run.flow_name, flow_run.id, f"{flow_run.flow_name}: {message}", facts={"state": "failed"}),
    )


def crashed(project: Project, flow: str, run: FlowRun, message: str) -> None:
    words = f"{flow}: the run {run.name} did not come to its end: {message}"
    send(project, Notice("failed", flow, str(run.id), words, facts={"state": "crashed"}))


def judged(project: Project, params: Params, decision: Decision) -> None:
    verdict = {
        "verdict": decision.verdict,
        "challenger": decision.challenger,
        "champion": decision.champion,
        "reasons": decision.why,
        "benchmark_id": decision.basis.get("benchmark_id"),
        "needs_approval": decision.verdict == "promote" and params.promotion.require_approval,
    }
    text = decisions.summary(decision)
    if is_shared(project):
        resource = {"prefect.resource.id": f"genloop.model.{params.registry.model}.{decision.challenger}"}
        emit_event(VERDICT, resource, payload={"text": text, **verdict})
    # Not of the run: the same verdict has the same id, whichever run says it.
    about = f"{decision.challenger} {decision.champion} {decision.at}"
    send(project, Notice("verdict", flow_run.flow_name, flow_run.id, text, about, {"verdict": verdict}), params)


def send(project: Project, notice: Notice, params: Params | None = None) -> None:
    if params is None:
        try:
            params = load_params(project.params_file)
        except GenloopError:  # which may be the very failure that is told
            params = None
    notification.send(project, params, notice, link(project, notice.run))


def link(project: Project, run: str | None) -> str | None:
    """The page of a run, where a server is configured: our own has no pages, and ends with the run."""
    page = PREFECT_UI_URL.value()
    return f"{page}/runs/flow-run/{run}" if page and run and is_shared(project) else None
