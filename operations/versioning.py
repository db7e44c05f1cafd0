"""Versioning of a run: commits what DVC has recorded, so that a version's commit has its data, and pushes both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.registry.client import Registry
from pipelines.registry.versions import COMMIT
from pipelines.settings.schema import Params
from workspace import dvc, dvc_cache, git, remote

ADVICE = "`dvc remote add --default NAME URL`, or GENLOOP_REMOTE_URL, gives it one"
MODEL = ("data/model", "data/reports/metrics.json")  # outputs, as DVC writes them, by which versions differ
DIRTY = "genloop.git_dirty"  # tag of a version


def commit(project: Project, params: Params, registry: Registry, log: Callable[[str], None]) -> bool:
    """Commit what DVC has recorded since the last commit, and nothing else; returns whether it did.

    The new version is tagged with the commit.
    """
    if not params.versioning.commit:
        return False
    files, committed = recorded_files(project), False
    if git.has_changes(project, files):
        changed = ", ".join(git.relative_names(project, git.changed(project, files)))
        message = commit_message(project, registry.receipt())
        if committed := git.commit(project, files, message, log):
            head, subject = (git.head(project) or "")[:7], message.partition("\n")[0]
            log(f"committed {changed}: {head} {subject} (versioning.commit: false in params.yaml turns this off)")
    elif files and (reason := git.obstacle(project, files)):
        log(f"nothing is committed: {reason}")
    tag_version(project, params, registry)
    return committed


def has_uncommitted(project: Project, params: Params) -> bool:
    """Whether a run that was killed has left something to commit."""
    return params.versioning.commit and git.has_changes(project, recorded_files(project))


def recorded_files(project: Project) -> list[Path]:
    """The files that DVC writes for git, and the noise floor; folds commit data/feedback.dvc themselves."""
    pointers = [project.root / name for name in git.files(project, "*.dvc") or []]
    written = [project.dvc_lock, project.noise_lock, project.noise_floor, *pointers]
    return [path for path in written if path.is_file() and path != project.feedback_pointer]


def commit_message(project: Project, receipt: dict[str, Any] | None) -> str:
    """Names the stages that have run since the last commit, and their version. receipt: of the last version."""
    stages = [name for lock in (project.dvc_lock, project.noise_lock) for name in changed_stages(project, lock)]
    if receipt and "register" in stages:
        return f"Make version {receipt['version']} of {receipt['model']}\n\nStages that ran: {', '.join(stages)}.\n"
    return f"Run {', '.join(stages)}\n" if stages else "Update what DVC has recorded\n"


def changed_stages(project: Project, lock: Path) -> list[str]:
    """Stages whose record in this file differs from the last commit."""
    before = dvc.parse_lock(git.show(project, lock))
    return [name for name, entry in dvc.read_lock(lock).items() if entry != before.get(name)]


def tag_version(project: Project, params: Params, registry: Registry) -> None:
    """Tag the newest version with the last commit if that commit has its data and the tagged one has not."""
    receipt, head = registry.receipt(), git.head(project)
    if head is None or receipt is None or receipt.get("model") != params.registry.model:
        return
    made = outputs(dvc.read_lock(project.dvc_lock))
    if not made or outputs(dvc.parse_lock(git.show(project, project.dvc_lock))) != made:
        return
    tagged = registry.version(receipt["version"]).tags.get(COMMIT)
    if tagged is None or outputs(dvc.parse_lock(git.show(project, project.dvc_lock, tagged))) != made:
        registry.tag(receipt["version"], {COMMIT: head, DIRTY: str(git.dirty(project)).lower()})


def outputs(stages: dict[str, Any]) -> dict[str, str]:
    """DVC's hashes of what a version is made of."""
    outs = [out for entry in stages.values() for out in entry.get("outs", [])]
    return {out["path"]: out["md5"] for out in outs if out["path"] in MODEL}


def push(project: Project, params: Params, log: Callable[[str], None]) -> None:
    """`dvc push`, and when all of it is there, `git push`, where there are commits that have not been pushed.

    Raises:
        GenloopError: there is no remote, or a push failed. The local data stays, and the next run pushes it.
    """
    if not params.versioning.push or not git.has_unpushed(project):
        return
    later = "all is kept here, and the next run pushes it"
    if not dvc_cache.remotes(project):
        raise GenloopError(f"versioning.push is true, but DVC has no remote: {ADVICE}; {later}")
    try:
        remote.check(project)
    except GenloopError as error:
        raise type(error)(f"{error}; {later}") from None
    if (fault := dvc.run_command(project, "push", "--quiet", *dvc.remote_options(project))) is not None:
        raise GenloopError(f"dvc push: {fault}; {later}")
    missing, count = remote.missing_objects(project)
    if missing:
        raise GenloopError(
            f"dvc push: {len(missing):,} of {count:,} files are not in the remote, although DVC says that it has pushed them; "
            f"the first is of {missing[0]}; most often DVC's cache here has lost it: `dvc status --cloud` tells more; {later}"
        )
    pushed = git.git(project, "push", "--quiet")
    if pushed.returncode:
        advice = "; `git pull` brings what others have pushed" if "[rejected]" in pushed.stderr else ""
        raise GenloopError(f"git push: {git.error_message(pushed)}{advice}; {later}")
    log("pushed: the data to DVC's remote, then the commits")


def pull(project: Project, log: Callable[[str], None]) -> None:
    """`dvc pull` of the data and models of this commit, and the proof that all is here.

    Raises:
        GenloopError: there is no remote, it cannot be asked, or it lacks what this commit names.
    """
    if not dvc_cache.remotes(project):
        raise InputError(f"DVC has no remote to pull from: {ADVICE}")
    remote.check(project)
    fault = dvc.run_command(project, "pull", "--quiet", "--allow-missing", *dvc.remote_options(project))
    missing, count = remote.missing_outputs(project)
    if missing:
        raise GenloopError(
            f"dvc pull: {len(missing):,} files of {count:,} outputs are neither here nor in the remote, the first is "
            f"{missing[0]}; {f'DVC says: {fault}; ' if fault else ''}whoever has made them pushes them: versioning.push: true, "
            "or `dvc push`"
        )
    if fault is not None:
        raise GenloopError(f"dvc pull: {fault}")
    log(f"pulled: {count:,} outputs are as this commit names them")
