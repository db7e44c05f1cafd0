"""Facts of images: measured once by `validate` for every row, then judged there and by the rules of `clean`."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from PIL import Image

from pipelines.core import images, parallel, shards
from pipelines.core.errors import InputError
from pipelines.core.progress import Progress

THUMBNAIL_SIDE = 8  # pixels
HASH_SIDE = 32  # pixels of the image that the perceptual hash is computed from
ROWS_AT_ONCE = 2**16  # that are written: a second copy of the table would be the stage's peak of memory

# One row's facts. An array of these is a table of facts, in the order of the shards that it was measured from.
FACT = np.dtype(
    [
        ("id", "S16"),  # first half of the row_id's digest: equal pixels, equal id
        ("width", np.int32),  # pixels
        ("height", np.int32),
        ("mode", "S8"),  # Pillow's name of the pixel format
        ("label", np.int32),  # -1 for none
        ("held_out", np.bool_),  # set already: by the source's own split, or by `clean`
        ("brightness", np.float32),  # mean grey, 0..255
        ("contrast", np.float32),  # standard deviation of the greys
        ("sharpness", np.float32),  # standard deviation of the Laplacian; Pech-Pacheco et al., 2000
        ("hash", np.uint64),  # perceptual, see `perceptual_hash`
        ("thumbnail", np.uint8, (THUMBNAIL_SIDE, THUMBNAIL_SIDE)),
    ]
)

Facts = np.ndarray  # of dtype FACT


def cosines(size: int, frequencies: int) -> np.ndarray:
    """(frequencies, size) float32, the first rows of the orthogonal DCT-II."""
    k, x = np.arange(frequencies)[:, None], np.arange(size)[None]
    basis = np.sqrt(2 / size) * np.cos(np.pi * k * (2 * x + 1) / (2 * size))
    basis[0] /= np.sqrt(2)
    return basis.astype(np.float32)


DCT = cosines(HASH_SIDE, 8)


def measure_folder(folder: Path, background: str, name: str) -> Facts:
    """The facts of all rows of a folder of shards, in their order, measured on all cores. name: of the stage.

    background: what shows through transparent pixels, "#rrggbb".
    """
    batches = shards.read(folder, ["image", "row_id", "label", "split"])
    table = np.empty(shards.count(folder), FACT)
    with Progress(name, len(table), "images") as progress:
        done = 0
        for batch in parallel.map_ordered(partial(measure_batch, background=background), batches):
            table[done : done + len(batch)] = batch
            done += len(batch)
            progress.advance(len(batch))
    return table


def measure_batch(batch: pa.RecordBatch, background: str) -> Facts:
    pixels = map(images.decode_pixels, batch["image"].field("bytes").to_pylist())
    labels = batch["label"].fill_null(-1).to_numpy(zero_copy_only=False)
    held_out = pc.fill_null(pc.equal(batch["split"], "holdout"), False).to_numpy(zero_copy_only=False)
    return measure_images(pixels, batch["row_id"].to_pylist(), labels, background, held_out)


def measure_images(
    arrays: Iterable[np.ndarray],
    ids: Sequence[str],
    labels: Sequence[int] | np.ndarray,
    background: str,
    held_out: np.ndarray | bool = False,
) -> Facts:
    """The facts of n images, (h, w, 1..4) uint8 each, which are taken one by one.

    ids: their row_ids. labels: -1 for none. background: what shows through transparent pixels, "#rrggbb".
    held_out: (n,) bool, or one for all.
    """
    table = np.empty(len(ids), FACT)
    table["held_out"] = held_out
    table["label"] = labels
    table["id"] = [bytes.fromhex(identity[:32]) for identity in ids]
    by_size: dict[tuple[int, ...], list[tuple[int, np.ndarray]]] = defaultdict(list)
    for row, pixels in enumerate(arrays):
        table["mode"][row] = images.MODES[pixels.shape[2]]
        by_size[pixels.shape[:2]].append((row, images.to_pixels(pixels, 1, background)[:, :, 0]))
    for (height, width), group in by_size.items():
        rows, greys = zip(*group, strict=True)
        table["width"][list(rows)], table["height"][list(rows)] = width, height
        for name, values in measure_greys(np.stack(greys)).items():
            table[name][list(rows)] = values
    return table


def measure_greys(greys: np.ndarray) -> dict[str, np.ndarray]:
    """The facts of n images of one size, (n, height, width) uint8, that come from their pixels alone."""
    wide = greys.astype(np.float32)
    inner = wide[:, 1:-1, 1:-1]
    laplacian = wide[:, :-2, 1:-1] + wide[:, 2:, 1:-1] + wide[:, 1:-1, :-2] + wide[:, 1:-1, 2:] - 4 * inner
    return {
        "brightness": wide.mean(axis=(1, 2)),
        "contrast": wide.std(axis=(1, 2)),
        "sharpness": laplacian.std(axis=(1, 2)) if laplacian.size else np.zeros(len(greys), np.float32),
        "hash": perceptual_hash(resize(greys, HASH_SIDE, Image.Resampling.BILINEAR)),
        "thumbnail": resize(greys, THUMBNAIL_SIDE, Image.Resampling.BOX),
    }


def resize(greys: np.ndarray, side: int, filter: Image.Resampling) -> np.ndarray:
    """(n, height, width) uint8 -> (n, side, side) uint8."""
    return np.stack([np.asarray(Image.fromarray(grey).resize((side, side), filter)) for grey in greys])


def perceptual_hash(greys: np.ndarray) -> np.ndarray:
    """(n, 32, 32) -> (n,) uint64: which of the 64 lowest frequencies lie above their median (pHash, Zauner 2010).

    Near copies differ in few bits.
    """
    low = (DCT @ greys.astype(np.float32) @ DCT.T).reshape(len(greys), -1)
    above = low > np.median(low[:, 1:], axis=1, keepdims=True)
    return np.packbits(above, axis=1).view(np.uint64)[:, 0]


def write(facts: Facts, path: Path) -> None:
    with pq.ParquetWriter(path, arrow(facts[:0]).schema, compression="zstd") as file:
        for start in range(0, len(facts), ROWS_AT_ONCE):
            file.write_table(arrow(facts[start : start + ROWS_AT_ONCE]))


def arrow(facts: Facts) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for name in FACT.names or ():
        values = np.ascontiguousarray(facts[name])
        if name in ("id", "thumbnail"):  # raw bytes, of which any may be zero
            width = FACT[name].itemsize
            columns[name] = pa.FixedSizeBinaryArray.from_buffers(pa.binary(width), len(values), [None, pa.py_buffer(values)])
        else:
            columns[name] = pa.array(values)
    return pa.table(columns)


def read(path: Path) -> Facts:
    """Raises InputError where the table is missing or is not ours."""
    if not path.is_file():
        raise InputError(f"{path}: no facts there; `validate` has not run (`genloop run`)")
    facts = np.empty(pq.read_metadata(path).num_rows, FACT)
    for name in FACT.names or ():
        column = pq.read_table(path, columns=[name])[name].combine_chunks()  # one at a time: half the memory
        if pa.types.is_fixed_size_binary(column.type):
            kind, shape = FACT[name].subdtype or (FACT[name], ())
            raw = np.frombuffer(
                column.buffers()[1], kind, len(facts) * math.prod(shape), column.offset * column.type.byte_width
            )
            facts[name] = raw.reshape(-1, *shape)
        else:
            facts[name] = column.to_numpy(zero_copy_only=False)
    return facts
