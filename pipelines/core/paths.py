"""Where things lie, relative to the project's root, which is the working directory of every stage."""

from __future__ import annotations

from pathlib import Path

PARAMS = Path("params.yaml")
LOCK = Path("dvc.lock")

RAW = Path("data/raw")
FACTS = Path("data/facts")
CLEAN = Path("data/clean")
REFERENCE = Path("data/reference")
FEEDBACK = Path("data/feedback")  # what `fold` sealed; DVC's own, no stage's output
MANIFEST = Path("data/feedback.json")  # says what must lie there; in git
CURATED = Path("data/curated")
APPROVAL = Path("data/approval")
MODEL = Path("data/model")
REPORTS = Path("data/reports")
NOISE = Path("data/noise.json")  # how far scores move with the seed; measured by a graph of its own, noise/dvc.yaml
QUARANTINE = Path("data/quarantine")

# DVC deletes a stage's outputs before it runs, so what a stage resumes from lies outside `data/`.
CHECKPOINTS = Path("checkpoints")
LOGS = Path("logs")


def root() -> Path:
    """The project that the working directory is in, else the one that this code is part of."""
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if (folder / "dvc.yaml").is_file() and (folder / PARAMS).is_file():
            return folder
    return Path(__file__).resolve().parents[2]
