"""genloop promote: the gate compares a version with the champion, which it replaces if it is better."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from commands import console
from commands.app import Json, command
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.progress import say
from pipelines.core.project import Project

if TYPE_CHECKING:
    from operations.promote import Promotion
    from pipelines.promotion.decisions import Decision


@command()
def promote(
    project: Project,
    version: Annotated[int | None, typer.Option(help="Version of the model; without it the challenger.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what the gate says, and change nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Promote whatever the gate says; needs --reason.")] = False,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Reason, for the history.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, where promotion.require_approval would.")] = False,
    as_json: Json = False,
) -> None:
    """Let a version take the champion's place, if the gate finds it better; exit code 3 if it does not."""
    check(dry_run, force, reason)

    from pipelines.registry.client import open_registry
    from workspace import permissions

    if not dry_run:
        permissions.check_writable(project)

    params, registry = open_registry(project)

    from operations import promote

    promotion = promote.judge(project, params, registry, version, say, force, dry_run)
    if promotion.decision and not as_json:
        show(promotion.decision)
    if promotion.allowed and not dry_run and not force and params.promotion.require_approval and not yes:
        ask(promotion)
    if not dry_run and (promotion.allowed or force):
        promotion = promote.move(project, registry, promotion, reason or "", force)
    if as_json:
        print(json.dumps(figures(promotion) if dry_run else {**figures(promotion), "promoted": promotion.moved}, indent=2))
    elif promotion.moved:
        advice = "; `genloop rollback` takes it back" if promotion.champion else ""
        print(f"version {promotion.challenger} is champion now{advice}")
    if not promotion.allowed and not force:
        raise typer.Exit(3)


def check(dry_run: bool, force: bool, reason: str | None) -> None:
    if force and not (reason or "").strip():
        raise InputError("--force: expected --reason TEXT with it; the history keeps why the gate was overruled")
    if force and dry_run:
        raise InputError("--force and --dry-run contradict each other: one moves the alias, the other never does")


def ask(promotion: Promotion) -> None:
    question = f"Promote version {promotion.challenger}, in place of {promotion.champion or 'no champion'}?"
    advice = "promotion.require_approval asks for a person's yes, and there is no terminal to ask at"
    if not console.confirm(question, f"{question} {advice}; say --yes to promote it"):
        raise GenloopError("nothing is promoted")


def figures(promotion: Promotion) -> dict[str, Any]:
    if promotion.decision:
        return promotion.decision.figures
    return {"verdict": None, "champion": promotion.champion, "challenger": promotion.challenger}


def show(decision: Decision) -> None:
    from pipelines.promotion import decisions

    verdict, rows = decision.figures, decisions.table_rows(decision)
    console.table(rows[0], [list(row.values()) for row in rows])
    for rule, why in zip(verdict["rules"], decision.why, strict=True):
        print(f"  {rule['metric']}: {why}")
    floor = f"a noise floor of {verdict['noise']} trainings" if verdict["noise"] else "no noise floor"
    print(f"benchmark {verdict['benchmark_id']}, {verdict['samples']:,} samples of each, {floor}")
    print(decisions.headline(decision))
