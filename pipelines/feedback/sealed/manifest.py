"""data/feedback.json: which files data/feedback must hold, and who has asked to be forgotten. In git; a fold writes it last.

A fresh clone has this file and not the folder, so stages depend on it, and what reads the folder asks it first.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.core import files, paths
from pipelines.core.errors import GenloopError, InputError

KINDS = ("events-", "images-")
ADVICE = "`dvc pull` brings back what a remote has, `dvc checkout` what this machine has"


@dataclass(frozen=True)
class File:
    sha256: str
    rows: int


@dataclass(frozen=True)
class Manifest:
    """files: by name, in the order of the names. forgotten: sha256 of raters, sorted; pipelines/feedback/forgetting.py."""

    files: dict[str, File] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)

    @property
    def batches(self) -> list[str]:
        """Names of the folds, in an order of their own."""
        return [batch_of(name) for name in self.files if name.startswith("events-")]

    @property
    def events(self) -> int:
        return self.beyond([])

    def beyond(self, batches: Collection[str]) -> int:
        """Number of events that are in none of these batches."""
        return sum(self.files[f"events-{batch}.parquet"].rows for batch in self.batches if batch not in batches)


def read(path: Path = paths.MANIFEST) -> Manifest:
    """An empty one where there is no file.

    Raises:
        InputError: it is not what `update` writes.
    """
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Manifest()
    except ValueError as error:
        raise InputError(f"{path}: not what a fold writes ({error}); put back what git has: git checkout {path}") from None


def parse(text: str) -> Manifest:
    """Raises ValueError where this is no manifest."""
    try:
        found = json.loads(text)
        return Manifest({name: File(**about) for name, about in found["files"].items()}, list(found["forgotten"]))
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None


def update(
    folder: Path = paths.FEEDBACK,
    path: Path = paths.MANIFEST,
    forgotten: Iterable[str] = (),
    rehash: Collection[str] = (),
) -> Manifest:
    """Write down what lies in `folder`; files that are listed are not read again, so the cost is that of the new ones.

    Args:
        forgotten: further raters that are.
        rehash: names of files that were rewritten, or taken away.

    Raises:
        GenloopError: a listed file is not there, or has another number of rows.
    """
    before = read(path)
    there = {file.name: file for file in present(folder)}
    known = {name: file for name, file in before.files.items() if name not in rehash}
    demand(folder, [name for name in known if name not in there])
    listed = {name: known.get(name) or File(files.sha256(file), rows(file)) for name, file in there.items()}
    demand(folder, [name for name, file in known.items() if rows(there[name]) != file.rows])
    manifest = Manifest(listed, sorted({*before.forgotten, *forgotten}))
    if manifest != before or not path.is_file():
        files.write(path, json.dumps(asdict(manifest), indent=2) + "\n")
        files.sync(path.parent)
    return manifest


def missing(folder: Path = paths.FEEDBACK, path: Path = paths.MANIFEST) -> list[str]:
    """Names that are listed and not there; a quick look, the content is for `check`."""
    return [name for name in read(path).files if not (folder / name).is_file()]


def check(folder: Path = paths.FEEDBACK, path: Path = paths.MANIFEST) -> Manifest:
    """What is listed, once every file of it has proved to be there and whole.

    Raises:
        GenloopError: one is not.
    """
    demand(folder, missing(folder, path))
    manifest = read(path)
    demand(folder, [name for name, file in manifest.files.items() if files.sha256(folder / name) != file.sha256])
    return manifest


def demand(folder: Path, wrong: list[str]) -> None:
    if wrong:
        raise GenloopError(
            f"{folder}: {len(wrong)} of the files that data/feedback.json lists are missing or damaged, "
            f"the first is {wrong[0]}; {ADVICE}"
        )


def present(folder: Path) -> list[Path]:
    return sorted(file for kind in KINDS for file in folder.glob(f"{kind}*.parquet"))


def batch_of(name: str) -> str:
    """events-X.parquet or images-X.parquet -> X"""
    return name.partition("-")[2].removesuffix(".parquet")


def rows(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowInvalid) as error:
        raise GenloopError(f"{path}: cannot be read ({error}); {ADVICE}") from None
