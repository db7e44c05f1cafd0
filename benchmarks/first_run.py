"""What a newcomer waits for: `make run` on a fresh clone, the packages being in pip's cache, and a second `make run`.

python -m benchmarks.first_run
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from benchmarks import measure
from benchmarks.workspace import REPOSITORY


def main() -> None:
    with tempfile.TemporaryDirectory(prefix="genloop-") as temporary:
        folder = Path(temporary) / "genloop"
        subprocess.run(["git", "clone", "--quiet", REPOSITORY, folder], check=True)
        plain = {"PATH": "/usr/local/bin:/usr/bin:/bin", "VIRTUAL_ENV": "", "PYTHONPATH": ""}
        first = measure.run(["make", "run"], folder, plain)
        os.sync()  # the installation is still on its way to the disk
        second = measure.run(["make", "run"], folder, plain)
    print(first.output[-2500:])
    print(f"first run, install included: {first.seconds:.0f} s, peak memory {first.peak_gib:.2f} GiB")
    print(f"second run, nothing to do: {second.seconds:.1f} s")


if __name__ == "__main__":
    main()
