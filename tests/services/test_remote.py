"""GENLOOP_REMOTE_URL is DVC's default remote by itself: nothing is written that git would see, and every object is checked."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from operations import preflight, versioning
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.registry.client import Registry
from pipelines.settings.load import load_params, update_params
from pipelines.settings.schema import Params
from tests.services.conftest import keys
from tests.support.kept_project import git, run
from workspace import dvc, dvc_cache, remote, scratch


@pytest.fixture
def far(kept: Project, s3: dict[str, str], bucket: str) -> Project:
    """A project whose environment names a bucket; its settings name another default, and a commit waits to be pushed."""
    origin = kept.root.parent / "origin"
    run(kept.root, "git", "init", "-q", "--bare", "-b", "main", str(origin))
    git(kept.root, "remote", "add", "origin", str(origin))
    (kept.root / ".dvc/config").write_text(
        "[core]\n    analytics = false\n    remote = near\n['remote \"near\"']\n    url = ../../near\n"
    )
    (kept.root / "pictures").mkdir()
    for name in "ab":
        (kept.root / "pictures" / name).write_text(name)
    git(kept.root, "push", "-q", "--set-upstream", "origin", "main")
    with Repo(str(kept.root)) as repo:
        repo.add(str(kept.root / "pictures"))
    git(kept.root, "add", "-A")
    git(kept.root, "commit", "-q", "-m", "Pictures")
    return kept.with_variables({**s3, "GENLOOP_REMOTE_URL": f"s3://{bucket}/dvc"})


@pytest.fixture
def pushing(far: Project) -> Params:
    update_params(far.params_file, settings=["versioning.push=true"])
    git(far.root, "commit", "-qam", "Push")
    return load_params(far.params_file)


def bucket_of(project: Project) -> str:
    return project.environment["GENLOOP_REMOTE_URL"].split("/")[2]


def clone(project: Project) -> Project:
    """Another machine's: with this project's environment, and nothing in DVC's cache."""
    folder = project.root.parent / "clone"
    git(project.root.parent, "clone", "-q", str(project.root.parent / "origin"), str(folder))
    return Project(folder, project.environment)


def test_the_environment_names_the_default_whatever_the_project_does(far: Project) -> None:
    assert dvc_cache.default_remote(far) == dvc.REMOTE
    assert {"url": far.remote_url, "verify": True}.items() <= dvc_cache.remotes(far)[dvc.REMOTE].items()
    assert set(dvc_cache.remotes(far)) == {dvc.REMOTE, "near"}
    without = far.with_variables({"GENLOOP_REMOTE_URL": ""})
    assert (dvc_cache.default_remote(without), set(dvc_cache.remotes(without))) == ("near", {"near"})


def test_what_is_pushed_is_pulled_in_another_clone_and_git_sees_nothing_of_it(
    far: Project, pushing: Params, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    versioning.push(far, pushing, said.append)
    assert said == ["pushed: the data to DVC's remote, then the commits"]
    assert len(keys(bucket_of(far), "dvc/files/md5/")) == 3
    assert not (far.root.parent / "near").exists()
    assert git(far.root, "status", "--porcelain", "--untracked-files=all") == ""
    other = clone(far)
    versioning.pull(other, said.append)
    assert said[-1] == "pulled: 1 outputs are as this commit names them"
    assert [(other.root / "pictures" / name).read_text() for name in "ab"] == ["a", "b"]
    assert git(other.root, "status", "--porcelain", "--untracked-files=all") == ""
    for folder in (far.root, other.root):  # no key in any file, those of DVC's own included
        texts = [path.read_bytes() for path in folder.rglob("*") if path.is_file()]
        assert not any(far.environment["AWS_SECRET_ACCESS_KEY"].encode() in text for text in texts)


def test_an_object_that_did_not_arrive_keeps_the_commits_here(
    far: Project, pushing: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DVC pushes, and says that it has: an object that is lost meanwhile is missed, and so is one that came back in part."""
    import boto3

    real = dvc.run_command

    def lose(project: Project, *arguments: str) -> str | None:
        fault = real(project, *arguments)
        store = boto3.session.Session().client("s3")
        store.delete_object(Bucket=bucket_of(far), Key=keys(bucket_of(far))[0])
        return fault

    monkeypatch.setattr(dvc, "run_command", lose)
    with pytest.raises(GenloopError, match=r"1 of 3 files are not in the remote, .* the next run pushes it"):
        versioning.push(far, pushing, print)
    assert git(far.root, "rev-list", "--count", "origin/main") != git(far.root, "rev-list", "--count", "main")


@pytest.mark.slow
def test_what_the_remote_lacks_or_has_damaged_is_said_by_who_pulls(far: Project, pushing: Params) -> None:
    import boto3

    versioning.push(far, pushing, print)
    store, name = boto3.session.Session().client("s3"), bucket_of(far)
    (key,) = (key for key in keys(name) if key.endswith("0c/c175b9c0f1b6a831c399e269772661"))  # of "a"
    store.put_object(Bucket=name, Key=key, Body=b"b")
    other = clone(far)
    with pytest.raises(GenloopError, match=r"^dvc pull: .*pictures"):
        versioning.pull(other, print)
    assert not (other.root / "pictures/a").exists()
    store.delete_object(Bucket=name, Key=key)
    expected = r"^dvc pull: 1 files of 1 outputs are neither here nor in the remote, the first is pictures/a; .*`dvc push`$"
    with pytest.raises(GenloopError, match=expected):
        versioning.pull(other, print)


def test_a_remote_that_cannot_be_used_is_said_before_the_work_and_keeps_what_is_here(far: Project, pushing: Params) -> None:
    gone = far.with_variables({"GENLOOP_REMOTE_URL": "s3://nowhere/dvc"})
    expected = r"^GENLOOP_REMOTE_URL: s3://nowhere/dvc: http\S+ has no bucket 'nowhere': make it, or name another one"
    with pytest.raises(InputError, match=expected + "; all is kept here, and the next run pushes it$"):
        versioning.push(gone, pushing, print)
    with pytest.raises(InputError, match=expected + "$"):
        versioning.pull(gone, print)
    plan = preflight.RunPlan(gone, pushing, Registry.open(gone, pushing.registry), {"train"})
    (found,) = (finding for finding in preflight.examine(plan) if finding.check == "commits")
    assert (found.state, found.words.startswith("GENLOOP_REMOTE_URL: s3://nowhere/dvc: ")) == ("fail", True), found


def test_the_extra_is_named_where_dvc_lacks_it(far: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *rest: None if name == "dvc_s3" else found(name, *rest))
    expected = r"^GENLOOP_REMOTE_URL names S3, but the package dvc-s3 is missing: .*`pip install 'genloop\[s3\]'`$"
    with pytest.raises(InputError, match=expected):
        remote.check(far)


def test_without_any_remote_a_pull_says_how_to_name_one(kept: Project) -> None:
    with pytest.raises(InputError, match=r"^DVC has no remote to pull from: `dvc remote add .*GENLOOP_REMOTE_URL"):
        versioning.pull(kept, print)


def test_a_folder_may_be_the_remote_too(far: Project, pushing: Params, tmp_path: Path) -> None:
    near = far.with_variables({"GENLOOP_REMOTE_URL": "../share"})
    versioning.push(near, pushing, print)
    assert len([path for path in (far.root.parent / "share").rglob("*") if path.is_file()]) == 3
    assert keys(bucket_of(far)) == []


def test_settings_of_the_machine_still_count(far: Project, tmp_path: Path) -> None:
    """DVC has one variable for the folder of both."""
    (tmp_path / "machine").mkdir()
    (tmp_path / "machine/config").write_text("[core]\n    autostage = true\n['remote \"third\"']\n    url = /srv/third\n")
    own = far.with_variables({"DVC_SYSTEM_CONFIG_DIR": str(tmp_path / "machine")})
    text = (Path(dvc.with_config(own).environment["DVC_SYSTEM_CONFIG_DIR"]) / "config").read_text()
    assert ("autostage = true" in text, "/srv/third" in text, f"url = {far.remote_url}" in text) == (True, True, True)


@pytest.mark.slow
def test_outside_of_git_the_remote_counts_too(far: Project) -> None:
    shutil.rmtree(far.root / ".git")
    assert dvc_cache.default_remote(far) == dvc.REMOTE
    assert dvc.run_command(far, "push", "--quiet", *dvc.remote_options(far)) is None
    assert len(keys(bucket_of(far))) == 3


def test_a_scratch_copy_pushes_nowhere(far: Project, tmp_path: Path) -> None:
    (far.root / "dvc.yaml").write_text("stages: {}\n")
    copy = scratch.copy(far.with_variables({"MLFLOW_DEFAULT_ARTIFACT_ROOT": "s3://x"}), tmp_path / "copy", tmp_path)
    assert (copy.remote_url, copy.artifact_root) == (None, None)


@pytest.mark.slow
def test_genloop_pull_and_doctor_say_what_they_find(far: Project, pushing: Params) -> None:
    from typer.testing import CliRunner

    import genloop

    def call(*arguments: str, **changes: str) -> Any:
        environment = {**far.environment, **changes}
        return CliRunner().invoke(genloop.app, [*arguments, "--project", str(far.root)], env=environment)

    versioning.push(far, pushing, print)
    done = call("pull")
    assert (done.exit_code, done.stdout) == (0, ""), done.output
    found = {finding["check"]: finding for finding in json.loads(call("doctor", "--json").stdout)}["remote"]
    assert found["state"] == "warn"  # of `near`, which is not verified
    assert f"{dvc.REMOTE} ({far.remote_url}), verify is on" in found["words"]
    assert f"; {dvc.REMOTE}: it answers" in found["words"]
    asked = call("doctor", "--json", AWS_ENDPOINT_URL="http://127.0.0.1:9")
    found = {finding["check"]: finding for finding in json.loads(asked.stdout)}["remote"]
    assert (asked.exit_code, found["state"]) == (1, "fail")
    assert "http://127.0.0.1:9 does not answer" in found["words"]
