"""Where the model comes from: as tags of its version, and as the files from which `genloop rebuild` makes it again."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipelines.core import backend, paths
from pipelines.feedback import curated
from pipelines.registration import machine

# What the stages depend on and git may not have as it is: kept with the version when it was changed, or is not in git.
CODE = ("pipelines", "dvc.yaml", "requirements.lock")
# Kept in any case: a run writes them, and they may be committed later, or never.
SETTINGS = (paths.PARAMS, paths.LOCK, paths.MANIFEST)


def tags(benchmark_id: str, learned: curated.About) -> dict[str, str]:
    """Of the run and the version. Of people there are numbers alone."""
    found = {"genloop.benchmark_id": benchmark_id, "genloop.git_commit": git("rev-parse", "HEAD").strip() or "none"}
    found["genloop.git_dirty"] = str(bool(git("status", "--porcelain", "--untracked-files=no") or changed_code())).lower()
    found["genloop.events"] = str(learned.events)
    found["genloop.raters"] = str(report("feedback").get("raters", 0))
    if (parent := report("train").get("parent_version")) is not None:
        found["genloop.parent"] = str(parent)
    found |= {f"genloop.machine.{key}": json.dumps(value) for key, value in trained_on().items()}
    return found | {f"genloop.data.{path}": digest for path, digest in data_hashes().items()}


def trained_on() -> dict[str, Any]:
    """The machine; what `train` said of it counts, for its model may have come here with `dvc pull`."""
    here, said = backend.describe(), report("train")
    return {**{key: said.get(key, value) for key, value in here.items()}, **machine.describe()}


def report(name: str) -> dict[str, Any]:
    """What a stage has said, if it has run."""
    path = paths.REPORTS / f"{name}.json"
    found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return found


def data_hashes() -> dict[str, str]:
    """DVC's hash of every output under data/, of the stages that dvc.lock knows, and of what `dvc add` was given there."""
    lock = YAML(typ="safe").load(paths.LOCK) if paths.LOCK.exists() else {}
    outputs = [output for entry in lock.get("stages", {}).values() for output in entry.get("outs", [])]
    for pointer in pointers():
        added = YAML(typ="safe").load(pointer)["outs"]
        outputs += [{**output, "path": str(pointer.parent / output["path"])} for output in added]
    return {output["path"]: output["md5"] for output in outputs if output["path"].startswith("data/") and "md5" in output}


def pointers() -> list[Path]:
    """The files by which git knows what DVC keeps."""
    return sorted(Path("data").glob("*.dvc"))


def keep(folder: Path) -> None:
    """Copy into `folder` what a rebuild needs and the commit may not have: settings, hashes, code that was not committed."""
    kept = [path for path in (*SETTINGS, *pointers()) if path.exists()]
    for path in (*kept, *changed_code()):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, folder / path)


def changed_code() -> list[Path]:
    """Files of CODE that the commit does not have as they are."""
    lists = [
        git("diff", "--name-only", "--relative", "-z", "--diff-filter=d", "HEAD", "--", *CODE),
        git("ls-files", "--others", "--exclude-standard", "-z", "--", *CODE),
    ]
    return [Path(name) for names in lists for name in names.split("\0") if name]


def git(*arguments: str) -> str:
    """What git answers; nothing where it cannot."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout if done.returncode == 0 else ""
