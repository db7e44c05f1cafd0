"""Makes a registered version again, in a worktree of its commit, and says how alike it is. Nothing here is changed by it.

Every stage after `ingest` runs there on what the version's own stage had before it: where one makes something else, the
version's own output is put back for those after it, so that each is judged by itself, and all scores are by one benchmark.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from ruamel.yaml import YAML

from pipelines.core import files, paths
from pipelines.core.errors import GenloopError, InputError
from pipelines.promotion import equality, lineage, noise_floor
from pipelines.promotion.equality import Score, Weights, Word
from pipelines.promotion.lineage import Lineage
from pipelines.registration import machine
from pipelines.registry import client
from pipelines.registry.client import Version
from pipelines.scoring import scores
from pipelines.settings.schema import Params
from workspace import dvc, git, processes, scratch, snapshot, stages

PLACE = paths.LOGS / "rebuild"  # ignored by git, and on the disk where DVC's cache most often is, which can link files then
GIVEN, LEFT_OUT = "ingest", "register"  # the stage whose outputs are taken as they were, and the one that is not run
BY_SCORES = ("train", "evaluate")  # stages that are judged, where bits differ, by what the model scores
LEARNED = ("reference", "approval")  # stages that train something: on another machine its bits are others
LOCK = paths.LOCK
Hashes = dict[str, dict[str, str]]  # stage -> output -> DVC's hash


@dataclass(frozen=True)
class Made:
    """What a stage made again. differs: outputs that are not the same, with what is known of how."""

    verdict: Word
    differs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Rebuilt:
    """What came of it. changes: what is another here than when the version was made, (then, now) by name.

    why: what may explain the differences. folder: where it was made; None where nothing is left of it.
    """

    version: int
    verdict: Word
    commit: str
    dirty: bool
    stages: dict[str, Made]
    weights: Weights
    scores: dict[str, Score]
    changes: dict[str, tuple[Any, Any]]
    why: list[str]
    folder: Path | None

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "folder": str(self.folder) if self.folder else None}


def rebuild(params: Params, number: int, keep: bool, say: Callable[[str], None] = snapshot.say) -> Rebuilt:
    """Make version `number` again and compare.

    Args:
        keep: leave the folder in which it was made.

    Raises:
        NoVersionError: there is no such version.
        InputError: its commit, its data or its parent is not to be had any more.
        StageError: a stage failed.
    """
    known, version = lineage.of(params, number), client.version(params, number)
    check(params, known)
    start = Path.cwd()
    with worktree(number, str(known.commit), keep) as folder, tempfile.TemporaryDirectory(prefix="genloop-") as temporary:
        prepare(known, version, folder, start)
        own = Path(temporary) / "own"
        client.fetch(params, own, number)
        estimates = client.artifact(version, "estimates.npz", Path(temporary))
        with scratch.inside(folder, environment(known)):
            stages = run_all(say)
            weights = equality.weights(own, paths.MODEL)
            scored = compare(estimates, counts(params, start))
            changes = changed(known, trained_on())
    stages = judged(stages, weights, scored)
    word = equality.worst(made.verdict for made in stages.values())
    why = reasons(known, version, changes, scored) if word != "bit-equal" else []
    left = folder if keep else None
    return Rebuilt(number, word, str(known.commit), known.dirty, stages, weights, scored, changes, why, left)


def check(params: Params, known: Lineage) -> None:
    if known.commit is None:
        raise InputError(f"version {known.version} was made outside of git, so nobody knows by which code")
    if git.git("cat-file", "-e", f"{known.commit}^{{commit}}").returncode:
        raise InputError(
            f"version {known.version} was made at commit {known.commit}, which is not in this repository; "
            "`git fetch` brings commits that others have"
        )
    if known.parents:
        try:
            client.version(params, known.parents[0])
        except client.NoVersionError as error:
            raise InputError(f"version {known.version} went on from another one that is gone: {error}") from None


@contextmanager
def worktree(number: int, commit: str, keep: bool) -> Iterator[Path]:
    """This project at that commit, in a folder of its own."""
    top = (PLACE / f"version-{number}").resolve()
    top.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(f"{top}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise GenloopError(f"version {number} is being rebuilt at this moment; wait for that to end") from None
    try:
        remove(top)  # kept on purpose, or left by one that was killed
        done = git.git(*git.QUIET, "worktree", "add", "--detach", "--quiet", str(top), commit)
        if done.returncode:
            raise GenloopError(f"git worktree: {git.first_line(done)}")
        yield top / git.git("rev-parse", "--show-prefix").stdout.strip()
    finally:
        if not keep:
            remove(top)
        lock.release()


def remove(top: Path) -> None:
    shutil.rmtree(top, ignore_errors=True)
    git.git("worktree", "prune")


def prepare(known: Lineage, version: Version, folder: Path, start: Path) -> None:
    """Bring the worktree to the state in which the version was made, and its data from DVC."""
    with tempfile.TemporaryDirectory(prefix="genloop-") as temporary:
        kept = client.artifact(version, client.WORKSPACE, Path(temporary))
        if kept:
            shutil.copytree(kept, folder, dirs_exist_ok=True)
    if not (folder / LOCK).exists():
        raise InputError(f"version {known.version}: neither its commit nor its run has {LOCK}, so its data is not known")
    settle_settings(folder / paths.PARAMS, known, start)
    share_cache(folder, start)
    if (start / ".venv").is_dir() and not (folder / ".venv").exists():
        (folder / ".venv").symlink_to((start / ".venv").resolve())
    with scratch.inside(folder, {}):
        bring_data(known)


def settle_settings(place: Path, known: Lineage, start: Path) -> None:
    """What `champion` was then, by its number; and a path of this project as it is seen from there.

    The settings are the version's: this Genloop need not know them all.
    """
    editor = YAML()
    settings = editor.load(place)
    if settings["train"].get("init") == client.CHAMPION:
        settings["train"]["init"] = known.parents[0] if known.parents else "scratch"
    path = settings["reference"].get("weights")
    if path and scratch.local(path):
        settings["reference"]["weights"] = str(start / path)
    with place.open("w", encoding="utf-8") as file:
        editor.dump(settings, file)


def share_cache(folder: Path, start: Path) -> None:
    """DVC's cache and remotes, as this project has them."""
    with dvc.repository() as repo:
        cache = Path(repo.cache.local.path)
        place = cache.parents[1] if cache.parts[-2:] == ("files", "md5") else cache
    own = start / ".dvc" / "config.local"
    before = own.read_text(encoding="utf-8") if own.exists() else ""
    files.write(folder / ".dvc" / "config.local", f"{before}\n[cache]\n    dir = {place}\n")


def bring_data(known: Lineage) -> None:
    pointer = snapshot.POINTER
    wanted = [GIVEN, *([str(pointer)] if pointer.exists() else [])]
    if snapshot.run("checkout", "--quiet", "--force", *wanted) is None:
        return
    with dvc.repository() as repo:
        remotes = list(repo.config["remote"])
    words = snapshot.run("pull", "--quiet", "--force", *wanted) if remotes else "there is no remote to ask"
    if words is not None:
        raise InputError(
            f"the data of version {known.version} cannot be had: DVC's cache here lacks it, and {words}. What `genloop forget` "
            "or `dvc gc` has removed is gone for good, and so is the way to make this version again"
        )


def environment(known: Lineage) -> dict[str, str]:
    """This registry, which knows the parent, and what bits depend on that can be had here too."""
    then, found = known.machine, {"MLFLOW_TRACKING_URI": client.uri()}
    if "backend" in then:
        found["KERAS_BACKEND"] = then["backend"]
    if "threads" in then and then["threads"] != len(os.sched_getaffinity(0)):
        found["TF_NUM_INTRAOP_THREADS"] = str(then["threads"])
    if then.get("onednn", "default") != "default":
        found["TF_ENABLE_ONEDNN_OPTS"] = then["onednn"]
    return found


def run_all(say: Callable[[str], None]) -> dict[str, Made]:
    """Every stage between GIVEN and LEFT_OUT, in the working directory."""
    recorded = LOCK.read_text(encoding="utf-8")
    before, cache = hashes(recorded), cached()
    found = {}
    for name in dvc.stages():
        if name in (GIVEN, LEFT_OUT):
            continue
        say(f"── {name}")
        reproduce(name)
        found[name] = made(name, before.get(name, {}), hashes(LOCK.read_text(encoding="utf-8"))[name], cache)
        files.write(LOCK, recorded)
        if name not in BY_SCORES and found[name].verdict != "bit-equal":
            put_back(before.get(name, {}), cache, say)
    return found


def put_back(outputs: Mapping[str, str], cache: Callable[[str], Path], say: Callable[[str], None]) -> None:
    """The data that the version's own stage made. To ask DVC for what it has no more would cost what is there."""
    own = [path for path, digest in outputs.items() if not in_reports(path) and whole(digest, cache)]
    if not own or snapshot.run("checkout", "--quiet", "--force", *own) is not None:
        say("DVC has the version's own output no more; the stages after it go on from what was made here")


def whole(digest: str, cache: Callable[[str], Path]) -> bool:
    if not cache(digest).is_file():
        return False
    return not digest.endswith(".dir") or all(cache(file["md5"]).is_file() for file in json.loads(cache(digest).read_bytes()))


def in_reports(path: str) -> bool:
    return path.startswith(f"{paths.REPORTS}/")


def reproduce(name: str) -> None:
    """As a run does, whatever is fresh, and without a copy in DVC's cache."""
    with tempfile.TemporaryFile("w+") as words:
        command = ["--repro", str(words.fileno()), "--single-item", "--force", "--no-commit", name]
        if processes.call(command, lambda line: None, [words.fileno()]) != 0:
            words.seek(0)
            stages.explain(name, words.read())


def hashes(lock: str) -> Hashes:
    stages = YAML(typ="safe", pure=True).load(lock).get("stages", {})
    return {name: {out["path"]: out["md5"] for out in entry.get("outs", []) if "md5" in out} for name, entry in stages.items()}


def cached() -> Callable[[str], Path]:
    """Where DVC's cache has, or would have, what is of a hash."""
    with dvc.repository() as repo:
        place = Path(repo.cache.local.path)
    return lambda digest: place / digest[:2] / digest[2:]


def made(stage: str, before: Mapping[str, str], now: Mapping[str, str], cache: Callable[[str], Path]) -> Made:
    """Data counts by its bits, what was learned and a report by its figures; a page or a picture follows from these."""
    words: list[Word] = []
    differs: dict[str, str] = {}
    for path in sorted(before.keys() | now.keys()):
        if before.get(path) == now.get(path):
            continue
        word, how = compared(Path(path), before.get(path), cache)
        if word != "bit-equal":
            differs[path] = how
        if path.endswith((".json", ".csv")) or not in_reports(path):
            words.append("metric-equal" if stage in LEARNED and not in_reports(path) else word)
    return Made(equality.worst(words), differs)


def compared(path: Path, before: str | None, cache: Callable[[str], Path]) -> tuple[Word, str]:
    """An output whose hash is another one than before."""
    if before is None or not path.exists():
        return "different", "is new" if before is None else "is not made any more"
    was = cache(before)
    if not was.is_file():
        return "different", "is another one; DVC has the former no more"
    if path.is_dir():
        return "different", other_files(path, {entry["relpath"] for entry in json.loads(was.read_bytes())})
    if path.suffix in (".json", ".csv"):
        word, keys = equality.reports(path.name, was.read_bytes(), path.read_bytes())
        return word, f"differs in {', '.join(keys[:5])}{f' and {len(keys) - 5} more' if len(keys) > 5 else ''}"
    return "different", "is another one"


def other_files(folder: Path, before: set[str]) -> str:
    now = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    changes = {"new": len(now - before), "gone": len(before - now)}
    words = ", ".join(f"{count} {word}" for word, count in changes.items() if count)
    return f"has other files: {words}" if words else "has files of another content"


def compare(before: Path | None, least: Callable[[str], float]) -> dict[str, Score]:
    """The scores of both, where the version has kept what that takes and the benchmark is the same."""
    if before is None:
        return {}
    try:
        return equality.compare(scores.read(before), scores.read(paths.REPORTS / "estimates.npz"), least)
    except InputError:
        return {}


def counts(params: Params, start: Path) -> Callable[[str], float]:
    """The least difference that counts: the margin of the gate's rule, or what retraining alone changes, if that is more."""
    measured = noise_floor.read(start / paths.NOISE)
    margins = {rule.metric: rule.margin for rule in params.promotion.rules if rule.kind in ("better", "not_worse")}
    return lambda name: max(margins.get(name, 0.0), (measured and measured.floor(name)) or 0.0)


def judged(stages: dict[str, Made], weights: Weights, scored: dict[str, Score]) -> dict[str, Made]:
    """A model whose bits are others is judged by what it scores, and so is what it scored."""
    same: Word = "metric-equal" if scored and all(score.equal for score in scored.values()) else "different"
    by_scores = () if weights.equal else BY_SCORES
    return {name: Made(same, made.differs) if name in by_scores else made for name, made in stages.items()}


def trained_on() -> dict[str, Any]:
    """What the rebuilt `train` ran on, as `register` writes it down, and what is installed."""
    said = json.loads((paths.REPORTS / "train.json").read_text(encoding="utf-8"))
    return {**said, **machine.describe()}


def changed(known: Lineage, here: Mapping[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What the version's record says otherwise than what is here, packages after the machine."""
    found = {name: (then, here[name]) for name, then in known.machine.items() if name in here and here[name] != then}
    found.pop("versions", None)  # they are among the packages
    then, now = known.packages or locked(), machine.packages()
    return found | {name: (then[name], now.get(name)) for name in then if then[name] != now.get(name)}


def locked() -> dict[str, str]:
    """Packages by the version's lock file, those that are installed here: it lists those of other systems, too."""
    place, here = Path("requirements.lock"), machine.packages()
    lines = place.read_text(encoding="utf-8").splitlines() if place.exists() else []
    pinned = (line.split(";")[0].split("\\")[0].strip().partition("==") for line in lines if "==" in line)
    return {machine.normal(name): version for name, _, version in pinned if machine.normal(name) in here}


def reasons(known: Lineage, version: Version, changes: Mapping[str, tuple[Any, Any]], scored: Mapping[str, Score]) -> list[str]:
    """What may explain a difference, in words."""
    found = [f"{name}: {then} then, {now or 'not installed'} here" for name, (then, now) in changes.items()]
    if known.dirty and not version_keeps(version):
        found.append("its tree had changes that were not committed, and its run has not kept them")
    if not scored:
        found.append("its scores cannot be held against these: they are of another benchmark, or were not kept")
    if not found:
        found.append(
            "no other machine or package is known of, so a stage depends on more than its inputs, or something was run by hand"
        )
    return found


def version_keeps(version: Version) -> bool:
    with tempfile.TemporaryDirectory(prefix="genloop-") as temporary:
        return client.artifact(version, client.WORKSPACE, Path(temporary)) is not None
