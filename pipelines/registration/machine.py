"""Which machine this is and which packages are installed on it: the same code and data give other bits where these differ."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name


def describe() -> dict[str, Any]:
    """The facts of this machine that need no Keras; `pipelines/core/backend.py` describes the rest."""
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
    return dict(sorted((canonicalize_name(name), version) for name, version in names if name))
