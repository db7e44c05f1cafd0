"""The program that generates with somebody else's sampler, in an interpreter of its own. It answers one request after another.

    python serve_sampler.py LIFE MARK FOLDER

It needs Python 3.9 or later and numpy. Requests come on descriptor 0 and answers go to descriptor 1; both are put out of the
sampler's reach before its code is imported, so that whatever it prints goes to stderr and does no harm. A frame is the length
of a header, 4 bytes, the header, JSON, and then the bytes of the arrays that the header names.

LIFE is a descriptor that is closed when whoever asks has ended, however it ended. A second process, which imports nothing of
the sampler's, waits for that and for the end of the first one, and then ends every process that the sampler has started, which
are also those that carry MARK as their variable GENLOOP_WORKER, and removes FOLDER, where temporary files are.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import importlib
import json
import os
import pathlib
import shutil
import signal
import struct
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

MARK = "GENLOOP_WORKER"  # variable that all processes of a worker carry, and by which they are found
LENGTH = struct.Struct(">I")
MOST_HEADER = 2**24  # bytes; the prompts of a call lie in it
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
ROUNDS = 200  # in which processes are looked for that were started while others were ended
SHOWN = 300  # characters of a line that a message shows


class ContractError(Exception):
    """The sampler gave something else than was asked for. The message says what came, what was expected and what to do."""


def pack(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """A frame."""
    named = [[name, array.dtype.name, list(array.shape)] for name, array in arrays.items()]
    text = json.dumps({**header, "arrays": named}).encode()
    return b"".join([LENGTH.pack(len(text)), text, *(array.tobytes() for array in arrays.values())])


def read(descriptor: int, count: int) -> bytes:
    """So many bytes; fewer where the other end is closed."""
    parts: list[bytes] = []
    while count and (part := os.read(descriptor, min(count, 2**20))):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)


def read_frame(descriptor: int) -> tuple[dict[str, Any], dict[str, np.ndarray]] | None:
    """The next request; None where there will be none any more."""
    import numpy as np

    start = read(descriptor, LENGTH.size)
    if len(start) < LENGTH.size:
        return None
    header = json.loads(read(descriptor, LENGTH.unpack(start)[0]))
    arrays = {}
    for name, dtype, shape in header.pop("arrays"):
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        arrays[name] = np.frombuffer(read(descriptor, size), dtype).reshape(shape).copy()
    return header, arrays


def write(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


# The sampler


class SamplerService:
    """Loads the sampler at the first request, `describe`, and calls it at each further one."""

    folder = ""
    sampler: Any = None
    about: dict[str, Any]

    def answer(self, header: dict[str, Any], arrays: dict[str, np.ndarray]) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What the sampler says, and its arrays. Raises whatever its code raises, and ContractError."""
        call = header["call"]
        if call == "describe":
            self.load(header)
            return self.describe(), {}
        wanted = header.get("prompts", arrays.get("labels"))
        if call == "draw":
            images = self.sampler.draw(arrays["seeds"], wanted)
        elif call == "walk":
            images = self.sampler.walk(arrays["starts"], arrays["ends"], arrays["at"], wanted)
        else:
            images = self.sampler.variations(arrays["seeds"], arrays["others"], arrays["strength"], wanted)
        return {}, {"images": self.check(images, header["count"], call)}

    def load(self, header: dict[str, Any]) -> None:
        self.folder, self.about = header["folder"], header["about"]
        sys.path.insert(0, self.folder)
        module_name, _, attribute = header["sampler"].partition(":")
        try:
            kind: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name != module_name:
                raise
            raise ContractError(
                f"there is no module {module_name!r} in {self.folder}, as the manifest's `sampler: {header['sampler']}` asks "
                "for; add the file, or name another module"
            ) from None
        for part in attribute.split("."):
            if not hasattr(kind, part):
                raise ContractError(
                    f"{module_name} has no {attribute!r}, as the manifest's `sampler: {header['sampler']}` asks for; define "
                    "it, or name another object"
                )
            kind = getattr(kind, part)
        self.sampler = kind(pathlib.Path(header["weights"]), self.about)
        if not callable(getattr(self.sampler, "draw", None)):
            raise ContractError(f"{header['sampler']} made a {type(self.sampler).__name__} without a method `draw`; define it")

    def describe(self) -> dict[str, Any]:
        offered = {name: callable(getattr(self.sampler, name, None)) for name in ("walk", "variations")}
        return {**offered, "pid": os.getpid(), "python": sys.version.split()[0]}

    def check(self, images: Any, count: int, call: str) -> np.ndarray:
        """The images as an array, if they are what was asked for."""
        import numpy as np

        size, channels = self.about["size"], self.about["channels"]
        shape = (count, size, size, channels)
        array = np.asarray(images)
        if array.dtype == np.uint8 and array.shape == shape:
            return np.ascontiguousarray(array)
        came, advice = f"{array.dtype.name} {array.shape}", "give it this shape"
        if array.dtype.kind == "f":
            finite = bool(np.isfinite(array).all())
            came += f", from {array.min():.3g} to {array.max():.3g}" if finite and array.size else ""
            came += "" if finite else ", with numbers that are not finite"
            advice = "bring it to 0..255 and round it: np.rint(x).clip(0, 255).astype(np.uint8)"
            advice = advice if finite else "the weights or the code make NaN or infinite numbers; mend these first"
        elif array.dtype != np.uint8:
            advice = f"give an array of uint8, not a {type(images).__name__} of this kind"
        raise ContractError(f"`{call}` gave {came}, expected uint8 {shape}, 0..255; {advice}")


def describe_error(error: BaseException, folder: str) -> dict[str, str]:
    """The error's type and message, and the last place in the sampler's own files that it went through."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if folder and os.path.abspath(frame.filename).startswith(os.path.join(folder, ""))]
    place = f"{os.path.relpath(own[-1].filename, folder)}, line {own[-1].lineno}: {own[-1].line}" if own else ""
    module = error.name if isinstance(error, ModuleNotFoundError) and error.name else ""
    kind = "" if isinstance(error, ContractError) else type(error).__name__
    return {"type": kind, "message": str(error)[: 3 * SHOWN], "place": place[:SHOWN], "module": module}


def serve(requests: int, answers: int) -> None:
    """Answer until there are no more requests."""
    try:
        import numpy  # noqa: F401  (the first thing to be missing in an interpreter)
    except ImportError as error:
        write(answers, pack({"id": 0, "error": describe_error(error, "")}, {}))
        return
    service = SamplerService()
    while frame := read_frame(requests):
        header, arrays = frame
        try:
            values, found = service.answer(header, arrays)
            content = pack({"id": header["id"], "answer": values}, found)
        except BaseException as error:  # of the sampler's code, of any kind, sys.exit() among them
            content = pack({"id": header["id"], "error": describe_error(error, service.folder)}, {})
        write(answers, content)


# Processes


def relatives(mark: str, root: int) -> list[int]:
    """Processes that carry the mark, and all that descend from `root`, but not `root` itself; none where there is no /proc."""
    wanted, parents, found = f"{MARK}={mark}".encode(), {}, set()
    for name in os.listdir("/proc") if os.path.isdir("/proc/self") else ():
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:
                state, parent = file.read().rpartition(b")")[2].split()[:2]
            if state in (b"Z", b"X"):  # it has ended
                continue
            parents[int(name)] = int(parent)
            with open(f"/proc/{name}/environ", "rb") as file:
                if wanted in file.read().split(b"\0"):
                    found.add(int(name))
        except (OSError, ValueError):  # it has ended meanwhile, or is somebody else's
            continue
    family, before = {root}, 0
    while len(family) > before:
        before = len(family)
        family |= {child for child, parent in parents.items() if parent in family}
    return sorted((found | family) - {root, os.getpid()})


def end_all(mark: str, root: int) -> None:
    """End every process that carries the mark or descends from `root`, also those that are started meanwhile."""
    for _ in range(ROUNDS):
        with contextlib.suppress(ChildProcessError):
            while os.getpid() == root and os.waitpid(-1, os.WNOHANG)[0]:
                pass
        found = relatives(mark, root)
        if not found:
            return
        for process in found:
            with contextlib.suppress(OSError):  # it has ended meanwhile
                os.kill(process, signal.SIGKILL)
        time.sleep(0.005)


def guard(child: int, life: int, mark: str, folder: str) -> None:
    """Wait for the end of the child, or of whoever asks; then end what is left, and exit as the child did.

    folder: for temporary files, removed at the end. It is locked as long as it is used (pipelines/core/temporary_folder.py).
    """
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(os.open(folder, os.O_RDONLY), fcntl.LOCK_EX | fcntl.LOCK_NB)

    def end_with_asker() -> None:
        while os.read(life, 1):
            pass
        os.kill(child, signal.SIGKILL)

    threading.Thread(target=end_with_asker, daemon=True).start()
    ended, status = 0, 0
    while ended != child:  # orphans that have ended come here as well
        ended, status = os.waitpid(-1, 0)
    end_all(mark, os.getpid())
    shutil.rmtree(folder, ignore_errors=True)
    os._exit(128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status))


def control(option: int, value: int) -> None:
    """Linux' prctl; elsewhere nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value)


def main(life: int, mark: str, folder: str) -> None:
    requests, answers = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(2, 1)
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [place for place in sys.path if os.path.abspath(place) != here]  # the modules here are none of the sampler's
    control(PR_SET_CHILD_SUBREAPER, 1)  # whatever loses its parent becomes a child of this process, and ends with it
    guardian = os.getpid()
    child = os.fork()
    if child:
        os.close(requests)
        os.close(answers)
        guard(child, life, mark, folder)
    os.close(life)
    control(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() == guardian:  # else it has ended before it could be asked to end this one
        serve(requests, answers)


if __name__ == "__main__":
    main(int(sys.argv[1]), *sys.argv[2:])
