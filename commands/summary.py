"""What there is after a run."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from pipelines.core import paths, reports
from pipelines.promotion import decisions
from pipelines.promotion.decisions import Decision
from pipelines.registry import client
from pipelines.settings.schema import Params


def show(params: Params, ran: bool) -> None:
    print("done" if ran else "nothing to do: every stage is fresh")
    decision = judged(params)
    facts = [*scores(), *versions(params), *verdict(decision), *files()]
    width = max((len(name) for name, _ in facts), default=0)
    for name, words in facts:
        print(f"  {name:<{width}}  {words}")
    here = program()
    print("next:")
    champion, challenger = (client.holder(params, alias) for alias in (client.CHAMPION, client.CHALLENGER))
    which = "" if champion or not challenger else f" --version {challenger}"
    print(f"  {here}genloop generate --count 64 --out grid.png{which}")
    print(f"  {here}genloop run --params examples/mnist.yaml --set sources.0.path=mnist.npz")
    print(f"  {here}mlflow ui --backend-store-uri sqlite:///mlflow.db")


def scores() -> list[tuple[str, str]]:
    if not (paths.REPORTS / "metrics.json").is_file():
        return []
    metrics: dict[str, Any] = reports.read("metrics")
    fid, floor, accuracy = (metrics.get(name) for name in ("fid", "fid_floor", "class_accuracy"))
    facts = []
    if fid is not None:
        against = f", {fid / floor:.2f} times its floor of {floor:.3g} (real images against others)" if floor else ""
        facts.append(("FID", f"{fid:.3g}{against}"))
    if accuracy is not None:
        facts.append(("class accuracy", f"{accuracy:.1%}"))
    if "precision" in metrics:
        facts.append(("precision", f"{metrics['precision']:.1%}, recall {metrics['recall']:.1%}"))
    return facts


def versions(params: Params) -> list[tuple[str, str]]:
    model = params.registry.model
    found = client.versions(params).items()
    return [(alias, f"{model} version {about['version']}") for alias, about in found if about]


def judged(params: Params) -> Decision | None:
    """What the gate said of the challenger; where there is none, of the champion."""
    holders = [client.holder(params, alias) for alias in (client.CHALLENGER, client.CHAMPION)]
    newest = next((number for number in holders if number is not None), None)
    return None if newest is None else decisions.said(client.version(params, newest).tags)


def verdict(decision: Decision | None) -> list[tuple[str, str]]:
    if decision is None:
        return []
    return [("gate", decisions.words(decision) + (f"; {decision.declined}" if decision.declined else ""))]


def files() -> list[tuple[str, str]]:
    known = {
        "samples": paths.REPORTS / "samples.png",
        "evaluation": paths.REPORTS / "evaluation.html",
        "data report": paths.REPORTS / "data.html",
    }
    return [(name, str(path)) for name, path in known.items() if path.is_file()]


def program() -> str:
    """How to call what is installed beside us."""
    folder = Path(sys.executable).parent
    return f"{folder.relative_to(Path.cwd())}/" if folder.is_relative_to(Path.cwd()) else ""
