"""genloop doctor: checks whether this machine and this project can run, and says what to do about each fault."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from commands.app import Json, command
from pipelines.core.errors import GenloopError
from pipelines.core.project import Project

PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)\s*(?:;\s*([^\\]+?))?\s*\\?$", re.MULTILINE)
DISK = (2, 10)  # GiB free: below the first nothing fits, below the second larger data will not
MEMORY = (2, 4)  # GiB: Keras on TensorFlow takes one and a half
GENERATE = """
import sys
from pathlib import Path
import numpy as np
from pipelines.core.project import Project
from pipelines.registry.client import open_registry
_, registry = open_registry(Project.find(Path(sys.argv[1])))
sampler = registry.load()
images = sampler.draw(np.arange(2), None)
print(f"version {sampler.version} generates {images.shape[1]}x{images.shape[2]}")
"""
KERAS = "from pipelines.core import backend; found = backend.describe(); print(found['backend'], 'on', found['device'])"

State = Literal["ok", "warn", "fail"]


@command()
def doctor(
    project: Project,
    as_json: Json = False,
    full: Annotated[bool, typer.Option("--full", help="Also load Keras and let the champion generate.")] = False,
) -> None:
    """Check this machine and this project, and say what to do about each fault."""
    findings = []
    for check in (*CHECKS, *SLOW) if full else CHECKS:
        try:
            state, words = check(project)
        except GenloopError as error:
            state, words = "fail", str(error)
        findings.append({"check": check.__name__, "state": state, "words": words})
        if not as_json:
            print(f"{state:<4}  {check.__name__:<9}  {words}", flush=True)
    if as_json:
        print(json.dumps(findings, indent=2))
    if any(finding["state"] == "fail" for finding in findings):
        raise typer.Exit(1)


def python(project: Project) -> tuple[State, str]:
    version = sys.version_info
    words = f"{version.major}.{version.minor}.{version.micro} at {sys.executable}"
    return ("ok", words) if (3, 11) <= version[:2] < (3, 14) else ("fail", f"{words}; Genloop needs 3.11 to 3.13")


def packages(project: Project) -> tuple[State, str]:
    from packaging.markers import Marker

    lock = project.root / "requirements.lock"
    if not lock.is_file():
        return "warn", f"no {lock.name} to compare with"
    locked = PINNED.findall(lock.read_text())
    pins = [(name, version) for name, version, marker in locked if not marker or Marker(marker).evaluate()]
    here = {name: installed(name) for name, _ in pins}
    differing = [f"{name} {here[name] or 'missing'} (locked: {version})" for name, version in pins if here[name] != version]
    if not differing:
        return "ok", f"{len(pins)} as locked"
    listed = ", ".join(differing[:3]) + (f" and {len(differing) - 3} more" if len(differing) > 3 else "")
    return "warn", f"{len(differing)} of {len(pins)} are not as locked: {listed}; `make env` installs them"


def installed(package: str) -> str | None:
    from importlib import metadata

    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def git(project: Project) -> tuple[State, str]:
    from workspace import git

    if shutil.which("git") is None:
        return "fail", "not installed; DVC and the lineage of versions need it"
    if (head := git.head(project)) is None:
        return "warn", "no commit yet; a version's lineage names one: git add . && git commit"
    return "ok", f"at {head[:7]}"


def params(project: Project) -> tuple[State, str]:
    from pipelines.settings.load import load_params

    found = load_params(project.params_file)
    return "ok", f"{project.params_file.name} is valid: {found.model.family} at {found.image.size}x{found.image.size}"


def graph(project: Project) -> tuple[State, str]:
    from workspace import dvc

    states = dvc.status(project)
    stale = [name for name, state in states.items() if state != "fresh"]
    return "ok", f"{len(states)} stages, " + (f"to run: {', '.join(stale)}" if stale else "all fresh")


def remote(project: Project) -> tuple[State, str]:
    """DVC's remotes; a warning where one is not verified, because DVC would then restore damaged files silently."""
    from workspace import dvc_cache

    remotes = dvc_cache.remotes(project)
    unverified = [name for name, options in remotes.items() if not options.get("verify")]
    if unverified:
        return "warn", f"bytes are not checked when pulled: dvc remote modify {unverified[0]} verify true"
    return ("ok", f"{', '.join(remotes)}, checked") if remotes else ("ok", "none; data and models are in this folder only")


def disk(project: Project) -> tuple[State, str]:
    free = shutil.disk_usage(project.root).free / 2**30
    return grade(free, DISK, f"{free:.1f} GiB free", "make room; `dvc gc --workspace` drops what no version needs")


def memory(project: Project) -> tuple[State, str]:
    import psutil

    free = psutil.virtual_memory().available / 2**30
    return grade(free, MEMORY, f"{free:.1f} GiB available", "close other programs")


def grade(value: float, limits: tuple[float, float], words: str, advice: str) -> tuple[State, str]:
    fail, good = limits
    state: State = "ok" if value >= good else "warn" if value >= fail else "fail"
    return state, words if state == "ok" else f"{words}; {advice}"


def processor(project: Project) -> tuple[State, str]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cards = sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))
    return "ok", f"{cores} cores, " + (f"{len(cards)} NVIDIA cards" if cards else "no NVIDIA card")


def backend(project: Project) -> tuple[State, str]:
    name = project.environment.get("KERAS_BACKEND", "tensorflow")
    if importlib.util.find_spec(name) is None:
        return "fail", f"KERAS_BACKEND={name} is not installed"
    return "ok", f"{name} {installed(name)} (`--full` loads it and looks for devices)"


def registry(project: Project) -> tuple[State, str]:
    from pipelines.registry.client import open_registry
    from pipelines.registry.versions import CHAMPION

    _, models = open_registry(project)
    if not models.reachable():
        return "ok", f"none yet at {models.uri}; the first run makes it"
    number = models.alias(CHAMPION)
    return "ok", f"{models.uri}, {'no champion yet' if number is None else f'champion is version {number}'}"


def prefect(project: Project) -> tuple[State, str]:
    url = project.environment.get("PREFECT_API_URL")
    if not url:
        return "ok", "embedded: each run starts its own server (PREFECT_API_URL for a lasting one)"
    import httpx

    try:
        httpx.get(f"{url}/health", timeout=5)
    except httpx.HTTPError as error:
        return "fail", f"{url} does not answer ({error}); start it, or unset PREFECT_API_URL"
    return "ok", f"{url} answers"


def keras(project: Project) -> tuple[State, str]:
    return run_in_process(project, KERAS)


def champion(project: Project) -> tuple[State, str]:
    from pipelines.registry.client import open_registry
    from pipelines.registry.versions import CHAMPION

    _, models = open_registry(project)
    if models.alias(CHAMPION) is None:
        return "ok", "none yet; `genloop run` makes one"
    return run_in_process(project, GENERATE)


def run_in_process(project: Project, code: str) -> tuple[State, str]:
    """Run code in a process of its own, because a broken installation may crash it."""
    command = [sys.executable, "-c", code, str(project.root)]
    done = subprocess.run(
        command, cwd=project.root, env=project.environment, capture_output=True, text=True, timeout=300, check=False
    )
    if done.returncode:
        return "fail", (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
    return "ok", done.stdout.strip()


CHECKS = (python, packages, git, params, graph, remote, disk, memory, processor, backend, registry, prefect)
SLOW = (keras, champion)
