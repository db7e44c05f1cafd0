"""genloop doctor: checks whether this machine and this project can run, and says what to do about each fault."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.app import Json, command
from pipelines.core import environment, limits
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.registry.versions import CHAMPION

if TYPE_CHECKING:
    from operations import preflight
    from operations.preflight import Result, State
    from pipelines.registry.client import Registry
    from pipelines.settings.schema import Params

    Check = Callable[[Project], Result]

PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)\s*(?:;\s*([^\\]+?))?\s*\\?$", re.MULTILINE)
PASSWORD = re.compile(r":[^/@:]+@")  # of a URL
DISK = (2, 10)  # GiB free: below the first nothing fits, below the second larger data will not
MOST = 500  # characters of a finding
MEMORY = (2, 4)  # GiB: Keras on TensorFlow takes one and a half
GENERATE = """
import sys
from pathlib import Path
import numpy as np
from pipelines.core.project import Project
from pipelines.registry.client import Registry, open_registry
_, registry = open_registry(Project.find(Path(sys.argv[1])))
sampler = registry.load()
images = sampler.draw(np.arange(2), None)
print(f"version {sampler.version} generates {images.shape[1]}x{images.shape[2]}")
"""
KERAS = "from pipelines.core import backend; found = backend.describe(); print(found['backend'], 'on', found['device'])"

LIMIT = 30.0  # seconds for a check: a server that does not answer must not hold the others up
LIMIT_IN_PROCESS = 300.0  # seconds for a check that loads Keras


@command()
def doctor(
    project: Project,
    as_json: Json = False,
    full: Annotated[bool, typer.Option("--full", help="Also load Keras and let the champion generate.")] = False,
) -> None:
    """Check this machine and this project, and say what to do about each fault."""
    findings = []
    for finding in examine(project, full):
        findings.append(finding)
        if not as_json:
            print(f"{finding.state:<4}  {finding.check:<10}  {finding.words}", flush=True)
    if as_json:
        print(json.dumps([asdict(finding) for finding in findings], indent=2))
    if any(finding.state == "fail" for finding in findings):
        raise typer.Exit(1)


def examine(project: Project, full: bool) -> Iterator[preflight.Finding]:
    """What every check finds, one after the other."""
    from operations import preflight

    for check in CHECKS:
        yield finding_of(project, check.__name__, partial(check, project))
    try:
        params, registry = open_registry(project)
    except InputError:  # `params` says why
        names = ", ".join(check.__name__ for check in (*CHECKS_OF_SETTINGS, *checks_before_a_run()))
        yield preflight.Finding("others", "warn", f"not checked, because {project.params_file.name} cannot be used: {names}")
        return
    for check in CHECKS_OF_SETTINGS:
        yield finding_of(project, check.__name__, partial(check, project))
    yield from findings_before_a_run(project, params, registry)
    for check in SLOW if full else ():
        yield finding_of(project, check.__name__, partial(check, project), LIMIT_IN_PROCESS + LIMIT)


def findings_before_a_run(project: Project, params: Params, registry: Registry) -> Iterator[preflight.Finding]:
    """What a run would look at before its first stage. What only concerns stages that are fresh is no fault now."""
    from operations import preflight, staleness

    stale: set[str] = set(preflight.ALL)
    with contextlib.suppress(Exception):  # `graph` says why
        stale = set(staleness.stale_stages(project, params, registry))
    plan = preflight.RunPlan(project, params, registry, stale)
    for check, stages in checks_before_a_run().items():
        finding = finding_of(project, check.__name__, partial(check, plan))
        yield finding if stages & stale or finding.state != "fail" else replace(finding, state="warn")


def checks_before_a_run() -> dict[preflight.Check, frozenset[str]]:
    """Those of the preflight but the one of the database, where a fault is one whatever would run: `database` here."""
    from operations import preflight

    return {check: stages for check, stages in preflight.CHECKS.items() if check is not preflight.database}


def finding_of(project: Project, name: str, check: Callable[[], Result], limit: float = LIMIT) -> preflight.Finding:
    """What a check finds, in one line. Whatever goes wrong in it, and that it takes too long, is a fault that it has found."""
    from operations.preflight import Finding

    results: list[Result] = []

    def work() -> None:
        try:
            results.append(check())
        except GenloopError as error:
            results.append(("fail", str(error)))
        except BaseException as error:
            results.append(("fail", f"the check itself failed: {type(error).__name__}: {error}"))

    thread = threading.Thread(target=work, daemon=True)  # no way to stop it; it ends with the process at the latest
    with contextlib.redirect_stdout(sys.stderr):  # what libraries print must not come between the findings
        thread.start()
        thread.join(limit)
    state, words = results[0] if results else ("fail", f"no answer within {limit:g} seconds")
    words = " ".join(project.shorten(words).split())
    return Finding(name, state, words if len(words) <= MOST else f"{words[:MOST]}…")


def open_registry(project: Project) -> tuple[Params, Registry]:
    from pipelines.registry import client

    return client.open_registry(project)


def python(project: Project) -> Result:
    version = sys.version_info
    words = f"{version.major}.{version.minor}.{version.micro} at {sys.executable}"
    return ("ok", words) if (3, 11) <= version[:2] < (3, 14) else ("fail", f"{words}; Genloop needs 3.11 to 3.13")


def packages(project: Project) -> Result:
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


def git(project: Project) -> Result:
    from workspace import git

    if reason := git.missing_commit(project):
        return "warn", f"no version can name a commit: {reason}"
    return "ok", f"at {str(git.head(project))[:7]}"


def params(project: Project) -> Result:
    from pipelines.settings.load import load_params

    found = load_params(project.params_file)
    return "ok", f"{project.params_file.name} is valid: {found.model.family} at {found.image.size}x{found.image.size}"


def graph(project: Project) -> Result:
    from operations.staleness import stage_states
    from workspace import dvc

    states = dvc.status(project)
    with contextlib.suppress(GenloopError):  # `params` and `registry` say it
        states = stage_states(project, *open_registry(project))
    stale = [name for name, state in states.items() if state != "fresh"]
    return "ok", f"{len(states)} stages, " + (f"to run: {', '.join(stale)}" if stale else "all fresh")


def remote(project: Project) -> Result:
    """DVC's remotes; a warning where one is not verified, because DVC would then restore damaged files silently.

    A fault is a default one in a bucket that cannot be used.
    """
    from operations import versioning
    from workspace import dvc_cache
    from workspace import remote as default_remote

    remotes, default = dvc_cache.remotes(project), dvc_cache.default_remote(project)
    if not remotes:
        return "ok", f"none; data and models are in this folder only ({versioning.ADVICE})"
    answer = default_remote.check(project)
    words = ", ".join(
        f"{name} ({PASSWORD.sub(':…@', str(options.get('url')))}), verify is {'on' if options.get('verify') else 'off'}"
        for name, options in remotes.items()
    )
    faults = [
        f"bytes are not checked when pulled: `dvc remote modify {name} verify true`"
        for name, options in remotes.items()
        if not options.get("verify")
    ]
    if default is None:
        faults.append(f"none is the default, so nothing is pushed: `dvc remote default {next(iter(remotes))}`")
    words = f"{words}; {default}: {answer}" if answer else words
    return ("warn", "; ".join([words, *faults])) if faults else ("ok", words)


def folder(project: Project) -> Result:
    """Whether the project was copied or moved, and works with what is its own."""
    from operations.provenance import provenance

    _, models = open_registry(project)
    found = provenance(project, models)
    if found.faults:
        return "warn", "; ".join(found.faults)
    return "ok", "; ".join(found.facts) or "in the place where it was made"


def writing(project: Project) -> Result:
    """Whether runs and folds can write the project; a warning, because commands that read work all the same."""
    from workspace import permissions

    return ("warn", words) if (words := permissions.fault(project)) else ("ok", "the project can be written")


def disk(project: Project) -> Result:
    free = shutil.disk_usage(project.root).free / 2**30
    return grade(free, DISK, f"{free:.1f} GiB free", "make room; `genloop gc` frees what nothing needs")


def memory(project: Project) -> Result:
    free = limits.memory().available / 2**30
    return grade(free, MEMORY, f"{free:.1f} GiB available", "close other programs")


def grade(value: float, thresholds: tuple[float, float], words: str, advice: str) -> Result:
    fail, good = thresholds
    state: State = "ok" if value >= good else "warn" if value >= fail else "fail"
    return state, words if state == "ok" else f"{words}; {advice}"


def processor(project: Project) -> Result:
    cards = sorted(path.name for path in Path("/dev").glob("nvidia[0-9]*"))
    return "ok", f"{limits.cores()} cores, " + (f"{len(cards)} NVIDIA cards" if cards else "no NVIDIA card")


def home(project: Project) -> Result:
    replaced = environment.substituted(project.environment)
    if replaced:
        return (
            "warn",
            f"{', '.join(replaced)} lead to a temporary folder, because there is no home that can be written; set HOME",
        )
    return "ok", str(project.environment.get("HOME"))


def proxies(project: Project) -> Result:
    if faults := environment.proxy_faults(project.environment):
        return "fail", "; ".join(faults)
    if names := environment.socks_proxies(project.environment):
        return "warn", f"{', '.join(names)}: not used by Prefect, which needs socks5:// and the package socksio"
    names = list(environment.proxies(project.environment))
    return "ok", f"{', '.join(names)}; not for this machine's own addresses" if names else "none"


def database(project: Project) -> Result:
    """The database of events, and of the history of promotions."""
    from pipelines.feedback.store import inspection

    return "ok", inspection.describe(project.database_url)


def registry(project: Project) -> Result:
    _, models = open_registry(project)
    if not models.reachable():
        return "ok", f"none yet at {models.place}; the first run makes it"
    number = models.alias(CHAMPION)
    return "ok", f"{models.place}, {'no champion yet' if number is None else f'champion is version {number}'}"


def artifacts(project: Project) -> Result:
    """Where MLflow keeps the files of runs and versions; a warning where new runs go elsewhere than the environment says."""
    _, models = open_registry(project)
    if not models.reachable():
        return "ok", f"none yet; they go to {models.artifact_root}"
    words, wanted, location = models.check_artifacts(), project.artifact_root, models.artifact_location()
    if wanted and models.artifact_root and location != wanted:
        return "warn", (
            f"{words}: the experiment {models.experiment_name!r} was made with this place, so MLFLOW_DEFAULT_ARTIFACT_ROOT="
            f"{wanted} does not count for it; set registry.experiment to a new name"
        )
    return "ok", words


def prefect(project: Project) -> Result:
    url = project.environment.get("PREFECT_API_URL")
    if not url:
        return "ok", "embedded: each run starts its own server (PREFECT_API_URL for a lasting one)"
    from flows import health

    return ("fail", fault) if (fault := health.fault(url)) else ("ok", f"{url} answers")


def keras(project: Project) -> Result:
    return run_in_process(project, KERAS)


def champion(project: Project) -> Result:
    _, models = open_registry(project)
    if models.alias(CHAMPION) is None:
        return "ok", "none yet; `genloop run` makes one"
    return run_in_process(project, GENERATE)


def run_in_process(project: Project, code: str) -> Result:
    """Run code in a process of its own, because a broken installation may crash it."""
    command = [sys.executable, "-c", code, str(project.root)]
    done = subprocess.run(
        command,
        cwd=project.root,
        env=project.environment,
        capture_output=True,
        text=True,
        timeout=LIMIT_IN_PROCESS,
        check=False,
    )
    if done.returncode:
        return "fail", (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1]
    return "ok", done.stdout.strip()


CHECKS: tuple[Check, ...] = (
    python, packages, git, params, graph, remote, writing, disk, memory, processor, home, proxies, database, prefect,
)  # fmt: skip
CHECKS_OF_SETTINGS: tuple[Check, ...] = (folder, registry, artifacts)
SLOW: tuple[Check, ...] = (keras, champion)
