"""The command of an external training: run to its end, its lines read as they come, and held to the limits of its manifest."""

from __future__ import annotations

import json
import math
import os
import selectors
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipelines.core.errors import GenloopError
from pipelines.core.progress import duration
from pipelines.core.temporary_folder import TemporaryFolder
from pipelines.external.job import JobFolders
from pipelines.external.log import LineSplitter, TrainerLog
from pipelines.external.process_tree import ProcessTree
from pipelines.models import worker
from pipelines.settings.manifest import ProcessLimits

CHUNK = 2**18  # bytes that are read at once
PAUSE = 0.2  # seconds to wait for output before limits are looked at
LATE_OUTPUT = 5.0  # seconds for what is in the pipes when the command has ended
LOOK = 1.0  # seconds between two looks at memory and disk
MOST_STEP = 2**53  # from where on not every whole number has a floating-point number of its own
LEAST_FREE = 2**27  # bytes of disk that are left for others


@dataclass(frozen=True)
class TrainingReport:
    """A line that the training reported. values: numbers by name. preview: a file's name. labels: of the images in it."""

    step: int
    values: dict[str, float]
    preview: str | None = None
    labels: list[int] | None = None


def run(
    command: Sequence[str],
    folders: JobFolders,
    environment: Mapping[str, str],
    limits: ProcessLimits,
    log: TrainerLog,
    receive: Callable[[TrainingReport], None],
) -> None:
    """Run the training's command in `folders.code`, and hand each report to `receive`. No process of it is left afterwards.

    Raises:
        GenloopError: it failed, went beyond a limit, or `receive` did not like what it reported; with its last lines.
    """
    began = time.monotonic()
    # Not below the project: the name of a socket, by which processes of one program talk, may have no more than 107 characters.
    with TemporaryFolder() as temporary, ProcessTree(command, folders.code, {**environment, "TMPDIR": temporary}) as tree:
        watch = LimitWatch(tree, folders.top, folders.data, Path(temporary), limits)
        try:
            follow(tree, watch, log, receive)
            check_end(tree.wait(), command, time.monotonic() - began)
        except GenloopError as error:
            lines = log.tail()
            said = f"its last lines:\n{lines}" if lines else "it printed nothing of its own"
            raise type(error)(f"{error}; {said}") from None


def follow(tree: ProcessTree, watch: LimitWatch, log: TrainerLog, receive: Callable[[TrainingReport], None]) -> None:
    """Read what the command prints until it has ended, and all processes that it started."""
    with selectors.DefaultSelector() as selector:
        for pipe in (tree.process.stdout, tree.process.stderr):
            assert pipe is not None
            os.set_blocking(pipe.fileno(), False)
            selector.register(pipe, selectors.EVENT_READ, LineSplitter())
        ended = math.inf  # when the command was seen to have ended
        while tree.process.poll() is None or (selector.get_map() and time.monotonic() < ended + LATE_OUTPUT):
            if tree.process.poll() is not None:
                ended = min(ended, time.monotonic())
            for key, _ in selector.select(PAUSE):
                stream, splitter = key.fileobj, key.data
                chunk = os.read(key.fd, CHUNK)
                lines = splitter.feed(chunk) if chunk else splitter.end()
                if not chunk:
                    selector.unregister(stream)
                own = []
                for line in lines:
                    report = parse(line) if stream is tree.process.stdout else None
                    if report is None:
                        own.append(line)
                    else:
                        watch.reported = time.monotonic()
                        receive(report)
                log.add(own)
            watch.check()


def parse(line: bytes) -> TrainingReport | None:
    """A report: a JSON object with a whole number as `step`; None of any other line. What is no number in it is left out."""
    text = line.strip()
    if not text.startswith(b"{"):
        return None
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    step = content.get("step")
    if not is_number(step) or not 0 <= step < MOST_STEP or step != int(step):
        return None
    values = {name: number(value) for name, value in content.items() if name != "step" and is_number(value)}
    preview, labels = content.get("preview"), content.get("labels")
    if not isinstance(preview, str):
        return TrainingReport(int(step), values)
    known = isinstance(labels, list) and all(type(label) is int for label in labels)
    return TrainingReport(int(step), values, preview, labels if known else None)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def number(value: float) -> float:
    try:
        return float(value)
    except OverflowError:  # of a whole number with hundreds of digits
        return math.inf


@dataclass
class LimitWatch:
    """Looks whether a training keeps to its limits. top: its folder. data: a folder in it that is not its own work.

    temporary: another folder of its own.
    """

    tree: ProcessTree
    top: Path
    data: Path
    temporary: Path
    limits: ProcessLimits
    reported: float = field(default_factory=time.monotonic)
    looked: float = 0.0
    pause: float = LOOK

    def check(self) -> None:
        """Raises GenloopError where it does not."""
        now = time.monotonic()
        if (silence := now - self.reported) > self.limits.silence:
            raise GenloopError(
                f"the training has reported nothing for {duration(silence)}, expected a line of JSON with a step within "
                f"{self.limits.silence:g} s; it was ended. Let it report more often, or raise limits.silence of its manifest"
            )
        if now - self.looked < self.pause:
            return
        self.check_memory()
        self.check_disk()
        self.looked = time.monotonic()
        self.pause = max(LOOK, 20 * (self.looked - now))  # a look takes a twentieth of the time at the most

    def check_memory(self) -> None:
        most = self.limits.memory_gb * 1e9
        used = self.tree.resident_bytes()
        if used > most and (used := self.tree.shared_bytes() or used) > most:
            raise GenloopError(
                f"the training takes {used / 1e9:.1f} GB of memory, expected at most {self.limits.memory_gb:g} GB; it was "
                "ended. Try a smaller train.batch_size or model.preset, or raise limits.memory_gb of its manifest"
            )

    def check_disk(self) -> None:
        used = disk_usage(self.top, self.data) + disk_usage(self.temporary, self.data)
        if used > self.limits.disk_gb * 1e9:
            raise GenloopError(
                f"the training has written {used / 1e9:.2f} GB into its folders, expected at most {self.limits.disk_gb:g} GB; "
                "it was ended. Let it keep fewer checkpoints, or raise limits.disk_gb of its manifest"
            )
        free = shutil.disk_usage(self.top).free
        if free < LEAST_FREE:
            raise GenloopError(
                f"the disk is full: {free / 1e6:,.0f} MB are free, expected {LEAST_FREE / 1e6:,.0f} MB for others; the "
                "training was ended. Make room and run again; it goes on from its checkpoints"
            )


def disk_usage(folder: Path, excluded: Path) -> int:
    """Bytes of disk that the files below a folder take. What vanishes meanwhile takes none."""
    total = 0
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return 0
    for entry in entries:
        try:
            if entry.is_dir(follow_symlinks=False):
                total += 0 if entry.path == str(excluded) else disk_usage(Path(entry.path), excluded)
            else:
                total += entry.stat(follow_symlinks=False).st_blocks * 512
        except OSError:
            continue
    return total


def check_end(code: int, command: Sequence[str], seconds: float) -> None:
    """Raises GenloopError where the command has failed."""
    if code == 0:
        return
    raise GenloopError(
        f"the training failed after {duration(seconds)}: {worker.describe_end(code)}, expected exit code 0 "
        f"(`{' '.join(command)}`); mend what its lines say, and run again: it finds its checkpoints"
    )


def variables(environment: Mapping[str, str], folders: JobFolders, python: str) -> dict[str, str]:
    """The environment of the command: as that of a sampler, with the job."""
    own = {"PYTHONUNBUFFERED": "1", "GENLOOP_JOB": str(folders.file)}
    return {**worker.variables(environment, python), **own}
