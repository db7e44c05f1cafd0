"""A model of the user's own, in a folder: one to begin with, and the contract as checks that each say how to mend a fault."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from pipelines.catalogue import EXTERNAL
from pipelines.core import files, grids, png, shards
from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import CODE, Project
from pipelines.core.temporary_folder import TemporaryFolder
from pipelines.external import content, contract, data, job, training
from pipelines.external.contract import ContractResult
from pipelines.external.data import ExportedRows
from pipelines.external.job import JobFolders
from pipelines.external.monitor import ReportMonitor
from pipelines.feedback import curated
from pipelines.models.external import ExternalGenerator
from pipelines.settings import manifest as manifests
from pipelines.settings.load import check_params, lay_over, set_key
from pipelines.settings.manifest import ExternalManifest
from pipelines.settings.schema import Params
from pipelines.settings.yaml_files import parse_yaml, read_text

EXAMPLE = CODE / "examples" / "external" / "numpy"
COPIED = (manifests.NAME, "train.py", "sampler.py")
README = """# {name}: a model of your own for Genloop

    genloop model check {folder}
    genloop run --set model.family=external --set model.external={folder}

It works as it stands: principal components and mixtures of Gaussians, in numpy alone. Put your own in its place, one file after
the other, and let the first command say each time what is not as it should be:

- `manifest.yaml` says how the model is trained and asked for images, and with which Python.
- `train.py JOB` trains: what it is to do is in the JSON file JOB, and what it has done it prints, a line of JSON at a time.
- `sampler.py` generates: an image follows from its seed and its class alone.

docs/your-own-model.md of Genloop explains every key, and what is promised.
"""

# The made-up images: a pattern a class, and little else, so that hardly trained models are as various as they are.
CLASSES = ["horizontal", "vertical", "diagonal"]
ROWS, STEPS, BATCH = 96, 20, 16
BASE_SIZE = 16  # pixels, where the manifest takes it
SHOWN = 8  # images of each class in the picture
PROBE = "import sys, numpy; print('.'.join(map(str, sys.version_info[:3])), 'with numpy', numpy.__version__)"
PROBE_SECONDS = 120.0


@dataclass(frozen=True)
class CheckOptions:
    """What a check trains and asks for; None for what the manifest takes first."""

    preset: str | None = None
    size: int | None = None
    channels: int | None = None


class CheckEndedError(Exception):
    """After a failure there is nothing more to check."""


@dataclass
class ModelCheck:
    """What was found so far. images: (n, size, size, channels) uint8 that the model generated, with labels."""

    results: list[ContractResult] = field(default_factory=list)
    images: np.ndarray | None = None
    labels: np.ndarray | None = None
    classes: list[str] = field(default_factory=list)

    @property
    def failed(self) -> bool:
        return any(result.state == "failed" for result in self.results)

    @property
    def picture(self) -> bytes | None:
        """A PNG with a row for each class; None where there are no images."""
        if self.images is None or self.labels is None:
            return None
        return grids.png(grids.by_class(self.images, self.labels, self.classes))

    def note(self, name: str, words: str, missing: bool = False) -> None:
        self.results.append(ContractResult(name, "not to be had" if missing else "ok", words))

    @contextmanager
    def step(self, name: str, advice: str) -> Iterator[None]:
        """What goes wrong inside is a failure, and the last thing that is checked."""
        try:
            yield
        except GenloopError as error:
            self.results.append(ContractResult(name, "failed", str(error), advice))
            raise CheckEndedError from None


def create(folder: Path) -> list[Path]:
    """Write a working model into `folder`; the files. Raises InputError where there is something already."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; name a new folder")
    if folder.is_dir() and any(folder.iterdir()):
        raise InputError(f"{folder}: is not empty, and nothing is overwritten; name a new folder")
    if not EXAMPLE.is_dir():
        raise InputError(f"{EXAMPLE}: no such folder, and the skeleton is made from it; it comes with Genloop's repository")
    folder.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copyfile(EXAMPLE / name, folder / name)
    files.write(folder / "README.md", README.format(name=folder.resolve().name, folder=folder))
    return [folder / name for name in (*COPIED, "README.md")]


def check(project: Project, folder: Path, options: CheckOptions, log: Callable[[str], None]) -> ModelCheck:
    """Train the model in `folder` for a few steps on made-up images, and hold it to the contract. log: gets what is done.

    The project only gives its environment: nothing of it is read or written.
    """
    found = ModelCheck()
    with TemporaryFolder() as temporary, contextlib.suppress(CheckEndedError):
        examine(found, Project(Path(temporary), project.environment), folder.absolute(), options, log)
    return found


def examine(found: ModelCheck, scratch: Project, folder: Path, options: CheckOptions, log: Callable[[str], None]) -> None:
    """Check one thing after the other. scratch: an empty project."""
    with found.step("manifest", "mend it; docs/your-own-model.md has every key"):
        manifest = manifests.read(folder)
        params = params_for(manifest, folder, options)
    image = f"{params.image.size}x{params.image.size}, {params.image.channels} channel{'s' * (params.image.channels > 1)}"
    found.note("manifest", f"preset {params.model.preset} of {', '.join(manifest.presets)}; images of {image}")
    with found.step("files", "a version carries all files of the folder but hidden ones; keep what is large elsewhere"):
        content.check(folder)
        paths = content.list_files(folder)
    size = sum((folder / path).stat().st_size for path in paths)
    found.note("files", f"{len(paths)} files of {size / 1000:,.0f} kB")
    with found.step("python", f"let `python` of the manifest or {manifests.PYTHON_VARIABLE} name one with its requirements"):
        python = manifests.interpreter(manifest, folder, scratch.environment)
        found.note("python", f"{probe(python)}, at {python}")
    classes = write_images(scratch, params)
    model = scratch.root / "model"
    if manifest.train is None:
        found.note("training", "`train: null`: nobody trains here", missing=True)
        (model / training.WEIGHTS).mkdir(parents=True)
        classes = classes if manifest.conditional else []
        describe(model, params, manifest, classes, folder, {}, 0)
    else:
        log(f"training {STEPS} steps with {BATCH} made-up images each")
        with found.step("training", "run its command by hand with the job.json of a training, or mend what its lines say"):
            folders, rows = prepare(scratch, params, manifest, folder)
            began = time.monotonic()
            monitor = training.run_command(scratch, params, manifest, folders, rows, python)
            hashes = training.check_result(folders.result, began)
        found.note("training", f"{monitor.step} steps in {time.monotonic() - began:.1f} s; left {', '.join(hashes)}")
        note_reports(found, monitor)
        content.copy(folders.result, model / training.WEIGHTS)  # without what a version does not carry
        describe(model, params, manifest, rows.classes, folders.content, hashes, monitor.step)
    log("asking its sampler for images")
    with closing(ExternalGenerator(model, folder)) as generator:
        for result in contract.checks(generator):
            found.results.append(result)
        if not found.failed:
            draw_picture(found, generator)


def params_for(manifest: ExternalManifest, folder: Path, options: CheckOptions) -> Params:
    """Settings by which the model is trained for a moment. Raises InputError where it does not take what `options` ask for."""
    sizes = manifest.sizes
    fitting = [size for size in range(sizes.least, sizes.most + 1) if size in sizes]
    size = options.size or min(fitting, key=lambda size: (size < BASE_SIZE, abs(size - BASE_SIZE)))
    document = parse_yaml(read_text(CODE / "params.yaml"), "params.yaml")
    changes = {
        "model": {"family": EXTERNAL, "external": str(folder), "preset": options.preset or next(iter(manifest.presets))},
        "image": {"size": size, "channels": options.channels or manifest.channels[0]},
        "train": {"init": "scratch", "steps": STEPS, "batch_size": BATCH, "preview_every": STEPS // 2},
    }
    lay_over(document, changes)
    for key, value in {"model.change": {}, "train.augment": {}, "sources": [{"type": "digits"}]}.items():
        set_key(document, key, value)
    return check_params(document, "the check's settings")


def probe(python: str) -> str:
    """Versions of an interpreter and its numpy. Raises GenloopError where it cannot be used."""
    manifests.check_interpreter(python)
    try:
        done = subprocess.run(
            [python, "-c", PROBE], capture_output=True, text=True, timeout=PROBE_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise GenloopError(f"{python} does not run: {error}") from None
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise GenloopError(f"{python} cannot import numpy, which every sampler needs ({last}); install it there")
    return done.stdout.strip()


def write_images(scratch: Project, params: Params) -> list[str]:
    """data/clean, with made-up images, and a data/curated of no feedback; the names of the classes."""
    side = np.arange(params.image.size) * 2 * np.pi / params.image.size
    waves = [np.sin(2 * side)[:, None], np.sin(2 * side)[None, :], np.sin(side[:, None] + side[None, :])]
    random = np.random.default_rng(0)
    with shards.ShardWriter(scratch.clean, classes=CLASSES) as writer:
        for number in range(ROWS):
            label = number % len(CLASSES)
            greys = 128 + random.uniform(80, 100) * waves[label] + random.normal(0, 4, (params.image.size, params.image.size))
            pixels = np.rint(greys).clip(0, 255).astype(np.uint8)[..., None].repeat(params.image.channels, axis=2)
            writer.add(
                {
                    "image": {"bytes": png.encode(pixels), "path": None},
                    "label": label,
                    "row_id": f"{number:064x}",
                    "source": "made up",
                    "origin": "real",
                    "generation": 0,
                    "weight": 1.0,
                    "events": [],
                    "split": "train",
                }
            )
    with shards.ShardWriter(scratch.curated, classes=CLASSES):
        pass
    for name, schema in curated.SCHEMAS.items():
        curated.write_table(scratch.curated, name, {column: [] for column in schema.names})
    curated.write_summary(scratch.curated, curated.CuratedSummary([], 0, 0))
    return CLASSES


def prepare(scratch: Project, params: Params, manifest: ExternalManifest, folder: Path) -> tuple[JobFolders, ExportedRows]:
    """What a training finds when it begins."""
    folders = JobFolders(scratch.checkpoints / "check")
    folders.prepare()
    rows = data.export(scratch, params, manifest, folders.data)
    content.copy(folder, folders.content)
    content.copy(folder, folders.code)
    job.write(folders, params, manifest, rows, champion_params=None)
    return folders, rows


def describe(
    model: Path,
    params: Params,
    manifest: ExternalManifest,
    classes: list[str],
    source: Path,
    hashes: dict[str, str],
    steps: int,
) -> None:
    """Complete the model with its code, from `source`, and its description."""
    content.copy(source, model / training.CODE)
    training.write_description(model, training.describe(params, manifest, classes, source, hashes, steps))


def note_reports(found: ModelCheck, monitor: ReportMonitor) -> None:
    """Which curves there will be, and whether the training shows images while it goes on."""
    names = sorted({name for line in monitor.history for name in line if name not in ("step", "spread", "apart")})
    found.note("reports", f"curves of {', '.join(names)}" if names else "no numbers beside the step", missing=not names)
    shown = any("spread" in line for line in monitor.history)
    words = (
        "images side by side, so a collapse is seen"
        if shown
        else "no `preview` of several images: a collapse is seen at the end"
    )
    found.note("previews", words, missing=not shown)


def draw_picture(found: ModelCheck, generator: ExternalGenerator) -> None:
    classes = len(generator.classes) if generator.conditional else 1
    labels = np.repeat(np.arange(classes, dtype=np.int32), SHOWN)
    found.images = generator.draw(np.arange(len(labels), dtype=np.int64), labels if generator.conditional else None)
    found.labels, found.classes = labels, generator.classes
