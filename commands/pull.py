"""genloop pull: fetches the data and models of this commit from DVC's remote."""

from __future__ import annotations

from commands.app import command
from pipelines.core.progress import say
from pipelines.core.project import Project


@command(writes=True)
def pull(project: Project) -> None:
    """Fetch the data and models of this commit from DVC's remote, and check that all of it is here."""
    from operations import versioning

    versioning.pull(project, say)
