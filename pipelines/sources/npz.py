"""npz: images and labels in NumPy arrays, paired by their names."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from pipelines.core.errors import InputError
from pipelines.sources import places
from pipelines.sources.arrays import StoredArray, named, stored_in
from pipelines.sources.base import Item, Label, Split, SplitSource, label_classes, listed, read_labels, split_named, split_of

if TYPE_CHECKING:
    import numpy as np

ENDINGS = (".npz", ".npy")
# Words for images, and for the labels that go with them: one line a pair.
FAMILIES = (
    ({"x"}, {"y"}),
    ({"images", "image", "imgs", "img"}, {"labels", "label", "lbls", "lbl"}),
    ({"data"}, {"target", "targets"}),
    ({"inputs", "input", "pixels"}, {"outputs", "output", "classes", "class"}),
)
ORDER = (None, "train", "validation", "test")


@dataclass(frozen=True)
class ArrayRole:
    """What an array is by its name. family: number of its line in FAMILIES."""

    images: bool
    family: int
    split: Split | None


@dataclass(frozen=True)
class PairedImages:
    """An array of images with its labels, which go row by row, and with the names of the classes where labels are numbers."""

    images: StoredArray
    labels: StoredArray | None
    split: Split | None
    names: StoredArray | None = None


@dataclass(frozen=True)
class Pairing:
    """What is read of some arrays, and what is not."""

    pairs: list[PairedImages]
    others: list[StoredArray]


class Npz(SplitSource):
    """`path` is an npz or npy file, a folder of such files, or a pattern; the npy files of a folder belong together.

    `images` and `labels` name the arrays, pair by pair; without them the usual names are tried.
    """

    type: Literal["npz"]
    path: str
    images: list[str] | None = None
    labels: list[str] | None = None

    def classes(self) -> list[str]:
        kinds: dict[type, StoredArray] = {}
        labels: set[Label] = set()
        for pair in self.pairs:
            if pair.labels:
                found = set(labels_of_rows(pair.labels, pair.names)) - {None}
                labels |= found
                for kind in {type(label) for label in found if isinstance(label, int) or not label.isdecimal()}:  # type: ignore[union-attr]
                    kinds.setdefault(kind, pair.labels)
        if len(kinds) > 1:
            raise InputError(f"{kinds[int]} has numbers and {kinds[str]} has names; expected the same classes in both")
        return label_classes(labels)

    def items(self) -> Iterator[Item]:
        indices = {name: index for index, name in enumerate(self.classes())}
        several = len({pair.images.path for pair in self.pairs}) > 1
        for pair in self.pairs:
            labels = labels_of_rows(pair.labels, pair.names) if pair.labels else None
            file = f"{pair.images.path.rpartition('/')[2]}: " if several and pair.images.member else ""
            row = 0
            for batch in pair.images.batches():
                check_floats(batch, pair.images, row)
                for pixels in to_integers(batch):
                    label = labels[row] if labels else None
                    index = None if label is None else indices[str(label)]
                    yield Item(pixels, index, f"{file}{pair.images.name}[{row}]", split=pair.split)
                    row += 1

    def notes(self) -> list[str]:
        found = []
        for pairing in self.pairings:
            for pair in pairing.pairs:
                same = [array for array in pairing.others if pair.labels is None and array.shape[:1] == pair.images.shape[:1]]
                if same and self.labels is None:
                    found.append(
                        f"{pair.images.name} is read without labels; if {named(same)} has them, name both: "
                        f"`images: [{pair.images.name}]`, `labels: [{same[0].name}]`"
                    )
        return found

    def not_read(self) -> list[str]:
        arrays = list(dict.fromkeys(array.kind for pairing in self.pairings for array in pairing.others))
        everything = places.list_all(self.path)
        read = places.to_read(everything, ENDINGS)
        sentences = {
            "arrays not read: {}; to have one, name it: `images: [...]`, `labels: [...]`": arrays,
            "not read, because only arrays are: {}": [name for _, _, others in self.stored for name in others],
            "files not read: {}; only those that end in .npz or .npy are": [
                file.name for file in everything if file not in read and not file.hidden
            ],
        }
        return [sentence.format(listed(names)) for sentence, names in sentences.items() if names]

    def left_out(self) -> dict[str, int]:
        hidden = sum(file.hidden for file in places.list_all(self.path))
        return {"hidden files": hidden} if hidden else {}

    def size_hint(self) -> int | None:
        return sum(pair.images.shape[0] for pair in self.pairs)

    @property
    def pairs(self) -> list[PairedImages]:
        return [pair for pairing in self.pairings for pair in pairing.pairs]

    @functools.cached_property
    def pairings(self) -> list[Pairing]:
        """What is read: the arrays of each npz are paired among themselves, and those of all npy files."""
        return [
            replace(pairing, pairs=[replace(pair, split=pair.split or split_of(name)) for pair in pairing.pairs])
            for name, arrays in self.groups
            for pairing in [self.pair(arrays)]
        ]

    @functools.cached_property
    def groups(self) -> list[tuple[str, list[StoredArray]]]:
        """The arrays of each npz, and of all npy files together, by the name of the file."""
        groups: dict[str, list[StoredArray]] = {}
        for name, arrays, _ in self.stored:
            is_npy = name.casefold().endswith(".npy") and len(self.stored) > 1
            groups.setdefault("" if is_npy else name, []).extend(arrays)
        return list(groups.items())

    @functools.cached_property
    def stored(self) -> list[tuple[str, list[StoredArray], list[str]]]:
        """Name, arrays, and names of what else is in it, of each file."""
        files = places.to_read(places.list_all(self.path), ENDINGS)
        if not files:
            raise InputError(f"{self.path}: no npz or npy files there; numpy.savez and numpy.save write them")
        return [(file.name, *stored_in(file.path, file.name[: -len(".npy")])) for file in files]

    def pair(self, arrays: list[StoredArray]) -> Pairing:
        """Raises InputError where nothing is found, or where labels cannot belong to their images."""
        pairs = self.named_pairs(arrays) if self.images is not None else usual_pairs(arrays)
        if not pairs:
            raise InputError(
                f"{arrays[0].path if arrays else self.path}: expected the arrays x_train and y_train, images and labels, or x "
                f"and y; there are: {named(arrays)}. Name yours: `images: [...]`, `labels: [...]`"
            )
        if self.images is None and self.labels is not None:
            chosen = [find(arrays, name, self.path) for name in self.labels]
            if chosen and len(chosen) != len(pairs):
                raise InputError(
                    f"{self.path}: {len(chosen)} names in `labels` but {len(pairs)} arrays of images "
                    f"({named([pair.images for pair in pairs])}); name them: `images: [...]`"
                )
            pairs = [replace(pair, labels=chosen[place] if chosen else None) for place, pair in enumerate(pairs)]
        for pair in pairs:
            check_pair(pair)
        read = {array for pair in pairs for array in (pair.images, pair.labels)}
        others = [array for array in arrays if array not in read]
        if (names := next(filter(are_class_names, others), None)) and numbers_are_labels(pairs):
            pairs = [replace(pair, names=names) for pair in pairs]
            others.remove(names)
        return Pairing(pairs, others)

    def named_pairs(self, arrays: list[StoredArray]) -> list[PairedImages]:
        images, labels = self.images or [], self.labels or []
        if labels and len(labels) != len(images):
            raise InputError(f"{self.path}: {len(images)} names in `images` but {len(labels)} in `labels`")
        return [
            PairedImages(
                find(arrays, name, self.path), find(arrays, labels[place], self.path) if labels else None, split_of(name)
            )
            for place, name in enumerate(images)
        ]


def find(arrays: list[StoredArray], name: str, path: str) -> StoredArray:
    for array in arrays:
        if array.name == name:
            return array
    raise InputError(f"{path}: no array {name!r}; there are: {named(arrays)}")


def usual_pairs(arrays: list[StoredArray]) -> list[PairedImages]:
    """Images and labels by the names of the arrays; by their order where `numpy.savez` was given no names."""
    roles = {array: role for array in arrays if (role := role_of(array.name))}
    images = [array for array, role in roles.items() if role.images]
    images = [array for array in images if looks_like_images(array)] or images  # an `x` of numbers beside images is none
    if images:
        # In the order of ORDER, because `clean` keeps the first of two copies.
        return [
            PairedImages(array, labels_of(array, images, roles), roles[array].split)
            for array in sorted(images, key=lambda array: ORDER.index(roles[array].split))
        ]
    if len(arrays) == 1 and (arrays[0].member is None or arrays[0].name == "arr_0"):
        return [PairedImages(arrays[0], None, None)]
    if all(re.fullmatch(r"arr_\d+", array.name) for array in arrays):
        return pairs_by_order(sorted(arrays, key=lambda array: int(array.name[4:])))
    return []


def pairs_by_order(arrays: list[StoredArray]) -> list[PairedImages]:
    """Each array of images with the one that follows, if that can be its labels."""
    pairs = []
    for place, array in enumerate(arrays):
        if looks_like_images(array):
            after = arrays[place + 1] if place + 1 < len(arrays) else None
            fits = after is not None and not looks_like_images(after) and after.shape[:1] == array.shape[:1]
            pairs.append(PairedImages(array, after if fits else None, None))
    return pairs


def labels_of(array: StoredArray, images: list[StoredArray], roles: dict[StoredArray, ArrayRole]) -> StoredArray | None:
    """The labels of images: of the same split and family, else the only ones of their split.

    Raises InputError where there are two.
    """
    role = roles[array]
    labels = [one for one, other in roles.items() if not other.images and other.split == role.split]
    partners = [one for one in labels if roles[one].family == role.family]
    if not partners and sum(roles[one].split == role.split for one in images) == 1:
        partners = labels
    if len(partners) > 1:
        raise InputError(
            f"{array.path}: {named(partners)} may each be the labels of {array.name}; name one: `images: [{array.name}]`, "
            f"`labels: [{partners[0].name}]`"
        )
    return partners[0] if partners else None


def role_of(name: str) -> ArrayRole | None:
    """One word for images or labels and at most one for the split, in any order and case (`x_train`, `testLabels`, `Xval`)."""
    words = re.findall("[a-z]+|[0-9]+", re.sub("(?<=[a-z])(?=[A-Z])", "_", name).casefold())
    if len(words) == 1 and words[0][0] in "xy" and split_named(words[0][1:]):
        words = [words[0][0], words[0][1:]]
    splits = [split for word in words if (split := split_named(word))]
    rest = [word for word in words if not split_named(word)]
    if len(splits) > 1 or len(rest) != 1:
        return None
    for family, kinds in enumerate(FAMILIES):
        for kind, of_images in zip(kinds, (True, False), strict=True):
            if rest[0] in kind:
                return ArrayRole(of_images, family, splits[0] if splits else None)
    return None


def are_class_names(array: StoredArray) -> bool:
    """Whether it holds the names of the classes, as `class_names` does, the n-th of the label n."""
    return (
        array.dtype.kind in "US"
        and len(array.shape) == 1
        and array.name.casefold().endswith(("names", "classes", "categories"))
    )


def numbers_are_labels(pairs: list[PairedImages]) -> bool:
    kinds = {pair.labels.dtype.kind for pair in pairs if pair.labels}
    return bool(kinds) and not kinds & {"U", "S"}


def looks_like_images(array: StoredArray) -> bool:
    return len(array.shape) in (3, 4)


def check_pair(pair: PairedImages) -> None:
    """Raises InputError where the images or the labels cannot be such, or are not as many."""
    pair.images.refuse_objects("save it as uint8")
    if fault := fault_in(pair.images.shape, pair.images.dtype):
        raise InputError(f"{pair.images}: {fault}")
    if pair.labels is None:
        return
    pair.labels.refuse_objects("save names as text, np.array(names, dtype=str), and numbers as whole numbers, dtype=int")
    shape, dtype = pair.labels.shape, pair.labels.dtype
    if len(shape) not in (1, 2) or dtype.kind not in "iufbUS":
        raise InputError(
            f"{pair.labels}: expected whole numbers or names of shape (n,), or one-hot rows of shape (n, classes), as labels; "
            f"came {dtype} of shape {shape}"
        )
    if shape[0] != pair.images.shape[0]:
        raise InputError(
            f"{pair.images} has {pair.images.shape[0]} rows but {pair.labels.name} has {shape[0]}; expected as many"
        )


def labels_of_rows(labels: StoredArray, names: StoredArray | None) -> list[Label]:
    """One label a row, by the names of the classes where there are any. Raises InputError where a number has no name."""
    numbers = labels_in(labels)
    if names is None:
        return numbers
    known = labels_in(names)
    if None in known or len(set(known)) < len(known):
        raise InputError(f"{names}: expected a name for each class, none twice")
    if wrong := {number for number in numbers if isinstance(number, int) and number >= len(known)}:
        raise InputError(
            f"{labels}: the label {min(wrong)} has no name, because {names.name} has {len(known)} (0 to {len(known) - 1})"
        )
    return [known[number] if isinstance(number, int) else number for number in numbers]


def labels_in(array: StoredArray) -> list[Label]:
    """One label a row, of an array (n,), (n, 1) or, one-hot, (n, classes)."""
    labels: list[Label] = []
    for batch in array.batches():
        if batch.ndim == 2 and batch.shape[1] > 1:
            labels += from_one_hot(batch, array, len(labels))
        else:
            labels += read_labels(batch.reshape(-1).tolist(), str(array), len(labels))
    return labels


def from_one_hot(batch: np.ndarray, array: StoredArray, first: int) -> list[Label]:
    """(rows, classes) -> the column of the 1 in each row, None where there is none. first: number of the first row."""
    import numpy as np

    if batch.dtype.kind in "US":
        raise InputError(f"{array}: expected one name a row, came shape {array.shape}")
    wrong = ~((batch == 0) | (batch == 1)).all(axis=1) | (batch.sum(axis=1) > 1)
    if wrong.any():
        raise InputError(
            f"{array}: expected one label a row: whole numbers of shape (n,), or rows of one 1 and else 0, or of zeros for no "
            f"label; but row {first + int(np.argmax(wrong))} of {array.shape[1]} values has something else"
        )
    return [int(row.argmax()) if row.any() else None for row in batch]


def fault_in(shape: tuple[int, ...], dtype: np.dtype) -> str | None:
    """The reason why such an array holds no images; None where it may."""
    if dtype.kind not in "buf" or (dtype.kind == "u" and dtype.itemsize > 2):
        return f"expected uint8, uint16, bool, or floats from 0 to 1; came {dtype}"
    if len(shape) not in (3, 4) or min(shape[1:]) < 1 or (len(shape) == 4 and shape[3] not in (1, 2, 3, 4)):
        return f"expected the shape (n, height, width), or (n, height, width, channels) with 1 to 4 of them; came {shape}"
    return None


def check_floats(batch: np.ndarray, array: StoredArray, first: int) -> None:
    """Raises InputError where floats are not from 0 to 1. first: number of the batch's first row."""
    if batch.dtype.kind == "f" and not (batch.min() >= 0 and batch.max() <= 1):  # NaN is neither
        raise InputError(
            f"{array}: floats must be from 0 to 1, but rows {first} to {first + len(batch) - 1} go from {batch.min()} to "
            f"{batch.max()}; save them as uint8, 0 to 255"
        )


def to_integers(batch: np.ndarray) -> np.ndarray:
    """uint8, uint16, bool, or floats 0..1 -> the same shape, uint16 where it was that, else uint8."""
    import numpy as np

    from pipelines.core import images

    if batch.dtype.kind == "f":
        return np.rint(batch.astype(np.float32) * 255).astype(np.uint8)
    return images.to_uint8(batch) if batch.dtype.itemsize == 1 else batch.astype(np.uint16)  # of any byte order
