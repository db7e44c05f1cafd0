"""An environment of their own for the peers, which are no dependencies of Genloop."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / ".peers"
WITH_DEPENDENCIES = ["torch==2.13.0", "numpy", "scipy", "pillow", "tqdm", "requests", "scikit-learn==1.9.1", "prdc==0.2"]
# They ask for torchvision, of which there may be no build for this torch; the arithmetic does not use it.
ALONE = ["torch-fidelity==0.4.0", "clean-fid==0.1.35"]


def python() -> Path:
    """The peers' interpreter; the environment is made at the first call, and completed when the lists have changed."""
    executable = FOLDER / "bin" / "python"
    asked = hashlib.sha256(json.dumps([WITH_DEPENDENCIES, ALONE]).encode()).hexdigest()[:16]
    complete = FOLDER / f"complete-{asked}"
    if not complete.exists():
        print(f"making the peers' environment in {FOLDER} (once)", file=sys.stderr)
        if not executable.exists():
            venv.create(FOLDER, with_pip=True, clear=True)
        install: list[str | Path] = [executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *WITH_DEPENDENCIES], check=True)
        subprocess.run([*install, "--no-deps", *ALONE], check=True)
        complete.touch()
    return executable


def run(script: str, *arguments: str, interpreter: Path | None = None) -> Any:
    """What `script` prints on its last line, as JSON, run by the peers' interpreter or another."""
    done = subprocess.run([interpreter or python(), "-c", script, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the script failed:\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])
