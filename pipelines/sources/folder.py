"""folder: image files in a folder, in a subfolder for each class or without labels, and perhaps in one for each split."""

from __future__ import annotations

import functools
import glob
import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pipelines.core.errors import InputError
from pipelines.sources import places
from pipelines.sources.base import Item, Split, SplitSource, class_name, listed, split_named

# What systems put beside people's files, in lower case: NAS, macOS, Windows, Linux.
SYSTEM_NAMES = {
    "@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot", "@tmp", "__macosx", "icon\r", "network trash folder",
    "temporary items", "thumbs.db", "ehthumbs.db", "desktop.ini", "$recycle.bin", "system volume information", "lost+found",
}  # fmt: skip
# Endings of files that hold no single image -> how to have what is in them.
NO_IMAGES = {
    (".csv", ".tsv", ".json", ".jsonl", ".ndjson", ".xml", ".txt", ".xls", ".xlsx", ".yaml", ".yml", ".md"): (
        "only images are read, and labels come from the names of subfolders alone; if there are labels in these, move "
        "the images into a subfolder for each label, or make Parquet of both (docs/own-data.md)"
    ),
    (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz", ".zst", ".7z", ".rar"): "unpack them first",
    (".parquet", ".parq", ".pq"): "images in Parquet files are read by an entry of `sources` with `type: parquet`",
    (".npz", ".npy"): "images in NumPy arrays are read by an entry of `sources` with `type: npz`",
    (".arrow", ".h5", ".hdf5", ".tfrecord", ".tfrecords", ".pkl", ".pickle", ".mat"): (
        "if there are images in these, save them as image files, as Parquet (type: parquet) or as NumPy arrays (type: npz)"
    ),
}
OTHER_ENDINGS = tuple(ending for endings in NO_IMAGES for ending in endings)


@dataclass(frozen=True)
class FolderLayout:
    """Where classes and splits are in the names of files.

    above: the folders above them, as `dataset/`; empty where there are none. split_depth: which folder below is the split: 0
    (`train/cat/1.png`), 1 (`cat/train/1.png`), or None. folders: those at that depth that are splits.
    """

    above: str = ""
    split_depth: int | None = None
    folders: tuple[str, ...] = ()

    def place(self, name: str) -> tuple[str | None, Split | None]:
        """The class and the split of a file."""
        if not name.startswith(self.above):
            return None, None
        *folders, _ = name[len(self.above) :].split("/")
        split = None
        if self.split_depth is not None and len(folders) > self.split_depth:
            split = split_named(folders[self.split_depth])
            if split:
                del folders[self.split_depth]
            elif self.split_depth == 0:  # beside the splits
                return None, None
        return (folders[0] if folders else None), split


class Folder(SplitSource):
    """Every file below a subfolder has the subfolder's name as its class; files beside the subfolders have no label.

    Where all subfolders have names of splits (`train`, `test`), the classes are below them; a single folder above all others
    is looked through. Hidden files (`.name`) and those of systems are left out. Everything but readable files is refused:
    links that lead out of the folder, links to folders (which could go round in circles), pipes and devices.
    """

    type: Literal["folder"]
    path: str

    def classes(self) -> list[str]:
        splits, others = self.splits_beside_others
        if splits and self.test != "rows":
            raise InputError(
                f"{self.path}: beside the folders {listed(others)}, {listed(splits)} counts as a class, not as a split; for "
                f"`test: {self.test}` expected only folders of splits at the top: move {listed(others)} elsewhere, or set "
                "`test: rows`"
            )
        return list(dict.fromkeys(name for folder in self.class_folders if (name := class_of(folder))))

    def items(self) -> Iterator[Item]:
        indices = {name: index for index, name in enumerate(self.classes())}
        for name, image, refused in self.contents():
            class_folder, split = self.layout.place(name)
            label = None if class_folder is None else indices.get(class_of(class_folder))
            yield Item(image, label, printable(name), refused, split)

    def notes(self) -> list[str]:
        layout, found = self.layout, []
        if layout.above:
            found.append(f"classes are looked for in {printable(layout.above)}, because everything is there")
        if layout.folders:
            found.append(f"taken for splits, not for classes: {', '.join(map(printable, layout.folders))}")
        elif splits := self.splits_beside_others[0]:
            found.append(f"taken for a class, because there are others beside it: {', '.join(splits)}")
        if not layout.above and not layout.folders and len(classes := self.image_classes) == 1 and None not in classes:
            found.append(
                f"all images are in one folder, so they are one class, {classes.pop()!r}; for images without classes name that "
                "folder itself as `path`"
            )
        return found

    def not_read(self) -> list[str]:
        sentences = []
        for endings, remedy in NO_IMAGES.items():
            if names := [printable(name) for name in self.names if name.casefold().endswith(endings)]:
                sentences.append(f"not read, and counted as refused: {listed(names)}; {remedy}")
        return sentences

    def left_out(self) -> dict[str, int]:
        return dict(Counter(kind for file in self.files if (kind := no_data(file.name))))

    def size_hint(self) -> int | None:
        return len(self.names) if places.local(self.path) else None

    @functools.cached_property
    def files(self) -> list[places.File]:
        """Everything in the folder. Looked up once: what comes while a stage reads must not move the numbers of classes."""
        folder = places.local(self.path)
        if folder is not None and folder.exists() and not folder.is_dir():
            remedies = [remedy for endings, remedy in NO_IMAGES.items() if self.path.casefold().endswith(endings)]
            remedy = remedies[0] if remedies else "unpack it if it is an archive"
            raise InputError(f"{self.path}: this is a file, expected a folder of images; {remedy}")
        files = places.list_all(self.path)
        if all(no_data(file.name) for file in files):
            is_what = "nothing fits this pattern" if glob.has_magic(self.path) else "this folder is empty"
            raise InputError(f"{self.path}: {is_what}; put images into it, a subfolder for each class or none")
        return files

    @functools.cached_property
    def names(self) -> list[str]:
        """Of the files that may be data."""
        return [file.name for file in self.files if not no_data(file.name)]

    @property
    def images(self) -> list[str]:
        """The files that may be images by their endings."""
        return [name for name in self.names if not name.casefold().endswith(OTHER_ENDINGS)]

    @property
    def image_classes(self) -> set[str | None]:
        """The classes of the files that may be images; None stands for no class."""
        return {class_of(self.layout.place(name)[0] or "") or None for name in self.images}

    @functools.cached_property
    def layout(self) -> FolderLayout:
        return layout_of(self.images)

    @functools.cached_property
    def class_folders(self) -> list[str]:
        return sorted({name for file in self.names if (name := self.layout.place(file)[0]) is not None})

    @property
    def splits_beside_others(self) -> tuple[list[str], list[str]]:
        """Classes that have names of splits, because there are others with images beside them; and those others."""
        names = [] if self.layout.folders else sorted(name for name in self.image_classes if name)
        return [name for name in names if split_named(name)], [name for name in names if not split_named(name)]

    def contents(self) -> Iterator[tuple[str, bytes | None, str | None]]:
        """Name, content, and the reason where there is none, of every file that may be data."""
        folder = places.local(self.path)
        root = folder.resolve() if folder else None
        for file in self.files:
            if not no_data(file.name):
                yield file.name, *(read(Path(file.path), root) if root else read_remote(file.path))


def no_data(name: str) -> str | None:
    """The kind of a file that is no part of the data; None for all others."""
    parts = name.split("/")
    if any(part.casefold() in SYSTEM_NAMES for part in parts):
        return "system files"
    return "hidden files" if any(part.startswith(".") for part in parts) else None


def layout_of(names: Iterable[str]) -> FolderLayout:
    """By the folders of the files that may be images."""
    inside: dict[str, set[str]] = {}  # folder -> its subfolders
    filled: set[str] = set()  # folders with files of their own
    for folder in {name.rpartition("/")[0] for name in names}:
        filled.add(folder)
        above, start = "", 0
        while folder and above != folder:
            end = folder.find("/", start)
            below = folder if end < 0 else folder[:end]
            inside.setdefault(above, set()).add(below)
            above, start = below, len(below) + 1
    top = ""
    while top not in filled and len(inside.get(top, ())) == 1 and not all_splits(inside[top]):
        (top,) = inside[top]
    folders = inside.get(top, set())
    if top in filled or not (len(folders) > 1 or all_splits(folders)):
        top = ""  # a single class
        folders = inside.get(top, set())
    above = f"{top}/" if top else ""
    if all_splits(folders):
        return FolderLayout(above, 0, tuple(sorted(last(folder) for folder in folders)))
    inner = [inside.get(folder, set()) for folder in folders]
    if len(folders) > 1 and not folders & filled and all(map(all_splits, inner)):
        return FolderLayout(above, 1, tuple(sorted({last(folder) for some in inner for folder in some})))
    return FolderLayout(above)


def all_splits(folders: set[str]) -> bool:
    return bool(folders) and all(split_named(last(folder)) for folder in folders)


def last(folder: str) -> str:
    return folder.rpartition("/")[2]


def read(path: Path, root: Path) -> tuple[bytes | None, str | None]:
    """The content of a file, or the reason why it is refused. Only a regular file is read: others might not end."""
    try:
        if path.is_symlink():
            if not path.resolve(strict=True).is_relative_to(root):
                return None, "link out of the folder"
            if path.is_dir():
                return None, "link to a folder"
        # Without blocking, and checked after it is open: a file could become a pipe in between.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            facts = os.fstat(file.fileno())
            if not stat.S_ISREG(facts.st_mode):
                return None, "not a regular file"
            if facts.st_size > places.MOST_BYTES:
                return None, "too many bytes"
            return file.read(places.MOST_BYTES), None
    except (OSError, RuntimeError):
        return None, "not a regular file" if is_special(path) else "unreadable"


def is_special(path: Path) -> bool:
    """Whether it is a socket or device, which cannot even be opened."""
    try:
        return not stat.S_ISREG(path.stat().st_mode) and not path.is_dir()
    except (OSError, RuntimeError):
        return False


def read_remote(url: str) -> tuple[bytes | None, str | None]:
    """The content of a file behind a URL, or the reason why it is refused."""
    filesystem, path = places.remote(url)
    try:
        content = filesystem.cat_file(path, start=0, end=places.MOST_BYTES + 1)
    except (FileNotFoundError, PermissionError):
        return None, "unreadable"
    except Exception:
        with places.readable_errors(url):
            raise
    return (None, "too many bytes") if len(content) > places.MOST_BYTES else (content, None)


def class_of(folder: str) -> str:
    """The name of the class whose folder this is; empty where the folder's name is blank: no class."""
    return class_name(printable(folder))


def printable(name: str) -> str:
    """A file's name as text that can be stored: bytes that are no UTF-8 become U+FFFD."""
    return os.fsencode(name).decode("utf-8", "replace")
