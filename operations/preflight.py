"""Preflight: all that can be known before a stage runs. Runs ask for it before they begin, and `doctor` shows it."""

from __future__ import annotations

import contextlib
import importlib.util
import shutil
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from pipelines import catalogue
from pipelines.core import files, reports
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from pipelines.external import content
from pipelines.features import presets
from pipelines.registry.client import Registry
from pipelines.registry.versions import CHAMPION
from pipelines.settings import manifest
from pipelines.settings.schema import Params
from pipelines.sources import places
from pipelines.sources.base import Source
from workspace import conflicts, dvc_cache, git, remote

State = Literal["ok", "warn", "fail"]
Result = tuple[State, str]

DATA = frozenset({"ingest", "validate", "clean"})
UNCOUNTED = "the number of images is known when the sources have been read"
LEAST_FREE = 2**25  # bytes of disk: no run writes less


@dataclass(frozen=True)
class RowCounts:
    """place: where rows were counted. total: images at the most; None where unknown. train, holdout: None before `clean`."""

    place: str
    total: int | None = None
    expected_train: int = 0
    train: int | None = None
    holdout: int | None = None


@dataclass(frozen=True)
class RunPlan:
    """A run that may begin. stages: those that it would run."""

    project: Project
    params: Params
    registry: Registry
    stages: Collection[str]

    @cached_property
    def source_counts(self) -> dict[str, int | None]:
        """Number of images of each source, at the most; None where that is not cheap to know."""
        counts = [count_images(self.project, source) for source in self.params.sources]
        return {f"{source.type}-{number}": counts[number] for number, source in enumerate(self.params.sources)}

    @cached_property
    def rows(self) -> RowCounts:
        """Rows by the reports of stages that are fresh, else by the sources."""
        project, folder = self.project, self.project.reports
        with contextlib.suppress(InputError, KeyError):
            if not DATA & set(self.stages):
                clean = reports.read(folder, "clean")
                place = str(project.relative(project.clean))
                return RowCounts(place, clean["rows_out"], clean["train"], clean["train"], clean["holdout"])
            if "ingest" not in self.stages:
                return self.expect(str(project.relative(project.raw)), reports.read(folder, "ingest")["rows_out"])
        with contextlib.suppress(GenloopError):  # `sources` says it
            counts = list(self.source_counts.values())
            if None not in counts:
                paths = [str(getattr(source, "path", source.type)) for source in self.params.sources]
                return self.expect(", ".join(paths), sum(count or 0 for count in counts))
        return RowCounts("`sources`")

    def expect(self, place: str, total: int) -> RowCounts:
        """What is to be expected of so many images; all to train on where sources themselves say what is held out."""
        own = any(getattr(source, "test", None) == "holdout" for source in self.params.sources)
        return RowCounts(place, total, total if own else round(total * (1 - self.params.clean.holdout)))


Check = Callable[[RunPlan], Result]


@dataclass(frozen=True)
class Finding:
    """What a check found. words: one sentence; for a fault it says what to do."""

    check: str
    state: State
    words: str


def require(plan: RunPlan, log: Callable[[str], None] | None = None) -> None:
    """Raises InputError, with a line for each fault, where the stages of the plan cannot succeed. log: gets the warnings."""
    findings = examine(plan)
    for finding in findings:
        if finding.state == "warn" and log:
            log(f"warning: {finding.words}")
    if faults := [finding.words for finding in findings if finding.state == "fail"]:
        raise InputError("\n".join(faults))


def examine(plan: RunPlan) -> list[Finding]:
    """What the checks that concern the stages of the plan find."""
    return [apply(check, plan) for check, stages in CHECKS.items() if stages & set(plan.stages)]


def apply(check: Check, plan: RunPlan) -> Finding:
    """A check that fails itself is a warning: a run must not end because of what only looks ahead."""
    name = check.__name__
    try:
        return Finding(name, *check(plan))
    except InputError as error:
        return Finding(name, "fail", str(error))
    except GenloopError as error:  # it may go away by itself, and the stage has retries
        return Finding(name, "warn", str(error))
    except Exception as error:
        return Finding(name, "warn", f"the check of {name} came to no end: {type(error).__name__}: {error}")


def markers(plan: RunPlan) -> Result:
    found = conflicts.describe(plan.project)
    return ("fail", found) if found else ("ok", "no file has conflict markers")


def sources(plan: RunPlan) -> Result:
    """Whether each source can be read and has images."""
    counts = plan.source_counts
    empty = [name for name, count in counts.items() if count == 0]
    if empty:
        state: State = "fail" if len(empty) == len(counts) else "warn"
        return state, f"no images in {', '.join(empty)}; put some there, or take the entry out of `sources`"
    return "ok", ", ".join(name if count is None else f"{name}: {count:,} images" for name, count in counts.items())


def count_images(project: Project, source: Source) -> int | None:
    """Number of images at the most; None where that is not cheap to know. Raises GenloopError where it cannot be read."""
    source, path = source.at(project.root), getattr(source, "path", None)
    if path is not None and places.local(path) is None:
        return None if places.list_all(path) else 0
    return source.size_hint()


def rows(plan: RunPlan) -> Result:
    """Whether there are as many images as validate.hard.rows asks for."""
    found, limits = plan.rows, plan.params.validate_.hard.rows
    if found.total is None:
        return "ok", UNCOUNTED
    if limits is not None and limits[0] is not None and found.total < limits[0]:
        advice = "add images, or lower the first of the two numbers"
        return "fail", f"{found.place} has {found.total:,} images, fewer than validate.hard.rows: {limits}; {advice}"
    return "ok", f"{found.place}: {found.total:,} images at the most"


def batch(plan: RunPlan) -> Result:
    """Whether there are as many training rows as a batch has; feedback may add some."""
    found, size = plan.rows, plan.params.train.batch_size
    if not plan.params.model.trains:
        return "ok", f"{plan.params.model.title} is only a sampler: nothing is trained"
    most = found.total if found.train is None else found.train
    expected = found.expected_train
    if most is None:
        return "ok", UNCOUNTED
    if min(most, expected) >= size:
        return "ok", f"a batch of {size} is less than all rows"
    if found.train is not None:
        words = f"{found.train:,} rows to train on"
    else:
        words = f"{most:,} images" + (f", about {expected:,} of them to train on" if most >= size else "")
    state: State = "fail" if most < size and not may_add_rows(plan) else "warn"
    advice = f"add images, or set train.batch_size to {max(min(most, expected), 2)} or less"
    return state, f"{found.place} has {words}, fewer than train.batch_size: {size}; {advice}"


def may_add_rows(plan: RunPlan) -> bool:
    """Whether rows from feedback come to those of data/clean."""
    return plan.project.feedback.is_dir() and any(plan.project.feedback.iterdir())


def metrics(plan: RunPlan) -> Result:
    """Whether there are as many held-out and generated images as metrics need."""
    found, samples = plan.rows, plan.params.evaluate.samples
    if found.total is None:
        return "ok", UNCOUNTED
    held_out = found.total - found.expected_train if found.holdout is None else found.holdout
    width = catalogue.get(catalogue.FEATURES, plan.params.reference.extractor).width
    scores = {name: catalogue.yields(name)[0] for name in plan.params.evaluate.metrics}
    lacking = [
        name
        for name, score in scores.items()
        if not score.by_class and (samples < score.rows(width) or held_out < score.real_rows(width))
    ]
    if not lacking:
        return "ok", f"about {held_out:,} held-out images for {len(scores)} metrics"
    return "warn", (
        f"too few images for {', '.join(lacking)}: about {held_out:,} are held out, and evaluate.samples is {samples:,}; add "
        "images, raise clean.holdout or evaluate.samples; docs/metrics.md says how many each needs"
    )


def init(plan: RunPlan) -> Result:
    """Whether a training can go on from the version that train.init names."""
    init, registry = plan.params.train.init, plan.registry
    if not plan.params.model.trains:
        return "ok", f"{plan.params.model.title} is only a sampler: nothing is trained"
    if init == "scratch":
        return "ok", "trainings start from scratch"
    number = registry.alias(CHAMPION) if init == "champion" else int(init)
    if number is None:
        return "warn", f"train.init is champion, and {registry.name} has none yet: the training starts from scratch"
    try:
        settings = registry.version(number).settings
    except InputError as error:  # no such version, or no model at all
        return "fail", f"train.init names version {number}, which cannot be used ({error}); set it to scratch or to champion"
    wanted = {
        "model.family": plan.params.model.family,
        **({"model.preset": plan.params.model.preset} if plan.params.model.kind_is_ours else {}),
        "image.size": plan.params.image.size,
        "image.channels": plan.params.image.channels,
    }
    differing = [
        f"{key} is {settings[key]}, and params.yaml asks for {value}"
        for key, value in wanted.items()
        if key in settings and settings[key] != str(value)
    ]
    if differing:
        return "fail", (
            f"the training cannot continue from version {number}: its {'; its '.join(differing)}; set train.init to scratch, "
            "or the settings to the version's"
        )
    return "ok", f"trainings go on from version {number}"


def extractor(plan: RunPlan) -> Result:
    """Whether the file of weights of the extractor is there, and the one that its checksum stands for."""
    settings = plan.params.reference
    if settings.weights is not None and catalogue.get(catalogue.FEATURES, settings.extractor).of_presets:
        return preset(plan.project, settings.weights, settings.sha256)
    if settings.weights is None or settings.sha256 is None:
        return "ok", f"`{settings.extractor}` is read from no file"
    path = places.local(settings.weights)
    if path is None:
        copy = plan.project.downloads / settings.sha256
        return "ok", f"{copy} is there" if copy.is_file() else f"{settings.weights} is fetched by the stage `reference`"
    path = Path(files.absolute(str(path), plan.project.root))
    if not path.is_file():
        return "fail", f"reference.weights: {path}: no such file; docs/metrics.md says where it comes from"
    if (found := files.sha256(path)) != settings.sha256:
        return "fail", f"reference.weights: {path} has the sha256 {found}, expected {settings.sha256} (reference.sha256)"
    return "ok", f"{path} is there, with its checksum"


def preset(project: Project, weights: str, sha256: str | None) -> Result:
    """The same where weights are those of a preset: a name, a handle, or a folder, whose path has a slash."""
    if importlib.util.find_spec("keras_hub") is None:
        return "fail", "KerasHub is not installed; `make env` installs it, else `pip install 'genloop[pretrained]'`"
    path = places.local(weights)
    if path is None or "/" not in weights:
        where = f"the preset {weights} is fetched by the stage `reference`, unless it was before"
        if sha256 is None:
            return "warn", f"{where}; reference.sha256 is empty, so the stage will stop and say what to set"
        return "ok", where
    path = Path(files.absolute(str(path), project.root))
    try:
        presets.check(presets.read(path, str(path)), str(path), sha256)
    except InputError as error:
        return "fail", f"reference.weights: {error}"
    return "ok", f"{path} is there, with its checksum"


def external(plan: RunPlan) -> Result:
    """Whether the interpreter of an external model is there, and whether its folder can be carried by versions."""
    model, root = plan.params.model, plan.project.root
    if model.manifest is None:
        return "ok", f"{model.family} is a family of Genloop's own"
    content.check(model.folder)
    python = manifest.interpreter(model.manifest, model.folder, plan.project.environment)
    manifest.check_interpreter(python)
    words = f"{model.folder}, trained by {python}" if model.trains else f"{model.folder}, only a sampler, run by {python}"
    if not model.folder.is_relative_to(root):
        hidden = [path.name for path in model.folder.iterdir() if path.name.startswith(".") and path.is_dir()]
        if hidden:
            return "warn", (
                f"{words}: it is outside of the project, where DVC reads hidden folders too, each time ({', '.join(hidden)}); "
                "keep its environment elsewhere, or the folder in the project"
            )
    return "ok", words


def backend(plan: RunPlan) -> Result:
    name = plan.project.environment.get("KERAS_BACKEND", "tensorflow")
    if importlib.util.find_spec(name) is None:
        return "fail", f"KERAS_BACKEND={name} is not installed; `pip install {name}`, or unset the variable for tensorflow"
    return "ok", f"Keras computes with {name}"


def experiment(plan: RunPlan) -> Result:
    """Whether MLflow answers, and its experiment takes runs, and their artifacts have a place."""
    registry = plan.registry
    receipt = registry.receipt()
    if receipt is not None and not registry.receipt_known():
        return "warn", (
            f"{plan.project.relative(registry.receipt_file)} names version {receipt['version']} of {receipt['model']}, which "
            f"{registry.place} does not have: another registry, or one that was emptied; versions are numbered anew there, and "
            "what people said of the old ones would count for these"
        )
    if not registry.reachable():
        return "ok", f"none yet at {registry.place}; the first run makes it"
    with registry.mlflow_errors():
        found = registry.client.get_experiment_by_name(registry.experiment_name)
    if found is not None and found.lifecycle_stage == "deleted":
        return "fail", (
            f"the experiment {registry.experiment_name!r} is deleted in MLflow: bring it back with `MLFLOW_TRACKING_URI="
            f"{registry.place} mlflow experiments restore --experiment-id {found.experiment_id}`, or set registry.experiment "
            "to another name"
        )
    place = registry.check_artifacts()
    return "ok", f"experiment {registry.experiment_name!r}{'' if found else ', which the first run makes'}; artifacts: {place}"


def database(plan: RunPlan) -> Result:
    """Whether the database of events, and of the history of promotions, can be used; one on a server may answer again."""
    from pipelines.feedback.store import inspection

    url = plan.project.database_url
    try:
        return "ok", inspection.describe(url)
    except GenloopError as error:
        return "fail" if url.startswith("sqlite") else "warn", str(error)


def commits(plan: RunPlan) -> Result:
    """Whether what a run makes can be committed and pushed."""
    from operations import versioning

    project, settings = plan.project, plan.params.versioning
    if settings.push and git.head(project) is not None and dvc_cache.default_remote(project) is None:
        names = list(dvc_cache.remotes(project))
        advice = f"`dvc remote default {names[0]}`" if names else "`dvc remote add --default NAME URL`"
        lack = "no default remote" if names else "no remote"
        return "fail", f"versioning.push is true, but DVC has {lack}: {advice} gives it one, or set versioning.push to false"
    if settings.push:
        remote.check(project)
    if not settings.commit:
        return "ok", "versioning.commit is false: runs commit nothing"
    recorded = versioning.recorded_files(project)
    if reason := git.missing_commit(project) or (git.obstacle(project, recorded) if recorded else None):
        return "warn", f"runs commit nothing: {reason}"
    return "ok", "runs commit what DVC has recorded"


def space(plan: RunPlan) -> Result:
    free = shutil.disk_usage(plan.project.root).free
    words = f"{free / 2**20:,.0f} MiB of disk free"
    return ("ok", words) if free >= LEAST_FREE else ("fail", f"{words}, too little for any stage; make room and run again")


ALL = frozenset({*DATA, "reference", "curate", "approval", "train", "evaluate", "register"})

# What each check is of use for: it is asked where one of these stages runs. In the order in which doctor shows them.
CHECKS: dict[Check, frozenset[str]] = {
    markers: ALL,
    sources: frozenset({"ingest"}),
    rows: frozenset({"validate"}),
    batch: frozenset({"train"}),
    metrics: frozenset({"evaluate"}),
    init: frozenset({"train"}),
    extractor: frozenset({"reference"}),
    external: frozenset({"train", "evaluate", "register"}),
    backend: frozenset({"reference", "train", "evaluate"}),
    experiment: frozenset({"register"}),
    database: frozenset({"register"}),
    commits: ALL,
    space: ALL,
}
