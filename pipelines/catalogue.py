"""What can be named in params.yaml, and where it lives: name -> "module:attribute".

A new member is one new file and one line here. The tables hold names, not objects, so that TensorFlow and other heavy
packages load only in the process that uses them.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import importlib.util
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pipelines.core.errors import InputError

SOURCES = {
    "digits": "pipelines.sources.digits:Digits",
    "folder": "pipelines.sources.folder:Folder",
    "glyphs": "pipelines.sources.glyphs:Glyphs",
    "keras": "pipelines.sources.keras:Keras",
    "npz": "pipelines.sources.npz:Npz",
    "parquet": "pipelines.sources.parquet:Parquet",
}

RULES = {
    "aspect_ratio": "pipelines.rules.aspect_ratio:AspectRatio",
    "blank": "pipelines.rules.blank:Blank",
    "exact_copy": "pipelines.rules.exact_copy:ExactCopy",
    "near_copy": "pipelines.rules.near_copy:NearCopy",
    "too_small": "pipelines.rules.too_small:TooSmall",
}

# A family's file has the family's name, so that dvc.yaml can name it as an input of `train`.
MODELS = {
    "diffusion": "pipelines.models.diffusion:Diffusion",
    "gan": "pipelines.models.gan:Gan",
    "gan-dense": "pipelines.models.gan-dense:GanDense",
    "vae": "pipelines.models.vae:Vae",
}

METRICS = {
    "approval": "pipelines.metrics.approval:score",
    "class_accuracy": "pipelines.metrics.class_accuracy:score",
    "class_fid": "pipelines.metrics.class_fid:score",
    "density_coverage": "pipelines.metrics.density_coverage:score",
    "fid": "pipelines.metrics.fid:score",
    "fid_infinity": "pipelines.metrics.fid_infinity:score",
    "inception_score": "pipelines.metrics.inception_score:score",
    "kid": "pipelines.metrics.kid:score",
    "memorisation": "pipelines.metrics.memorisation:score",
    "path_length": "pipelines.metrics.path_length:score",
    "precision_recall": "pipelines.metrics.precision_recall:score",
}

# What metrics yield, and what is better; "" for what is neither.
SCORES = {
    "approval": "higher",
    "class_accuracy": "higher",
    "coverage": "higher",
    "density": "higher",
    "fid": "lower",
    "fid_floor": "",
    "fid_infinity": "lower",
    "inception_score": "higher",
    "kid": "lower",
    "memorisation": "",
    "online_approval": "higher",
    "path_length": "lower",
    "precision": "higher",
    "recall": "higher",
}

FEATURES = {
    "domain": "pipelines.features.domain:Domain",
    "inception": "pipelines.features.inception:Inception",
    "random": "pipelines.features.random:Random",
}

TASTES = {
    "legible": "pipelines.tastes.legible:Legible",
    "slant": "pipelines.tastes.slant:Slant",
    "stroke_weight": "pipelines.tastes.stroke_weight:StrokeWeight",
}


def get(table: dict[str, str], name: str) -> Any:
    """The member that `name` stands for, imported now.

    Raises:
        InputError: the table has no such name.
    """
    module, attribute = locate(table, name)
    return getattr(importlib.import_module(module), attribute)


READING = threading.Lock()  # Python 3.11 counts the depth of syntax trees for all threads together: two at once, SystemError


def literal(table: dict[str, str], member: str, constant: str) -> Any:
    """A member's module constant, read without importing the module: settings are checked before Keras loads."""
    module, _ = locate(table, member)
    path = Path(__file__).resolve().parents[1].joinpath(*module.split(".")).with_suffix(".py")
    with READING:
        body = ast.parse(path.read_text()).body
    for node in body:
        match node:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) | ast.AnnAssign(target=ast.Name(id=name), value=value):
                if name == constant and value is not None:
                    return ast.literal_eval(value)
    raise AttributeError(f"{path} has no literal {constant}")


def locate(table: dict[str, str], name: str) -> tuple[str, str]:
    if name not in table:
        raise InputError(unknown(name, table))
    module, _, attribute = table[name].partition(":")
    return module, attribute


def unknown(name: str, known: Iterable[str]) -> str:
    """`'gann' is not known; did you mean 'gan'? Known: gan, gan-dense`"""
    known = sorted(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f"{name!r} is not known{f'; did you mean {near[0]!r}?' if near else '.'} Known: {', '.join(known)}"
