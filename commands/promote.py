"""genloop promote: the gate judges a version, and lets it take the champion's place, or not."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING, Any

from commands.run import interrupt
from pipelines.core import paths
from pipelines.core.errors import GenloopError, InputError
from pipelines.settings.load import load_params
from pipelines.settings.schema import Params
from workspace.locks import alone

if TYPE_CHECKING:
    from pipelines.promotion.decisions import Decision


def promote(version: int | None, dry_run: bool, force: bool, reason: str | None, yes: bool, as_json: bool) -> bool:
    """Whether the gate let it through; with `force` it is promoted whatever the gate says."""
    check(dry_run, force, reason)
    os.chdir(paths.root())
    signal.signal(signal.SIGTERM, interrupt)
    params = load_params()

    from pipelines.promotion import decisions

    challenger, champion = decisions.sides(params, version)
    decision = judge(params, challenger, champion, force, dry_run)
    if decision and not as_json:
        show(decision)
    if decision and not dry_run:
        decisions.remember(params, decision)
    through = decision is not None and decision.word == "promote"
    if force:
        overrule(params, challenger, champion, str(reason), decision)
    elif through and not dry_run:
        assert decision is not None
        if params.promotion.require_approval and not yes:
            ask(decision)
        follow(params, decision, reason or "")
    promoted = not dry_run and (through or force)
    if as_json:
        figures: dict[str, Any] = (
            decision.figures if decision else {"verdict": None, "champion": champion, "challenger": challenger}
        )
        print(json.dumps(figures if dry_run else {**figures, "promoted": promoted}, indent=2))
    elif promoted:
        print(f"version {challenger} is champion now" + ("; `genloop rollback` takes it back" if champion else ""))
    return through or force


def check(dry_run: bool, force: bool, reason: str | None) -> None:
    if force and not (reason or "").strip():
        raise InputError("--force: expected --reason TEXT with it; the history keeps why the gate was overruled")
    if force and dry_run:
        raise InputError("--force and --dry-run contradict each other: one moves the alias, the other never does")


def judge(params: Params, challenger: int, champion: int | None, force: bool, dry_run: bool) -> Decision | None:
    """What the gate says. Who overrules it need not wait for the noise floor, nor for a gate that fails: then None."""
    from pipelines.promotion import decisions

    try:
        if not force and not dry_run:  # which changes nothing, and the floor is kept and committed
            measure(params, champion)
        return decisions.judge(params, challenger, champion, say)
    except GenloopError as error:
        if not force:
            raise
        say(f"the gate could not judge: {error}")
        return None


def measure(params: Params, champion: int | None) -> None:
    """The noise floor, where it is needed and of another configuration, or never measured."""
    from workspace import dvc, versioning
    from workspace.stages import repro
    from workspace.staleness import unmeasured

    if champion is not None and unmeasured(params):
        say(f"measuring how far scores move with the seed alone: {params.promotion.noise} trainings, once for these settings")
        with alone():
            repro(dvc.NOISE, dvc.noise() == "fresh", lambda line: None)  # it is shown as it comes, and kept nowhere
            dvc.check_cache(dvc.NOISE)
            versioning.commit(params, say)


def ask(decision: Decision) -> None:
    question = f"Promote version {decision.challenger}, in place of {decision.champion or 'no champion'}?"
    if not sys.stdin.isatty():
        raise InputError(
            f"{question} promotion.require_approval asks for a person's yes, and there is no terminal to ask at; say --yes if "
            "it shall be promoted"
        )
    print(f"{question} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise GenloopError("nothing is promoted")


def follow(params: Params, decision: Decision, reason: str) -> None:
    from pipelines.promotion import decisions, moves

    decisions.move(params, decision, moves.person(), reason)


def overrule(params: Params, challenger: int, champion: int | None, reason: str, decision: Decision | None) -> None:
    from pipelines.promotion import moves

    figures = decision.figures if decision else None
    benchmark_id = str(decision.figures["benchmark_id"]) if decision else None
    moves.move(params, challenger, champion, moves.person(), "forced", reason, figures, benchmark_id)


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def show(decision: Decision) -> None:
    from rich.console import Console
    from rich.table import Table

    from pipelines.promotion import decisions

    figures, rows = decision.figures, decisions.rows(decision)
    table = Table(*rows[0], box=None, header_style="dim", pad_edge=False)
    for row in rows:
        table.add_row(*row.values())
    Console(highlight=False, markup=False).print(table)
    for rule, why in zip(figures["rules"], decision.why, strict=True):
        print(f"  {rule['metric']}: {why}")
    floor = f"a noise floor of {figures['noise']} trainings" if figures["noise"] else "no noise floor"
    print(f"benchmark {figures['benchmark_id']}, {figures['samples']:,} samples of each, {floor}")
    print(decisions.against(decision))
