"""Where the model comes from: as tags of its version, and as the files from which `genloop rebuild` makes it again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipelines.core import backend
from pipelines.core.project import Project
from pipelines.feedback import curated
from pipelines.registration import machine
from pipelines.registry.versions import NO_COMMIT
from workspace import git

# What the stages depend on and git may not have as it is: kept with the version when it was changed, or is not in git.
CODE = ("pipelines", "dvc.yaml", "requirements.lock")


def tags(project: Project, benchmark_id: str, learned: curated.CuratedSummary) -> dict[str, str]:
    """Of the run and the version. Of people there are numbers alone."""
    found = {"genloop.benchmark_id": benchmark_id, "genloop.git_commit": git.head(project) or "none"}
    if (reason := git.missing_commit(project)) is not None:
        found[NO_COMMIT] = reason
    found["genloop.git_dirty"] = str(git.dirty(project)).lower()
    found["genloop.events"] = str(learned.events)
    found["genloop.raters"] = str(stage_report(project.reports, "feedback").get("raters", 0))
    train = stage_report(project.reports, "train")
    if (parent := train.get("parent_version")) is not None:
        found["genloop.parent"] = str(parent)
    # What the report of `train` names counts, because its model may have come here with `dvc pull`.
    trained_on = {key: train.get(key, value) for key, value in backend.describe().items()} | machine.describe()
    found |= {f"genloop.machine.{key}": json.dumps(value) for key, value in trained_on.items()}
    return found | {f"genloop.data.{path}": digest for path, digest in data_hashes(project).items()}


def stage_report(folder: Path, name: str) -> dict[str, Any]:
    """The report of a stage, if it has run."""
    path = folder / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def data_hashes(project: Project) -> dict[str, str]:
    """DVC's hash of every output under data/, of the stages that dvc.lock knows, and of what `dvc add` was given there."""
    lock = YAML(typ="safe").load(project.dvc_lock) if project.dvc_lock.exists() else {}
    outputs = [output for entry in lock.get("stages", {}).values() for output in entry.get("outs", [])]
    for pointer in pointers(project):
        added = YAML(typ="safe").load(pointer)["outs"]
        outputs += [{**output, "path": str(project.relative(pointer.parent / output["path"]))} for output in added]
    return {output["path"]: output["md5"] for output in outputs if output["path"].startswith("data/") and "md5" in output}


def pointers(project: Project) -> list[Path]:
    """The files by which git knows what DVC keeps."""
    return sorted(project.data.glob("*.dvc"))


def copy_files(project: Project, folder: Path) -> None:
    """Copy into `folder` what a rebuild needs and the commit may not have: settings, hashes, code that was not committed."""
    # In any case what a run writes: it may be committed later, or never.
    written = (project.params_file, project.dvc_lock, project.manifest, *pointers(project))
    for path in (*(path for path in written if path.exists()), *changed_code(project)):
        copy = folder / project.relative(path)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, copy)


def changed_code(project: Project) -> list[Path]:
    """Files of CODE that the commit does not have as they are."""
    lists = [
        git.git(project, "diff", "--name-only", "--relative", "-z", "--diff-filter=d", "HEAD", "--", *CODE),
        git.git(project, "ls-files", "--others", "--exclude-standard", "-z", "--", *CODE),
    ]
    names = [name for listed in lists if listed.returncode == 0 for name in listed.stdout.split("\0")]
    return [project.root / name for name in names if name]
