"""parquet: images in Parquet files, as Hugging Face `datasets` and Genloop itself write them."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Literal

from pipelines.core.errors import InputError
from pipelines.sources import places
from pipelines.sources.base import Item, Source, check_labels

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

ROWS = 128  # at a time: large images must not add up
BUFFER = 2**20  # bytes read ahead of a column, instead of a whole row group


class Parquet(Source):
    """`path` is a file, a folder or a pattern (`data/train-*.parquet`).

    `image` is a column of struct{bytes, path} or of bytes. `label` is a column of whole numbers, null where a row has
    none; by default `label` where there is one. Classes are named by the file's Hugging Face metadata, else by a column
    `label_name`, else by their numbers.
    """

    type: Literal["parquet"]
    path: str
    image: str = "image"
    label: str | None = None

    def classes(self) -> list[str]:
        for path in self.files():
            with self.table(path) as file:
                if label := self.label_column(file, path):
                    return names_in_metadata(file, label) or self.count_classes(label)
        return []

    def items(self) -> Iterator[Item]:
        count = len(self.classes())
        for path in self.files():
            with self.table(path) as file:
                label = self.label_column(file, path)
                row = 0
                for batch in file.iter_batches(ROWS, columns=[self.image, *([label] if label else [])], use_threads=False):
                    numbers = batch[label].to_pylist() if label else [None] * len(batch)
                    for number, image in zip(numbers, batch[self.image].to_pylist(), strict=True):
                        if number is not None and not 0 <= number < count:
                            raise InputError(
                                f"{path}: {label}: expected labels from 0 to {count - 1}, but row {row} has {number}; "
                                "a row without a label has null"
                            )
                        yield item(image, number, f"{path.rpartition('/')[2]}[{row}]")
                        row += 1

    def files(self) -> list[str]:
        """The Parquet files, sorted."""
        local_path = places.local(self.path)
        if local_path is None:
            filesystem, inside = places.remote(self.path)
            with places.readable_errors(self.path):
                if filesystem.isdir(inside):
                    paths = [path for path in filesystem.find(inside) if path.endswith(".parquet")]
                else:
                    paths = filesystem.glob(inside) if glob.has_magic(inside) else [inside]
                found = [filesystem.unstrip_protocol(path) for path in paths]
        elif local_path.is_dir():
            found = [str(path) for path in local_path.rglob("*.parquet")]
        elif glob.has_magic(str(local_path)) and not local_path.is_file():
            found = glob.glob(str(local_path), recursive=True)
        else:
            found = [str(local_path)]
        if not found:
            raise InputError(
                f"{self.path}: no Parquet files there; expected a file, a folder or a pattern such as data/*.parquet"
            )
        return sorted(found)

    @contextmanager
    def table(self, path: str) -> Iterator[pq.ParquetFile]:
        """An open file that has the image column."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        with places.open_file(path) as content:
            try:
                with pq.ParquetFile(content, buffer_size=BUFFER, pre_buffer=False) as file:
                    check_image(file.schema_arrow, self.image, path)
                    yield file
            except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
                if getattr(error, "errno", None):  # of the disk, not of the file
                    raise
                raise InputError(f"{path}: not a whole Parquet file: {str(error).splitlines()[0]}") from None

    def label_column(self, file: pq.ParquetFile, path: str) -> str | None:
        import pyarrow as pa

        schema = file.schema_arrow
        name = self.label or "label"
        if name not in schema.names:
            if self.label is None:
                return None
            raise InputError(f"{path}: no column {name!r} for labels; there are: {', '.join(schema.names)}")
        kind = schema.field(name).type
        if pa.types.is_null(kind):  # every one of them is missing
            return None
        if not pa.types.is_integer(kind):
            raise InputError(f"{path}: {name}: expected whole numbers as labels, came {kind}")
        return name

    def count_classes(self, label: str) -> list[str]:
        """Names of the classes without metadata: by `label_name` where every label has one, else numbers."""
        found: dict[int, str | None] = {}
        for path in self.files():
            with self.table(path) as file:
                columns = [label, *(["label_name"] if "label_name" in file.schema_arrow.names else [])]
                row = 0
                for batch in file.iter_batches(2**16, columns=columns, use_threads=False):
                    numbers = batch[label].fill_null(0).to_numpy(zero_copy_only=False)
                    check_labels(numbers, f"{path}: {label}", row)
                    row += len(batch)
                    for pair in set(zip(*(batch[name].to_pylist() for name in columns), strict=True)):
                        if pair[0] is not None:
                            found[pair[0]] = str(pair[1]) if len(pair) == 2 and pair[1] is not None else found.get(pair[0])
        names = [found.get(number) for number in range(max(found, default=-1) + 1)]
        if all(names) and len(set(names)) == len(names):
            return [name for name in names if name]
        return [str(number) for number in range(len(names))]


def names_in_metadata(file: pq.ParquetFile, label: str) -> list[str]:
    """Names of the classes in the metadata that Hugging Face `datasets` writes; empty where there are none."""
    stored = (file.schema_arrow.metadata or {}).get(b"huggingface", b"{}")
    try:
        names = json.loads(stored)["info"]["features"][label]["names"]
    except (ValueError, KeyError, TypeError):
        return []
    return [str(name) for name in names]


def check_image(schema: pa.Schema, name: str, path: str) -> None:
    import pyarrow as pa

    if name not in schema.names:
        raise InputError(
            f"{path}: no column {name!r} with images; there are: {', '.join(schema.names)}. Name yours: `image: ...`"
        )
    kind = schema.field(name).type
    content = kind.field("bytes").type if pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0 else kind
    if not (pa.types.is_binary(content) or pa.types.is_large_binary(content)):
        raise InputError(f"{path}: {name}: expected encoded images, as struct{{bytes, path}} or as bytes; came {kind}")


def item(image: Any, label: int | None, place: str) -> Item:
    """The image of one cell. A path alone is not followed, because it may lead anywhere."""
    content = image.get("bytes") if isinstance(image, dict) else image
    name = image.get("path") if isinstance(image, dict) else None
    if content is None:
        return Item(None, label, name or place, "only a path, no image" if name else "no image")
    return Item(content, label, name or place)
