"""genloop fold: seals new events into data/feedback."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from commands.app import Json, command
from pipelines.core.progress import say
from pipelines.core.project import Project

if TYPE_CHECKING:
    from operations.fold import FoldResult


@command(writes=True)
def fold(project: Project, as_json: Json = False) -> None:
    """Seal new events into data/feedback: DVC keeps the files, git their checksums and counts."""
    from pipelines.registry.client import open_registry

    params, registry = open_registry(project)

    from operations.fold import fold

    folded = fold(project, params, registry, say)
    print(json.dumps(asdict(folded), indent=2)) if as_json else show(folded)


def show(folded: FoldResult) -> None:
    from operations.fold import describe_counts, plural

    if folded.events:
        print(f"folded {describe_counts(folded.events)}, by {plural(folded.raters, 'rater')}")
    for batch in folded.batches:
        print(f"  batch {batch}")
    for reason, count in folded.missing.items():
        print(f"  {plural(count, 'image')} missing: {reason}")
    if folded.forgotten:
        print(f"forgot {plural(folded.forgotten, 'rater')}")
    if folded.learned:
        versions = ", ".join(map(str, folded.learned))
        print(f"  versions that had learned from them: {versions}; `genloop run` trains one without")
    if folded.committed:
        print("committed")
    if not (folded.batches or folded.forgotten or folded.committed):
        print("no new events")
