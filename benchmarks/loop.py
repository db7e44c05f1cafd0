"""What feedback does to the model: the loop with simulated raters, on MNIST, against the bars that it must pass.

    python -m benchmarks.loop --data mnist.npz                     # every case; many hours
    python -m benchmarks.loop --data mnist.npz legible attacked --out figures
    python -m benchmarks.loop --start PROJECT stroke_weight --seeds 1 --set turns=1 --set votes=200     # a quick try

The model before any vote is made once (examples/mnist.yaml with fewer steps), or taken from --start, a project that has run.
Each case then runs `genloop simulate` in that project with the seeds 0, 1, ...: rows as they come, means at the end.
A run that --out already holds, of the same settings, is read instead of done again: a benchmark that was stopped goes on.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import measure, workspace

BEFORE = ("model.preset=base", "train.steps=1600", "train.preview_every=500", "evaluate.samples=10000")
COLUMNS = (
    "approval",
    "fid_unbiased",
    "recall",
    "coverage",
    "least",
    "greatest",
    "generated",
    "effective",
    "set_aside",
    "seconds",
)
LEGIBLE = ("taste.name=legible", "params.train.steps=800")  # nearer to what the data is, so it takes longer to get there
SHARES = (0.3, 0.7, 0.9)  # beside the default, which the case stroke_weight has

Turn = dict[str, Any]  # a record of turns.csv
Run = list[Turn]


@dataclass(frozen=True)
class Case:
    """settings: of `genloop simulate`. judge: compares its runs with the bars, given the runs of every case. seeds: runs."""

    settings: tuple[str, ...]
    judge: Callable[[list[Run], dict[str, list[Run]]], Iterator[str]]
    seeds: int = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cases", nargs="*", metavar="CASE", help=f"of {', '.join(CASES)}; all by default")
    given = parser.add_mutually_exclusive_group(required=True)
    given.add_argument("--data", type=Path, help="mnist.npz in the Keras layout")
    given.add_argument("--start", type=Path, help="a project that has run")
    parser.add_argument("--seeds", type=int, help="runs of each case")
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE", help="for every case")
    parser.add_argument("--out", type=Path, help="keep runs, tables, plots and grids here")
    options = parser.parse_args()
    if unknown := [name for name in options.cases if name not in CASES]:
        parser.error(f"no case {unknown[0]!r}; known: {', '.join(CASES)}")
    found: dict[str, list[Run]] = {}
    with prepare(options.data, options.start) as project, tempfile.TemporaryDirectory(prefix="genloop-") as temporary:
        out = (options.out or Path(temporary)).absolute()
        print(f"{'case':<16}{'seed':>5}{'turn':>5}" + "".join(f"{name:>14}" for name in COLUMNS))
        for name in options.cases or CASES:
            case = CASES[name]
            found[name] = []
            for seed in range(options.seeds or case.seeds):
                settings = [*case.settings, f"seed={seed}", f"params.train.seed={seed}", *options.settings]
                run = simulate(project, out / f"{name}-{seed}", settings)
                found[name].append(run)
                for turn in run:
                    print(line(name, seed, turn), flush=True)
    print("\nmeans")
    for name, runs in found.items():
        for number in range(len(runs[0])):
            print(line(name, None, mean([run[number] for run in runs])))
    print()
    for name, runs in found.items():
        for words in CASES[name].judge(runs, found):
            print(f"{name}: {words}")


@contextmanager
def prepare(data: Path | None, start: Path | None) -> Iterator[Path]:
    """A project with a model, before any vote."""
    if start:
        yield start.resolve()
        return
    assert data is not None
    with workspace.clone(["examples/mnist.yaml"], [f"sources.0.path={data.resolve()}", *BEFORE]) as folder:
        cost = measure.run([workspace.PYTHON, "genloop.py", "run"], folder, {"PYTHONPATH": str(folder)})
        print(f"the model before any vote: {cost.seconds:.0f} s", flush=True)
        yield folder


def simulate(project: Path, out: Path, settings: Sequence[str]) -> Run:
    """The turns of `genloop simulate`, or of its earlier run in `out`; its messages go to stderr."""
    kept = out / "run.json"
    if kept.exists() and (earlier := json.loads(kept.read_text()))["settings"] == list(settings):
        before: Run = earlier["turns"]
        return before
    options = [part for setting in settings for part in ("--set", setting)]
    command = [workspace.PYTHON, "genloop.py", "simulate", *options, "--out", out, "--json"]
    done = subprocess.run(command, cwd=project, stdout=subprocess.PIPE, text=True, check=True)
    shutil.rmtree(out / "project")
    turns: Run = json.loads(done.stdout)
    kept.write_text(json.dumps({"settings": list(settings), "turns": turns}))
    return turns


def line(name: str, seed: int | None, turn: Turn) -> str:
    figures = "".join(f"{'-' if turn[column] is None else format(turn[column], '.4g'):>14}" for column in COLUMNS)
    return f"{name:<16}{'' if seed is None else seed:>5}{turn['turn']:>5.0f}{figures}"


def mean(turns: Sequence[Turn]) -> Turn:
    return {name: average([turn[name] for turn in turns]) for name in turns[0]}


def average(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def gain(runs: list[Run]) -> float:
    """Gain of approval in points, from before any vote to the last turn."""
    return 100 * (sum(run[-1]["approval"] - run[0]["approval"] for run in runs) / len(runs))


def ratio(runs: list[Run], name: str) -> float:
    """Ratio of a column in the last turn to that in the first one, by the means over the runs."""
    return sum(run[-1][name] for run in runs) / max(sum(run[0][name] for run in runs), 1e-12)


def judge_strokes(runs: list[Run], _: dict[str, list[Run]]) -> Iterator[str]:
    yield f"{gain(runs):+.1f} points of approval (bar +15, aim +20)"
    yield from judge_variety(runs)


def judge_variety(runs: list[Run]) -> Iterator[str]:
    yield f"recall {ratio(runs, 'recall'):.2f} and coverage {ratio(runs, 'coverage'):.2f} of turn 0 (bar 0.9)"
    least, greatest = min(run[-1]["least"] for run in runs), max(run[-1]["greatest"] for run in runs)
    yield f"classes {least:.2f} to {greatest:.2f} times the share asked for (bar 0.5 to 2)"


def judge_legible(runs: list[Run], _: dict[str, list[Run]]) -> Iterator[str]:
    errors = [sum(1 - run[place]["approval"] for run in runs) / len(runs) for place in (0, -1)]
    yield f"{errors[0]:.2%} not legible, then {errors[1]:.2%}: {errors[1] / errors[0]:.2f} times (bar 0.5)"
    unbiased = average([run[-1]["fid_unbiased"] for run in runs])
    yield f"fid_unbiased {unbiased:.3g}, turn 0's interval up to {runs[0][0]['fid_high']:.3g} (bar: not above)"
    yield from judge_variety(runs)


def judge_attacked(runs: list[Run], every: dict[str, list[Run]]) -> Iterator[str]:
    if "legible" in every:
        share = gain(runs) / gain(every["legible"])
        yield f"{gain(runs):+.2f} points, {share:.0%} of the gain without spammers and attackers (bar 80%)"
    rejected = [average([run[-1][f"set_aside_{kind}"] for run in runs]) or 0.0 for kind in ("attacker", "spammer", "honest")]
    yield f"{rejected[0]:.1%} of the bursts' votes rejected (bar 90%); spammers' {rejected[1]:.1%}, honest {rejected[2]:.1%}"


def judge_long(runs: list[Run], _: dict[str, list[Run]]) -> Iterator[str]:
    worst = max(turn["fid_unbiased"] / run[0]["fid_unbiased"] for run in runs for turn in run)
    last = f"{ratio(runs, 'fid_unbiased'):.2f} times turn 0's after {runs[0][-1]['turn']} turns"
    yield f"fid_unbiased {last}, at the most {worst:.2f} (bar 1.25)"
    yield from judge_legible(runs, {})


def judge_no_gain(runs: list[Run], _: dict[str, list[Run]]) -> Iterator[str]:
    """The gain against the interval of a mean difference of shares without gain, by the normal approximation."""
    variance = sum(((t["approval_high"] - t["approval_low"]) / 3.92) ** 2 for run in runs for t in (run[0], run[-1]))
    reach = 100 * 1.96 * math.sqrt(variance) / len(runs)
    yield f"{gain(runs):+.1f} points of approval, 95% interval of no gain -{reach:.1f} to +{reach:.1f} (bar: within)"


CASES = {
    "stroke_weight": Case(("taste.name=stroke_weight",), judge_strokes),
    "legible": Case(LEGIBLE, judge_legible),
    "attacked": Case((*LEGIBLE, "spammers=0.2", "attackers=0.05"), judge_attacked),
    "shuffled": Case(("taste.name=stroke_weight", "shuffled=true"), judge_no_gain),
    "long": Case(("taste.name=legible", "turns=10"), judge_long, seeds=1),
    "long-unbounded": Case(
        ("taste.name=legible", "turns=10", "params.feedback.max_generated_share=0.99", "params.feedback.max_generation=1000"),
        judge_long,
        seeds=1,
    ),
    **{
        f"effective-{share}": Case(("taste.name=stroke_weight", f"params.feedback.min_effective_share={share}"), judge_strokes)
        for share in SHARES
    },
}


if __name__ == "__main__":
    main()
