"""Which machine this is and which packages are installed on it: the same code and data give other bits where these differ."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path
from typing import Any


def describe() -> dict[str, Any]:
    """What `pipelines/core/backend.py` cannot say without Keras is its own; this is the rest."""
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "platform": platform.platform(),
        "python": platform.python_version(),
    }


def processor() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def packages() -> dict[str, str]:
    """Version of every package that is installed here, by its normal name."""
    names = ((package.metadata["Name"], package.version) for package in importlib.metadata.distributions())
    return dict(sorted((normal(name), version) for name, version in names if name))


def normal(name: str) -> str:
    """As in https://packaging.python.org/en/latest/specifications/name-normalization/"""
    return re.sub(r"[-_.]+", "-", name).lower()
