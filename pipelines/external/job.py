"""job.json: what an external trainer is told, and the folders that it works in.

All lie below `checkpoints/KEY` of the project. The key names all that the training depends on, so one that was killed finds
its checkpoints again, and one of anything else does not.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipelines.core import files
from pipelines.external.data import ExportedRows
from pipelines.settings.manifest import ExternalManifest
from pipelines.settings.schema import Params

FORMAT = 1


@dataclass(frozen=True)
class JobFolders:
    """top: of one training."""

    top: Path

    @property
    def file(self) -> Path:
        return self.top / "job.json"

    @property
    def data(self) -> Path:
        return self.top / "data"

    @property
    def content(self) -> Path:
        """The external model's content as it was when the training began, which the version carries."""
        return self.top / "content"

    @property
    def code(self) -> Path:
        """The private copy of it that the command runs in, and may write into."""
        return self.top / "code"

    @property
    def checkpoints(self) -> Path:
        return self.top / "checkpoints"

    @property
    def champion(self) -> Path:
        """The weights of the version that a warm start goes on from."""
        return self.top / "champion"

    @property
    def result(self) -> Path:
        return self.top / "result"

    @property
    def previews(self) -> Path:
        return self.top / "previews"

    @property
    def history(self) -> Path:
        """What was reported so far, for the curves of a training that goes on after it was killed."""
        return self.top / "history.json"

    def prepare(self) -> None:
        """Make them; what a killed training has left counts, as far as it is a checkpoint."""
        if not self.checkpoints.is_dir():
            files.make_empty(self.checkpoints)
        for folder in (self.result, self.previews):
            files.make_empty(folder)


def remove_rows(checkpoints: Path, keep: Path | None = None) -> None:
    """Remove the rows of all trainings but `keep` below `checkpoints`, those of noise too: a training exports them again.

    They are copies of images that people sent. `code` goes as well, where a command may have put what it made of them.
    """
    for top in (*checkpoints.glob("*/"), *checkpoints.glob("noise-*/seed-*/checkpoints/*/")):
        if top != keep and not top.name.startswith("noise-"):
            for name in ("data", ".data.partial", "code"):
                shutil.rmtree(top / name, ignore_errors=True)


def write(
    folders: JobFolders,
    params: Params,
    manifest: ExternalManifest,
    rows: ExportedRows,
    champion_params: dict[str, Any] | None,
) -> dict[str, Any]:
    """Write job.json; its content. Paths are absolute.

    champion_params: those that the champion was trained with, by which a training knows whether it can go on from its weights;
    None for one from scratch.
    """
    content = {
        "format": FORMAT,
        "data": str(folders.data),
        "rows": rows.count,
        "classes": rows.classes,
        "prompts": prompts(manifest, rows.classes),
        "params": params.model.numbers,
        "image": {"size": params.image.size, "channels": params.image.channels},
        "seed": params.train.seed,
        "steps": params.train.steps,
        "batch_size": params.train.batch_size,
        "report_every": params.train.preview_every,
        "checkpoints": str(folders.checkpoints),
        "champion": str(folders.champion) if champion_params is not None else None,
        "champion_params": champion_params,
        "result": str(folders.result),
        "previews": str(folders.previews),
    }
    files.write(folders.file, json.dumps(content, indent=2, ensure_ascii=False) + "\n")
    return content


def prompts(manifest: ExternalManifest, classes: list[str]) -> dict[str, str] | None:
    """The prompt of each class, by its name, and as `default` that of a model without classes; None where none is asked for."""
    if manifest.condition != "prompts":
        return None
    own: dict[str, str] = manifest.prompt if isinstance(manifest.prompt, dict) else {"default": manifest.prompt or "{name}"}
    default = own.get("default", "{name}")
    if not classes:
        return {"default": default.replace("{name}", "").strip()}
    return {name: own.get(name, default).replace("{name}", name) for name in classes}
