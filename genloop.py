"""The `genloop` command: translates what the user typed, calls, and turns faults into words and exit codes.

Exit codes: 0 done, 1 failed, 2 unusable input, 3 the gate said no. Nothing heavy is imported before it is needed.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help=("Keeps a generative image model getting better: images in, a registered model out, again and again."),
)

Overlays = Annotated[list[Path], typer.Option("--params", metavar="OVERLAY", help="YAML laid over params.yaml.")]
Settings = Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="As in train.steps=500.")]
Json = Annotated[bool, typer.Option("--json", help="For programs.")]


@app.command()
def run(
    overlays: Overlays = [],  # noqa: B006
    settings: Settings = [],  # noqa: B006
    force: Annotated[bool, typer.Option("--force", help="Run every stage, fresh or not.")] = False,
) -> None:
    """Bring everything up to date: data, model, scores, registry. Settings are written into params.yaml."""
    with faults():
        from commands.run import run

        run(overlays, settings, force)


@app.command()
def generate(
    count: Annotated[int, typer.Option(help="How many images.")],
    out: Annotated[Path, typer.Option(help="A picture (.png) or the arrays (.npz).")],
    label: Annotated[str | None, typer.Option(help="A class, by name or index; without it all in turn.")] = None,
    seed: Annotated[int, typer.Option(help="Of the first image; each has its own.")] = 0,
    version: Annotated[int | None, typer.Option(help="Of the model; without it the champion.")] = None,
) -> None:
    """Draw images with a registered model."""
    with faults():
        from commands.generate import generate

        generate(count, label, seed, version, out)


@app.command()
def score(
    a: Annotated[
        str, typer.Argument(metavar="A", help="What is judged: a folder of images, .npz, .parquet or models:/NAME@alias.")
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="What it is compared with, of the same kinds.")],
    extractor: Annotated[str | None, typer.Option(help="domain, inception or random; none: the files hold features.")] = None,
    metrics: Annotated[str | None, typer.Option(help="As in fid,kid; without it all that apply.")] = None,
    size: Annotated[int | None, typer.Option(help="Pixels a side; without it as B's images.")] = None,
    count: Annotated[int | None, typer.Option(help="Images that a model draws.")] = None,
    seed: Annotated[int, typer.Option(help="Of the first image that a model draws.")] = 0,
    weights: Annotated[str | None, typer.Option(help="Path or URL of the file of inception.")] = None,
    sha256: Annotated[str | None, typer.Option(help="Of that file.")] = None,
    as_json: Json = False,
) -> None:
    """Compare any two sets of images, or of features, by every metric."""
    with faults():
        from commands.score import Asked, score

        score(a, b, Asked(extractor, metrics, size, count, seed, weights, sha256), as_json)


@app.command("import-feedback")
def import_feedback(
    file: Annotated[Path, typer.Argument(help="JSON lines, a JSON list, CSV, Parquet, or an export; docs/feedback.md.")],
    form: Annotated[
        str | None, typer.Option("--format", help="jsonl, json, csv, parquet, label-studio or argilla; else as it looks.")
    ] = None,
    at: Annotated[
        str | None, typer.Option(help="When it was said, where the file has no times; else when it was saved.")
    ] = None,
    like: Annotated[str | None, typer.Option(help="Answers of an export that are a like, as in good,4,5.")] = None,
    dislike: Annotated[str | None, typer.Option(help="Answers that are a dislike, as in bad,1,2.")] = None,
    as_json: Json = False,
) -> None:
    """Add what people said, from a file; what is unusable is listed beside it."""
    with faults():
        from commands.import_feedback import import_feedback

        import_feedback(file, form, at, like, dislike, as_json)


@app.command()
def fold(as_json: Json = False) -> None:
    """Seal what people have said since the last time, into data/feedback: DVC keeps it, git says what it was."""
    with faults():
        from commands.fold import fold

        fold(as_json)


@app.command()
def promote(
    version: Annotated[int | None, typer.Option(help="Of the model; without it the challenger.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what the gate says, and change nothing.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Whatever the gate says; needs --reason.")] = False,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for the history.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, where promotion.require_approval would.")] = False,
    as_json: Json = False,
) -> None:
    """Let a version take the champion's place, if the gate finds it better; exit code 3 if it does not."""
    with faults():
        from commands.promote import promote

        if not promote(version, dry_run, force, reason, yes, as_json):
            raise typer.Exit(3)


@app.command()
def rollback(
    to: Annotated[int | None, typer.Option(metavar="N", help="A version; without it the champion before.")] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why, for the history.")] = None,
    as_json: Json = False,
) -> None:
    """Take the last promotion back; again and again, it goes further back."""
    with faults():
        from commands.rollback import rollback

        rollback(to, reason, as_json)


@app.command()
def history(
    version: Annotated[int | None, typer.Argument(metavar="VERSION", help="What this one was made of, and from what.")] = None,
    at: Annotated[str | None, typer.Option(metavar="TIME", help="Which version was champion, as in 2026-01-31T12:00.")] = None,
    as_json: Json = False,
) -> None:
    """Say which version was champion when, and why; or where one version comes from."""
    with faults():
        from commands.history import history

        history(version, at, as_json)


@app.command()
def rebuild(
    version: Annotated[int, typer.Argument(metavar="VERSION")],
    keep: Annotated[bool, typer.Option("--keep", help="Leave the folder that it was made in.")] = False,
    as_json: Json = False,
) -> None:
    """Make a version again from its commit and data, and say whether it is equal; exit code 1 if it is not."""
    with faults():
        from commands.rebuild import rebuild

        if not rebuild(version, keep, as_json):
            raise typer.Exit(1)


@app.command()
def why(
    row: Annotated[str, typer.Argument(metavar="ROW", help="A row_id, or its first eight digits or more.")],
    as_json: Json = False,
) -> None:
    """From a training row to the events behind it."""
    with faults():
        from commands.why import why

        why(row, as_json)


@app.command()
def influence(rater: Annotated[str, typer.Argument(metavar="RATER")], as_json: Json = False) -> None:
    """What one rater has said, what it changed, and which versions have learned from it."""
    with faults():
        from commands.influence import influence

        influence(rater, as_json)


@app.command()
def forget(
    rater: Annotated[str, typer.Argument(metavar="RATER")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Remove a rater from the database and the dataset, and say which versions to retire."""
    with faults():
        from commands.forget import forget

        forget(rater, yes, as_json)


@app.command()
def tune(
    trials: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="More than there are; without it as many as tune.trials says.")
    ] = None,
    overlays: Overlays = [],  # noqa: B006
    settings: Settings = [],  # noqa: B006
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Of what is best; else data/reports/tuned.yaml.")] = None,
    as_json: Json = False,
) -> None:
    """Look for better settings among those that tune.space names, by short trainings scored on rows left out.

    What it finds is a file for `genloop run --params`. It can be stopped at any time; started again, it goes on. Several may
    work at the same study. Settings given here are written into params.yaml.
    """
    with faults():
        from commands.tune import tune

        tune(trials, overlays, settings, out, as_json)


@app.command()
def simulate(
    config: Annotated[Path | None, typer.Argument(metavar="CONFIG", help="YAML, as examples/simulate.yaml.")] = None,
    settings: Annotated[list[str], typer.Option("--set", metavar="KEY=VALUE", help="As in turns=3, of CONFIG.")] = [],  # noqa: B006
    out: Annotated[Path, typer.Option(help="Folder of the table, the plot and the scratch copy.")] = Path("simulation"),
    as_json: Json = False,
) -> None:
    """Run the loop with simulated raters, in a copy of this project."""
    with faults():
        from commands.simulate import simulate

        simulate(config, settings, out, as_json)


@app.command()
def status(as_json: Json = False) -> None:
    """Say which versions there are and which stages are stale."""
    with faults():
        from commands.status import status

        status(as_json)


@app.command()
def doctor(
    as_json: Json = False,
    full: Annotated[bool, typer.Option("--full", help="Also load Keras and let the champion draw.")] = False,
) -> None:
    """Check this machine and this project, and say what to do about each fault."""
    with faults():
        from commands.doctor import doctor

        if not doctor(as_json, full):
            raise typer.Exit(1)


@contextmanager
def faults() -> Iterator[None]:
    """A fault as a line on stderr and an exit code; a traceback only for our own mistakes."""
    try:
        yield
    except typer.Exit:
        raise
    except BaseException as error:
        from pipelines.stage import explain

        message, code = explain(error)
        if message is None:
            raise
        sys.stdout.flush()
        print(f"genloop: {message}", file=sys.stderr)
        raise typer.Exit(code) from None


def main() -> None:
    try:
        app()
    except SystemExit as end:
        if end.code != 130:  # so Typer ends, without a word, when Ctrl-C comes before a command has begun
            raise
        print("genloop: interrupted", file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
