"""Turns of the flow `feedback`, with nobody at it: raters vote on what the champion generates, and each turn the flow that the
schedule starts folds, trains, scores, judges and promotes by the rules of params.yaml. Only the raters are simulated.

    python -m benchmarks.feedback_turns --out turns              # ten turns on digits; a second call goes on
    python -m benchmarks.feedback_turns --out turns --turns 3 --taste slant

A line each turn: who is champion now, and which share of 2,000 fresh images of it the taste itself likes. A promoted version
has to be better liked than the one before. At the end the gate judges the last champion against the first one, by the same
rules and what people like by then: a loss that no single turn shows would show there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

from benchmarks import workspace
from benchmarks.hundred_clicks import make_project
from pipelines.core import backend, files, processes
from pipelines.core.project import Project
from pipelines.metrics import intervals
from pipelines.promotion import gate, rules
from pipelines.promotion.decisions import Contest
from pipelines.promotion.gate import GateResult
from pipelines.registry.client import open_registry
from pipelines.registry.versions import CHALLENGER
from pipelines.simulation import judge, raters, samples
from pipelines.simulation.settings import Simulation, load

VOTES = 600  # a turn: more than feedback.min_events
FLOW = "from flows.feedback import feedback; feedback()"


@dataclass(frozen=True)
class FeedbackTurn:
    """liked: share of fresh images of the champion that the taste likes, with its 95 % interval."""

    turn: int
    champion: int
    challenger: int | None
    liked: float
    low: float
    high: float

    def line(self) -> str:
        tried = "" if self.challenger is None else f"; version {self.challenger} was judged, and not promoted"
        return f"{self.turn:>4}{self.champion:>10}   {self.liked:.3f} ({self.low:.3f} to {self.high:.3f}){tried}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the project, made at the first call")
    parser.add_argument("--turns", type=int, default=10)
    parser.add_argument("--taste", default="stroke_weight", help="one of pipelines/tastes")
    parser.add_argument("--votes", type=int, default=VOTES, help="of each turn")
    options = parser.parse_args()
    processes.set_defaults()
    make_project(options.out.absolute(), "digits", None)
    project = Project.find(options.out.absolute())
    settings = load(None, [f"taste.name={options.taste}", f"votes={options.votes}"])
    backend.load()
    expert = judge.fit(settings.taste, project.clean)
    kept = project.root / "turns.json"
    turns = [FeedbackTurn(**turn) for turn in json.loads(kept.read_text())] if kept.exists() else []
    turns = turns or [measure(project, settings, 0, expert)]
    print(f"{'turn':>4}{'champion':>10}   liked, by the taste itself")
    print("\n".join(turn.line() for turn in turns), flush=True)
    while turns[-1].turn < options.turns:
        number = len(turns)
        params, registry = open_registry(project)
        raters.record(project, params, registry, settings, number, expert)
        run_flow(project)
        turns.append(measure(project, settings, number, expert))
        files.write(kept, json.dumps([asdict(turn) for turn in turns], indent=2) + "\n")
        print(turns[-1].line(), flush=True)
    print("\n".join(summary(turns, judge_whole(project, turns))))


def run_flow(project: Project) -> None:
    environment = {**os.environ, "PYTHONPATH": str(project.root)}
    with (project.root / "flow.log").open("a") as log:
        command = [workspace.PYTHON, "-c", FLOW]
        subprocess.run(command, cwd=project.root, env=environment, stdout=log, stderr=subprocess.STDOUT, check=True)


def measure(project: Project, settings: Simulation, turn: int, expert: judge.Judge) -> FeedbackTurn:
    _, registry = open_registry(project)
    fresh = samples.generate(registry, settings, 0, settings.fresh)
    liked = float(expert.likes(fresh.images, fresh.labels).mean())
    return FeedbackTurn(turn, fresh.version, registry.alias(CHALLENGER), liked, *intervals.wilson(liked, settings.fresh))


def judge_whole(project: Project, turns: list[FeedbackTurn]) -> GateResult | None:
    """The last champion against the first one; None where it is the first one."""
    first, last = turns[0].champion, turns[-1].champion
    if first == last:
        return None
    params, registry = open_registry(project)
    contest = Contest(registry.version(last), registry.version(first))
    return gate.judge(project, params, registry, contest, lambda line: None)


def summary(turns: list[FeedbackTurn], whole: GateResult | None) -> list[str]:
    moves = [(before, after) for before, after in pairwise(turns) if before.champion != after.champion]
    better = sum(after.liked > before.liked for before, after in moves)
    lines = [
        "",
        f"promotions in {len(turns) - 1} turns: {len(moves)}, of which to a version that the taste likes more: {better}",
    ]
    if whole is None:
        return lines
    lines.append(f"version {whole.challenger} against version {whole.champion}, by what people like now: {whole.verdict}")
    for rule in whole.rules:
        sign = "" if rule.kind in rules.ABSOLUTE else "+"  # of a difference
        figures = ["-" if value is None else format(value, f"{sign}.3g") for value in (rule.difference, rule.low, rule.high)]
        lines.append(f"  {rule.metric:<20}{rule.kind:<11}{figures[0]:>9} ({figures[1]} to {figures[2]})  {rule.verdict}")
    return lines


if __name__ == "__main__":
    main()
