"""How many cores and how much memory there are, in groups of both versions, in a container and outside."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from pipelines.core import limits
from pipelines.training import image_store

GIB = 2**30


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight cores, 64 GiB, of which 32 are available."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(8)))
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=64 * GIB, available=32 * GIB))


def write(folder: Path, monkeypatch: pytest.MonkeyPatch, membership: str, files: dict[str, str]) -> None:
    """files: below /sys/fs/cgroup, by path."""
    for name, text in files.items():
        file = folder / "groups" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{text}\n")
    (folder / "membership").write_text(membership)
    monkeypatch.setattr(limits, "CGROUPS", folder / "groups")
    monkeypatch.setattr(limits, "MEMBERSHIP", folder / "membership")


IN_CONTAINER = "0::/\n"  # of version 2, with a name space of its own
OF_MACHINE = "0::/kubepods/pod7/box\n"  # of version 2, as the machine sees it
VERSION_1 = "9:name=systemd:/\n4:memory:/docker/box\n1:cpu,cpuacct:/docker/box\n0::/\n"


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        (IN_CONTAINER, {"cpu.max": "150000 100000"}, 2),
        (IN_CONTAINER, {"cpu.max": "max 100000"}, 8),
        (IN_CONTAINER, {"cpu.max": "10000 100000"}, 1),
        (IN_CONTAINER, {"cpu.max": "6400000 100000"}, 8),
        (OF_MACHINE, {"kubepods/pod7/box/cpu.max": "max 100000", "kubepods/cpu.max": "300000 100000"}, 3),
        (OF_MACHINE, {"cpu.max": "200000 100000"}, 2),  # a container that sees the machine's path, but only its own folder
        (VERSION_1, {"cpu/docker/box/cpu.cfs_quota_us": "50000", "cpu/docker/box/cpu.cfs_period_us": "10000"}, 5),
        (VERSION_1, {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ("", {}, 8),
        (IN_CONTAINER, {"cpu.max": ""}, 8),
    ],
)
def test_cores_are_those_that_the_group_may_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, membership: str, files: dict[str, str], cores: int
) -> None:
    write(tmp_path, monkeypatch, membership, files)
    assert limits.cores() == cores


@pytest.mark.parametrize(
    ("membership", "files", "total", "available"),
    [
        (IN_CONTAINER, {"memory.max": f"{4 * GIB}", "memory.current": f"{GIB}"}, 4, 3),
        (
            IN_CONTAINER,
            {
                "memory.max": f"{4 * GIB}",
                "memory.current": f"{3 * GIB}",
                "memory.stat": f"inactive_file {2 * GIB}",
            },
            4,
            3,
        ),
        (IN_CONTAINER, {"memory.max": "max", "memory.current": f"{GIB}"}, 64, 32),
        (
            OF_MACHINE,
            {"kubepods/memory.max": f"{2 * GIB}", "kubepods/memory.current": f"{3 * GIB}"},
            2,
            0,
        ),
        (
            VERSION_1,
            {
                "memory/docker/box/memory.limit_in_bytes": f"{8 * GIB}",
                "memory/docker/box/memory.usage_in_bytes": f"{4 * GIB}",
                "memory/docker/box/memory.stat": f"inactive_file 0\ntotal_inactive_file {GIB}",
            },
            8,
            5,
        ),
        (
            VERSION_1,  # what version 1 writes where there is no limit
            {"memory/memory.limit_in_bytes": "9223372036854771712", "memory/memory.usage_in_bytes": "1"},
            64,
            32,
        ),
        ("", {}, 64, 32),
    ],
)
def test_memory_is_that_of_the_group(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, membership: str, files: dict[str, str], total: int, available: int
) -> None:
    write(tmp_path, monkeypatch, membership, files)
    assert limits.memory() == limits.Memory(total * GIB, available * GIB)


def test_the_images_of_a_training_stay_within_a_share_of_the_group_s_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = (64, 64, 3)
    most = GIB // (64 * 64 * 3)
    write(tmp_path, monkeypatch, IN_CONTAINER, {})
    assert isinstance(image_store.create(most, shape, 0.5, tmp_path), image_store.MemoryStore)
    write(tmp_path, monkeypatch, IN_CONTAINER, {"memory.max": f"{GIB}", "memory.current": "0"})
    assert isinstance(image_store.create(most, shape, 0.5, tmp_path), image_store.FileStore)
