"""`genloop up`: how soon pages answer, whether it comes back from kills while people vote, and how soon the demo's loop turns.

python -m benchmarks.up --out project              # everything; about 25 minutes
python -m benchmarks.up --out project start kills  # some of it
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from benchmarks import workspace
from benchmarks.hundred_clicks import make_project
from pipelines.core.project import Project
from pipelines.feedback.store.event_store import EventStore
from studio.client import Client, StudioError

PORT, KEY = 8434, "0123456789abcdef-benchmark"
KILLS = 20
PATIENCE = 900.0  # seconds until the demo's loop has turned


class Running:
    """A `genloop up`, and what it has said. began: when it was started."""

    def __init__(self, process: subprocess.Popen[str], began: float) -> None:
        self.process, self.began = process, began
        self.addresses: dict[str, str] = {}
        self.lines: list[str] = []

    def read(self) -> None:
        assert self.process.stderr is not None
        self.lines.extend(line.rstrip() for line in self.process.stderr)

    def wait(self, answers: Callable[[], bool], seconds: float = 120.0) -> float:
        """Seconds from the start until it does."""
        while not answers():
            assert self.process.poll() is None, "\n".join(self.lines[-20:])
            assert time.perf_counter() - self.began < seconds, "\n".join(self.lines[-20:])
            time.sleep(0.05)
        return time.perf_counter() - self.began


@contextmanager
def up(project: Project, *options: str) -> Iterator[Running]:
    command = [workspace.PYTHON, "genloop.py", "up", "--json", "--port", str(PORT), *options]
    keys = {
        "GENLOOP_API_KEYS": f"load:generate+events:{KEY}",
        "PYTHONPATH": str(project.root),
        "PREFECT_HOME": str(home(project)),
    }
    environment = {**os.environ, **keys}
    began = time.perf_counter()
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    process = subprocess.Popen(command, cwd=project.root, env=environment, **pipes)
    running = Running(process, began)
    threading.Thread(target=running.read, daemon=True).start()
    try:
        yield running
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def home(project: Project) -> Path:
    return project.root / "prefect-home"


def answers(address: str) -> bool:
    try:
        return httpx.get(address, timeout=5).is_success
    except httpx.TransportError:
        return False


def measure_start(project: Project) -> str:
    """Warm: from the command until the studio answers, and until all pages do."""
    times = []
    for _ in range(3):
        with up(project) as running:
            studio = running.wait(lambda: answers(f"http://127.0.0.1:{PORT}/healthz"))
            assert running.process.stdout is not None
            addresses = json.loads(running.process.stdout.readline())
            everything = time.perf_counter() - running.began
            assert all(map(answers, addresses.values()))
        times.append((studio, everything))
    studio, everything = (sorted(column)[1] for column in zip(*times, strict=True))
    return f"the studio answers after {studio:.1f} s, all pages after {everything:.1f} s (medians of 3)"


def measure_kills(project: Project) -> str:
    """SIGKILL of any one process, again and again, while somebody votes; the client tries again, as the page does."""
    chance, votes, killed = random.Random(0), list[str](), list[str]()
    with EventStore.open(project.database_url) as store:
        before = sum(count for count in (store.counts().new, store.counts().folded))
    with up(project) as running:
        assert running.process.stdout is not None
        addresses = json.loads(running.process.stdout.readline())
        pages = [f"http://127.0.0.1:{PORT}/readyz", f"{addresses['prefect']}/api/health", f"{addresses['mlflow']}/health"]
        running.wait(lambda: all(map(answers, pages)), 600)
        stop = threading.Event()

        def vote() -> None:
            with Client(addresses["studio"], KEY, tries=20) as studio:
                while not stop.is_set():
                    try:
                        for picture in studio.generate(6, visitor="voter"):
                            found = studio.vote(picture, 1, visitor="voter")
                            votes.extend(["one"] * (found.stored + found.known))
                    except StudioError as error:
                        votes.append(f"lost: {error}")
                    time.sleep(0.2)

        voter = threading.Thread(target=vote)
        voter.start()
        for _ in range(KILLS):
            time.sleep(chance.uniform(1, 5))
            process = chance.choice(psutil.Process(running.process.pid).children(recursive=True))
            killed.append(" ".join(process.cmdline())[-60:])
            process.kill()
            time.sleep(2)
            end = time.perf_counter() - running.began + 120
            running.wait(lambda: all(map(answers, pages)), end)
        stop.set()
        voter.join()
    lost = sum(vote.startswith("lost") for vote in votes)
    with EventStore.open(project.database_url) as store:
        stored = sum(count for count in (store.counts().new, store.counts().folded)) - before
    left = [process for process in psutil.process_iter(["environ"]) if belongs(process, project)]
    return (
        f"{len(killed)} of {KILLS} kills, all pages are back; {len(votes) - lost:,} votes were answered, {stored:,} stored, "
        f"{lost} lost; {len(left)} processes are left"
    )


def belongs(process: psutil.Process, project: Project) -> bool:
    found = process.info["environ"] or {}
    return found.get("PREFECT_HOME") == str(home(project)) and process.status() != psutil.STATUS_ZOMBIE


def measure_demo(project: Project) -> str:
    """From the command in a project without a demo until the gate has judged the first version that learned from votes."""
    shutil.rmtree(project.root / "demo", ignore_errors=True)
    with up(project, "--demo") as running:
        first = running.wait(lambda: answers(f"http://127.0.0.1:{PORT}/readyz"), PATIENCE)

        def verdict() -> str:
            return next((line for line in running.lines if "version 2" in line and any(map(line.__contains__, VERDICTS))), "")

        turned = running.wait(lambda: bool(verdict()), PATIENCE)
        votes = [line for line in running.lines if line.startswith("raters") and "votes;" in line]
        return (
            f"demo: the first model is shown after {first:.0f} s, the first turn is closed after {turned:.0f} s: {verdict()}\n"
            f"  at first: {votes[0] if votes else '-'}\n  at last: {votes[-1] if votes else '-'}"
        )


VERDICTS = ("promote", "reject", "undecided")
MEASURES: dict[str, Callable[[Project], str]] = {"start": measure_start, "kills": measure_kills, "demo": measure_demo}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=f"of {', '.join(MEASURES)}; all by default")
    parser.add_argument("--out", type=Path, required=True, help="the project, made at the first call")
    options = parser.parse_args()
    if unknown := [name for name in options.measures if name not in MEASURES]:
        parser.error(f"no measure {unknown[0]!r}; known: {', '.join(MEASURES)}")
    make_project(options.out.absolute(), "digits", None)
    project = Project.find(options.out.absolute())
    for name in options.measures or MEASURES:
        print(MEASURES[name](project), flush=True)


if __name__ == "__main__":
    main()
