"""A project that was copied or moved: its registry is its own, and the original's files stay as they were."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from operations.provenance import Provenance, provenance
from pipelines.core.errors import GenloopError
from pipelines.registry import places
from pipelines.registry.client import Registry
from pipelines.registry.versions import CHAMPION, FEEDBACK
from pipelines.settings.load import load_params
from tests.conftest import REPOSITORY, MakeParams, project_in
from tests.support import flat_model, read_only
from tests.support.flat_model import greys

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import mlflow

SEEDS = np.arange(3)
Open = Callable[[Path], Registry]


@pytest.fixture
def open_in(elsewhere: Path, make_params: MakeParams) -> Open:
    """The registry of a folder, as a command of a process of its own opens it."""
    return lambda folder: Registry.open(project_in(folder), make_params().registry)


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with one version, the champion, whose images are flat. MLflow takes some seconds to make its tables."""
    folder = tmp_path_factory.mktemp("template")
    registry = Registry.open(project_in(folder), load_params(REPOSITORY / "params.yaml").registry)
    registry.set_alias(CHAMPION, flat_model.register(registry))
    return folder


@pytest.fixture
def original(template: Path, tmp_path: Path) -> Path:
    """The same as if it had been made in a folder P."""
    folder = Path(shutil.copytree(template, tmp_path / "P"))
    with closing(places.connect(folder / "mlflow.db")) as database:
        for table, column in (places.EXPERIMENTS, *places.COLUMNS, *places.VERSIONS):
            database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", [str(template), str(folder)])
    return folder


def images(registry: Registry) -> list[int]:
    """What the champion generates of the first seeds."""
    return greys(registry.load().draw(SEEDS, np.zeros(3, np.int32)))


def content(folder: Path) -> dict[str, str]:
    """Every file of a folder by its path, with a hash; without what Python compiles."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and "__pycache__" not in path.parts]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def recorded(folder: Path) -> list[str]:
    """All places that the store of a folder has."""
    with closing(places.connect(folder / "mlflow.db")) as database:
        return [place.location for place in places.places(database)]


def copy(original: Path, name: str) -> Path:
    return Path(shutil.copytree(original, original.parent / name, symlinks=True))


def test_a_copy_never_writes_into_its_original(original: Path, open_in: Open) -> None:
    folder = copy(original, "Q")
    before = content(original)
    registry = open_in(folder)
    assert images(registry) == [0, 1, 2]
    assert flat_model.register(registry) == 2
    assert content(original) == before
    assert all(location.removeprefix("file://").startswith(str(folder)) for location in recorded(folder))
    assert {path.name for path in (folder / "mlruns/models").iterdir()} > {
        path.name for path in (original / "mlruns/models").iterdir()
    }


def test_a_copy_does_not_need_its_original(original: Path, open_in: Open, capsys: pytest.CaptureFixture[str]) -> None:
    folder = copy(original, "Q")
    shutil.rmtree(original)
    registry = open_in(folder)
    assert images(registry) == [0, 1, 2]
    assert f"mlflow.db was made in {original}; the places of its artifacts now are in {folder}" in capsys.readouterr().err
    kept = registry.artifact(registry.version(1), FEEDBACK, folder)
    assert kept is not None
    assert kept.read_text().split() == ["{", '"batches":', "[", '"x"', "]", "}"]
    assert images(open_in(folder)) == [0, 1, 2]
    assert capsys.readouterr().err == ""  # it is said once


def test_a_moved_project_goes_on_where_it_is(original: Path, open_in: Open) -> None:
    folder = original.rename(original.parent / "a b, ü#100%")
    registry = open_in(folder)
    assert (registry.alias(CHAMPION), images(registry)) == (1, [0, 1, 2])
    assert flat_model.register(registry) == 2
    assert greys(registry.load(2).draw(SEEDS, np.ones(3, np.int32))) == [10, 11, 12]
    assert not original.exists()  # no run has made it again
    assert provenance(registry.project, registry).facts == [
        f"moved here from {original}; the registry's artifacts were found anew"
    ]
    back = folder.rename(original)
    assert images(open_in(back)) == [0, 1, 2]
    assert all(location.removeprefix("file://").startswith(str(original)) for location in recorded(original))


def test_a_copy_of_a_copy_that_nobody_opened(original: Path, open_in: Open) -> None:
    last = copy(copy(original, "Q"), "R")
    before = content(original), content(original.parent / "Q")
    registry = open_in(last)
    assert images(registry) == [0, 1, 2]
    flat_model.register(registry)
    assert (content(original), content(original.parent / "Q")) == before
    assert provenance(registry.project, registry) == Provenance(
        [f"copied from {original}; the registry's artifacts were found anew"]
    )


def test_mlflow_itself_finds_the_pictures_in_a_copy(original: Path, open_in: Open) -> None:
    folder = copy(original, "Q")
    shutil.rmtree(original)
    assert open_in(folder).client
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    (run,) = client.search_runs([client.get_experiment_by_name("genloop").experiment_id])
    assert [file.path for file in client.list_artifacts(run.info.run_id)] == [FEEDBACK]
    assert Path(client.get_model_version_download_uri("genloop-digits", "1").removeprefix("file://")).is_dir()


@pytest.mark.parametrize("opened_by", ["its own path", "the link"])
def test_a_link_to_a_project_is_no_copy_of_it(original: Path, open_in: Open, opened_by: str) -> None:
    link = original.parent / "link"
    link.symlink_to(original)
    before = recorded(original)
    registry = open_in(link if opened_by == "the link" else original)
    assert images(registry) == [0, 1, 2]
    assert recorded(original) == before
    assert provenance(registry.project, registry) == Provenance()


def test_what_was_put_elsewhere_on_purpose_stays_there(original: Path, open_in: Open, tmp_path: Path) -> None:
    disk, bucket = tmp_path / "disk/mlruns", "s3://bucket/mlruns"
    disk.mkdir(parents=True)
    client = open_in(original).client
    for name, location in (("large", disk.as_uri()), ("shared", bucket)):
        experiment = client.create_experiment(name, artifact_location=location)
        client.create_run(experiment)
    folder = copy(original, "Q")
    assert images(open_in(folder)) == [0, 1, 2]
    client = mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db")
    assert [client.get_experiment_by_name(name).artifact_location for name in ("large", "shared")] == [disk.as_uri(), bucket]


def test_a_store_that_two_projects_share_by_a_link_stays_as_it_is(original: Path, open_in: Open) -> None:
    folder = original.parent / "Q"
    folder.mkdir()
    (folder / "mlflow.db").symlink_to(original / "mlflow.db")
    before = recorded(original)
    assert images(open_in(folder)) == [0, 1, 2]
    assert recorded(original) == before


def test_artifacts_that_did_not_come_along_stay_where_they_are(original: Path, open_in: Open) -> None:
    """New ones go into the copy all the same."""
    folder = original.parent / "Q"
    folder.mkdir()
    shutil.copy(original / "mlflow.db", folder)
    before = content(original)
    registry = open_in(folder)
    assert images(registry) == [0, 1, 2]
    assert flat_model.register(registry) == 2
    assert content(original) == before
    assert provenance(registry.project, registry).faults == [
        f"the files of genloop-digits 1 are in {original} alone; copy its mlruns here"
    ]
    shutil.copytree(original / "mlruns", folder / "mlruns", dirs_exist_ok=True)
    shutil.rmtree(original)
    registry = open_in(folder)
    assert (images(registry), provenance(registry.project, registry).faults) == ([0, 1, 2], [])


def test_missing_files_are_said_with_their_place(original: Path, open_in: Open) -> None:
    shutil.rmtree(original / "mlruns")
    registry = open_in(original)
    words = r"version 1 of 'genloop-digits' is registered, but its files are missing: expected them in .*/P/mlruns/models/m-"
    for ask in (registry.load, registry.description, lambda: registry.fetch(original / "copy")):
        with pytest.raises(GenloopError, match=words):
            ask()
    assert provenance(registry.project, registry).faults == [
        "the files of genloop-digits 1 are missing; bring mlruns back from a backup"
    ]


def test_many_processes_at_once_rewrite_it_once(original: Path) -> None:
    folder = copy(original, "Q")
    shutil.rmtree(original)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: places.claim(folder / "mlflow.db"), range(8)))
    assert sorted(map(str, filter(None, found))) == [str(original)]
    assert not [location for location in recorded(folder) if "/P/" in location]


def test_a_rewrite_that_fails_leaves_the_store_as_it_was(original: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = copy(original, "Q")
    before = recorded(folder)
    calls = []

    def fail(self: places.ArtifactPlace, folder: Path) -> str:
        calls.append(self)
        if len(calls) == 3:
            raise sqlite3.OperationalError("disk I/O error")
        return "file:///somewhere"

    monkeypatch.setattr(places.ArtifactPlace, "relocated", fail)
    with pytest.raises(sqlite3.OperationalError, match="disk I/O error"):
        places.claim(folder / "mlflow.db")
    assert (len(calls), recorded(folder)) == (3, before)


def test_a_registry_on_a_server_is_left_to_the_server(original: Path, make_params: MakeParams) -> None:
    project = project_in(original, MLFLOW_TRACKING_URI="http://127.0.0.1:9")
    registry = Registry.open(project, make_params().registry)
    assert (registry.store, provenance(project, registry)) == (None, Provenance())


def test_artifacts_lie_beside_the_store_wherever_that_is(tmp_path: Path, elsewhere: Path, make_params: MakeParams) -> None:
    (tmp_path / "team").mkdir()
    project = project_in(tmp_path, MLFLOW_TRACKING_URI="sqlite:///team/models.db")
    registry = Registry.open(project, make_params().registry)
    assert flat_model.register(registry) == 1
    moved = (tmp_path / "team").rename(tmp_path / "others")
    project = project_in(tmp_path, MLFLOW_TRACKING_URI=f"sqlite:///{moved}/models.db")
    assert greys(Registry.open(project, make_params().registry).load(1).draw(SEEDS, None)) == [90, 91, 92]
    assert not (tmp_path / "mlruns").exists()


@pytest.mark.parametrize("damaged", [b"", b"not a database", b"SQLite format 3\0 and no more"])
def test_a_file_that_is_no_store_is_an_error_in_words(tmp_path: Path, open_in: Open, damaged: bytes) -> None:
    (tmp_path / "mlflow.db").write_bytes(damaged)
    registry = open_in(tmp_path)
    assert provenance(registry.project, registry) == Provenance()
    assert (tmp_path / "mlflow.db").read_bytes() == damaged
    if damaged:
        with pytest.raises(GenloopError, match=r"mlflow\.db is no database, or is damaged \(.*\); restore it from a backup"):
            registry.numbers()
    else:
        assert registry.numbers() == []  # MLflow makes its tables


def test_a_store_that_can_only_be_read_is_read(original: Path, open_in: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.rmtree(original / "logs")
    access = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and access(path, mode))
    registry = open_in(original)
    assert (registry.alias(CHAMPION), images(registry)) == (1, [0, 1, 2])
    assert not (original / "logs").exists()


@pytest.mark.parametrize("gone", [True, False])
def test_a_moved_store_that_can_only_be_read_is_read_where_it_is(
    original: Path, open_in: Open, monkeypatch: pytest.MonkeyPatch, gone: bool
) -> None:
    """As a container sees a project that is mounted read-only, at another path."""
    folder = copy(original, "Q")
    if gone:
        shutil.rmtree(original)
    else:
        shutil.rmtree(original / "mlruns")  # nothing may be read there
    read_only.close(folder)
    before = content(folder)
    read_only.go_by_mode(monkeypatch)
    registry = open_in(folder)
    assert (registry.alias(CHAMPION), images(registry)) == (1, [0, 1, 2])
    kept = registry.artifact(registry.version(1), FEEDBACK, folder.parent)
    assert kept is not None
    assert kept.read_text().split() == ["{", '"batches":', "[", '"x"', "]", "}"]
    assert content(folder) == before
    used = Path(registry.address.removeprefix("sqlite:///"))
    assert used.is_file()
    assert not used.is_relative_to(folder)
    read_only.open_again(folder)


def test_what_links_share_with_the_original_is_named(original: Path, open_in: Open) -> None:
    data = original.parent / "large disk"
    data.mkdir()
    (original / "data").symlink_to(data)
    folder = copy(original, "Q")
    registry = open_in(folder)
    assert provenance(registry.project, registry).faults == [
        f"data: by links the same as in {original}, so both projects write there; replace the links by copies"
    ]


@pytest.mark.parametrize("name", ["model.json", "code/__init__.py", "code/generator.py"])
def test_a_version_that_lacks_a_file_is_an_error_in_words(original: Path, open_in: Open, name: str) -> None:
    (file,) = (original / "mlruns").rglob(name)
    file.unlink()
    with pytest.raises(GenloopError, match=r"version 1 of 'genloop-digits' does not load: \w+Error: .*; restore its files"):
        open_in(original).load()
