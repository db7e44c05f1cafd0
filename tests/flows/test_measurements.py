"""Runs end with a look at what came in, where something came; whatever goes wrong with it, the run has done its work."""

from __future__ import annotations

import pytest

from flows import measurements
from operations import drift
from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from tests.conftest import MakeParams
from tests.support.tiny_project import Tiny

pytestmark = pytest.mark.slow  # in runs of Prefect's


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    found: list[str] = []
    monkeypatch.setattr(measurements, "announce", found.append)
    return found


def test_without_anything_new_no_process_starts(
    project: Project, make_params: MakeParams, lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measurements, "run_limited", lambda *_: pytest.fail("there is no benchmark yet"))
    measurements.measure_if_due(project, make_params())
    project.reference.mkdir(parents=True)
    (project.reference / "benchmark.json").write_text("{}")
    monkeypatch.setattr(measurements, "run_limited", lambda *_: lines.append("measured"))
    measurements.measure_if_due(project, make_params())
    assert lines == ["measured"]


@pytest.mark.parametrize("error", [GenloopError("measure: stopped"), OSError("no more processes"), ZeroDivisionError("a bug")])
def test_a_failure_is_said_and_fails_no_run(
    project: Project, make_params: MakeParams, lines: list[str], monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(drift, "is_due", lambda _: True)
    monkeypatch.setattr(measurements, "run_limited", fail)
    measurements.measure_if_due(project, make_params())
    assert lines == [f"drift is not known: {error}"]


def test_a_run_ends_well_where_its_data_cannot_be_compared(served: Tiny) -> None:
    served.graph(
        reference="""
        folder = Path("data/reference"); folder.mkdir(parents=True)
        (folder / "benchmark.json").write_text("damaged")
        """
    )
    done = served.ran("run")
    assert done.returncode == 0, done.stderr
    assert "── measure" in done.stderr.splitlines()
    assert "data/reference: no usable benchmark" in done.stderr
    assert "drift is not known: measure: stopped with exit code 2, for the reason above" in done.stderr
    assert "Traceback" not in done.stderr
    served.nothing_left()
