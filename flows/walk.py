"""The graph from one end to the other: every stage of dvc.yaml that is stale, in order."""

from __future__ import annotations

from flows import graph, terminal
from flows.page import show_results
from flows.pending import pending
from flows.stage import run_stage
from pipelines.core.params import Params


def walk(settings: Params, everything: bool = False) -> None:
    """Run what is stale, in the flow that calls this.

    Args:
        everything: run fresh stages too.
    """
    for name in graph.stages():
        # Asked anew each time: a stage that made the same as before leaves those after it fresh.
        work = pending(settings, everything)
        if name in work:
            run_stage(name, settings.flow, force=work[name])
        else:
            terminal.show(f"── {name}: nothing new\n".encode())
    show_results()
