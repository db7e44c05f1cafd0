"""parquet: images in Parquet files, as Hugging Face `datasets` and Genloop itself write them."""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pipelines.core import formats
from pipelines.core.errors import InputError
from pipelines.sources import places
from pipelines.sources.base import (
    Item,
    Label,
    Split,
    SplitSource,
    class_name,
    label_classes,
    listed,
    read_labels,
    split_named,
    split_of,
)

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROWS = 128  # at a time: large images must not add up
LABELS = 2**16  # at a time, where labels alone are read
BUFFER = 2**20  # bytes read ahead of a column, instead of a whole row group
ENDINGS = (".parquet", ".parq", ".pq")
LABEL_LIKE = {
    "label",
    "label_name",
    "labels",
    "y",
    "class",
    "class_name",
    "class_label",
    "category",
    "target",
    "fine_label",
    "coarse_label",
}


@dataclass(frozen=True)
class TableFile:
    """A file that has rows, and the columns of it that are read.

    label_name: a column with the names of the numbers in `label`. names: the same of Hugging Face's metadata.
    more_images, more_labels: columns that are not read, though they hold such. others: all the rest.
    """

    path: str
    name: str
    rows: int
    image: str
    label: str | None
    label_name: str | None
    split: str | None
    names: dict[int | str, str]
    more_images: list[str]
    more_labels: list[str]
    others: list[str]


@dataclass(frozen=True)
class Naming:
    """The classes of one file: each label that a row may have, a number or a name -> the name of its class."""

    path: str
    classes: dict[int | str, str]
    only_numbers: bool

    def true_names(self) -> list[str]:
        """Those that are more than the number of their label."""
        return [name for label, name in self.classes.items() if name != str(label) or not name.isdecimal()]


class Parquet(SplitSource):
    """`path` is a file, a folder or a pattern (`data/train-*.parquet`).

    `image` is a column of struct{bytes, path} or of bytes; by default `image`, or the only one that holds images. `label` is a
    column of numbers or names; by default `label`, or the only one that is a Hugging Face `ClassLabel`, or `label_name`.
    Numbers are named, file by file, by Hugging Face's metadata, else by a column `label_name`, else by themselves. A row's
    split is told by a column `split`, else by the name of its file or folder.
    """

    type: Literal["parquet"]
    path: str
    image: str | None = None
    label: str | None = None

    def classes(self) -> list[str]:
        return joined(self.namings)

    def items(self) -> Iterator[Item]:
        indices = {name: index for index, name in enumerate(self.classes())}
        for file, naming in zip(self.files, self.namings, strict=True):
            split, row = split_of(file.name), 0
            columns = [name for name in (file.image, file.label, file.label_name, file.split) if name]
            for batch in batches(file.path, columns, ROWS):
                images = batch[file.image]
                labels = labels_in(batch, file, naming, row)
                splits = batch[file.split] if file.split else [None] * len(images)
                for image, label, own in zip(images, labels, splits, strict=True):
                    index = None if label is None else indices[naming.classes[label]]
                    yield item(image, index, f"{file.name.rpartition('/')[2]}[{row}]", split_named(own or "") or split)
                    row += 1

    def not_read(self) -> list[str]:
        found = places.list_all(self.path)
        read = places.to_read(found, ENDINGS)
        sentences = {
            "labels not read: {}; to have one: `label: NAME`": {name for file in self.files for name in file.more_labels},
            "images not read: {}; to have them too: one more entry of `sources`, with `image: NAME`": {
                name for file in self.files for name in file.more_images
            },
            "columns not read: {}; only images, labels and splits are": {name for file in self.files for name in file.others},
            "files not read: {}; only those that end in .parquet are, and links to folders are not followed": {
                file.name for file in found if file not in read and not file.hidden
            },
            "hidden files not read: {}": {file.name for file in found if file.hidden},
        }
        return [sentence.format(listed(sorted(names))) for sentence, names in sentences.items() if names]

    def left_out(self) -> dict[str, int]:
        hidden = sum(file.hidden for file in places.list_all(self.path))
        return {"hidden files": hidden} if hidden else {}

    def size_hint(self) -> int | None:
        """Number of rows, by the ends of the files; None where they are not on this machine."""
        return sum(file.rows for file in self.files) if places.local(self.path) else None

    # Both are looked up once: what comes while a stage reads must not move the numbers of classes.

    @functools.cached_property
    def files(self) -> list[TableFile]:
        """The files that have rows, by name."""
        found = places.list_all(self.path)
        read = places.to_read(found, ENDINGS)
        if not read:
            others = f"but {listed([file.name for file in found])}" if found else "nor any others"
            raise InputError(
                f"{self.path}: no Parquet files there, {others}; expected a file, a folder or a pattern such as data/*.parquet"
            )
        files = []
        for place in read:
            with opened(place.path) as file:
                if file.metadata.num_rows:
                    files.append(self.describe(place, file.schema_arrow, file.metadata.num_rows))
        if not files:
            raise InputError(f"{self.path}: no rows in {listed([file.name for file in read])}; expected rows with images")
        return files

    @functools.cached_property
    def namings(self) -> list[Naming]:
        """The classes of each of `files`. Raises InputError where those of two files cannot be matched."""
        found = [naming_of(file) for file in self.files]
        numbered = next((naming for naming in found if naming.only_numbers and naming.classes), None)
        named = next((naming for naming in found if naming.true_names()), None)
        if numbered and named:
            raise InputError(
                f"{numbered.path} has labels without names, such as {next(iter(numbered.classes))}, but {named.path} names its "
                f"classes, such as {named.true_names()[0]!r}: they cannot be matched; name the classes in both (Hugging Face "
                "`ClassLabel`, or a column `label_name`) or in none"
            )
        return found

    def describe(self, place: places.File, schema: pa.Schema, rows: int) -> TableFile:
        if twice := [name for name, count in Counter(schema.names).items() if count > 1]:
            raise InputError(f"{place.path}: more than one column is named {twice[0]!r}; expected different names")
        declared = class_labels(schema)
        image, more_images = self.image_column(schema, place.path)
        label = self.label_column(schema, list(declared), place.path)
        numbers = label is not None and is_number(schema.field(label).type)
        names = declared.get(label, {}) if label and numbers else {}
        check_names(names, f"{place.path}: metadata")
        label_name = f"{label}_name" if numbers and is_text(schema, f"{label}_name") else None
        split = "split" if label != "split" and is_text(schema, "split") else None
        others = [name for name in schema.names if name not in (image, label, label_name, split, *more_images)]
        more_labels = [name for name in others if name in declared or is_label(schema, name)]
        others = [name for name in others if name not in more_labels]
        return TableFile(place.path, place.name, rows, image, label, label_name, split, names, more_images, more_labels, others)

    def image_column(self, schema: pa.Schema, path: str) -> tuple[str, list[str]]:
        """The column of images, and the others that hold images."""
        import pyarrow as pa

        structs = [field.name for field in schema if pa.types.is_struct(field.type) and holds_images(field.type)]
        # Bytes beside such structs are something else, such as a digest.
        found = structs or [field.name for field in schema if holds_images(field.type)]
        name = self.image or (found[0] if len(found) == 1 else "image")
        if name not in schema.names:
            if len(found) == 1:
                raise InputError(f"{path}: no column {name!r}; the one that holds images is {found[0]}: `image: {found[0]}`")
            several = f"but several that hold images: {listed(found)}" if found else f"there are: {listed(schema.names)}"
            raise InputError(f"{path}: no column {name!r} with images; {several}. Name yours: `image: ...`")
        kind = schema.field(name).type
        if not holds_images(kind) and not pa.types.is_null(kind):
            raise InputError(f"{path}: {name}: expected encoded images, as struct{{bytes, path}} or as bytes; came {kind}")
        return name, [other for other in found if other != name]

    def label_column(self, schema: pa.Schema, declared: list[str], path: str) -> str | None:
        usual = "label" if "label" in schema.names else declared[0] if len(declared) == 1 else "label_name"
        name = self.label or usual
        if name not in schema.names:
            if self.label is None:
                return None
            raise InputError(f"{path}: no column {name!r} for labels; there are: {listed(schema.names)}")
        kind = schema.field(name).type
        if not can_be_label(kind):
            raise InputError(f"{path}: {name}: expected numbers or names as labels, came {kind}")
        return name


@contextmanager
def opened(path: str) -> Iterator[pq.ParquetFile]:
    import pyarrow.parquet as pq

    with (
        places.open_file(path) as content,
        parquet_errors(path),
        pq.ParquetFile(content, buffer_size=BUFFER, pre_buffer=False) as file,
    ):
        yield file


def batches(path: str, columns: list[str], rows: int) -> Iterator[dict[str, list[Any]]]:
    """The values of the columns, at most so many rows at a time."""
    with opened(path) as file:
        for batch in file.iter_batches(rows, columns=columns, use_threads=False):
            yield {name: batch[name].to_pylist() for name in columns}


@contextmanager
def parquet_errors(path: str) -> Iterator[None]:
    """Why a file cannot be read as Parquet, in words."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError, OSError) as error:
        if getattr(error, "errno", None):  # of the disk, not of the file
            raise
        with places.open_file(path) as content:
            head = content.read(512)
        reason = str(error).splitlines()[0]
        if isinstance(error, UnicodeDecodeError):
            words = f"text in it is not UTF-8 ({reason}); write it again"
        elif head.startswith(b"PAR1"):
            words = f"not a whole Parquet file, but cut short or damaged ({reason}); fetch or write it again"
        elif what := formats.describe(head):
            words = f"expected a Parquet file, came {what}"
        else:
            words = f"expected a Parquet file, came something else ({reason})"
        raise InputError(f"{path}: {words}") from None


def naming_of(file: TableFile) -> Naming:
    """The classes of one file; raises InputError where numbers and names do not stand one for one."""
    if file.label is None or file.names:
        return Naming(file.path, file.names, only_numbers=False)
    labels: set[int | str] = set()
    names: dict[int | str, str] = {}
    row = 0
    for batch in batches(file.path, [file.label, *([file.label_name] if file.label_name else [])], LABELS):
        found = single_labels(batch[file.label], f"{file.path}: {file.label}", row)
        labels.update(label for label in found if label is not None)
        for label, name in zip(found, own_names(batch, file), strict=True):
            if label is not None and name:
                names.setdefault(label, name)
        row += len(found)
    if not names:
        numbers = all(isinstance(label, int) for label in labels)
        return Naming(file.path, {int(name) if numbers else name: name for name in label_classes(labels)}, numbers)
    check_names(names, f"{file.path}: {file.label_name}")
    if missing := sorted(map(int, labels - names.keys())):
        raise InputError(f"{file.path}: label {missing[0]} has no name in {file.label_name}, where others have one")
    return Naming(file.path, {label: names[label] for label in sorted(names)}, only_numbers=False)


def joined(namings: Iterable[Naming]) -> list[str]:
    """The classes of all files, in the order in which they come; numbers in theirs."""
    names = list(dict.fromkeys(name for naming in namings for name in naming.classes.values()))
    return sorted(names, key=int) if all(name.isdecimal() for name in names) else names


def labels_in(batch: dict[str, list[Any]], file: TableFile, naming: Naming, first: int) -> list[Label]:
    """The label of each row, checked against the names. first: number of the first row."""
    if file.label is None:
        return [None] * len(batch[file.image])
    place = f"{file.path}: {file.label}"
    labels = single_labels(batch[file.label], place, first)
    for row, (label, name) in enumerate(zip(labels, own_names(batch, file), strict=True), first):
        if label is not None and label not in naming.classes:
            raise InputError(
                f"{place}: row {row} has the label {label}, which has no name in the file's metadata; expected one of "
                f"{listed(list(map(str, naming.classes)))}, or null"
            )
        own = None if label is None else naming.classes[label]
        # A row without a label may well be named, as "unlabelled" for instance, but not as a class.
        if name and name != own and (own or name in naming.classes.values()):
            meaning = f"{label}, which is {own!r}" if own else "no label"
            raise InputError(
                f"{place}: row {row} has {meaning}, but {name!r} in {file.label_name}; expected the same class in both"
            )
    return labels


def own_names(batch: dict[str, list[Any]], file: TableFile) -> list[str]:
    """The name that each row has beside its label; empty where it has none."""
    values = batch[file.label_name] if file.label_name else [None] * len(next(iter(batch.values())))
    return [class_name(value or "") for value in values]


def single_labels(values: list[Any], place: str, first: int) -> list[Label]:
    """The label of each row; where rows have lists of labels, the only one of each."""
    for row, value in enumerate(values, first):
        if isinstance(value, list) and len(value) > 1:
            raise InputError(
                f"{place}: row {row} has {len(value)} labels; expected one, or none: name a column that has one a row "
                "(`label: NAME`), or keep one of each"
            )
    return read_labels((next(iter(value), None) if isinstance(value, list) else value for value in values), place, first)


def class_labels(schema: pa.Schema) -> dict[str, dict[int | str, str]]:
    """Columns that are a `ClassLabel` by the metadata of Hugging Face `datasets` -> the names of their numbers."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        found = features if isinstance(features, dict) else {feature["name"]: feature for feature in features}
        names = {name: names_in(feature) for name, feature in found.items() if name in schema.names}
    except (ValueError, KeyError, TypeError):
        return {}
    return {name: own for name, own in names.items() if own}


def names_in(feature: Any) -> dict[int | str, str]:
    """Number -> name, of a feature in any form that `datasets` has had: a list or dict of names, alone or in a sequence."""
    if isinstance(feature, list) and len(feature) == 1:
        return names_in(feature[0])
    if not isinstance(feature, dict):
        return {}
    names = feature.get("names")
    if isinstance(names, list):
        return {number: class_name(str(name)) for number, name in enumerate(names)}
    if isinstance(names, dict):
        return {int(number): class_name(str(name)) for number, name in sorted(names.items(), key=lambda pair: int(pair[0]))}
    return next((found for key in ("feature", "dtype", "class_label") if (found := names_in(feature.get(key)))), {})


def check_names(names: dict[int | str, str], place: str) -> None:
    """Raises InputError where two labels have one name."""
    labels: dict[str, int | str] = {}
    for label, name in names.items():
        if name in labels:
            raise InputError(f"{place}: labels {labels[name]} and {label} are both named {name!r}; expected different names")
        labels[name] = label


def item(image: Any, label: int | None, place: str, split: Split | None) -> Item:
    """The image of one cell. A path alone is not followed, because it may lead anywhere."""
    content = image.get("bytes") if isinstance(image, dict) else image
    name = image.get("path") if isinstance(image, dict) else None
    if content is None:
        return Item(None, label, name or place, "only a path, no image" if name else "no image", split)
    return Item(content, label, name or place, split=split)


def is_label(schema: pa.Schema, name: str) -> bool:
    """Whether a column is one of labels by its name and type."""
    return name.casefold() in LABEL_LIKE and can_be_label(schema.field(name).type)


def can_be_label(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    kind = single(kind)
    return is_number(kind) or is_string(kind) or types.is_boolean(kind) or types.is_null(kind)


def is_number(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    return types.is_integer(single(kind)) or types.is_floating(single(kind))


def is_text(schema: pa.Schema, name: str) -> bool:
    """Whether there is such a column, of strings."""
    import pyarrow.types as types

    kind = schema.field(name).type if name in schema.names else None
    return kind is not None and is_string(kind.value_type if types.is_dictionary(kind) else kind)


def is_string(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    return types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)


def single(kind: pa.DataType) -> pa.DataType:
    """The type of the values of a dictionary or list."""
    return single(kind.value_type) if hasattr(kind, "value_type") else kind


def holds_images(kind: pa.DataType) -> bool:
    """Whether it is bytes, or a struct with `bytes`."""
    import pyarrow.types as types

    if types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and holds_images(kind.field("bytes").type)
    return types.is_binary(kind) or types.is_large_binary(kind) or types.is_binary_view(kind)
