"""After a run: what DVC has recorded becomes a commit, so that a version's commit has its data."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipelines.core import paths
from pipelines.registry import client
from pipelines.settings.schema import Params
from workspace import dvc, git, snapshot

MADE_OF = (str(paths.MODEL), str(paths.REPORTS / "metrics.json"))  # what a version is told from another by
COMMIT, DIRTY = "genloop.git_commit", "genloop.git_dirty"  # tags of a version


def commit(params: Params, log: Callable[[str], None]) -> bool:
    """Commit what DVC has recorded since the last commit, and nothing else; whether there is such a commit now.

    The version that came of it gets the commit as its own.

    Raises:
        GenloopError: git should have, and could not; or the registry does not answer.
    """
    if not params.versioning.commit:
        return False
    files, done = records(), False
    if git.changed(files):
        done = git.commit(files, message(), log)
    elif files and (reason := git.why_not(files)):
        log(f"nothing is committed: {reason}")
    own(params)
    return done


def waiting(params: Params) -> bool:
    """Whether a run that was killed has left something to commit."""
    return params.versioning.commit and git.changed(records())


def records() -> list[Path]:
    """What DVC writes to be committed, and the noise floor. A fold commits its own, with the manifest that must fit it."""
    found = git.git("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "*.dvc").stdout.split("\0")
    others = sorted({Path(name) for name in found if name} - {snapshot.POINTER})
    return [path for path in (dvc.RECORD, dvc.NOISE_RECORD, paths.NOISE, *others) if path.is_file()]


def message() -> str:
    """Of the commit: the stages that have run since the last one, and the version that came of them."""
    stages = [*changed(dvc.RECORD), *changed(dvc.NOISE_RECORD)]
    receipt = registered() if "register" in stages else {}
    if receipt:
        subject = f"Make version {receipt['version']} of {receipt['model']}"
    elif stages:
        subject = f"Run {', '.join(stages)}"
    else:
        subject = "Keep what DVC has recorded"
    return "\n".join([subject, "", *([f"Stages that ran: {', '.join(stages)}."] if receipt else [])]).rstrip() + "\n"


def changed(record: Path) -> list[str]:
    """Stages that this file says other things of than it did in the last commit."""
    now, before = stages(record.read_text() if record.is_file() else None), stages(git.committed(record))
    return [name for name, entry in now.items() if entry != before.get(name)]


def stages(record: str | None) -> dict[str, Any]:
    try:
        return (YAML(typ="safe", pure=True).load(record or "") or {}).get("stages") or {}
    except YAMLError:  # somebody's merge has left its marks in it
        return {}


def registered() -> dict[str, Any]:
    """The receipt of the version that was registered last; empty where none was."""
    try:
        return dict(json.loads(client.RECEIPT.read_text(encoding="utf-8")))
    except (OSError, ValueError):
        return {}


def own(params: Params) -> None:
    """Tag the newest version with the last commit if that one has its data, and the commit that it was made at has not."""
    receipt, head = registered(), git.head()
    if head is None or receipt.get("model") != params.registry.model:
        return
    made = outputs(dvc.RECORD.read_text() if dvc.RECORD.is_file() else None)
    if not made or outputs(git.committed(dvc.RECORD)) != made:
        return
    tagged = client.version(params, receipt["version"]).tags.get(COMMIT)
    if tagged is None or outputs(git.committed(dvc.RECORD, tagged)) != made:
        client.tag(params, receipt["version"], {COMMIT: head, DIRTY: str(git.dirty()).lower()})


def outputs(record: str | None) -> dict[str, str]:
    """DVC's hashes of what a version is made of."""
    outs = [out for entry in stages(record).values() for out in entry.get("outs", [])]
    return {out["path"]: out["md5"] for out in outs if out["path"] in MADE_OF}
