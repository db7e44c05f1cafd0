"""What pyproject.toml asks for, a line each: Genloop's dependencies and those of the extras that are named as arguments."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[2] / "pyproject.toml"


def main(extras: list[str]) -> None:
    about = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    known = about["optional-dependencies"]
    if unknown := [extra for extra in extras if extra not in known]:
        sys.exit(f"unknown extras: {', '.join(unknown)}; pyproject.toml has {', '.join(known)}")
    print(*about["dependencies"], *(line for extra in extras for line in known[extra]), sep="\n")


if __name__ == "__main__":
    main(sys.argv[1:])
