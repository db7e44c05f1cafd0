"""What this process may use of the machine: cores and memory, as its affinity and its control groups (cgroups) allow.

A container sees all of the machine's cores and memory, and is slowed down or killed at limits that stand in files.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CGROUPS = Path("/sys/fs/cgroup")
MEMBERSHIP = Path("/proc/self/cgroup")  # a line for each hierarchy: "0::/path" (version 2) or "4:memory:/path" (version 1)


@dataclass(frozen=True)
class Memory:
    """Bytes."""

    total: int
    available: int


def cores() -> int:
    """At least 1."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([allowed, *(math.ceil(quota) for quota in processor_quotas())]))


def memory() -> Memory:
    """Of the machine, or of the control group where that has less."""
    import psutil

    machine = psutil.virtual_memory()
    total, available = machine.total, machine.available
    for limit, used in memory_limits():
        total, available = min(total, limit), min(available, max(0, limit - used))
    return Memory(total, available)


def processor_quotas() -> Iterator[float]:
    """Cores' worth of time that each group above this process may use."""
    for folder in groups("cpu"):
        words = read(folder / "cpu.max").split() or [read(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period")]
        if len(words) == 2 and all(word.isdigit() and int(word) for word in words):  # not "max", -1 or missing
            yield int(words[0]) / int(words[1])


def memory_limits() -> Iterator[tuple[int, int]]:
    """(limit, used) in bytes, of each group above this process; pages of files that can be dropped are not counted as used."""
    for folder in groups("memory"):
        limit = read(folder / "memory.max") or read(folder / "memory.limit_in_bytes")
        used = read(folder / "memory.current") or read(folder / "memory.usage_in_bytes")
        if limit.isdigit() and used.isdigit():
            pages = dict(line.split() for line in read(folder / "memory.stat").splitlines())
            cached = int(pages.get("total_inactive_file") or pages.get("inactive_file") or 0)
            yield int(limit), max(0, int(used) - cached)


def groups(controller: str) -> Iterator[Path]:
    """The folders of this process's control group and of those above it, for `cpu` or `memory`."""
    for line in read(MEMBERSHIP).splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            root = CGROUPS
        elif controller in controllers.split(","):
            root = CGROUPS / controller
        else:
            continue
        group = root / path.lstrip("/")
        # A container may see the machine's path, and below the root only its own group: then the folder is not there.
        yield from (folder for folder in (group, *group.parents) if folder.is_relative_to(root) and folder.is_dir())


def read(file: Path) -> str:
    try:
        return file.read_text().strip()
    except OSError:
        return ""
