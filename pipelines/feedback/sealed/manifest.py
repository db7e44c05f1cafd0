"""data/feedback.json: which files data/feedback must hold, and which raters were forgotten. In git; a fold writes it last.

A fresh clone has this file and not the folder, so stages depend on it, and whatever reads the folder asks it first.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from pipelines.core import files
from pipelines.core.errors import GenloopError, InputError

KINDS = ("events-", "images-")
ADVICE = "`dvc pull` brings back what a remote has, `dvc checkout` what this machine has"


@dataclass(frozen=True)
class ListedFile:
    sha256: str
    rows: int


@dataclass(frozen=True)
class Manifest:
    """files: by name, in the order of the names. forgotten: sha256 of raters, sorted; pipelines/feedback/forgetting.py."""

    files: dict[str, ListedFile] = field(default_factory=dict)
    forgotten: list[str] = field(default_factory=list)

    @property
    def batches(self) -> list[str]:
        """In the order of their names."""
        return [batch_of(name) for name in self.files if name.startswith("events-")]

    @property
    def events(self) -> int:
        return self.events_outside([])

    def events_outside(self, batches: Collection[str]) -> int:
        """Number of events that are in none of these batches."""
        return sum(self.files[f"events-{batch}.parquet"].rows for batch in self.batches if batch not in batches)


def read(path: Path) -> Manifest:
    """The manifest; an empty one where there is no file. Raises InputError where it is not what `update` writes."""
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
        return Manifest({name: ListedFile(**about) for name, about in found["files"].items()}, list(found["forgotten"]))
    except (TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None


def update(folder: Path, path: Path, forgotten: Iterable[str] = (), rewritten: Collection[str] = ()) -> Manifest:
    """Write down the files of `folder`; files that are listed are not read again, so the cost is that of the new ones.

    forgotten: digests of further raters who were forgotten. rewritten: names of files that were rewritten, or removed.
    Raises GenloopError where a listed file is missing, or has another number of rows.
    """
    before = read(path)
    found = {file.name: file for file in files_in(folder)}
    known = {name: file for name, file in before.files.items() if name not in rewritten}
    require_undamaged(folder, [name for name in known if name not in found])
    listed = {name: known.get(name) or ListedFile(files.sha256(file), row_count(file)) for name, file in found.items()}
    require_undamaged(folder, [name for name, file in known.items() if row_count(found[name]) != file.rows])
    manifest = Manifest(listed, sorted({*before.forgotten, *forgotten}))
    if manifest != before or not path.is_file():
        files.write(path, json.dumps(asdict(manifest), indent=2) + "\n")
        files.sync(path.parent)
    return manifest


def missing_files(folder: Path, path: Path) -> list[str]:
    """Names of listed files that do not exist; quick, because only `check` reads what is in them."""
    return [name for name in read(path).files if not (folder / name).is_file()]


def check(folder: Path, path: Path) -> Manifest:
    """The manifest, after every listed file was found whole; raises GenloopError where one is missing or damaged."""
    require(folder, path)
    manifest = read(path)
    require_undamaged(folder, [name for name, file in manifest.files.items() if files.sha256(folder / name) != file.sha256])
    return manifest


def require(folder: Path, path: Path) -> None:
    """Raises GenloopError where a listed file does not exist."""
    require_undamaged(folder, missing_files(folder, path))


def require_undamaged(folder: Path, damaged: list[str]) -> None:
    """Raises GenloopError where there are names of files that are missing or damaged."""
    if damaged:
        raise GenloopError(
            f"{folder}: {len(damaged)} of the files that data/feedback.json lists are missing or damaged, "
            f"the first is {damaged[0]}; {ADVICE}"
        )


def files_in(folder: Path) -> list[Path]:
    return sorted(file for kind in KINDS for file in folder.glob(f"{kind}*.parquet"))


def batch_of(name: str) -> str:
    """events-X.parquet or images-X.parquet -> X"""
    return name.partition("-")[2].removesuffix(".parquet")


def row_count(path: Path) -> int:
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, pa.ArrowInvalid) as error:
        raise GenloopError(f"{path}: cannot be read ({error}); {ADVICE}") from None
