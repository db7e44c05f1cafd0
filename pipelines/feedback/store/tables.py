"""The tables of events and of promotions, as the newest migration makes them."""

from __future__ import annotations

import hashlib

from sqlalchemy import Boolean, Column, Float, Index, Integer, MetaData, String, Table, Text, false, literal_column

from pipelines.core.numbers import LONGEST_PROMPT

REVISION = "0006"  # the newest migration; a test holds it against the folder
VERSION_TABLE = "genloop_version"  # a name of our own: other tools of Alembic's may share the database

metadata = MetaData()

events = Table(
    "events",
    metadata,
    Column("id", String(128), primary_key=True),  # the sender's
    Column("type", String(16), nullable=False),
    Column("rater", String(128), nullable=False),
    Column("at", String(27), nullable=False),  # UTC, as text of one length: sorts alike in both databases
    Column("body", Text, nullable=False),  # the event's one JSON form, so that equal texts are equal events
    Column("received_at", String(27), nullable=False),
    Column("batch", String(64)),  # which fold took it; null: none yet
)
Index("events_rater", events.c.rater)
# What is new must be found without looking at what is not, however much that is.
Index("events_new", events.c.received_at, sqlite_where=events.c.batch.is_(None), postgresql_where=events.c.batch.is_(None))
Index("events_batch", events.c.batch, sqlite_where=events.c.batch.is_not(None), postgresql_where=events.c.batch.is_not(None))

# So must raters who ask to be forgotten.
ERASE = events.c.type == literal_column("'erase'")  # no parameter: SQLite would not see that the index fits
Index("events_erase", events.c.rater, sqlite_where=ERASE, postgresql_where=ERASE)

# How many events each fold took, so that nobody has to count them again.
batches = Table("batches", metadata, Column("batch", String(64), primary_key=True), Column("events", Integer, nullable=False))

# Samples that were shown; with these four an image can be generated again.
samples = Table(
    "samples",
    metadata,
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("seed", Integer, primary_key=True, autoincrement=False),
    Column("label", Integer, primary_key=True, autoincrement=False),  # -1: generated without one
    Column("prompt", String(LONGEST_PROMPT), primary_key=True, server_default=""),  # of somebody's own; empty: without one
    # How it was chosen; pipelines/feedback/shown.py.
    Column("guided", Boolean, nullable=False, server_default=false()),
    Column("approval_id", String(64)),
    Column("temperature", Float),
    Column("approval", Float),
    Column("tries", Integer),
    Column("weight", Float),
)

# Samples that a rater keeps. They say nothing to the model: only the rater sees them.
favourites = Table(
    "favourites",
    metadata,
    Column("rater", String(128), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("seed", Integer, primary_key=True, autoincrement=False),
    Column("label", Integer, primary_key=True, autoincrement=False),  # -1: generated without one
    Column("prompt", String(LONGEST_PROMPT), primary_key=True, server_default=""),  # empty: without one
    Column("at", String(27), nullable=False),  # UTC, when it became one
)

# Raters who were forgotten. Triggers keep their events from coming back.
tombstones = Table(
    "forgotten",
    metadata,
    Column("digest", String(64), primary_key=True),  # of the rater, whose name is stored nowhere
    Column("images", Text),  # sha256 of uploads that are to be removed, separated by blanks; null: nothing is left to do
)

# Every move of a model's champion, entered before it is done. `verdict` and the others are explained in
# pipelines/promotion/ledger.py.
promotion_moves = Table(
    "promotion_moves",
    metadata,
    Column("model", String(256), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),  # of the model's moves, from 1
    Column("at", String(27), nullable=False),  # UTC
    Column("from_version", Integer),  # null: there was no champion
    Column("to_version", Integer),  # null: there is none now
    Column("moved_by", Text, nullable=False),
    Column("verdict", String(16), nullable=False),
    Column("reason", Text, nullable=False),
    Column("benchmark_id", String(128)),
    Column("figures", Text),  # JSON
)

# The moves that the alias is known to have followed.
promotion_done = Table(
    "promotion_done",
    metadata,
    Column("model", String(256), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("at", String(27), nullable=False),  # UTC
)


def digest(rater: str) -> str:
    """The hash by which a rater who was forgotten is recognised; triggers of both databases compute the same."""
    return hashlib.sha256(f"genloop-rater:{rater}".encode()).hexdigest()
