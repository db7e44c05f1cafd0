"""genloop score: the metrics between any two sets of images or features, in a project or outside of any."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Annotated

import typer

from commands import console
from commands.app import Json, command, project_or_folder
from pipelines import catalogue
from pipelines.core.errors import InputError
from pipelines.core.numbers import SEEDS
from pipelines.core.progress import say
from pipelines.core.project import Project

if TYPE_CHECKING:
    from operations.compare import CompareOptions
    from pipelines.scoring.scores import Scores


@command(project_or_folder)
def score(
    project: Project,
    a: Annotated[
        str, typer.Argument(metavar="A", help="Candidate set: a folder of images, .npz, .parquet or models:/NAME@alias.")
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="Reference set that A is compared with, of the same kinds.")],
    extractor: Annotated[
        str | None, typer.Option(help="domain, inception, keras_hub or random; none: the files hold features.")
    ] = None,
    metrics: Annotated[str | None, typer.Option(help="As in fid,kid; without it all that apply.")] = None,
    size: Annotated[int | None, typer.Option(help="Pixels a side; without it as B's images.")] = None,
    count: Annotated[int | None, typer.Option(help="Images that a model generates.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the first image that a model generates.")] = 0,
    weights: Annotated[
        str | None, typer.Option(help="Path or URL of the file of inception; preset or folder of keras_hub.")
    ] = None,
    sha256: Annotated[str | None, typer.Option(help="Checksum of that file, or of the weights in the preset.")] = None,
    as_json: Json = False,
) -> None:
    """Compare any two sets of images, or of features, by every metric."""
    from operations.compare import CompareOptions, compare

    options = CompareOptions(extractor, metrics, size, count, seed, weights, sha256)
    check(a, b, options)
    found = compare(project, a, b, options, lambda line: say(f"score: {line}"))
    print(json.dumps(found.flat(), indent=2)) if as_json else show(found, a, b)


def check(a: str, b: str, options: CompareOptions) -> None:
    from operations.compare import NONE
    from operations.feature_space import SIZES
    from pipelines.registry.models_uri import is_models_uri

    for name in options.names:
        if name not in catalogue.METRICS:
            raise InputError(f"--metrics: {catalogue.unknown_name(name, catalogue.METRICS)}")
    extractors = [*catalogue.FEATURES, NONE]
    if options.extractor is not None and options.extractor not in extractors:
        raise InputError(f"--extractor: {catalogue.unknown_name(options.extractor, extractors)}")
    models = [place for place in (a, b) if is_models_uri(place)]
    if options.extractor == NONE:
        given = [name for name in ("size", "count", "weights", "sha256") if getattr(options, name) is not None]
        if given or models:
            came = models[0] if models else f"--{given[0]}"
            raise InputError(f"{came} with --extractor none: features have no images; leave one of them out")
    if options.size is not None and not SIZES[0] <= options.size <= SIZES[1]:
        raise InputError(f"--size {options.size}: expected {SIZES[0]} to {SIZES[1]:,} pixels a side")
    if options.count is not None and not models:
        raise InputError(f"--count {options.count}: neither A nor B is a model, and files are scored whole; leave it out")
    if options.count is not None and not 2 <= options.count <= 1_000_000:
        raise InputError(f"--count {options.count}: expected 2 to 1,000,000 images")
    if not 0 <= options.seed < SEEDS // 2:
        raise InputError(f"--seed {options.seed}: expected 0 to {SEEDS // 2 - 1}")
    check_weights(options)


def check_weights(options: CompareOptions) -> None:
    """Raises InputError where --weights and --sha256 do not fit the extractor: they name the file that it is read from."""
    from operations.compare import NONE

    name = options.extractor
    extractor = None if name in (None, NONE) else catalogue.get(catalogue.FEATURES, str(name))
    given = [f"--{option}" for option in ("weights", "sha256") if getattr(options, option) is not None]
    if extractor is not None and extractor.of_presets and options.weights is None:
        raise InputError(
            f"--extractor {name} is read from a preset: give --weights, its name, handle or folder, as in dinov2_small or "
            "./folder; docs/metrics.md has more"
        )
    if extractor is not None and extractor.from_file and not extractor.of_presets and len(given) < 2:
        raise InputError(
            f"--extractor {name} is read from a file: give --weights, its path or URL, and --sha256, its checksum; "
            "docs/metrics.md has both"
        )
    if given and (extractor is None or not extractor.from_file):
        raise InputError(f"{given[0]}: goes with an extractor that is read from a file, as inception and keras_hub are")
    if options.sha256 is not None and not re.fullmatch("[0-9a-f]{64}", options.sha256):
        raise InputError(f"--sha256 {options.sha256}: expected 64 hexadecimal digits, as sha256sum prints them")


def show(found: Scores, a: str, b: str) -> None:
    from pipelines.evaluation import summary
    from pipelines.scoring import readings

    declared, metrics, by_class = catalogue.scores(), found.flat(), readings.tables(found.tables)
    typer.secho(f"{a} against {b}", bold=True)
    for sentence in summary.headline(summary.find(metrics, by_class, candidate="the images of A", reference="those of B")):
        print(sentence)
    if rows := [row.cells() for row in readings.rows(metrics)]:
        console.table(list(rows[0]), [list(row.values()) for row in rows], wide=True)
    for title, table in by_class.items():
        lines = [(name, one.value_text, one.interval_text, one.ideal_text) for name, one in table.items()]
        console.table(
            ("class", title, "95 % interval", "ideal model", "better"), [(*line, declared[title].goal) for line in lines]
        )
    for reason in found.missing.values():
        print(f"not enough: {reason}")
    typer.secho(f"benchmark {found.benchmark_id}; rows of A: {found.samples:,}", dim=True)
