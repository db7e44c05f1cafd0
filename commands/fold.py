"""genloop fold: what people have said since the last fold, into data/feedback."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import asdict
from typing import TYPE_CHECKING

from commands.run import interrupt
from pipelines.core import paths
from pipelines.settings.load import load_params

if TYPE_CHECKING:
    from operations.fold import Folded


def fold(as_json: bool) -> None:
    os.chdir(paths.root())
    signal.signal(signal.SIGTERM, interrupt)
    params = load_params()

    from operations import fold as folding

    done = folding.fold(params)
    print(json.dumps(asdict(done), indent=2)) if as_json else show(done)


def show(done: Folded) -> None:
    from operations.fold import counted, plural

    if done.events:
        print(f"folded {counted(done.events)}, by {plural(done.raters, 'rater')}")
    for batch in done.batches:
        print(f"  batch {batch}")
    for reason, count in done.missing.items():
        print(f"  {plural(count, 'picture')} missing: {reason}")
    if done.forgotten:
        print(f"forgot {plural(done.forgotten, 'rater')}")
    if done.learned:
        print(f"  versions that had learned from them: {', '.join(map(str, done.learned))}; `genloop run` trains one without")
    if done.committed:
        print("committed")
    if not (done.batches or done.forgotten or done.committed):
        print("nothing new")
