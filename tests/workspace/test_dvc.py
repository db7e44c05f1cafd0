from __future__ import annotations

import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.core import files, paths
from pipelines.core.errors import GenloopError, InputError
from pipelines.registry import client
from pipelines.scoring import approval
from pipelines.settings.overlay import update_params
from tests.support.tiny_project import Tiny
from workspace import dvc
from workspace.staleness import pending, unmeasured


@pytest.fixture
def chain(tiny: Tiny) -> Tiny:
    tiny.graph(one="pass", two="pass", three="pass")
    return tiny


@pytest.fixture(scope="module")
def whole(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The chain after a run."""
    folder = tmp_path_factory.mktemp("ran") / "project"
    shutil.copytree(template, folder)
    project = Tiny(folder, {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"})
    project.graph(one="pass", two="pass", three="pass")
    assert project.start("-m", "dvc", "repro", "-q").wait() == 0
    return folder


@pytest.fixture
def ran(tiny: Tiny, whole: Path) -> Tiny:
    shutil.copytree(whole, tiny.folder, dirs_exist_ok=True)
    return tiny


def test_stages_come_in_the_order_in_which_they_run(chain: Tiny) -> None:
    text = (chain.folder / "dvc.yaml").read_text().splitlines()
    (chain.folder / "dvc.yaml").write_text("\n".join([text[0], *reversed(text[1:])]))
    assert dvc.stages() == ["one", "two", "three"]


def test_before_anything_ran_all_is_never(chain: Tiny) -> None:
    assert dvc.status() == {"one": "never", "two": "never", "three": "never"}


def test_what_comes_after_a_stale_stage_is_stale(ran: Tiny) -> None:
    assert set(dvc.status().values()) == {"fresh"}
    with (ran.folder / "two.py").open("a") as script:
        script.write("# changed\n")
    assert dvc.status() == {"one": "fresh", "two": "stale", "three": "stale"}


def test_a_lost_output_makes_its_stage_stale(ran: Tiny) -> None:
    (ran.folder / "three.txt").unlink()
    assert dvc.status() == {"one": "fresh", "two": "fresh", "three": "stale"}


def test_status_waits_for_another_dvc_process(ran: Tiny) -> None:
    hold = "import time; from dvc.repo import Repo; Repo().lock.lock(); print(flush=True); time.sleep(5)"
    holder = ran.start("-c", hold)
    assert holder.stdout is not None
    holder.stdout.readline()
    started = time.monotonic()
    assert set(dvc.status().values()) == {"fresh"}
    assert time.monotonic() - started > 3  # DVC itself would have given up by then
    holder.kill()


def test_an_output_that_the_cache_lost_is_said(ran: Tiny) -> None:
    dvc.check_cache("two")
    kept = [path for path in (ran.folder / ".dvc/cache/files").rglob("*") if path.is_file()]
    for path in kept:
        if path.read_text() == "made by two":
            path.chmod(0o644)
            path.write_text("made")  # half of it, as on a full disk
    with pytest.raises(GenloopError, match=r"two: DVC's cache lacks 1 of its output files, the first is two\.txt"):
        dvc.check_cache("two")
    dvc.check_cache("one")


def test_an_output_that_never_reached_the_cache_is_said(ran: Tiny) -> None:
    for path in (ran.folder / ".dvc/cache/files").rglob("*"):
        if path.is_file() and path.read_text() == "made by one":
            path.unlink()
    with pytest.raises(GenloopError, match="disk is full"):
        dvc.check_cache("one")


def test_the_noise_is_measured_once_for_a_configuration_and_never_by_a_plain_repro(ran: Tiny, make_params) -> None:
    (ran.folder / "noise").mkdir()
    stage = "{wdir: .., cmd: echo 1 > noise.txt, deps: [one.txt], params: [train.steps], outs: [noise.txt]}"
    (ran.folder / "noise/dvc.yaml").write_text(f"stages: {{noise: {stage}}}\n")
    assert dvc.noise() == "never"
    assert "noise" not in dvc.status()
    assert ran.start("-m", "dvc", "repro", "-q").wait() == 0
    assert dvc.noise() == "never"

    assert ran.start("-m", "dvc", "repro", "-q", "--single-item", dvc.NOISE).wait() == 0
    assert dvc.noise() == "fresh"
    dvc.check_cache(dvc.NOISE)
    assert not unmeasured(make_params())
    update_params([], ["train.seed=77"])
    assert dvc.noise() == "fresh"
    update_params([], ["train.steps=7"])
    assert dvc.noise() == "stale"
    assert set(dvc.status().values()) == {"fresh"}
    assert unmeasured(make_params())
    assert not unmeasured(make_params({"promotion.noise": 0}))
    assert not unmeasured(make_params({"promotion.rules": [{"metric": "memorisation", "kind": "at_most", "margin": 0.6}]}))


def test_no_repository_is_said_with_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="git init && dvc init"):
        dvc.status()


def test_a_receipt_that_the_registry_does_not_know_registers_again(
    tiny: Tiny, make_params, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dvc, "status", lambda: {"evaluate": "fresh", "register": "fresh"})
    monkeypatch.setattr(client, "receipt_known", lambda _: False)
    assert pending(make_params()) == {"register": True}  # DVC thinks it fresh, and must be told
    monkeypatch.setattr(client, "receipt_known", lambda _: True)
    assert pending(make_params()) == {}
    assert pending(make_params(), everything=True) == {"evaluate": True, "register": True}


def test_a_floor_from_before_people_s_taste_was_known_is_measured_anew(
    project: Path, make_params: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dvc, "noise", lambda: "fresh")
    asked = make_params({"promotion.rules": [{"metric": "approval", "kind": "better"}]})
    trainings = [{"seed": seed, "scores": {"fid": 1.0 + seed}} for seed in range(2)]
    files.write(paths.NOISE, json.dumps({"benchmark_id": "b", "trainings": trainings}))
    assert not unmeasured(asked)
    approval.write(paths.APPROVAL, {}, approval.Approval(np.ones(3), 0.0, "b"))
    assert unmeasured(asked)
    assert not unmeasured(make_params())  # whose rule of approval asks for no gain
    for number, training in enumerate(trainings):
        training["scores"]["approval"] = 0.5 + number / 10
    files.write(paths.NOISE, json.dumps({"benchmark_id": "b", "trainings": trainings}))
    assert not unmeasured(asked)
