"""An environment of their own for the peers that need PyTorch, which is no dependency of Genloop."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parents[1] / ".peers"
WITH_DEPENDENCIES = ["torch==2.13.0", "numpy", "scipy", "pillow", "tqdm", "requests"]
# torch-fidelity asks for torchvision, of which there may be no build for this torch; the arithmetic does not use it.
ALONE = ["torch-fidelity==0.4.0"]


def python() -> Path:
    """The peers' interpreter; the environment is made at the first call."""
    executable = FOLDER / "bin" / "python"
    if not (FOLDER / "complete").exists():
        print(f"making the peers' environment in {FOLDER} (once)", file=sys.stderr)
        venv.create(FOLDER, with_pip=True, clear=True)
        install = [executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, *WITH_DEPENDENCIES], check=True)
        subprocess.run([*install, "--no-deps", *ALONE], check=True)
        (FOLDER / "complete").touch()
    return executable


def run(script: str, *arguments: str) -> Any:
    """What `script` prints on its last line, as JSON, run by the peers' interpreter."""
    done = subprocess.run([python(), "-c", script, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the peer failed:\n{done.stderr}")
    return json.loads(done.stdout.strip().splitlines()[-1])
