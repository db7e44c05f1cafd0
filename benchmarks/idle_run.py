"""A run with nothing to do while Prefect's server is up, against a plain `dvc repro`.

python -m benchmarks.idle_run                # 7 turns; the ratio is the median of the turns'
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks import measure, workspace
from benchmarks.recovery import SETTINGS, Machine, wait


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=7)
    options = parser.parse_args()
    with workspace.clone(settings=SETTINGS) as folder, tempfile.TemporaryDirectory(prefix="genloop-") as home:
        seconds, scheduled = measure_turns(folder, Path(home), options.turns)
    plain, ours = seconds.values()
    ratio = statistics.median(b / a for a, b in zip(plain, ours, strict=True))
    for name, found in seconds.items():
        print(f"{name:<12} {statistics.median(found):5.2f} s")
    print(f"a run of the schedules, from asking to its end: {scheduled:.1f} s")
    print(f"ratio {ratio:.2f}")


def measure_turns(folder: Path, home: Path, turns: int) -> tuple[dict[str, list[float]], float]:
    """Seconds of each command in each turn, and of a run of the schedules."""
    commands = {"dvc repro": ["-m", "dvc", "repro"], "genloop run": ["-m", "genloop", "run"]}
    seconds: dict[str, list[float]] = {name: [] for name in commands}
    with Machine(folder, home) as machine:
        machine.first_run()
        for _ in range(turns):
            for name, arguments in commands.items():
                cost = measure.run([workspace.PYTHON, *arguments], folder, machine.environment)
                seconds[name].append(cost.seconds)
        begun = time.monotonic()
        run = machine.ask()
        wait(lambda: machine.state(run) == "COMPLETED", 120, "a run of the schedules")
        return seconds, time.monotonic() - begun


if __name__ == "__main__":
    main()
