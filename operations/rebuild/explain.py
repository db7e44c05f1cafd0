"""Why a rebuild may differ from its version: another machine, other packages, code that was not kept."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from operations.rebuild.compare import ScoreMatch
from pipelines.registration import machine
from pipelines.registry.lineage import Lineage

Changes = dict[str, tuple[Any, Any]]  # (then, now) by name


def changes(lineage: Lineage, now: Mapping[str, Any], lock_file: Path) -> Changes:
    """Differences between the version's record and this machine `now`, then those of the installed packages.

    lock_file: lists the packages of a version that did not list them itself.
    """
    found = {name: (then, now[name]) for name, then in lineage.machine.items() if name in now and now[name] != then}
    found.pop("versions", None)  # they are among the packages
    packages = machine.packages()
    then = lineage.packages or locked_versions(lock_file, packages)
    return found | {name: (then[name], packages.get(name)) for name in then if then[name] != packages.get(name)}


def locked_versions(file: Path, installed: Mapping[str, str]) -> dict[str, str]:
    """Version by package in a lock file, only of packages installed here: the file lists those of other systems too."""
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    pinned = (line.split(";")[0].split("\\")[0].strip().partition("==") for line in lines if "==" in line)
    return {canonicalize_name(name): version for name, _, version in pinned if canonicalize_name(name) in installed}


def reasons(lineage: Lineage, workspace: bool, changes: Changes, scores: Mapping[str, ScoreMatch]) -> list[str]:
    """What may explain a difference, in sentences. workspace: whether the run has kept what was not committed."""
    found = [f"{name}: {then} then, {now or 'not installed'} here" for name, (then, now) in changes.items()]
    if lineage.dirty and not workspace:
        found.append("its tree had changes that were not committed, and its run has not kept them")
    if not scores:
        found.append("its scores cannot be compared: they are of another benchmark, or were not kept")
    if not found:
        unknown = "machine and packages are the same, so a stage depends on more than its inputs"
        found.append(f"{unknown}, or something was run by hand")
    return found
