"""genloop forget: one rater out of the database and the dataset."""

from __future__ import annotations

import json
import os
import signal
import sys
from typing import Any

from commands.influence import database, serving, versions
from commands.run import interrupt
from pipelines.core import paths
from pipelines.core.errors import GenloopError, InputError
from pipelines.settings.load import load_params
from pipelines.settings.schema import Params


def forget(rater: str, yes: bool, as_json: bool) -> None:
    check(rater)
    os.chdir(paths.root())
    signal.signal(signal.SIGTERM, interrupt)
    params = load_params()

    from pipelines.feedback import rater_lineage
    from pipelines.feedback.sealed import manifest

    manifest.demand(paths.FEEDBACK, manifest.missing())
    with database() as store:
        found = rater_lineage.of(rater, store)
    learned = versions(params, found.sealed)
    from operations.fold import plural

    # Said before anything is done: after it nobody could find it out again.
    events = f"{plural(len(found.events), 'event')} in {plural(len(found.sealed), 'fold')}"
    about = f"{events}; versions that have learned from them: {serving(learned)}"
    if not yes:
        ask(rater, about)
    print(f"forget: {about}", file=sys.stderr, flush=True)

    from operations import forget as forgetting
    from workspace import dvc_cache

    done = forgetting.forget(rater, say)
    state = {
        "rater": rater,
        "events": done.forgotten.events,
        "images": len(done.forgotten.images),
        "folds": done.forgotten.batches,
        "versions": learned,
        "committed": done.committed,
        "stages": done.stages,
        "superseded": done.superseded,
        "still": still(rater, params, learned, dvc_cache.remotes()),
    }
    print(json.dumps(state, indent=2)) if as_json else show(state)


def check(rater: str) -> None:
    """Raises InputError for what can be nobody's name."""
    from pydantic import TypeAdapter, ValidationError

    from pipelines.feedback.events import Id

    try:
        TypeAdapter(Id).validate_python(rater)
    except ValidationError:
        raise InputError(f"RATER: expected 1 to 128 letters, digits and . _ : @ + / -; came {rater!r}") from None


def ask(rater: str, about: str) -> None:
    if not sys.stdin.isatty():
        raise InputError(f"{rater}: {about}; there is no terminal to ask at, so say --yes if it shall be forgotten")
    print(f"Forget {rater}? {about} [y/N] ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise GenloopError("nothing is forgotten")


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def still(rater: str, params: Params, learned: list[dict[str, Any]], remotes: list[str]) -> list[str]:
    """What may hold something of the rater, and how it goes."""
    words = [
        "older versions of the data in DVC's cache: `dvc gc --workspace` deletes all that the workspace does not need",
        *(f"the same in the remote {name}: `dvc push`, then `dvc gc --workspace --cloud --remote {name}`" for name in remotes),
        "backups of the database and of data/uploads, and PostgreSQL's write-ahead log: until you delete them",
        "files that feedback was imported from, and their .rejected.jsonl",
    ]
    if learned:
        again = "genloop run --set train.init=scratch" if params.train.init == "champion" else "genloop run"
        words.append(f"the models {serving(learned)}, and those that were trained on from them: `{again}` trains one without")
    if rater in params.feedback.experts:
        words.append(f"params.yaml: feedback.experts names {rater}; take the name out")
    return words


def show(state: dict[str, Any]) -> None:
    from operations.fold import plural

    if not state["events"]:
        print(f"{state['rater']}: there was nothing to forget; what is said in this name is not taken any more")
    else:
        removed = f"{plural(state['events'], 'event')} and {plural(state['images'], 'image')}"
        print(f"forgot {removed}, out of {plural(len(state['folds']), 'fold')}")
        print(f"  versions that had learned from them: {serving(state['versions'])}")
        print(f"  stages that ran again: {', '.join(state['stages']) or 'none'}")
    print("what may still hold something of theirs:")
    for words in state["still"]:
        print(f"  {words}")
