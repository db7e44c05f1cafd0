"""A process that generates with somebody else's sampler: started when it is first asked, started again when it dies.

It runs `serve_sampler.py` in the sampler's own interpreter, and nothing of the sampler is imported here. Time and memory are
limited. When it is let go, or this process ends, however it ends, no process and no temporary file of it is left.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
import weakref
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from . import serve_sampler
from .serve_sampler import LENGTH, MARK, MOST_HEADER

TICK = 0.25  # seconds between two looks at the memory while an answer is waited for, and at whether the process still runs
BETWEEN = 2.0  # seconds between two looks at the memory of a process whose calls are shorter than that
ROOM = 0.8  # of its memory that it may hold then; the rest is for the next call
GROWTH = 1.2  # times what it held after its first call: what it held then is the model itself, and comes again with each start
GRACE = 10.0  # seconds in which a process has ended that was told to
TAIL, LINES, LINE = 2**14, 6, 300  # bytes of its output that are kept; lines, and characters of each, that a message shows
PREFIX = "genloop-tmp-"  # of folders that `genloop gc` removes when no process uses them
# What Genloop itself is told by variables, passwords among it, is none of a sampler's or a trainer's business.
OWN_VARIABLES = ("GENLOOP_", "MLFLOW_", "PREFECT_")
OF_THIS_PYTHON = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")  # where its packages are: none of another one's


class WorkerError(RuntimeError):
    """The sampler gave no images. The message says why, for people."""


class WorkerDeathError(WorkerError):
    """The process ended while an answer was waited for."""


@dataclass(frozen=True)
class SamplerProgram:
    """What a worker runs.

    python: the interpreter. folder: of the sampler's code. sampler: module:object. weights: the folder that it is given.
    about: what it is told beside that, `size` and `channels` of the images among it. start, draw: seconds until it is loaded,
    and for one call. memory: bytes of all its processes. check: called before each start; raises WorkerError where it must not
    be started.
    """

    python: str
    folder: Path
    sampler: str
    weights: Path
    about: dict[str, Any]
    start: float
    draw: float
    memory: int
    check: Callable[[], None]


@dataclass
class OutputTail:
    """The last bytes that a process has written."""

    content: bytes = b""

    def read_all(self, descriptor: int) -> None:
        with contextlib.suppress(OSError):
            while part := os.read(descriptor, TAIL):
                self.content = (self.content + part)[-TAIL:]
        os.close(descriptor)

    def last_lines(self) -> str:
        """As a part of a message; empty where it wrote nothing."""
        lines = [line.strip()[:LINE] for line in self.content.decode(errors="replace").splitlines() if line.strip()]
        return f"; its last lines: {' | '.join(lines[-LINES:])}" if lines else ""


@dataclass(frozen=True)
class RunningWorker:
    """owner: the process that started it; one that was forked from that lets it be. life: closing it ends the worker."""

    process: subprocess.Popen[bytes]
    mark: str
    life: int
    owner: int
    folder: str
    output: OutputTail
    reader: threading.Thread
    description: dict[str, Any] = field(default_factory=dict)

    @property
    def requests(self) -> int:
        assert self.process.stdin is not None
        return self.process.stdin.fileno()

    @property
    def answers(self) -> int:
        assert self.process.stdout is not None
        return self.process.stdout.fileno()


class Worker:
    """Answers calls one after the other, from whichever thread they come."""

    def __init__(self, program: SamplerProgram) -> None:
        self.program = program
        self.lock = threading.RLock()
        self.running: RunningWorker | None = None
        self.finalizer: weakref.finalize | None = None
        self.number = 0
        self.measured = time.monotonic()  # its memory, between two calls
        self.settled: int | None = None  # bytes that the process held after its first call, when all is loaded

    def describe(self) -> dict[str, Any]:
        """Whether it offers `walk` and `variations`. Raises WorkerError."""
        with self.lock:
            for attempt in (1, 2):
                try:
                    return self.started().description
                except WorkerDeathError:
                    if attempt == 2:
                        raise
            raise AssertionError

    def call(self, call: str, arrays: dict[str, np.ndarray], **values: Any) -> np.ndarray:
        """Images (count, size, size, channels) uint8, one for each row of the arrays.

        Where the process dies meanwhile, it is started and asked once more.

        Raises:
            WorkerError: no images, for the reason that it gives.
        """
        count = len(next(iter(arrays.values())))
        size, channels = self.program.about["size"], self.program.about["channels"]
        request = {"call": call, "count": count, **values}
        expected: dict[str, tuple[int, ...]] = {"images": (count, size, size, channels)}
        with self.lock:
            for attempt in (1, 2):
                try:
                    running = self.started()
                    _, found = self.ask(running, request, arrays, expected, self.program.draw)
                    if self.settled is None:
                        self.settled = held_by(running, self.program.memory)
                    return found["images"]
                except WorkerDeathError:
                    if attempt == 2:
                        raise
            raise AssertionError

    def close(self) -> None:
        """End the process, after the call that it is busy with. The next call starts another one."""
        with self.lock:
            self.end()

    # Of one process; the lock is held.

    def started(self) -> RunningWorker:
        """The process, loaded and ready."""
        running = self.running
        if running is not None and running.owner != os.getpid():  # this process was forked: the worker is its parent's
            self.running = running = None
            if self.finalizer is not None:
                self.finalizer.detach()
        if running is not None and running.process.poll() is None and not self.outgrown(running):
            return running
        self.end()
        self.program.check()
        self.running, self.settled = start(self.program), None
        running = self.running
        self.finalizer = weakref.finalize(self, stop, running)
        program = self.program
        request = {
            "call": "describe",
            "folder": str(program.folder),
            "sampler": program.sampler,
            "weights": str(program.weights),
            "about": program.about,
        }
        try:
            about, _ = self.ask(running, request, {}, {}, program.start)
        except BaseException:
            self.end()
            raise
        running.description.update(about)
        return running

    def outgrown(self, running: RunningWorker) -> bool:
        """Whether a process that has answered many short calls has come to hold about as much memory as it may.

        A model that holds as much from its first call on has not grown: another process would hold the same.
        """
        if self.settled is None or time.monotonic() - self.measured < BETWEEN:
            return False
        self.measured = time.monotonic()
        most = min(max(int(ROOM * self.program.memory), int(GROWTH * self.settled)), self.program.memory)
        held = held_by(running, most)
        if held > most:
            print(
                f"a sampler's process held {held / 2**30:.1f} GiB of memory, {self.settled / 2**30:.1f} after its first call, "
                "and is started anew; let it keep less from call to call, or raise limits.memory_gb in its manifest",
                file=sys.stderr,
            )
        return held > most

    def end(self) -> None:
        if self.finalizer is not None:
            self.finalizer()  # which does nothing where it was called before
        self.running, self.finalizer = None, None

    def ask(
        self,
        running: RunningWorker,
        request: dict[str, Any],
        arrays: dict[str, np.ndarray],
        expected: dict[str, tuple[int, ...]],
        seconds: float,
    ) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The answer to a request, and its arrays of uint8.

        After a failure that is not the sampler's own exception, the process is ended: what it would still answer is nobody's.
        """
        self.number += 1
        try:
            exchange = Exchange(running, self.program, request["call"], seconds)
            exchange.write(serve_sampler.pack({"id": self.number, **request}, arrays))
            header, found = exchange.read(expected)
            if header.get("id") not in (self.number, 0):
                raise WorkerError(f"the sampler's process answered another request than `{request['call']}`; ask again")
        except BaseException:
            self.end()
            raise
        if error := header.get("error"):
            raise WorkerError(describe_error(error, self.program, request["call"]))
        return header["answer"], found


class Exchange:
    """One request and its answer, within a time and a memory."""

    def __init__(self, running: RunningWorker, program: SamplerProgram, call: str, seconds: float) -> None:
        self.running, self.program, self.call, self.seconds = running, program, call, seconds
        self.deadline = time.monotonic() + seconds

    def write(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            self.wait(self.running.requests, select.POLLOUT)
            try:
                rest = rest[os.write(self.running.requests, rest) :]
            except BlockingIOError:
                continue
            except OSError:  # nobody reads any more
                raise self.death() from None

    def read(self, expected: dict[str, tuple[int, ...]]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """expected: shapes of the arrays of uint8, by name; no others are read."""
        (length,) = LENGTH.unpack(self.read_bytes(LENGTH.size).tobytes())
        if length > MOST_HEADER:
            raise self.garbled()
        try:
            header = json.loads(self.read_bytes(length).tobytes())
            named = header.pop("arrays")
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self.garbled() from None
        wanted = {} if "error" in header else expected
        if named != [[name, "uint8", list(shape)] for name, shape in wanted.items()]:
            raise self.garbled()
        return header, {name: self.read_bytes(math.prod(shape)).reshape(shape) for name, shape in wanted.items()}

    def read_bytes(self, count: int) -> np.ndarray:
        """(count,) uint8"""
        content = np.empty(count, np.uint8)
        rest = content.data
        while rest:
            self.wait(self.running.answers, select.POLLIN)
            try:
                got = os.readv(self.running.answers, [rest])
            except BlockingIOError:
                continue
            if not got:
                raise self.death()
            rest = rest[got:]
        return content

    def wait(self, descriptor: int, event: int) -> None:
        poll = select.poll()
        poll.register(descriptor, event)
        while not poll.poll(1000 * TICK):
            self.check_memory()
            if self.running.process.poll() is not None:
                raise self.death()
            if time.monotonic() > self.deadline:
                limit, doing = ("start", "loaded") if self.call == "describe" else ("draw", f"done with `{self.call}`")
                raise WorkerError(
                    f"the sampler was not {doing} after {self.seconds:g} s, and was ended; make it faster, or raise "
                    f"limits.{limit} in its manifest{self.running.output.last_lines()}"
                )

    def check_memory(self) -> None:
        held = held_by(self.running, self.program.memory)
        if held > self.program.memory:
            raise WorkerError(
                f"the sampler held {held / 2**30:.1f} GiB of memory, more than its limit of {self.program.memory / 2**30:.1f}, "
                "and was ended; let it hold less, or raise limits.memory_gb in its manifest"
            )

    def death(self) -> WorkerDeathError:
        """How the process ended, which is waited for."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.running.process.wait(GRACE)
        self.running.reader.join(1.0)  # the rest of what it wrote
        how = describe_end(self.running.process.returncode)
        when, advice = f"in `{self.call}`", f"call it by itself in {self.program.python} to see why"
        if self.call == "describe":
            when, advice = "while it was loaded", f"{self.program.python} is to be a Python of 3.9 or later with numpy"
        return WorkerDeathError(f"the sampler's process ended {when}, twice: {how}; {advice}{self.running.output.last_lines()}")

    def garbled(self) -> WorkerError:
        return WorkerError(
            f"the sampler's process answered `{self.call}` with something that is no answer; something in "
            f"{self.program.folder} writes to descriptors that are not its own{self.running.output.last_lines()}"
        )


def variables(environment: Mapping[str, str], python: str) -> dict[str, str]:
    """What somebody else's program in the interpreter `python` gets of the environment; programs beside that one come first."""
    left_out = () if python == sys.executable else OF_THIS_PYTHON
    kept = {name: value for name, value in environment.items() if not name.startswith(OWN_VARIABLES) and name not in left_out}
    return {**kept, "PATH": os.pathsep.join([str(Path(python).parent), environment.get("PATH", os.defpath)])}


def start(program: SamplerProgram) -> RunningWorker:
    """A process that has loaded nothing yet. Raises WorkerError where the interpreter cannot be run."""
    mark, folder = uuid.uuid4().hex, tempfile.mkdtemp(prefix=PREFIX)
    life, held = os.pipe()  # `held` is closed by the system when this process ends
    try:
        process = subprocess.Popen(
            [program.python, serve_sampler.__file__, str(life), mark, folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            bufsize=0,
            cwd=program.folder,
            env={**variables(os.environ, program.python), MARK: mark, "TMPDIR": folder, "PYTHONUNBUFFERED": "1"},
            pass_fds=(life,),
            start_new_session=True,  # Ctrl-C is for this process, which then ends it
        )
    except OSError as error:
        os.close(held)
        shutil.rmtree(folder, ignore_errors=True)
        raise WorkerError(
            f"{program.python} does not run ({error.strerror}); it is to be a Python of 3.9 or later, with the sampler's "
            "requirements: set `python` in the manifest, or the variable GENLOOP_EXTERNAL_PYTHON, to one"
        ) from None
    finally:
        os.close(life)
    output = OutputTail()
    assert process.stderr is not None
    reader = threading.Thread(target=output.read_all, args=(os.dup(process.stderr.fileno()),), name="sampler", daemon=True)
    process.stderr.close()
    reader.start()
    running = RunningWorker(process, mark, held, os.getpid(), folder, output, reader)
    for descriptor in (running.requests, running.answers):
        os.set_blocking(descriptor, False)
    return running


def stop(running: RunningWorker) -> None:
    """End a process and all that it has started."""
    if running.owner != os.getpid():
        return
    process = running.process
    os.close(running.life)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)
    serve_sampler.end_all(running.mark, process.pid)
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe is not None
        pipe.close()
    running.reader.join(1.0)
    shutil.rmtree(running.folder, ignore_errors=True)


def held_by(running: RunningWorker, limit: int) -> int:
    """Bytes that all processes of a worker hold; where the sum is beyond the limit, pages that they share are counted once."""
    processes = [running.process.pid, *serve_sampler.relatives(running.mark, running.process.pid)]
    resident = sum(pages * os.sysconf("SC_PAGE_SIZE") for process in processes for pages in resident_pages(process))
    if resident <= limit:
        return resident
    return sum(1024 * kilobytes for process in processes for kilobytes in proportional_kilobytes(process))


def resident_pages(process: int) -> Iterator[int]:
    """One number; none where the process has ended, or where there is no /proc."""
    with contextlib.suppress(OSError, IndexError, ValueError):
        yield int(Path(f"/proc/{process}/statm").read_text().split()[1])


def proportional_kilobytes(process: int) -> Iterator[int]:
    """As `resident_pages`, with each page divided by the number of processes that share it."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                yield int(line.split()[1])


def describe_end(code: int | None) -> str:
    """In words. A program's exit code above 128 stands for a signal, as in a shell."""
    number = None if code is None else -code if code < 0 else code - 128
    if number is not None and number in {one.value for one in signal.Signals}:
        full = ", as when the machine's memory is full" if number == signal.SIGKILL else ""
        return f"killed by {signal.Signals(number).name}{full}"
    return "it does not answer" if code is None else f"it ended by itself with exit code {code}"


def describe_error(error: dict[str, str], program: SamplerProgram, call: str) -> str:
    """What the sampler's own exception says, and what to do."""
    kind, message, place, module = (error.get(name, "") for name in ("type", "message", "place", "module"))
    if not kind:
        return f"the sampler keeps no contract: {message}"
    what = "could not be loaded" if call == "describe" else f"failed in `{call}`"
    at = f" (at {place})" if place else ""
    advice = f"; install it: {program.python} -m pip install {module.partition('.')[0]}" if module else ""
    if module and Path(program.python) == Path(sys.executable):
        advice += ", or let `python` in the manifest name an environment that has it"
    return f"the sampler {what}: {kind}: {message}{at}{advice}"
