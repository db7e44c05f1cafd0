"""Services: programs that are kept running side by side, each started again when it ends; their lines on one terminal."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import httpx

from pipelines.core.errors import GenloopError, InputError
from pipelines.core.project import Project
from workspace import processes, terminal

PAUSES = 1.0, 30.0  # seconds before a service is started again: at first, and at most; twice as long each time
TRIES = 3  # of a service that ends by itself
SETTLED = 60.0  # seconds after which a service has started well, so that its next end is a first one
POLL = 0.1  # seconds between two looks at whether it answers
TIMEOUT = 5.0  # seconds for an answer


@dataclass(frozen=True)
class Service:
    """check: the address that answers once it is ready; empty where being started is all. once: it ends by itself, with 0.
    needs: whether it uses other services, so that it ends before them."""

    name: str
    command: tuple[str, ...]
    check: str = ""
    variables: Mapping[str, str] = field(default_factory=dict, hash=False)
    once: bool = False
    needs: bool = False


class ServiceGroup:
    """Services of one project.

    >>> with ServiceGroup(project, write) as group:
    ...     group.start(service)
    ...     group.wait(service)
    ...     group.join()

    write: gets the name of a service and a line of it, or about it, from any thread.
    """

    def __init__(self, project: Project, write: Callable[[str, str], None]) -> None:
        self.project, self.write = project, write
        self.threads: dict[Service, threading.Thread] = {}
        self.processes: dict[Service, subprocess.Popen[bytes]] = {}
        self.stopping = threading.Event()
        self.lock = threading.Lock()  # none is started while all are stopped
        self.failures: dict[Service, int] = {}  # exit codes of those that are not started again
        self.ended = threading.Condition()

    def __enter__(self) -> ServiceGroup:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, service: Service) -> None:
        # Linux ends a program with the thread that started it, so that thread waits for it.
        thread = threading.Thread(target=self.keep, args=[service], name=service.name, daemon=True)
        self.threads[service] = thread
        thread.start()

    def wait(self, service: Service) -> None:
        """Until it answers. Raises GenloopError where it has ended for good, or all are stopped."""
        with httpx.Client(trust_env=False, timeout=TIMEOUT) as client:
            while service.check:
                self.require(service)
                try:
                    if client.get(service.check).is_success:
                        return
                except httpx.TransportError:
                    pass
                if self.stopping.wait(POLL):
                    raise GenloopError(f"{service.name}: stopped before it answered")

    def join(self, essential: Service) -> None:
        """Until Ctrl-C. Raises GenloopError when the service that all is about has ended for good."""
        with self.ended:
            while True:
                self.require(essential)
                self.ended.wait(1.0)  # for a limited time, or Python would hear of no signal

    def require(self, service: Service) -> None:
        """Raises GenloopError, or InputError, where the service has ended for good."""
        code = self.failures.get(service)
        if code is not None:
            kind = InputError if code == InputError.exit_code else GenloopError
            raise kind(f"{service.name}: {processes.describe_end(code)}")

    def keep(self, service: Service) -> None:
        """Run it, again and again."""
        pause, ends = PAUSES[0], 0
        while not self.stopping.is_set():
            began, ends = time.monotonic(), ends + 1
            try:
                code = self.run(service)
            except OSError as error:  # no memory or no process to be had
                self.tell(service, str(error))
                code = GenloopError.exit_code
            if self.stopping.is_set() or (service.once and code == 0):
                return
            if code == InputError.exit_code or (service.once and ends == TRIES):  # the same would come again
                self.tell(service, f"{processes.describe_end(code)}; it is not started again")
                self.failures[service] = code
                with self.ended:
                    self.ended.notify_all()
                return
            if time.monotonic() - began > SETTLED:
                pause = PAUSES[0]
            self.tell(service, f"{processes.describe_end(code)}; starting it again in {pause:.0f} s")
            self.stopping.wait(pause)
            pause = min(2 * pause, PAUSES[1])

    def run(self, service: Service) -> int:
        """Run it once, to its end, and write what it says; returns its exit code."""
        with self.lock:
            if self.stopping.is_set():
                return 0
            project = self.project.with_variables(service.variables)
            process = processes.start(project, service.command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.processes[service] = process
        assert process.stdout is not None
        rest = b""
        with process.stdout as output:
            while chunk := terminal.read(output.fileno(), process):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    terminal.log_line(line, lambda text: self.tell(service, text))
                if process.poll() is not None:
                    processes.stop(process)  # or what it has left behind could hold its output open
            terminal.log_line(rest, lambda text: self.tell(service, text))
        processes.stop(process)
        return process.wait()

    def tell(self, service: Service, line: str) -> None:
        with contextlib.suppress(OSError):  # nobody reads any more; the service goes on
            self.write(service.name, line)

    def stop(self) -> None:
        """End all: first those that use others."""
        self.stopping.set()
        with self.lock:
            running = dict(self.processes)
        for first in (True, False):
            threads = [
                threading.Thread(target=processes.stop, args=[process])
                for service, process in running.items()
                if service.needs is first
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        for kept in self.threads.values():
            kept.join(processes.STOP_TIMEOUT)
