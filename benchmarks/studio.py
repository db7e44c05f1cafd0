"""The studio under load, over HTTP on loopback: votes, pictures, hot swaps and memory; a client in a process of its own.

    python -m benchmarks.studio --out project                      # everything; about 25 minutes
    python -m benchmarks.studio --out project votes pictures       # some of it
    python -m benchmarks.studio --out project --brief              # with a tenth of the time for each

The project is made at the first call: digits, in default settings. The load comes from this process, the studio has its own.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import itertools
import json
import os
import random
import re
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import psutil
import uvloop

from benchmarks import workspace
from benchmarks.hundred_clicks import make_project
from pipelines.core.project import Project
from pipelines.feedback.store.event_store import EventStore
from pipelines.guidance.live_model import MOST
from pipelines.registry.client import open_registry
from pipelines.registry.versions import CHAMPION

PORT, KEY = 8433, "0123456789abcdef-benchmark"
BEHIND = 1_000_000  # events
CLIENTS = 16, 64  # at once, of `peer`


@dataclass
class Figures:
    """seconds: of answers. statuses: how many of each, 0 for none at all."""

    seconds: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)

    def note(self, status: int, seconds: float) -> None:
        self.seconds.append(seconds)
        self.statuses[status] = self.statuses.get(status, 0) + 1

    @property
    def failed(self) -> int:
        return sum(count for status, count in self.statuses.items() if not 200 <= status < 300)

    def __str__(self) -> str:
        ms = 1000 * np.array(self.seconds)
        quantiles = ", ".join(f"p{round(100 * q)} {np.quantile(ms, q):.1f} ms" for q in (0.5, 0.95, 0.99))
        return f"{len(ms):,} answers, {self.failed} failed; {quantiles}, longest {ms.max():.0f} ms"


class Load:
    """The client. Requests are sent at a rate, whether or not those before were answered."""

    def __init__(self, session: aiohttp.ClientSession, project: Project) -> None:
        self.session, self.project = session, project

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        async with self.session.post(path, json=body) as answer:
            return answer.status, await answer.json()

    async def generate(self, count: int, **more: Any) -> list[dict[str, Any]]:
        _, answer = await self.post("/api/v1/generate", {"count": count, **more})
        samples: list[dict[str, Any]] = answer["samples"]
        return samples

    async def at_rate(self, rate: float, seconds: float, request: Callable[[int], Awaitable[int]]) -> Figures:
        figures, began, tasks = Figures(), time.perf_counter(), []

        async def one(number: int) -> None:
            asked = time.perf_counter()
            try:
                status = await request(number)
            except (aiohttp.ClientError, TimeoutError):
                status = 0
            figures.note(status, time.perf_counter() - asked)

        for number in range(round(rate * seconds)):
            await asyncio.sleep(max(0.0, began + number / rate - time.perf_counter()))
            tasks.append(asyncio.create_task(one(number)))
        await asyncio.gather(*tasks)
        return figures


def vote(sample: dict[str, Any], name: str, value: int) -> dict[str, Any]:
    about = {key: sample[key] for key in ("version", "seed", "label") if sample[key] is not None}
    return {"id": name, "type": "vote", "sample": about, "value": value, "token": sample["token"]}


async def measure_votes(load: Load, share: float) -> str:
    """300 votes a second."""
    before, seconds = count_events(load.project), 120 * share
    samples = [one for number in range(60) for one in await load.generate(60, visitor=f"load-{number}")]
    run = random.randrange(10**9)

    async def send(number: int) -> int:
        sample = samples[number % len(samples)]
        return (await load.post("/api/v1/events", vote(sample, f"{run}-{number}", random.choice((1, -1)))))[0]

    figures = await load.at_rate(300, seconds, send)
    stored = count_events(load.project) - before
    return f"300 votes/s for {seconds:.0f} s: {figures}; stored {stored:,} of {len(figures.seconds):,}"


async def measure_picture(load: Load, share: float) -> str:
    """One picture, never asked for before, 50 times a second."""
    first = random.randrange(2**30)
    (sample,) = await load.generate(1)

    async def ask(number: int) -> int:
        path = f"/api/v1/samples/{sample['version']}/{first + number}/{number % 10}.png"
        async with load.session.get(path) as answer:
            await answer.read()
            return answer.status

    return f"one picture, 50 requests/s for {120 * share:.0f} s: {await load.at_rate(50, 120 * share, ask)}"


async def measure_page(load: Load, share: float) -> str:
    """The page with its grid, and the twelve pictures in it; one after the other, warm."""
    seconds = []
    for _ in range(max(5, round(50 * share))):
        began = time.perf_counter()
        async with load.session.get("/") as answer:
            text = await answer.text()
        urls = re.findall(r'<img class="pixels" src="([^"]+)"', text)
        assert len(urls) == 12, len(urls)
        for url in urls:
            async with load.session.get(url) as answer:
                await answer.read()
        seconds.append(time.perf_counter() - began)
        await asyncio.sleep(0.3)
    ms = 1000 * np.array(seconds)
    return (
        f"page with its first twelve pictures: median {np.median(ms):.0f} ms, 95 of 100 within {np.quantile(ms, 0.95):.0f} ms"
    )


async def measure_weight(load: Load, share: float) -> str:
    """What a browser loads without the pictures."""
    sizes = {}
    async with load.session.get("/", headers={"accept-encoding": "gzip"}) as answer:
        text = await answer.text()
    sizes["page"] = len(gzip.compress(text.encode()))
    for path in re.findall(r'(?:href|src)="(/static/[^"]+)"', text):
        async with load.session.get(path, headers={"accept-encoding": "gzip"}) as answer:
            sizes[path] = int(answer.headers.get("content-length") or len(gzip.compress(await answer.read())))
    return f"page weight without pictures, gzip: {sum(sizes.values()) / 1000:.1f} kB"


async def measure_obedience(load: Load, share: float) -> str:
    """From a vote to the first picture that has been chosen with it, with 50 votes a second and a million events behind."""
    samples = [one for number in range(60) for one in await load.generate(60, visitor=f"crowd-{number}")]
    run, waits = random.randrange(10**9), []

    async def send(number: int) -> int:
        sample = samples[number % len(samples)]
        return (await load.post("/api/v1/events", vote(sample, f"{run}-{number}", random.choice((1, -1)))))[0]

    async def one_visitor() -> None:
        for number in range(round(100 * share)):
            (sample,) = await load.generate(1, visitor="obeyed", guided=True)
            began = time.perf_counter()
            await load.post("/api/v1/events", vote(sample, f"{run}-own-{number}", 1))
            (following,) = await load.generate(1, visitor="obeyed", guided=True)
            async with load.session.get(following["url"]) as answer:
                await answer.read()
            waits.append(time.perf_counter() - began)

    crowd, _ = await asyncio.gather(load.at_rate(50, 120 * share, send), one_visitor())
    async with load.session.get("/api/v1/stats") as answer:
        stats = await answer.json()
    ms = 1000 * np.array(waits)
    known = "known" if not stats["judgements_needed"] else "not known"
    return (
        f"vote to the first picture that obeys, with {stats['events']:,} events ({known}): median {np.median(ms):.0f} ms, "
        f"p95 {np.quantile(ms, 0.95):.0f} ms, longest {ms.max():.0f} ms; beside it 50 votes/s: {crowd}"
    )


async def measure_swaps(load: Load, share: float) -> str:
    """The alias moves 20 times between two versions, with 50 requests a second."""
    _, registry = open_registry(load.project)
    one, other = registry.numbers()[0], second_version(load.project)
    swaps, stop = 0, asyncio.Event()

    async def ask(number: int) -> int:
        status, answer = await load.post("/api/v1/generate", {"count": 1})
        if status == 200:
            async with load.session.get(answer["samples"][0]["url"]) as picture:
                await picture.read()
                status = picture.status
        return status

    async def keep_asking() -> Figures:
        figures = Figures()
        while not stop.is_set():
            part = await load.at_rate(50, 2, ask)
            figures.seconds += part.seconds
            for status, count in part.statuses.items():
                figures.statuses[status] = figures.statuses.get(status, 0) + count
        return figures

    asking, noticed = asyncio.create_task(keep_asking()), []
    for number in range(max(2, round(20 * share))):
        wanted = other if number % 2 == 0 else one
        await asyncio.to_thread(registry.set_alias, CHAMPION, wanted)
        began = time.perf_counter()
        while True:
            async with load.session.get("/api/v1/model") as answer:
                if (await answer.json())["version"] == wanted:
                    break
            await asyncio.sleep(0.1)
        noticed.append(time.perf_counter() - began)
        swaps += 1
    await asyncio.to_thread(registry.set_alias, CHAMPION, one)
    stop.set()
    figures = await asking
    return f"{swaps} hot swaps (shown after {np.mean(noticed):.1f} s, at most {max(noticed):.1f} s): {figures}"


async def measure_memory(load: Load, share: float) -> str:
    """An hour's requests of a small product (a guided grid of six every two seconds, and a vote) in five minutes, in a studio
    that has as many judgements as it learns from, after as many requests to warm up."""
    process, sizes = studio_process(), []
    for _ in range(2):
        figures = await load.at_rate(6, 300 * share, lambda number: one_grid(load, number))
        sizes.append(await median_size(process))
    change = f"{sizes[0] / 2**20:.0f} MiB before, {sizes[1] / 2**20:.0f} MiB after: {sizes[1] / sizes[0] - 1:+.1%}"
    return f"memory over an hour's requests in {300 * share:.0f} s: {change}; {figures}"


async def median_size(process: psutil.Process) -> float:
    """Bytes of memory, over some seconds: learning takes much of it for moments."""
    sizes = []
    for _ in range(40):
        sizes.append(process.memory_info().rss)
        await asyncio.sleep(0.25)
    return float(np.median(sizes))


async def one_grid(load: Load, number: int) -> int:
    status, answer = await load.post("/api/v1/generate", {"count": 6, "guided": True, "visitor": f"m-{number % 50}"})
    if status == 200:
        votes = [vote(one, f"m-{random.randrange(10**12)}", random.choice((1, -1))) for one in answer["samples"][:1]]
        status = (await load.post("/api/v1/events", votes))[0]
    return status


async def measure_peer(load: Load, share: float) -> str:
    """Pictures a second for clients that each ask for one, against `mlflow models serve` of the same version, by turns."""
    _, registry = open_registry(load.project)
    number = registry.alias(CHAMPION)
    lines = []
    with mlflow_server(load.project, f"models:/{registry.name}/{number}"):
        for clients in CLIENTS:
            rates: dict[str, list[float]] = {"genloop": [], "mlflow": []}
            for _ in range(3):
                for name, rate in rates.items():
                    rate.append(await pictures_a_second(load, name == "mlflow", clients, 20 * share))
            ratios = [ours / theirs for ours, theirs in zip(*rates.values(), strict=True)]
            medians = {name: float(np.median(rate)) for name, rate in rates.items()}
            lines.append(
                f"pictures/s, {clients} clients that ask for one each: genloop {medians['genloop']:.0f}, mlflow models serve "
                f"{medians['mlflow']:.1f}: {np.median(ratios):.1f} times ({min(ratios):.1f} to {max(ratios):.1f})"
            )
    return "\n".join(lines)


async def pictures_a_second(load: Load, mlflow: bool, clients: int, seconds: float) -> float:
    (sample,) = await load.generate(1)
    first, end, done = random.randrange(2**30), time.perf_counter() + max(seconds, 3), 0

    async def client(number: int) -> None:
        nonlocal done
        async with connection(PORT + mlflow) as ask:
            for seed in itertools.count(first + number * 1_000_000):
                if time.perf_counter() > end:
                    return
                if mlflow:
                    body = {"dataframe_records": [{"count": 1, "seed": seed, "label": seed % 10}]}
                    await ask("POST", "/invocations", json.dumps(body).encode())
                else:
                    await ask("GET", f"/api/v1/samples/{sample['version']}/{seed}/{seed % 10}.png", b"")
                done += 1

    began = time.perf_counter()
    await asyncio.gather(*(client(number) for number in range(clients)))
    return done / (time.perf_counter() - began)


@asynccontextmanager
async def connection(port: int) -> AsyncIterator[Callable[[str, str, bytes], Awaitable[None]]]:
    """One that is kept, with as little work for each request as can be: the client shares the machine with the server."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)

    async def ask(method: str, path: str, body: bytes) -> None:
        headers = f"host: 127.0.0.1:{port}", f"authorization: Bearer {KEY}", "content-type: application/json"
        lines = f"{method} {path} HTTP/1.1", *headers, f"content-length: {len(body)}", "", ""
        writer.write("\r\n".join(lines).encode() + body)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        (length,) = re.findall(rb"content-length: *(\d+)", head, re.IGNORECASE)
        await reader.readexactly(int(length))

    yield ask
    writer.close()


MEASURES: dict[str, Callable[[Load, float], Awaitable[str]]] = {
    "weight": measure_weight,
    "page": measure_page,
    "picture": measure_picture,
    "votes": measure_votes,
    "memory": measure_memory,
    "swaps": measure_swaps,
    "peer": measure_peer,
    "obedience": measure_obedience,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measures", nargs="*", metavar="MEASURE", help=f"of {', '.join(MEASURES)}; all by default")
    parser.add_argument("--out", type=Path, required=True, help="the project, made at the first call")
    parser.add_argument("--brief", action="store_true", help="a tenth of the time for each")
    options = parser.parse_args()
    if unknown := [name for name in options.measures if name not in MEASURES]:
        parser.error(f"no measure {unknown[0]!r}; known: {', '.join(MEASURES)}")
    make_project(options.out.absolute(), "digits", None)
    project = Project.find(options.out.absolute())
    for name in options.measures or MEASURES:
        uvloop.run(run(project, name, 0.1 if options.brief else 1.0))


async def run(project: Project, name: str, share: float) -> None:
    """Each with a studio and a database of its own."""
    database = project.root / f"benchmark-{name}.db"
    for leftover in project.root.glob(f"{database.name}*"):
        leftover.unlink()
    own = project.with_variables({"GENLOOP_DATABASE_URL": f"sqlite:///{database}"})
    if name == "obedience":
        fill(own, BEHIND if share == 1 else BEHIND // 10)
    if name == "memory":
        fill(own, MOST)
    async with studio(own) as load:
        print(await MEASURES[name](load, share), flush=True)


def fill(project: Project, count: int) -> None:
    """Votes of earlier days, of 1,000 raters, on 20,000 samples, by a taste; written directly, because it is no part of what
    is measured."""
    with EventStore.open(project.database_url):
        pass
    connection = sqlite3.connect(project.database_url.removeprefix("sqlite:///"))
    chance = random.Random(0)

    def rows() -> Iterator[tuple[str, ...]]:
        for number in range(count):
            seed = chance.randrange(20_000)
            at = f"2026-{1 + number * 9 // count:02d}-{1 + number % 28:02d}T{number % 24:02d}:00:{number % 60:02d}"
            value = 1 if (seed % 10 < 5) != (chance.random() < 0.1) else -1
            sample = {"version": 1, "seed": seed, "label": seed % 10}
            body = {"id": f"old-{number}", "type": "vote", "rater": f"r{number % 1000}", "at": f"{at}Z"}
            text = json.dumps({**body, "sample": sample, "value": value}, separators=(",", ":"))
            yield f"old-{number}", "vote", f"r{number % 1000}", f"{at}.000000Z", text, f"{at}.000000Z"

    with connection:
        connection.create_function("genloop_digest", 1, lambda rater: rater, deterministic=True)
        connection.executemany("INSERT INTO events (id, type, rater, at, body, received_at) VALUES (?, ?, ?, ?, ?, ?)", rows())
    connection.close()


def count_events(project: Project) -> int:
    with EventStore.open(project.database_url) as store:
        counts = store.counts()
    return counts.new + counts.folded


@asynccontextmanager
async def studio(project: Project) -> AsyncIterator[Load]:
    command = [workspace.PYTHON, "genloop.py", "studio", "--port", str(PORT)]
    keys = {"GENLOOP_API_KEYS": f"load:generate+events:{KEY}", "PYTHONPATH": str(project.root)}
    environment = {**os.environ, **keys, "GENLOOP_DATABASE_URL": project.database_url}
    with (project.root / "studio.log").open("a") as log:
        process = subprocess.Popen(command, cwd=project.root, env=environment, stdout=log, stderr=log)
        try:
            headers = {"authorization": f"Bearer {KEY}"}
            timeout = aiohttp.ClientTimeout(total=30)
            async with aiohttp.ClientSession(f"http://127.0.0.1:{PORT}", headers=headers, timeout=timeout) as session:
                while True:
                    try:
                        async with session.get("/readyz") as answer:
                            if answer.status == 200:
                                break
                    except aiohttp.ClientError:
                        assert process.poll() is None, "the studio has ended"
                    await asyncio.sleep(0.2)
                yield Load(session, project)
        finally:
            process.terminate()
            process.wait(60)


def studio_process() -> psutil.Process:
    """The studio that listens on PORT."""
    for process in psutil.process_iter(["cmdline"]):
        command = process.info["cmdline"] or []
        if "studio" in command and str(PORT) in command:
            return process
    raise AssertionError("no studio")


@contextmanager
def mlflow_server(project: Project, model: str) -> Iterator[None]:
    program = workspace.PYTHON.with_name("mlflow")
    command = [program, "models", "serve", "-m", model, "--env-manager", "local", "-p", str(PORT + 1), "-h", "127.0.0.1"]
    environment = {**os.environ, "MLFLOW_TRACKING_URI": project.tracking_uri, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    with (project.root / "mlflow-serve.log").open("a") as log:
        process = subprocess.Popen(command, cwd=project.root, env=environment, stdout=log, stderr=log, start_new_session=True)
        try:
            import httpx

            end = time.monotonic() + 120
            while time.monotonic() < end:
                try:
                    if httpx.get(f"http://127.0.0.1:{PORT + 1}/ping").status_code == 200:
                        break
                except httpx.TransportError:
                    pass
                time.sleep(0.5)
            yield
        finally:
            os.killpg(process.pid, 15)
            process.wait(30)


def second_version(project: Project) -> int:
    """Another version of the model, made of the first one's files where there is none."""
    _, registry = open_registry(project)
    numbers = registry.numbers()
    if len(numbers) > 1:
        return numbers[1]
    version = registry.version(numbers[0])
    client = registry.client
    source = client.get_model_version(registry.name, str(numbers[0])).source
    with registry.fluent():  # or MLflow would look for the model's files in a store of its own
        made = client.create_model_version(registry.name, source, version.run_id, tags=version.tags)
    return int(made.version)


if __name__ == "__main__":
    main()
