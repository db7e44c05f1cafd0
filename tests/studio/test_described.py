"""The API against its own description: schemathesis makes right and wrong requests from it, and checks the answers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.studio.serving import PRODUCT, Studio

EXAMPLES = 20  # of each operation
PROGRAM = Path(sys.executable).with_name("schemathesis")


def test_every_answer_is_as_described(studio: Studio, tmp_path: Path) -> None:
    command = [PROGRAM, "run", f"{studio.address}/api/v1/openapi.json", "--checks", "all", "--seed", "1", "--no-color"]
    command += ["--max-examples", str(EXAMPLES), "--header", f"Authorization: Bearer {PRODUCT}", "--request-timeout", "10"]
    command += ["--exclude-path-regex", "admin"]  # a key that may do everything is not what a product has
    environment = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.studio.image_format", "PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-8000:]
    assert studio.client().get("/readyz").status_code == 200
    assert not [line for line in studio.log if "bug" in line]
