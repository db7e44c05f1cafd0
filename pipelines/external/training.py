"""The training of an external model: its own command on the exported rows, and the model that came of it, checked by contract.

Where its manifest says `train: null`, nobody trains: the folder itself is the model, and its sampler is all that is checked.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from pipelines import catalogue
from pipelines.core import files, shards
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.progress import Progress
from pipelines.core.project import Project
from pipelines.external import content, contract, data, job, trainer
from pipelines.external.data import ExportedRows
from pipelines.external.job import JobFolders
from pipelines.external.log import TrainerLog
from pipelines.external.monitor import ReportMonitor
from pipelines.models import base
from pipelines.models.external import ExternalGenerator
from pipelines.registry.client import Registry
from pipelines.settings import manifest as manifests
from pipelines.settings.manifest import ExternalManifest
from pipelines.settings.schema import Params
from pipelines.training import checkpoint_folders, dataset, parent, preview
from pipelines.training.preview import PreviewSamples
from pipelines.training.result import TrainedModel

CODE, WEIGHTS = "external", "weights"  # folders of the model: the external folder's content, and what the training left
LOG = "trainer.log"


def train(project: Project, params: Params, registry: Registry) -> TrainedModel:
    """Have the external model trained that params name.

    Raises:
        InputError: its folder, its interpreter, the rows or the version to go on from cannot be used.
        GenloopError: the training failed, went beyond a limit, diverged, collapsed or left nothing.
    """
    manifest, folder = params.model.manifest, params.model.folder
    assert manifest is not None
    content.check(folder)
    python = manifests.interpreter(manifest, folder, project.environment)
    manifests.check_interpreter(python)
    if manifest.train is None:
        return take_sampler(project, params, manifest)
    hardware = {"python": python_version(python)}
    with tempfile.TemporaryDirectory(prefix="genloop-") as temporary:
        champion = Path(temporary) / "champion"
        version = parent.fetch(params, registry, champion)
        steps, champion_params = 0, None
        if version is not None:
            about = check_champion(params, manifest, shards.classes(project.clean), champion)
            steps, champion_params = int((about.external or {}).get("steps", 0)), about.preset
            print(f"train: going on from version {version} of {registry.name}, after {steps:,} steps")
        folders = JobFolders(project.checkpoints / key(project, params, champion if version is not None else None))
        checkpoint_folders.prune(keep=folders.top)
        job.remove_rows(project.checkpoints, keep=folders.top)
        folders.prepare()
        if version is not None and not folders.champion.is_dir():
            with files.replacement(folders.champion) as target:
                shutil.copytree(champion / WEIGHTS, target, dirs_exist_ok=True)
    rows = data.export(project, params, manifest, folders.data)
    content.copy(folder, folders.content)
    content.copy(folder, folders.code)
    job.write(folders, params, manifest, rows, champion_params)
    began = time.monotonic()
    monitor = run_command(project, params, manifest, folders, rows, python)
    seconds = time.monotonic() - began
    hashes = check_result(folders.result, began)

    def save(target: Path) -> PreviewSamples:
        about = describe(params, manifest, rows.classes, folders.content, hashes, steps + monitor.step)
        shutil.copytree(folders.content, target / CODE)
        for name in hashes:
            (target / WEIGHTS / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(folders.result / name, target / WEIGHTS / name)
        write_description(target, about)
        return check_and_sample(project, target, preview.labels(rows.sample))

    return TrainedModel(
        save=save,
        weights=sum((folders.result / name).stat().st_size for name in hashes),
        unit="bytes",
        history=monitor.history,
        resumed_from=monitor.resumed_from or 0,
        rows=rows.count,
        unlabelled=rows.unlabelled,
        classes=rows.classes,
        parent=version,
        seconds=seconds,
        checkpoints=folders.top,
        logs=monitor.logs,
        hardware=hardware,
    )


def python_version(python: str) -> str:
    """As in 3.11.7. Not where it lies: the same training on another machine, or in a rebuild's folder, has the same report.

    Raises:
        InputError: it is no Python.
    """
    command = [python, "-I", "-c", "import platform; print(platform.python_version())"]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        raise InputError(f"{python}: cannot be run as a Python ({error}); name another in {manifests.NAME}") from None


def take_sampler(project: Project, params: Params, manifest: ExternalManifest) -> TrainedModel:
    """The model of a folder that has only a sampler. No row is read or exported, and its history is one line, of step 0."""
    print(f"train: {params.model.title} has `train: null`: nothing is trained, its sampler is the model")
    classes = shards.classes(project.clean) if manifest.conditional else []

    def save(target: Path) -> PreviewSamples:
        content.copy(params.model.folder, target / CODE)
        (target / WEIGHTS).mkdir()
        write_description(target, describe(params, manifest, classes, target / CODE, {}, 0))
        return check_and_sample(project, target, preview.labels_of(range(max(len(classes), 1)), bool(classes)))

    return TrainedModel(
        save=save,
        weights=0,
        unit="bytes",
        history=[{"step": 0}],
        resumed_from=0,
        rows=0,
        unlabelled=0,
        classes=classes,
        parent=None,
        seconds=0.0,
    )


def key(project: Project, params: Params, champion: Path | None) -> str:
    """A name for all that the course of the training depends on."""
    settings = params.model_dump(include={"model": {"family", "preset", "change"}, "train": True, "image": True})
    settings |= {"data": dataset.content(project), "content": content.digest(params.model.folder)}
    settings["start"] = content.digest(champion / WEIGHTS) if champion is not None else None
    return checkpoint_folders.key(settings, [])


def check_champion(params: Params, manifest: ExternalManifest, classes: list[str], champion: Path) -> base.Description:
    """What the version in `champion` says of itself.

    Raises:
        InputError: it is of another family, or generates other images.
    """
    try:
        about = base.describe(champion)
    except ValueError as error:
        raise InputError(f"the training cannot continue from the champion: {error}; set train.init to scratch") from None
    expected = {
        "family": catalogue.EXTERNAL,
        "spec": base.ImageSpec(params.image.size, params.image.channels, len(classes) if manifest.conditional else 0),
        "classes": classes if manifest.conditional else [],
    }
    for part, required in expected.items():
        if (actual := getattr(about, part)) != required:
            raise InputError(
                f"the training cannot continue from the champion: its {part} is {actual}, and params.yaml and the data ask for "
                f"{required}; set train.init to scratch, or the settings to the champion's"
            )
    stored = about.external or {}
    found = {path.as_posix(): files.sha256(champion / WEIGHTS / path) for path in content.list_files(champion / WEIGHTS)}
    if found != stored.get("files"):
        raise InputError(
            "the training cannot continue from the champion: its weights are not the files that were registered; restore them, "
            "or set train.init to scratch"
        )
    if not found:
        raise InputError("the training cannot continue from the champion: nothing was trained there; set train.init to scratch")
    return about


def run_command(
    project: Project, params: Params, manifest: ExternalManifest, folders: JobFolders, rows: ExportedRows, python: str
) -> ReportMonitor:
    """Run the training's command to its end. Raises GenloopError where it fails."""
    variables = trainer.variables(project.environment, folders, python)
    program, *arguments = manifests.command(manifest, python, [str(folders.file)])
    own = folders.code / program  # an absolute path is itself
    if os.sep in program or shutil.which(program, path=variables["PATH"]) is None:
        check_program(params.model.folder / manifests.NAME, program, own)
        program = str(own)
    command = [program, *arguments]
    logs = project.logs / "train" / folders.top.name
    log = TrainerLog(logs / LOG)
    with closing(log), Progress("train", params.train.steps * params.train.batch_size, "images") as progress:
        monitor = ReportMonitor(params, rows, folders, logs, progress)
        with closing(monitor):
            trainer.run(command, folders, variables, manifest.limits, log, monitor.receive)
            monitor.check_end()
    return monitor


def check_program(manifest: Path, name: str, program: Path) -> None:
    """Raises InputError where a file of the folder, or an absolute path, that the manifest names is no program."""
    if not program.is_file():
        raise InputError(f"{manifest}: train: there is no program {name!r} on this machine, nor in the folder")
    if not os.access(program, os.X_OK):
        raise InputError(
            f"{manifest}: train: {name!r} cannot be run: `chmod +x {name}`, or begin with its program: `sh {name}`"
        )


def check_result(folder: Path, began: float) -> dict[str, str]:
    """sha256 of each file that the training left, by its path.

    Raises:
        GenloopError: it left none, something that is no file, or has removed the folder.
    """
    if folder.is_symlink() or not folder.is_dir():
        raise GenloopError(
            f"the training has removed, renamed or replaced the folder {folder}; expected its weights in it, the `result` of "
            "job.json; let it write into that folder"
        )
    try:
        hashes = content.hashes(folder)
    except InputError as error:
        raise GenloopError(f"the training left what a version cannot carry: {error}") from None
    except OSError as error:
        raise GenloopError(f"the training left what cannot be read: {error}") from None
    if not any((folder / name).stat().st_size for name in hashes):
        came = "nothing" if not hashes else f"only empty files ({', '.join(list(hashes)[:3])})"
        raise GenloopError(
            f"the training ended well after {time.monotonic() - began:.0f} s and left {came}; expected its weights in the "
            "folder `result` of job.json (hidden files do not count); nothing was saved"
        )
    return hashes


def describe(
    params: Params, manifest: ExternalManifest, classes: list[str], folder: Path, hashes: dict[str, str], steps: int
) -> dict[str, Any]:
    """The content of model.json. folder: with the content that the model carries."""
    spec = base.ImageSpec(params.image.size, params.image.channels, len(classes))
    return {
        "family": catalogue.EXTERNAL,
        "module": "external",
        "class_name": ExternalGenerator.__name__,
        "preset": params.model.numbers,
        "spec": asdict(spec),
        "classes": classes,
        "format": base.FORMAT,
        "external": {
            "manifest": manifest.as_json(),
            "prompts": job.prompts(manifest, classes),
            "content": content.digest(folder),
            "files": hashes,
            "steps": steps,
            # Where a relative interpreter begins. Else it says nothing, and a rebuild's model is the same in another folder.
            "folder": params.model.external if manifest.python and not Path(manifest.python).is_absolute() else None,
        },
    }


def write_description(folder: Path, about: dict[str, Any]) -> None:
    files.write(folder / base.DESCRIPTION, json.dumps(about, indent=2, ensure_ascii=False) + "\n")


def check_and_sample(project: Project, folder: Path, labels: Any) -> PreviewSamples:
    """Images of the model in `folder`, which keeps the contract.

    Raises:
        GenloopError: it does not; the message says how to mend it.
    """
    with closing(ExternalGenerator(folder, project.root)) as generator:
        contract.require(contract.examine(generator))
        samples = PreviewSamples(generator.draw(np.arange(len(labels)), labels), labels)
    for compiled in folder.rglob("__pycache__"):  # which the sampler's own Python has left
        shutil.rmtree(compiled)
    return samples
