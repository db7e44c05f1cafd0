"""npz: arrays of images and labels in a NumPy archive, read row by row and never unpickled."""

from __future__ import annotations

import math
import zipfile
import zlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from pipelines.core.errors import InputError
from pipelines.sources import places
from pipelines.sources.base import Item, Source, check_labels, label_names

if TYPE_CHECKING:
    import numpy as np

# names of images -> names of labels, as Keras, Genloop and many notebooks write them
LAYOUTS = (("x_train", "y_train"), ("x_test", "y_test")), (("images", "labels"),), (("x", "y"),)
READ_BYTES = 2**22  # of pixels at a time


class Npz(Source):
    """`images` and `labels` name the arrays, pair by pair; without them the usual names are tried."""

    type: Literal["npz"]
    path: str
    images: list[str] | None = None
    labels: list[str] | None = None

    def classes(self) -> list[str]:
        with places.open_file(self.path) as file, self.archive(file) as archive:
            return label_names(array for _, name in self.pairs(archive) if name for array in [self.labels_in(archive, name)])

    def items(self) -> Iterator[Item]:
        with places.open_file(self.path) as file, self.archive(file) as archive:
            for images, name in self.pairs(archive):
                numbers = self.labels_in(archive, name).tolist() if name else None
                for row, pixels in enumerate(self.rows(archive, images, name, numbers)):
                    yield Item(pixels, numbers[row] if numbers else None, f"{images}[{row}]")

    def archive(self, file: BinaryIO) -> zipfile.ZipFile:
        try:
            return zipfile.ZipFile(file)
        except zipfile.BadZipFile:
            raise InputError(f"{self.path}: this is no npz file, or it is cut short; numpy.savez writes them") from None

    def pairs(self, archive: zipfile.ZipFile) -> list[tuple[str, str | None]]:
        """Names of image arrays, each with the name of its labels."""
        names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
        if self.images is not None:
            named = self.labels or []
            unlabelled: list[str | None] = [None] * len(self.images)
            if named and len(named) != len(self.images):
                raise InputError(f"{self.path}: {len(self.images)} names in `images` but {len(named)} in `labels`")
            pairs: list[tuple[str, str | None]] = list(zip(self.images, named or unlabelled, strict=True))
            for name in [name for pair in pairs for name in pair if name is not None]:
                if name not in names:
                    raise InputError(f"{self.path}: no array {name!r}; there are: {', '.join(names) or 'none'}")
            return pairs
        for layout in LAYOUTS:
            found = [(images, name if name in names else None) for images, name in layout if images in names]
            if found:
                return found
        raise InputError(
            f"{self.path}: expected the arrays x_train and y_train, images and labels, or x and y; there are: "
            f"{', '.join(names) or 'none'}. Name yours: `images: [...]`, `labels: [...]`"
        )

    def labels_in(self, archive: zipfile.ZipFile, name: str) -> np.ndarray:
        """(n,) int64"""
        import numpy as np

        with archive.open(f"{name}.npy") as member:
            shape, _, dtype = self.header(member, name)
            if len(shape) == 2 and shape[1] == 1:  # as Keras gives CIFAR-10's
                shape = shape[:1]
            if dtype.kind not in "iu" or len(shape) != 1:
                raise InputError(
                    f"{self.path}: {name}: expected whole numbers of shape (n,) as labels, came {dtype} of shape {shape}"
                )
            content = self.read(member, name, shape[0] * dtype.itemsize)
        return check_labels(np.frombuffer(content, dtype), f"{self.path}: {name}")

    def rows(
        self, archive: zipfile.ZipFile, name: str, label_name: str | None, numbers: list[int] | None
    ) -> Iterator[np.ndarray]:
        """(h, w) or (h, w, c) each, uint8 or uint16."""
        import numpy as np

        with archive.open(f"{name}.npy") as member:
            shape, fortran, dtype = self.header(member, name)
            if fault := fault_in(shape, dtype):
                raise InputError(f"{self.path}: {name}: {fault}")
            if numbers is not None and len(numbers) != shape[0]:
                raise InputError(
                    f"{self.path}: {name} has {shape[0]} rows but {label_name} has {len(numbers)}; expected as many"
                )
            row_bytes = math.prod(shape[1:]) * dtype.itemsize
            step = shape[0] if fortran else max(READ_BYTES // row_bytes, 1)
            for start in range(0, shape[0], step):
                count = min(step, shape[0] - start)
                content = np.frombuffer(self.read(member, name, count * row_bytes), dtype)
                batch = content.reshape((count, *shape[1:]), order="F" if fortran else "C")
                if dtype.kind == "f" and not (batch.min() >= 0 and batch.max() <= 1):  # NaN is neither
                    raise InputError(
                        f"{self.path}: {name}: floats must be from 0 to 1, but rows {start} to {start + count - 1} go "
                        f"from {batch.min()} to {batch.max()}; save them as uint8, 0 to 255"
                    )
                yield from to_integers(batch)

    def header(self, member: Any, name: str) -> tuple[tuple[int, ...], bool, np.dtype]:
        """Shape, whether columns come first, and dtype of an array, before any of it is read."""
        import numpy as np

        try:
            version = np.lib.format.read_magic(member)
            read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, fortran, dtype = read(member)
        except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise InputError(f"{self.path}: {name}: not readable as an array: {error}") from None
        if dtype.hasobject:
            raise InputError(
                f"{self.path}: {name}: an array of Python objects, which could run code when read, is refused; save it as uint8"
            )
        return shape, fortran, dtype

    def read(self, member: Any, name: str, count: int) -> bytes:
        try:
            content = member.read(count)
        except (EOFError, zipfile.BadZipFile, zlib.error, OverflowError) as error:
            raise InputError(f"{self.path}: {name}: the file is damaged or cut short: {error}") from None
        if len(content) != count:
            raise InputError(f"{self.path}: {name}: the file is cut short; fewer values than its header says")
        return content


def fault_in(shape: tuple[int, ...], dtype: np.dtype) -> str | None:
    """The reason why such an array holds no images; None where it may."""
    if dtype.kind not in "buf" or (dtype.kind == "u" and dtype.itemsize > 2):
        return f"expected uint8, uint16, bool, or floats from 0 to 1; came {dtype}"
    if len(shape) not in (3, 4) or min(shape[1:]) < 1 or (len(shape) == 4 and shape[3] not in (1, 2, 3, 4)):
        return f"expected the shape (n, height, width), or (n, height, width, channels) with 1 to 4 of them; came {shape}"
    return None


def to_integers(batch: np.ndarray) -> np.ndarray:
    """uint8, uint16, bool, or floats 0..1 -> the same shape, uint16 where it was that, else uint8."""
    import numpy as np

    from pipelines.core import images

    if batch.dtype.kind == "f":
        return np.rint(batch.astype(np.float32) * 255).astype(np.uint8)
    return images.to_uint8(batch) if batch.dtype.itemsize == 1 else batch.astype(np.uint16)  # of any byte order
