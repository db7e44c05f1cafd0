"""Replay: runs every stage after `ingest` again in the worktree, each on the version's own data.

Where a stage makes another output, the version's own one is restored for the stages after it, so that each is compared by
itself, and all scores are by one benchmark.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from operations.rebuild.compare import MODEL_STAGES, StageMatch, compare_stage, is_report, object_path
from operations.rebuild.worktree import REUSED_STAGE
from pipelines.core import files
from pipelines.core.project import Project
from workspace import dvc, dvc_cache
from workspace.stages import repro


def replay_stages(copy: Project, log: Callable[[str], None]) -> dict[str, StageMatch]:
    """Run the stages, and compare each with the version's own one."""
    recorded = copy.dvc_lock.read_text(encoding="utf-8")
    before, cache = output_hashes(recorded), dvc_cache.folder(copy)
    found = {}
    for name in dvc.stages(copy):
        if name in (REUSED_STAGE, "register"):
            continue
        log(f"── {name}")
        # By force, because the stage is fresh, and without storing its outputs in DVC's cache.
        repro(copy, name, True, lambda line: None, commit=False)
        now = output_hashes(copy.dvc_lock.read_text(encoding="utf-8"))[name]
        changed = [digest for path, digest in before.get(name, {}).items() if now.get(path) != digest]
        fetch(copy, [digest for digest in changed if not in_cache(cache, digest)], log)
        found[name] = compare_stage(copy, cache, name, before.get(name, {}), now)
        files.write(copy.dvc_lock, recorded)
        if name not in MODEL_STAGES and found[name].match != "bit-equal":
            restore_outputs(copy, cache, before.get(name, {}), log)
    return found


def fetch(copy: Project, outputs: Sequence[str], log: Callable[[str], None]) -> None:
    """Bring the version's own outputs from the remote, to compare with: another machine may have made them."""
    if not outputs or dvc_cache.default_remote(copy) is None:
        return
    try:
        dvc_cache.fetch_outputs(copy, outputs)
    except Exception as error:  # of a remote's driver, of any kind
        log(f"warning: the remote does not give the version's own output: {type(error).__name__}: {str(error).strip()[:300]}")


def output_hashes(lock: str) -> dict[str, dict[str, str]]:
    """Stage -> output -> DVC's hash, of what dvc.lock says."""
    stages = dvc.parse_lock(lock)
    return {name: {out["path"]: out["md5"] for out in entry.get("outs", []) if "md5" in out} for name, entry in stages.items()}


def restore_outputs(copy: Project, cache: Path, outputs: Mapping[str, str], log: Callable[[str], None]) -> None:
    """Restore the data that the version's own stage made. Where the cache lacks it, a checkout would just delete ours."""
    own = [path for path, digest in outputs.items() if not is_report(copy, path) and in_cache(cache, digest)]
    if not own or dvc.run_command(copy, "checkout", "--quiet", "--force", *own) is not None:
        log("DVC's cache lacks the version's own output; the next stages use the one that was made here")


def in_cache(cache: Path, digest: str) -> bool:
    file = object_path(cache, digest)
    if not file.is_file():
        return False
    return not digest.endswith(".dir") or all(object_path(cache, out["md5"]).is_file() for out in json.loads(file.read_bytes()))
