"""genloop doctor: is this machine, and is this project, fit to run; and what to do where it is not."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from packaging.markers import Marker

from pipelines.core import paths
from pipelines.core.errors import GenloopError
from pipelines.settings.load import load_params

LOCK = Path("requirements.lock")
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)\s*(?:;\s*([^\\]+?))?\s*\\?$", re.MULTILINE)
DISK = (2, 10)  # GiB free: below the first nothing fits, below the second larger data will not
MEMORY = (2, 4)  # GiB: Keras on TensorFlow takes one and a half
DRAW = """
import numpy as np
from pipelines.registry import client
from pipelines.settings.load import load_params
drawer = client.load(load_params())
images = drawer.draw(np.arange(2), None)
print(f"version {drawer.version} draws {images.shape[1]}x{images.shape[2]}")
"""
KERAS = "from pipelines.core import backend; found = backend.describe(); print(found['backend'], 'on', found['device'])"

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True)
class Finding:
    check: str
    state: State
    words: str


def doctor(as_json: bool, full: bool) -> bool:
    """Print what was found; whether nothing failed."""
    os.chdir(paths.root())
    found = []
    for name, check in (CHECKS | SLOW if full else CHECKS).items():
        state, words = examine(check)
        found.append(Finding(name, state, words))
        if not as_json:
            print(f"{state:<4}  {name:<9}  {words}", flush=True)
    if as_json:
        print(json.dumps([asdict(finding) for finding in found], indent=2))
    return all(finding.state != "fail" for finding in found)


def examine(check: Callable[[], tuple[State, str]]) -> tuple[State, str]:
    try:
        return check()
    except GenloopError as error:
        return "fail", str(error)


def python() -> tuple[State, str]:
    version = sys.version_info
    words = f"{version.major}.{version.minor}.{version.micro} at {sys.executable}"
    return ("ok", words) if (3, 11) <= version[:2] < (3, 14) else ("fail", f"{words}; Genloop needs 3.11 to 3.13")


def packages() -> tuple[State, str]:
    if not LOCK.is_file():
        return "warn", f"no {LOCK} here to compare with"
    pins = [(name, version) for name, version, marker in PINNED.findall(LOCK.read_text()) if fits(marker)]
    other = [f"{name} {found or 'missing'} (locked: {version})" for name, version in pins if (found := at(name)) != version]
    if other:
        more = f" and {len(other) - 3} more" if len(other) > 3 else ""
        return (
            "warn",
            f"{len(other)} of {len(pins)} are not as locked: {', '.join(other[:3])}{more}; `make env` installs them",
        )
    return "ok", f"{len(pins)} as locked"


def fits(marker: str) -> bool:
    return not marker or Marker(marker).evaluate()


def at(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def git() -> tuple[State, str]:
    if shutil.which("git") is None:
        return "fail", "not installed; DVC and the lineage of versions need it"
    asked = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True)
    if asked.returncode:
        return "warn", "no commit yet; a version's lineage names one: git add . && git commit"
    return "ok", f"at {asked.stdout.strip()}"


def settings() -> tuple[State, str]:
    found = load_params()
    return "ok", f"{paths.PARAMS} is valid: {found.model.family} at {found.image.size}x{found.image.size}"


def graph() -> tuple[State, str]:
    from workspace import dvc

    states = dvc.status()
    waiting = [name for name, state in states.items() if state != "fresh"]
    return "ok", f"{len(states)} stages, " + (f"to run: {', '.join(waiting)}" if waiting else "all fresh")


def remote() -> tuple[State, str]:
    """A remote with wrong bytes in it restores them without a word, unless it is told to look."""
    from dvc.config import Config

    remotes = Config().get("remote", {})
    careless = [name for name, options in remotes.items() if not options.get("verify")]
    if careless:
        return "warn", f"bytes are not checked when pulled: dvc remote modify {careless[0]} verify true"
    return ("ok", f"{', '.join(remotes)}, checked") if remotes else ("ok", "none; data and models are in this folder only")


def disk() -> tuple[State, str]:
    free = shutil.disk_usage(".").free / 2**30
    return grade(free, DISK, f"{free:.1f} GiB free", "make room; `dvc gc --workspace` drops what no version needs")


def memory() -> tuple[State, str]:
    import psutil

    free = psutil.virtual_memory().available / 2**30
    return grade(free, MEMORY, f"{free:.1f} GiB available", "close other programs")


def grade(value: float, limits: tuple[float, float], words: str, advice: str) -> tuple[State, str]:
    least, good = limits
    state: State = "ok" if value >= good else "warn" if value >= least else "fail"
    return state, words if state == "ok" else f"{words}; {advice}"


def processor() -> tuple[State, str]:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    cards = sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))
    return "ok", f"{cores} cores, " + (f"{len(cards)} NVIDIA cards" if cards else "no NVIDIA card")


def configured() -> tuple[State, str]:
    name = os.environ.get("KERAS_BACKEND", "tensorflow")
    if importlib.util.find_spec(name) is None:
        return "fail", f"KERAS_BACKEND={name} is not installed"
    return "ok", f"{name} {at(name)} (`--full` loads it and looks for devices)"


def registry() -> tuple[State, str]:
    from pipelines.registry import client

    if not client.reachable():
        return "ok", f"none yet at {client.uri()}; the first run makes it"
    champion = client.versions(load_params())[client.CHAMPION]
    state = f"champion is version {champion['version']}" if champion else "no champion yet"
    return "ok", f"{client.uri()}, {state}"


def prefect() -> tuple[State, str]:
    url = os.environ.get("PREFECT_API_URL")
    if not url:
        return "ok", "embedded: each run starts its own server (PREFECT_API_URL for a lasting one)"
    import httpx

    try:
        httpx.get(f"{url}/health", timeout=5)
    except httpx.HTTPError as error:
        return "fail", f"{url} does not answer ({error}); start it, or unset PREFECT_API_URL"
    return "ok", f"{url} answers"


def keras() -> tuple[State, str]:
    return apart(KERAS)


def champion() -> tuple[State, str]:
    from pipelines.registry import client

    if not client.reachable() or client.versions(load_params())[client.CHAMPION] is None:
        return "ok", "none yet; `genloop run` makes one"
    return apart(DRAW)


def apart(code: str) -> tuple[State, str]:
    """In a process of its own: what is broken here may well crash."""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    if done.returncode:
        return "fail", (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
    return "ok", done.stdout.strip()


CHECKS: dict[str, Callable[[], tuple[State, str]]] = {
    "python": python,
    "packages": packages,
    "git": git,
    "params": settings,
    "graph": graph,
    "remote": remote,
    "disk": disk,
    "memory": memory,
    "processor": processor,
    "backend": configured,
    "registry": registry,
    "prefect": prefect,
}
SLOW: dict[str, Callable[[], tuple[State, str]]] = {"keras": keras, "champion": champion}
