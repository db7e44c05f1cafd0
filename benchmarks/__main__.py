"""Lists the benchmarks; each is a command of its own, because some take half an hour."""

from __future__ import annotations

import ast
from pathlib import Path

HELPERS = {"__init__", "__main__", "idle", "instrument", "ladder", "measure", "peers", "ranks", "turns", "workspace"}


def main() -> None:
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.stem not in HELPERS:
            about = ast.get_docstring(ast.parse(path.read_text())) or ""
            print(f"python -m benchmarks.{path.stem:<12} {about.splitlines()[0]}")


if __name__ == "__main__":
    main()
