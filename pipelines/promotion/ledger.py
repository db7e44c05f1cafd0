"""The tables of the champion's moves: a row is added for each and never changed, by one process at a time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, get_args

from filelock import FileLock, Timeout
from sqlalchemy import Connection, Engine, Row, select, text
from sqlalchemy.exc import DBAPIError

from pipelines.core.errors import GenloopError
from pipelines.core.timestamps import iso, now
from pipelines.feedback.store import database
from pipelines.feedback.store.tables import promotion_done, promotion_moves

MoveKind = Literal["promote", "forced", "rollback", "first", "outside"]
KEY = 0x67656E6C6F6F71  # of PostgreSQL's advisory locks, the one of our moves
WAIT = 60  # seconds for another process that moves the alias
LOCK_TIMEOUT = "55P03"  # PostgreSQL's code of a lock that did not come in time


@dataclass(frozen=True)
class Move:
    """The alias `champion` of a model went from one version to another; None is no version.

    number: of the model's moves, from 1. at: UTC, when it was decided or noticed; never before the move before it. by: who or
    what. kind: `first` is what `register` made champion, `outside` what somebody did without Genloop, as in MLflow's own
    page. figures: those that the gate decided by. done: whether the alias is known to have followed.
    """

    number: int
    model: str
    at: datetime
    from_: int | None
    to: int | None
    by: str
    kind: MoveKind
    reason: str
    benchmark_id: str | None = None
    figures: dict[str, Any] | None = None
    done: bool = False

    def as_json(self) -> dict[str, Any]:
        return {
            "at": iso(self.at, "microseconds"),
            "model": self.model,
            "from": self.from_,
            "to": self.to,
            "by": self.by,
            "verdict": self.kind,
            "reason": self.reason,
            "benchmark_id": self.benchmark_id,
            "figures": self.figures,
        }


class Ledger:
    """The moves of one model in the database. Every method is one transaction.

    >>> with Ledger.open(project.database_url, "genloop-digits") as ledger, ledger.exclusive():
    ...     ledger.last()
    """

    def __init__(self, engine: Engine, model: str) -> None:
        self.engine = engine
        self.model = model

    @classmethod
    @contextmanager
    def open(cls, url: str, model: str) -> Iterator[Ledger]:
        """The database of `url`, made where there is none.

        Raises:
            InputError: its URL is unusable.
            GenloopError: it does not answer.
        """
        engine = database.connect(url)
        try:
            yield cls(engine, model)
        finally:
            engine.dispose()

    def moves(self) -> list[Move]:
        """All of them, oldest first."""
        return self._read()

    def last(self) -> Move | None:
        newest = self._read(limit=1)
        return newest[0] if newest else None

    def add(self, move: Move) -> Move:
        """Enter a move as the next one; its number is given here, and its time is no earlier than that of the last.

        What is done already is entered as such in the same transaction.
        """
        last = self.last()
        if last:
            move = replace(move, at=max(move.at, last.at))  # clocks differ, and are set back
        move = replace(move, number=last.number + 1 if last else 1)
        row = {
            "model": self.model,
            "number": move.number,
            "at": iso(move.at, "microseconds"),
            "from_version": move.from_,
            "to_version": move.to,
            "moved_by": move.by,
            "verdict": move.kind,
            "reason": move.reason,
            "benchmark_id": move.benchmark_id,
            "figures": None if move.figures is None else json.dumps(move.figures, allow_nan=False),
        }
        with self._writing() as connection:
            connection.execute(promotion_moves.insert(), row)
            if move.done:
                connection.execute(promotion_done.insert(), self._done(move))
        return move

    def finish(self, move: Move) -> Move:
        """Mark the move as done: the alias has followed."""
        with self._writing() as connection:
            connection.execute(promotion_done.insert(), self._done(move))
        return replace(move, done=True)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Lock the alias: no other process that locks it moves it meanwhile. The lock is released when the process dies.

        Raises:
            GenloopError: somebody else has held it for WAIT seconds, or the database can only be read.
        """
        database.check_writable(self.engine.url)
        with self._file() if self.engine.dialect.name == "sqlite" else self._advisory():
            yield

    @contextmanager
    def _file(self) -> Iterator[None]:
        lock = FileLock(f"{self.engine.url.database}.moves.lock", timeout=WAIT)
        try:
            lock.acquire()
        except Timeout:
            raise busy_error() from None
        try:
            yield
        finally:
            lock.release()

    @contextmanager
    def _advisory(self) -> Iterator[None]:
        """On a connection that does nothing else: the lock is that connection's."""
        with database.database_errors(self.engine.url), self.engine.connect() as connection:
            connection.execute(text("SELECT set_config('lock_timeout', :wait, false)"), {"wait": f"{WAIT}s"})
            try:
                connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": KEY})
            except DBAPIError as error:
                if getattr(error.orig, "sqlstate", None) == LOCK_TIMEOUT:
                    raise busy_error() from None
                raise
            try:
                yield
            finally:
                connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": KEY})

    def _read(self, limit: int | None = None) -> list[Move]:
        """Oldest first; with a limit the newest alone."""
        same = (promotion_done.c.model == promotion_moves.c.model) & (promotion_done.c.number == promotion_moves.c.number)
        query = (
            select(promotion_moves, promotion_done.c.at.label("done_at"))
            .outerjoin(promotion_done, same)
            .where(promotion_moves.c.model == self.model)
            .order_by(promotion_moves.c.number.desc())
            .limit(limit)
        )
        with database.database_errors(self.engine.url), self.engine.execution_options(reading=True).begin() as connection:
            return [move_of(row) for row in reversed(connection.execute(query).all())]

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with database.database_errors(self.engine.url), database.transactional(self.engine).begin() as connection:
            yield connection

    def _done(self, move: Move) -> dict[str, Any]:
        return {"model": self.model, "number": move.number, "at": iso(now(), "microseconds")}


def move_of(row: Row[Any]) -> Move:
    assert row.verdict in get_args(MoveKind), row.verdict
    return Move(
        row.number,
        row.model,
        datetime.fromisoformat(row.at),
        row.from_version,
        row.to_version,
        row.moved_by,
        row.verdict,
        row.reason,
        row.benchmark_id,
        None if row.figures is None else json.loads(row.figures),
        row.done_at is not None,
    )


def busy_error() -> GenloopError:
    return GenloopError(
        f"another promotion or rollback has been going on for {WAIT} seconds, and only one can move the champion at a time; "
        "run again when it has ended"
    )
