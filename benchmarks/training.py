"""Images a second in training on a CPU: against the same network and loss in PyTorch, with XLA, and with real feeding.

    python -m benchmarks.training

28x28 grey images of ten classes in batches of 128, float32. PyTorch (benchmarks/twin.py) has channels-last memory and a fused
Adam, and its batches are made before the clock starts, as ours are but for `fed`. All train by turns (benchmarks/turns.py). Of
images/s the best turn counts; a ratio is the median of the turns' ratios.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import idle, peers, workspace
from benchmarks.turns import Turns

ASKED = {"size": 28, "channels": 1, "classes": 10, "batch": 128, "rounds": 3, "draws": 0}
FAMILIES = {"gan": 40, "diffusion": 12, "vae": 20}  # steps a round, some seconds
TWINS = ("gan", "diffusion")
TWIN = Path(__file__).parent / "twin.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"of {', '.join(FAMILIES)}; all by default")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--turns", type=int, default=7)
    options = parser.parse_args()
    for family in options.families or FAMILIES:
        asked = {**ASKED, "family": family, "preset": options.preset, "steps": FAMILIES[family]}
        ways = {"plain": {}, "XLA": {"xla": True}, "fed": {"feed": "rows", "profile": True}}
        commands = {name: genloop_command({**asked, **more}) for name, more in ways.items()}
        if family in TWINS:
            commands["PyTorch"] = twin_command(asked, peers.python())
        rates, ends = measure(commands, options.turns)
        assert len({end["weights"] for end in ends.values()}) == 1, ends  # the twin is one
        bests = ", ".join(f"{name} {max(of):,.0f}" for name, of in rates.items())
        print(f"{family} {options.preset}, {ends['plain']['weights']:,.0f} weights: images/s {bests}")
        for name in rates.keys() - {"plain"}:
            ratios = sorted(a / b for a, b in zip(rates["plain"], rates[name], strict=True))
            middle = statistics.median(ratios)
            print(f"  plain {middle:.2f} times {name} (turns {ratios[0]:.2f} to {ratios[-1]:.2f})")
        print("  fed: " + idle.summary(ends["fed"]), flush=True)


def measure(commands: Mapping[str, list[str]], turns: int) -> tuple[dict[str, list[float]], dict[str, dict[str, float]]]:
    """Images a second of each turn, and the figures that each process prints at the end."""
    with ExitStack() as stack:
        processes = {name: stack.enter_context(Turns(command)) for name, command in commands.items()}
        rates: dict[str, list[float]] = {name: [] for name in commands}
        for _ in range(turns):
            for name, one in processes.items():
                rates[name].append(one.take())
        return rates, {name: one.end() for name, one in processes.items()}


def genloop_command(asked: dict[str, Any]) -> list[str]:
    """The command of a process that measures a family of Genloop."""
    return [str(workspace.PYTHON), "-m", "benchmarks.rates", json.dumps(asked)]


def twin_command(asked: dict[str, Any], interpreter: Path, **more: Any) -> list[str]:
    """The command of a process that measures its twin in PyTorch; `more` is for the twin alone."""
    from benchmarks.rates import preset

    return [str(interpreter), str(TWIN), json.dumps({**asked, "preset": preset(asked), **more})]


if __name__ == "__main__":
    main()
