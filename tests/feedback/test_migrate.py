"""python -m pipelines.feedback.store.migrate"""

from __future__ import annotations

import subprocess
import sys

from pipelines.core.project import Project
from pipelines.feedback.store import database, tables
from tests.conftest import REPOSITORY


def migrate(project: Project, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {**project.environment, "PYTHONPATH": str(REPOSITORY), **variables}
    command = [sys.executable, "-m", "pipelines.feedback.store.migrate"]
    return subprocess.run(command, cwd=project.root, env=environment, capture_output=True, text=True)


def test_it_makes_the_tables_and_says_their_revision(configured: Project) -> None:
    done = migrate(configured)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith(f": its tables are up to date, at revision {tables.REVISION}\n")
    engine = database.connect(configured.database_url)
    with engine.connect() as connection:
        assert database.revision(connection, engine) == tables.REVISION
    engine.dispose()
    assert migrate(configured).stdout == done.stdout


def test_a_database_that_cannot_be_used_is_one_line(configured: Project) -> None:
    done = migrate(configured, GENLOOP_DATABASE_URL="mysql://somewhere")
    assert (done.returncode, done.stdout) == (2, "")
    assert (
        done.stderr
        == "migrate: GENLOOP_DATABASE_URL: expected sqlite:///PATH or postgresql://USER:PASSWORD@HOST/NAME; came mysql://…\n"
    )
