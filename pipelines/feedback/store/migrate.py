"""python -m pipelines.feedback.store.migrate: makes the database of events, or brings an older one up to date.

Every command does so when it opens the database. Apart, it is for those who start several services at once, or whose services
may not change tables.
"""

from __future__ import annotations

import sys

from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from pipelines.feedback.store import database, tables


def main() -> None:
    project = Project.find()
    try:
        engine = database.connect(project.database_url)
    except GenloopError as error:
        print(f"migrate: {project.shorten(str(error))}", file=sys.stderr)
        sys.exit(error.exit_code)
    engine.dispose()
    print(f"{project.shorten(database.display_name(engine.url))}: its tables are up to date, at revision {tables.REVISION}")


if __name__ == "__main__":
    main()
