"""genloop generate: writes images of a registered model into a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from commands.app import command
from pipelines.core.errors import InputError
from pipelines.core.numbers import SEEDS
from pipelines.core.progress import say
from pipelines.core.project import Project

MAX_IMAGES = {".png": 4096, ".npz": 1_000_000}  # images in one file; a larger picture is too large for viewers


@command()
def generate(
    project: Project,
    count: Annotated[int, typer.Option(help="How many images.")],
    out: Annotated[Path, typer.Option(resolve_path=True, help="A picture (.png) or the arrays (.npz).")],
    label: Annotated[str | None, typer.Option(help="A class, by name or index; without it all in turn.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of the first image; each has its own.")] = 0,
    version: Annotated[int | None, typer.Option(help="Version of the model; without it the champion.")] = None,
) -> None:
    """Generate images with a registered model."""
    check(count, seed, out)

    from pipelines.core import files
    from pipelines.registry.client import open_registry

    params, registry = open_registry(project)

    from operations.generate import generate, store_samples

    generated = generate(project, params, registry, count, label, seed, version)
    if out.suffix == ".png":  # people may vote on its images; an archive holds its seeds itself
        files.write(out, generated.picture())
        if not store_samples(project, generated):
            say("nobody can vote on these images, because the database of events cannot be written here")
    else:
        files.write(out, generated.archive())
    say(f"{out}: {count} images by version {generated.version}")
    if generated.withheld:
        say(f"{generated.withheld} withheld, because people have flagged such images; other seeds replace them")


def check(count: int, seed: int, out: Path) -> None:
    if out.suffix not in MAX_IMAGES:
        raise InputError(f"--out {out.name}: expected a name that ends in .png or .npz")
    if out.is_dir() or not out.parent.is_dir():
        raise InputError(f"--out {out}: {'is a folder' if out.is_dir() else 'its folder does not exist'}")
    if not os.access(out.parent, os.W_OK):
        raise InputError(f"--out {out}: no permission to write in {out.parent}")
    if not 1 <= count <= MAX_IMAGES[out.suffix]:
        raise InputError(f"--count {count}: expected 1 to {MAX_IMAGES[out.suffix]:,} for a {out.suffix} file")
    if not 0 <= seed <= SEEDS - count:
        raise InputError(f"--seed {seed}: expected 0 to {SEEDS - count}")
