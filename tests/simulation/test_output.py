"""The folder of a simulation: nobody else's files are touched, and one simulation at a time."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipelines.core.errors import GenloopError, InputError
from pipelines.simulation import output
from pipelines.simulation.settings import load

SETTINGS = load(None)


def test_a_folder_with_other_files_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("dear")
    with pytest.raises(InputError, match=r"holds thesis\.txt, and no simulation"), output.prepare_folder(tmp_path, SETTINGS):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(InputError, match="it is a file"), output.prepare_folder(tmp_path / "thesis.txt", SETTINGS):
        pass


def test_a_simulation_s_own_folder_is_started_anew(tmp_path: Path) -> None:
    out = tmp_path / "new" / "simulation"
    with output.prepare_folder(out, SETTINGS):
        (out / "project").mkdir()
        (out / "project" / "file").write_text("old")
        (out / "samples-turn-3.png").write_text("old")
        (out / "turns.csv").write_text("old")
    (out / "notes.txt").write_text("somebody's")
    with output.prepare_folder(out, SETTINGS):
        left = {path.name for path in out.iterdir()}
    assert left == {".gitignore", ".lock", "simulation.json", "notes.txt"}


def test_two_at_once_are_refused(tmp_path: Path) -> None:
    going_on = pytest.raises(GenloopError, match="another simulation is going on")
    with output.prepare_folder(tmp_path, SETTINGS), going_on, output.prepare_folder(tmp_path, SETTINGS):
        pass
