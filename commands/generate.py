"""genloop generate: writes images of a registered model into a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from commands.app import command
from pipelines.core.errors import InputError
from pipelines.core.numbers import HOTTEST, SEEDS
from pipelines.core.progress import say
from pipelines.core.project import Project

if TYPE_CHECKING:
    from operations.generate import Selection

MAX_IMAGES = {".png": 4096, ".npz": 1_000_000}  # images in one file; a larger picture is too large for viewers


@command()
def generate(
    project: Project,
    count: Annotated[int, typer.Option(help="How many images.")],
    out: Annotated[Path, typer.Option(resolve_path=True, help="A picture (.png) or the arrays (.npz).")],
    label: Annotated[str | None, typer.Option(help="A class, by name or index; without it all in turn.")] = None,
    prompt: Annotated[
        str | None, typer.Option(help="In place of a class: what to generate, in words, by a model that takes prompts.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the first image; each has its own.")] = 0,
    version: Annotated[int | None, typer.Option(help="Version of the model; without it the champion.")] = None,
    guided: Annotated[bool, typer.Option("--guided", help="Images that people will like, by all their votes so far.")] = False,
    temperature: Annotated[
        float | None,
        typer.Option(help="With --guided: lower is stricter, above 0; without it studio.temperature of params.yaml, 0.1."),
    ] = None,
    rater: Annotated[str | None, typer.Option(help="With --guided: by the taste of this rater.")] = None,
) -> None:
    """Generate images with a registered model."""
    check(count, seed, out)
    check_guided(guided, temperature, rater)

    from pipelines.core import files
    from pipelines.registry.client import open_registry

    params, registry = open_registry(project)

    from operations.generate import generate, store_samples

    if guided:
        from operations.guide import Guide

        with Guide.open(project, params, registry, version, say) as guide:
            generated = guide.generate(count, label, rater, temperature, seed, True, prompt)
    else:
        generated = generate(project, params, registry, count, label, seed, version, prompt)
    if out.suffix == ".png":  # people may vote on its images; an archive holds its seeds itself
        files.write(out, generated.picture())
        if guided:  # whose seeds nobody could know
            print(generated.table(), end="")
        if not store_samples(project, generated):
            say("nobody can vote on these images, because the database of events cannot be written here")
    else:
        files.write(out, generated.archive())
    say(f"{out}: {count} image{'s' * (count != 1)} by version {generated.version}")
    if generated.selection:
        say(describe(generated.selection, count))
    if generated.withheld:
        say(f"{generated.withheld} withheld, because people have flagged such images; other seeds replace them")


def describe(how: Selection, count: int) -> str:
    """How guided images were chosen, or why they were not."""
    if how.tries is None:
        return f"not guided, because {how.why}"
    line = f"guided {how.why}; temperature {how.temperature:.2g}, {how.tries.mean():.1f} tries an image"
    if how.forecast is not None and how.plain is not None:
        line += (
            f"; people would like about {how.forecast:.0%} of such images, and {how.plain:.0%} of images that are not chosen"
        )
    if how.given_up:
        line += f"; for {how.given_up} of {count} none was accepted, so the best that was tried is shown (studio.max_tries)"
    return line


def check_guided(guided: bool, temperature: float | None, rater: str | None) -> None:
    if rater is not None and not rater.strip():
        raise InputError("--rater: expected the name of a rater, came none")
    for name, value in (("--temperature", temperature), ("--rater", rater)):
        if value is not None and not guided:
            raise InputError(f"{name} {value}: only guided images have one; add --guided, or leave it out")
    if temperature is not None and not 0 < temperature <= HOTTEST:
        raise InputError(f"--temperature {temperature}: expected more than 0, and at most {HOTTEST:g}")


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
