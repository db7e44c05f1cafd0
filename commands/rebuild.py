"""genloop rebuild: a version made again from its commit and its data, and whether it is equal."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import TYPE_CHECKING

from commands.run import interrupt
from pipelines.core import paths
from pipelines.settings.load import load_params

if TYPE_CHECKING:
    from operations.rebuild import Rebuilt

SHOWN = 8  # reasons for a difference


def rebuild(version: int, keep: bool, as_json: bool) -> bool:
    """Whether it is equal, bit for bit or by its scores."""
    os.chdir(paths.root())
    signal.signal(signal.SIGTERM, interrupt)
    params = load_params()

    from operations import rebuild as rebuilding

    done = rebuilding.rebuild(params, version, keep)
    print(json.dumps(done.as_json(), indent=2)) if as_json else show(done)
    if done.folder:
        print(f"it lies in {done.folder}; `git worktree remove --force` takes it away", file=sys.stderr)
    return done.verdict != "different"


def show(done: Rebuilt) -> None:
    print(f"version {done.version}, made again at commit {done.commit[:12]}{' with its changes' if done.dirty else ''}")
    width = max(map(len, (*done.stages, "weights")))
    for name, made in done.stages.items():
        print(f"  {name:<{width}}  {made.verdict}")
        for path, how in made.differs.items():
            print(f"  {'':<{width}}    {path} {how}")
    print(f"  {'weights':<{width}}  {weighed(done)}")
    if not done.weights.equal:
        for name, score in done.scores.items():
            interval = f"{score.difference:+.4g} ({score.low:.4g} to {score.high:.4g})"
            word = "no difference that counts" if score.equal else f"different, by more than {score.counts:.4g}"
            print(f"  {'':<{width}}    {name} {interval}: {word}")
    for line in done.why[:SHOWN]:
        print(f"  because, it may be: {line}")
    if len(done.why) > SHOWN:
        print(f"  and {len(done.why) - SHOWN} more differences; --json lists them")
    print(f"{done.verdict}")


def weighed(done: Rebuilt) -> str:
    if done.weights.equal:
        return "bit-equal"
    if done.weights.largest is None:
        return "different: tensors of other names or shapes"
    return f"other bits; the largest difference is {done.weights.largest:.3g}"
