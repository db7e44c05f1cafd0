"""What all tests share: settings, and a project folder of their own."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pipelines.core import params
from pipelines.core.params import Params

if TYPE_CHECKING:
    from tests.feedback.followed import Made

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = REPOSITORY.parent / "shared" / "data"  # real data; what needs it skips where it is missing

Settings = Callable[..., Params]


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


@pytest.fixture(scope="session")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Made:
    from tests.feedback import followed

    return followed.make(tmp_path_factory.mktemp("followed"))


@pytest.fixture
def made(followed: Made, project: Path) -> Made:
    """What tests/feedback/followed.py makes, as the working directory."""
    shutil.copytree(followed.folder, project, dirs_exist_ok=True)
    return followed


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """A file of real data, by name; the test is skipped where it is missing."""

    def find(name: str) -> Path:
        if not (SHARED / name).is_file():
            pytest.skip(f"{SHARED / name} is not there")
        return SHARED / name

    return find
