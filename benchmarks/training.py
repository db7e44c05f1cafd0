"""Images a second in training on a CPU: against the same network and loss in PyTorch, with XLA, and with real feeding.

    python -m benchmarks.training

28x28 grey images of ten classes in batches of 128, float32. PyTorch (benchmarks/twin.py) has channels-last memory and a fused
Adam, and its batches are made before the clock starts, as ours are but for `fed`. All take turns, the best round counts.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks import peers, workspace

ASKED = {"size": 28, "channels": 1, "classes": 10, "batch": 128, "rounds": 3, "draws": 0}
FAMILIES = {"gan": 40, "diffusion": 12, "vae": 20}  # steps a round, some seconds
TWINS = ("gan", "diffusion")
TWIN = Path(__file__).parent / "twin.py"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help=f"of {', '.join(FAMILIES)}; all by default")
    parser.add_argument("--preset", default="small")
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    peers.python()
    for family in options.families or FAMILIES:
        asked = {**ASKED, "family": family, "preset": options.preset, "steps": FAMILIES[family]}
        ways = {"plain": {}, "XLA": {"xla": True}, "fed": {"feed": "rows"}}
        best: dict[str, float] = {}
        weights: dict[str, float] = {}
        for _ in range(options.turns):
            for name, more in ways.items():
                keep(best, weights, name, ours({**asked, **more}))
            if family in TWINS:
                keep(best, weights, "PyTorch", twin(asked))
        assert len(set(weights.values())) == 1, weights  # the twin is one
        rates = ", ".join(f"{name} {rate:,.0f}" for name, rate in best.items())
        print(f"{family} {options.preset}, {weights['plain']:,} weights: images/s {rates}")
        for name in best.keys() - {"plain"}:
            print(f"  plain {best['plain'] / best[name]:.2f} times {name}", flush=True)


def keep(best: dict[str, float], weights: dict[str, float], name: str, found: dict[str, float]) -> None:
    best[name], weights[name] = max(best.get(name, 0.0), found["train"]), found["weights"]


def ours(asked: dict[str, Any]) -> dict[str, float]:
    return last_line([str(workspace.PYTHON), "-m", "benchmarks.rates", json.dumps(asked)])


def twin(asked: dict[str, Any], interpreter: Path | None = None) -> dict[str, float]:
    from benchmarks.rates import preset

    return last_line([str(interpreter or peers.python()), str(TWIN), json.dumps({**asked, "preset": preset(asked)})])


def last_line(command: list[str]) -> dict[str, float]:
    done = subprocess.run(command, cwd=workspace.REPOSITORY, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-4000:] or f"ended with {done.returncode}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


if __name__ == "__main__":
    main()
