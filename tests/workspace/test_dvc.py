from __future__ import annotations

import os
import re
import shutil
import sys
import time
from pathlib import Path

import pytest

from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.settings.load import update_params
from tests.support import read_only
from tests.support.kept_project import git
from tests.support.tiny_project import Tiny
from workspace import dvc
from workspace.stages import repro


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
    assert dvc.stages(chain.project) == ["one", "two", "three"]


def test_a_setting_that_an_older_params_yaml_lacks_is_named(chain: Tiny) -> None:
    (chain.folder / "params.yaml").write_text("model: {family: gan}\n")
    (chain.folder / "dvc.yaml").write_text('stages:\n  one: {cmd: touch a, deps: ["${model.external}"], outs: [a]}\n')
    with pytest.raises(InputError, match=r"params\.yaml has no model\.external: add it"):
        dvc.stages(chain.project)
    (chain.folder / "dvc.yaml").write_text("stages: [one]\n")
    with pytest.raises(InputError, match=r"^dvc\.yaml: ") as error:
        dvc.stages(chain.project)
    assert "params.yaml" not in str(error.value)


def test_before_anything_ran_all_is_never(chain: Tiny) -> None:
    assert dvc.status(chain.project) == {"one": "never", "two": "never", "three": "never"}


@pytest.mark.parametrize("left_out", ["", ".dvc/tmp", ".dvc/tmp/lock"])
@pytest.mark.parametrize("under_git", [True, False])
def test_a_project_that_cannot_be_written_is_read(
    ran: Tiny, monkeypatch: pytest.MonkeyPatch, left_out: str, under_git: bool
) -> None:
    if under_git:
        git(ran.folder, "init", "-q")
    with (ran.folder / "two.py").open("a") as script:
        script.write("# changed\n")
    place = ran.folder / left_out if left_out else None  # as a clone has it that no DVC has worked in
    if place and place.is_dir():
        shutil.rmtree(place)
    elif place:
        place.unlink(missing_ok=True)
    read_only.close(ran.folder)
    read_only.go_by_mode(monkeypatch)
    before, time = read_only.names(ran.folder), (ran.folder / ".dvc").stat().st_mtime_ns
    assert dvc.status(ran.project) == {"one": "fresh", "two": "stale", "three": "stale"}
    assert dvc.stages(ran.project) == ["one", "two", "three"]
    assert (read_only.names(ran.folder), (ran.folder / ".dvc").stat().st_mtime_ns) == (before, time)
    read_only.open_again(ran.folder)


def test_what_comes_after_a_stale_stage_is_stale(ran: Tiny) -> None:
    assert set(dvc.status(ran.project).values()) == {"fresh"}
    with (ran.folder / "two.py").open("a") as script:
        script.write("# changed\n")
    assert dvc.status(ran.project) == {"one": "fresh", "two": "stale", "three": "stale"}


def test_a_lost_output_makes_its_stage_stale(ran: Tiny) -> None:
    (ran.folder / "three.txt").unlink()
    assert dvc.status(ran.project) == {"one": "fresh", "two": "fresh", "three": "stale"}


@pytest.mark.slow
def test_status_waits_for_another_dvc_process(ran: Tiny) -> None:
    hold = "import time; from dvc.repo import Repo; Repo().lock.lock(); print(flush=True); time.sleep(5)"
    holder = ran.start("-c", hold)
    assert holder.stdout is not None
    holder.stdout.readline()
    started = time.monotonic()
    assert set(dvc.status(ran.project).values()) == {"fresh"}
    assert time.monotonic() - started > 3  # DVC itself would have given up by then
    holder.kill()


def test_an_output_that_the_cache_lost_is_said(ran: Tiny) -> None:
    dvc.check_cache(ran.project, "two")
    kept = [path for path in (ran.folder / ".dvc/cache/files").rglob("*") if path.is_file()]
    for path in kept:
        if path.read_text() == "made by two":
            path.chmod(0o644)
            path.write_text("made")  # half of it, as on a full disk
    with pytest.raises(GenloopError, match=r"two: DVC's cache lacks 1 of its output files, the first is two\.txt"):
        dvc.check_cache(ran.project, "two")
    dvc.check_cache(ran.project, "one")


def test_an_output_that_never_reached_the_cache_is_said(ran: Tiny) -> None:
    for path in (ran.folder / ".dvc/cache/files").rglob("*"):
        if path.is_file() and path.read_text() == "made by one":
            path.unlink()
    with pytest.raises(GenloopError, match="disk is full"):
        dvc.check_cache(ran.project, "one")


def test_the_noise_is_measured_once_for_a_configuration_and_never_by_a_plain_repro(ran: Tiny) -> None:
    (ran.folder / "noise").mkdir()
    stage = "{wdir: .., cmd: echo 1 > noise.txt, deps: [one.txt], params: [train.steps], outs: [noise.txt]}"
    (ran.folder / "noise/dvc.yaml").write_text(f"stages: {{noise: {stage}}}\n")
    assert dvc.noise_state(ran.project) == "never"
    assert "noise" not in dvc.status(ran.project)
    assert ran.start("-m", "dvc", "repro", "-q").wait() == 0
    assert dvc.noise_state(ran.project) == "never"

    assert ran.start("-m", "dvc", "repro", "-q", "--single-item", dvc.NOISE).wait() == 0
    assert dvc.noise_state(ran.project) == "fresh"
    dvc.check_cache(ran.project, dvc.NOISE)
    update_params(ran.project.params_file, settings=["train.seed=77"])
    assert dvc.noise_state(ran.project) == "fresh"
    update_params(ran.project.params_file, settings=["train.steps=7"])
    assert dvc.noise_state(ran.project) == "stale"
    assert set(dvc.status(ran.project).values()) == {"fresh"}


def test_no_repository_is_said_with_the_remedy(project: Project) -> None:
    with pytest.raises(InputError, match=rf"{project.root}: no DVC repository.*git init && dvc init"):
        dvc.status(project)


def test_messages_name_files_as_they_are_seen_from_the_project_wherever_the_process_works(
    ran: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    (ran.folder / "data").mkdir()
    folders = (ran.folder, ran.folder / "data", ran.folder.parent)
    for folder in folders:
        monkeypatch.chdir(folder)
        assert dvc.status(ran.project) == {"one": "fresh", "two": "fresh", "three": "fresh"}
    for path in (ran.folder / ".dvc/cache/files").rglob("*"):
        if path.is_file() and path.read_text() == "made by one":
            path.unlink()
    for folder in folders:
        monkeypatch.chdir(folder)
        with pytest.raises(GenloopError, match=r"the first is one\.txt;"):
            dvc.check_cache(ran.project, "one")


def test_two_projects_in_one_process_are_two(ran: Tiny, template: Path, tmp_path: Path) -> None:
    shutil.copytree(template, tmp_path / "other")
    other = Tiny(tmp_path / "other", {})
    other.graph(four="pass")
    assert dvc.status(ran.project) == {"one": "fresh", "two": "fresh", "three": "fresh"}
    assert dvc.status(other.project) == {"four": "never"}
    assert dvc.stages(ran.project) == ["one", "two", "three"]


def test_a_project_that_was_downloaded_without_its_git_works(chain: Tiny) -> None:
    config = chain.folder / ".dvc/config"
    config.write_text("[core]\n    analytics = false\n")  # as a project in git has it
    assert dvc.status(chain.project) == {"one": "never", "two": "never", "three": "never"}
    repro(chain.project, "one", False, print)
    assert dvc.status(chain.project) == {"one": "fresh", "two": "never", "three": "never"}
    assert dvc.run_command(chain.project, "status", "--quiet", "one") is None
    assert config.read_text() == "[core]\n    analytics = false\n"  # so that it works as it should once it is in git


@pytest.mark.parametrize(
    ("place", "line", "name"),
    [
        (".gitignore", "*.lock", "dvc.lock"),
        (".git/info/exclude", "dvc.lock", "dvc.lock"),
        (".gitignore", "dvc.*", "dvc.yaml"),  # DVC would overlook it, and nothing would be stale
        ("noise/.gitignore", "*", "noise/dvc.yaml"),
    ],
)
def test_what_git_ignores_of_the_graph_is_said_with_the_line_that_does_it(
    kept: Project, place: str, line: str, name: str
) -> None:
    (kept.root / "dvc.yaml").write_text("stages:\n  one: {cmd: touch a, outs: [a]}\n")
    assert dvc.run_command(kept, "repro", "--quiet") is None
    git(kept.root, "add", "dvc.lock", "dvc.yaml")  # although git has them, DVC goes by the line
    (kept.root / place).parent.mkdir(exist_ok=True)
    before = (kept.root / place).read_text() if (kept.root / place).exists() else ""
    for rest in (before, ""):  # the line comes last, or alone
        (kept.root / place).write_text(f"{rest}{line}\n")
        if place.startswith(".git/"):
            (kept.root / ".gitignore").write_text("")
        with pytest.raises(InputError) as raised:
            dvc.status(kept)
        assert re.match(
            f"DVC cannot work: git ignores {name},.* because {place} has the line `{re.escape(line)}`", str(raised.value)
        )
        assert f"`!/{name}`" in str(raised.value)
    (kept.root / place).unlink()
    assert dvc.status(kept) == {"one": "fresh"}
