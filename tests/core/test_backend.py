"""What Keras is loaded with."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys
from pipelines.core import backend
if sys.argv[1] == "keep":
    backend.keep_memory()
def maps():
    return [bytearray(b"1") * (10 << 20) for _ in range(8)]
maps(), maps()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    maps()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries are left as they are")
def test_freed_memory_is_kept_for_the_next_step() -> None:
    def faults(how: str) -> int:
        return int(subprocess.run([sys.executable, "-c", FAULTS, how], capture_output=True, text=True, check=True).stdout)

    assert faults("keep") < faults("leave") / 100
