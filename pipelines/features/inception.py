"""inception: the frozen Inception graph of 2015, so that scores compare with papers; its classes are ImageNet's.

As the code that papers scored with ran it: TTUR's fid.py (Heusel et al., 2017) reads `pool_3:0`, improved-gan's model.py
(Salimans et al., 2016) multiplies that with the weights of the logits and adds no bias. The graph itself resizes to 299x299,
in the old way of ResizeBilinear that no current function has, and scales to about -1..1.
"""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Self

from pipelines.core import files
from pipelines.core.errors import InputError
from pipelines.core.lazy import np
from pipelines.features import pinned
from pipelines.features.base import Extractor, ExtractorSettings, Features, run_in_batches, softmax

MEMBER = "classify_image_graph_def.pb"  # of the archive that it is published in
ORIGINAL = "009d6814d1bc560d4e7b236e170e9b2d5ca6f4b57bd8037f6db05776204415c6"  # sha256 of the published graph
IMAGES, POOL, LOGITS = "ExpandDims", "pool_3", "softmax/logits/MatMul"  # the graph's nodes
BATCH = 50

Graph = Callable[["np.ndarray"], tuple["np.ndarray", "np.ndarray"]]


class Inception(Extractor):
    width = 2048
    from_file = True
    of_classes = False

    def __init__(self, graph: bytes, place: str) -> None:
        """graph: a GraphDef, serialized. place: where it came from, for messages."""
        self.graph, self.sha256, self.network = graph, pinned.digest(graph), network(graph, place)

    @classmethod
    def fit(cls, images: np.ndarray, labels: np.ndarray, classes: int, settings: ExtractorSettings) -> Self:
        place, sha256 = settings.weights, settings.sha256
        assert place is not None, "the settings are checked before"
        assert sha256 is not None, "the settings are checked before"
        return cls(unpack(pinned.read(place, sha256, settings.downloads), place), place)

    @property
    def description(self) -> str:
        if self.sha256 == ORIGINAL:
            return "the original Inception graph of 2015"
        return f"a graph with the sha256 {self.sha256[:16]}…, not the original Inception of 2015"

    def extract(self, images: np.ndarray) -> Features:
        vectors, probabilities = run_in_batches(images, BATCH, self.network)
        return Features(vectors, probabilities)

    def save(self, folder: Path) -> None:
        # Nothing of where it came from: the same graph makes the same benchmark.
        about = {"how": self.description, "of_classes": self.of_classes, "sha256": self.sha256}
        files.write(folder / "extractor.pb", self.graph)
        files.write(folder / "extractor.json", json.dumps(about, indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Self:
        try:
            sha256 = json.loads((folder / "extractor.json").read_text(encoding="utf-8"))["sha256"]
            graph = (folder / "extractor.pb").read_bytes()
        except (OSError, ValueError, KeyError) as error:
            raise InputError(f"{folder}: no usable feature extractor ({error}); `reference` makes it (`genloop run`)") from None
        if pinned.digest(graph) != sha256:
            raise InputError(f"{folder / 'extractor.pb'}: not the file that was written there; run `reference` again")
        return cls(graph, str(folder / "extractor.pb"))


def unpack(content: bytes, place: str) -> bytes:
    """The graph in `content`, which is the published archive or the graph itself."""
    if not content.startswith(b"\x1f\x8b"):  # gzip
        return content
    try:
        with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as archive:
            for member in archive:
                if member.isfile() and PurePosixPath(member.name).name == MEMBER and member.size <= pinned.MOST_BYTES:
                    file = archive.extractfile(member)
                    assert file is not None, "it is a file"
                    return file.read()
    except (tarfile.TarError, OSError, EOFError, zlib.error) as error:
        raise InputError(f"{place}: a damaged archive ({error}); fetch it again and pin the sha256 of the whole file") from None
    raise InputError(f"{place}: no {MEMBER} in this archive; expected inception-2015-12-05.tgz")


def network(graph: bytes, place: str) -> Graph:
    """(n, size, size, 1 or 3) uint8 -> (n, 2048) float32 vectors and (n, 1008) float32 probabilities.

    In a session of TensorFlow 1: the graph's batch normalisation is an operation that newer graphs may not hold, and every
    function of TensorFlow 2 is a new graph. An imported graph keeps its old version.
    """
    try:
        import tensorflow as tf
        from google.protobuf.message import DecodeError
    except ImportError as error:
        raise InputError(
            f"the extractor `inception` needs TensorFlow, which cannot be imported ({error}); `pip install tensorflow`, or "
            "choose another reference.extractor"
        ) from None

    try:
        definition = tf.compat.v1.GraphDef.FromString(graph)
    except DecodeError:
        raise InputError(f"{place}: this is no TensorFlow graph; expected {MEMBER} or the archive that holds it") from None
    names = {node.name for node in definition.node}
    if missing := [f"{name}:0" for name in (IMAGES, POOL, LOGITS) if name not in names]:
        raise InputError(f"{place}: the graph has no tensor {', '.join(missing)}; expected Inception's of 2015, {MEMBER}")
    with tf.Graph().as_default() as imported:
        # Any number of images: the graph was frozen for one at a time, as the constant shape after `pool_3` still says.
        images = tf.compat.v1.placeholder(tf.float32, (None, None, None, 3))
        try:
            pool, product = tf.import_graph_def(definition, {f"{IMAGES}:0": images}, [f"{POOL}:0", LOGITS], name="")
            vectors = tf.squeeze(pool, [1, 2])
            logits = tf.matmul(vectors, product.inputs[1])
        except (ValueError, tf.errors.OpError) as error:
            raise InputError(f"{place}: the graph is not Inception's of 2015 ({error}); expected {MEMBER}") from None
    options = tf.compat.v1.ConfigProto(allow_soft_placement=True)
    options.gpu_options.allow_growth = True  # Keras is on the same GPU
    session = tf.compat.v1.Session(graph=imported, config=options)
    precision = tf.config.experimental

    def run(batch: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        colour = np.broadcast_to(batch, (*batch.shape[:3], 3)).astype(np.float32)
        before = precision.tensor_float_32_execution_enabled()
        precision.enable_tensor_float_32_execution(False)  # GPUs round to 10 bits with it: not what papers have
        try:
            found = session.run([vectors, logits], {images: colour})
        finally:
            precision.enable_tensor_float_32_execution(before)
        return found[0], softmax(found[1])

    return run
