"""What can be named in params.yaml, and where it lives: name -> "module:attribute".

A new member is one new file and one line here. The tables hold names, not objects, so that TensorFlow and other heavy
packages load only in the process that uses them.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from pipelines.core.errors import InputError

if TYPE_CHECKING:
    from pipelines.metrics.base import Score

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

# A model of the user's own, in a folder with a manifest (pipelines/settings/manifest.py): it is no member of a table.
EXTERNAL = "external"

METRICS = {
    "approval": "pipelines.metrics.approval:score",
    "class_accuracy": "pipelines.metrics.class_accuracy:score",
    "class_fid": "pipelines.metrics.class_fid:score",
    "density_coverage": "pipelines.metrics.density_coverage:score",
    "fid": "pipelines.metrics.fid:score",
    "fid_infinity": "pipelines.metrics.fid_infinity:score",
    "fid_preferred": "pipelines.metrics.fid_preferred:score",
    "inception_score": "pipelines.metrics.inception_score:score",
    "kid": "pipelines.metrics.kid:score",
    "memorisation": "pipelines.metrics.memorisation:score",
    "path_length": "pipelines.metrics.path_length:score",
    "precision_recall": "pipelines.metrics.precision_recall:score",
    "told_apart": "pipelines.metrics.told_apart:score",
}

# Scores that no metric yields, and that rules of promotion can go by.
VOTE_SCORES = {
    "online_approval": "pipelines.promotion.vote_scores:ONLINE_APPROVAL",
}

FEATURES = {
    "domain": "pipelines.features.domain:Domain",
    "inception": "pipelines.features.inception:Inception",
    "keras_hub": "pipelines.features.keras_hub:KerasHub",
    "random": "pipelines.features.random:Random",
}

TASTES = {
    "legible": "pipelines.tastes.legible:Legible",
    "slant": "pipelines.tastes.slant:Slant",
    "stroke_weight": "pipelines.tastes.stroke_weight:StrokeWeight",
}

# Formats of files of feedback, by their names for --format.
IMPORTS = {
    "jsonl": "pipelines.feedback.imports.json_text:JsonLines",
    "json": "pipelines.feedback.imports.json_text:JsonValues",
    "csv": "pipelines.feedback.imports.comma_separated:CommaSeparated",
    "parquet": "pipelines.feedback.imports.parquet:ParquetRows",
    "label-studio": "pipelines.feedback.imports.label_studio:LabelStudio",
    "argilla": "pipelines.feedback.imports.argilla:Argilla",
}


def get(table: dict[str, str], name: str) -> Any:
    """The member that `name` stands for, imported now.

    Raises:
        InputError: the table has no such name.
    """
    module, attribute = locate(table, name)
    return getattr(importlib.import_module(module), attribute)


def locate(table: dict[str, str], name: str) -> tuple[str, str]:
    if name not in table:
        raise InputError(unknown_name(name, table))
    module, _, attribute = table[name].partition(":")
    return module, attribute


def families() -> list[str]:
    """The names that model.family may have."""
    return [*MODELS, EXTERNAL]


def yields(metric: str) -> tuple[Score, ...]:
    """The scores that a metric yields, as its own file declares them."""
    module, _ = locate(METRICS, metric)
    found: tuple[Score, ...] = importlib.import_module(module).SCORES
    return found


def scores() -> dict[str, Score]:
    """Every score that some metric yields."""
    return {score.name: score for metric in METRICS for score in yields(metric)}


def rule_scores() -> dict[str, Score]:
    """Every score that a rule of promotion can go by."""
    single = {name: score for name, score in scores().items() if not score.by_class}
    return single | {name: get(VOTE_SCORES, name) for name in VOTE_SCORES}


def metric_of(score: str) -> str:
    """The metric that yields a score."""
    return next(metric for metric in METRICS if any(declared.name == score for declared in yields(metric)))


def need_latent_steps(metrics: Iterable[str]) -> bool:
    """Whether one of these metrics is computed from steps through a model's latent space."""
    return any(score.latent_steps for metric in metrics for score in yields(metric))


def unknown_name(name: str, known: Iterable[str]) -> str:
    """`'gann' is not known; did you mean 'gan'? Known: gan, gan-dense`"""
    known = sorted(known)
    for score in scores().values():
        if name and score.unbiased_name == name and score.name in known:
            return f"{name!r} is what {score.name!r} stands for here: say {score.name!r}; metrics and displays have both values"
    near = difflib.get_close_matches(name, known, n=1)
    return f"{name!r} is not known{f'; did you mean {near[0]!r}?' if near else '.'} Known: {', '.join(known)}"
