"""A small frozen graph with the names and types of Inception's of 2015, and what it computes, in NumPy alone."""

from __future__ import annotations

import io
import tarfile
from typing import Any

import numpy as np

SIDE, KERNEL, STRIDE, EPSILON = 13, 3, 5, 0.001
POOLED = (SIDE - KERNEL) // STRIDE + 1


def weights(width: int = 2048, classes: int = 1008) -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    return {
        "conv/conv2d_params": random.normal(0, 0.3, (KERNEL, KERNEL, 3, width)).astype(np.float32),
        "conv/batchnorm/moving_mean": random.normal(0, 0.1, width).astype(np.float32),
        "conv/batchnorm/moving_variance": random.uniform(0.5, 2, width).astype(np.float32),
        "conv/batchnorm/beta": random.normal(0, 0.1, width).astype(np.float32),
        "conv/batchnorm/gamma": random.uniform(0.5, 2, width).astype(np.float32),
        "softmax/weights": random.normal(0, 0.05, (width, classes)).astype(np.float32),
        "softmax/biases": random.normal(0, 9, classes).astype(np.float32),  # large: no score of papers has them
    }


def frozen(stored: dict[str, np.ndarray], without: str = "") -> bytes:
    """The graph, serialized; `without` names a node that is left out, with all that reads it."""
    import tensorflow as tf

    graph = tf.compat.v1.GraphDef()  # of no version, as old as can be: it may hold the batch normalisation of its time

    def node(name: str, kind: str, *inputs: str, **attributes: Any) -> None:
        made = tf.compat.v1.NodeDef(name=name, op=kind, input=inputs)
        made.attr["T"].type = tf.float32.as_datatype_enum
        for key, value in attributes.items():
            if isinstance(value, list):
                made.attr[key].list.i.extend(value)
            else:
                setattr(made.attr[key], {bool: "b", float: "f", bytes: "s"}[type(value)], value)
        graph.node.append(made)

    def constant(name: str, value: Any) -> None:
        made = tf.compat.v1.NodeDef(name=name, op="Const")
        made.attr["dtype"].type = tf.as_dtype(np.asarray(value).dtype).as_datatype_enum
        made.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(value))
        graph.node.append(made)

    for name, value in stored.items():
        constant(name, value)
    constant("Cast", np.zeros((5, 4, 3), np.float32))  # stands for the decoded JPEG of the original
    constant("ExpandDims/dim", np.int32(0))
    node("ExpandDims", "ExpandDims", "Cast", "ExpandDims/dim")
    constant("ResizeBilinear/size", np.array([SIDE, SIDE], np.int32))
    node("ResizeBilinear", "ResizeBilinear", "ExpandDims", "ResizeBilinear/size", align_corners=False)
    constant("Sub/y", np.float32(128))
    node("Sub", "Sub", "ResizeBilinear", "Sub/y")
    constant("Mul/y", np.float32(1 / 128))
    node("Mul", "Mul", "Sub", "Mul/y")
    node("conv/Conv2D", "Conv2D", "Mul", "conv/conv2d_params", strides=[1, STRIDE, STRIDE, 1], padding=b"VALID")
    norms = [f"conv/batchnorm/{name}" for name in ("moving_mean", "moving_variance", "beta", "gamma")]
    node(
        "conv/batchnorm",
        "BatchNormWithGlobalNormalization",
        "conv/Conv2D",
        *norms,
        variance_epsilon=EPSILON,
        scale_after_normalization=False,
    )
    node("conv/CheckNumerics", "CheckNumerics", "conv/batchnorm", message=b"not finite")
    node("conv/control_dependency", "Identity", "conv/batchnorm", "^conv/CheckNumerics")
    node("conv", "Relu", "conv/control_dependency")
    node("pool_3", "AvgPool", "conv", ksize=[1, POOLED, POOLED, 1], strides=[1, 1, 1, 1], padding=b"VALID")
    constant("pool_3/_reshape/shape", np.array([1, len(stored["softmax/weights"])], np.int32))
    node("pool_3/_reshape", "Reshape", "pool_3", "pool_3/_reshape/shape")
    node("softmax/logits/MatMul", "MatMul", "pool_3/_reshape", "softmax/weights")
    node("softmax/logits", "BiasAdd", "softmax/logits/MatMul", "softmax/biases")
    node("softmax", "Softmax", "softmax/logits")

    gone = {without}
    kept = []
    for entry in graph.node:
        if entry.name in gone or gone & {name.lstrip("^") for name in entry.input}:
            gone.add(entry.name)
        else:
            kept.append(entry)
    return tf.compat.v1.GraphDef(node=kept).SerializeToString()


def archive(graph: bytes, name: str = "classify_image_graph_def.pb") -> bytes:
    """A .tgz as the original is published: the graph among other files."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as made:
        for member, content in (("cropped_panda.jpg", b"a panda"), (name, graph), ("LICENSE", b"Apache")):
            about = tarfile.TarInfo(member)
            about.size = len(content)
            made.addfile(about, io.BytesIO(content))
    return file.getvalue()


def computed(images: np.ndarray, stored: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """(n, size, size, 1 or 3) uint8 -> vectors and probabilities as the graph should give them, in float64."""
    colour = np.repeat(images, 3, axis=-1) if images.shape[-1] == 1 else images
    scaled = (resized(colour.astype(np.float64)) - 128) / 128
    places = [range(0, SIDE - KERNEL + 1, STRIDE)] * 2
    patches = [scaled[:, i : i + KERNEL, j : j + KERNEL] for i in places[0] for j in places[1]]
    seen = np.stack([np.tensordot(patch, stored["conv/conv2d_params"], 3) for patch in patches])
    mean, variance, beta, _ = (stored[f"conv/batchnorm/{key}"] for key in ("moving_mean", "moving_variance", "beta", "gamma"))
    vectors = np.maximum((seen - mean) / np.sqrt(variance + EPSILON) + beta, 0).mean(axis=0)
    exponents = np.exp(vectors @ stored["softmax/weights"])
    return vectors, exponents / exponents.sum(axis=1, keepdims=True)


def resized(images: np.ndarray) -> np.ndarray:
    """Bilinear as TensorFlow did at first: pixel i of the result lies at i * size / SIDE, not at the pixel's middle."""
    size = images.shape[1]
    at = np.arange(SIDE) * size / SIDE
    low = at.astype(int)
    high, share = np.minimum(low + 1, size - 1), at - low
    rows = images[:, low] * (1 - share)[:, None, None] + images[:, high] * share[:, None, None]
    return rows[:, :, low] * (1 - share)[:, None] + rows[:, :, high] * share[:, None]
