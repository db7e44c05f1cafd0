"""A clone of the repository in a temporary folder, with settings of its own, so that benchmarks leave no traces."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PYTHON = Path(sys.executable)


@contextmanager
def clone(overlays: Sequence[str] = (), settings: Sequence[str] = ()) -> Iterator[Path]:
    """A clone of the last commit; `overlays` are files of the repository, `settings` are `key=value`."""
    with tempfile.TemporaryDirectory(prefix="genloop-") as temporary:
        folder = Path(temporary) / "genloop"
        subprocess.run(["git", "clone", "--quiet", REPOSITORY, folder], check=True)
        (folder / ".venv").symlink_to(PYTHON.parents[1])
        change(folder, overlays, settings)
        yield folder


def change(folder: Path, overlays: Sequence[str] = (), settings: Sequence[str] = ()) -> None:
    """Write into the clone's params.yaml, by its own code."""
    program = "import sys; from pathlib import Path; from pipelines.settings.load import update_params; n = int(sys.argv[1])"
    program += "\nupdate_params(Path('params.yaml'), [Path(path) for path in sys.argv[2:2 + n]], sys.argv[2 + n:])"
    command = [PYTHON, "-c", program, str(len(overlays)), *overlays, *settings]
    subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(folder)}, check=True)
