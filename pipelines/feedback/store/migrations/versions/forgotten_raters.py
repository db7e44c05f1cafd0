"""Raters who were forgotten, by digest, and triggers that let nothing of theirs in again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

# `genloop_digest` is a function that pipelines/feedback/store/database.py gives to each connection: SQLite has no sha256.
SQLITE = (
    """
    CREATE TRIGGER events_forgotten BEFORE INSERT ON events
    WHEN EXISTS (SELECT 1 FROM forgotten WHERE digest = genloop_digest(NEW.rater))
    BEGIN SELECT RAISE(IGNORE); END
    """,
)

# An erasure holds a lock that an insert waits for before it begins; and in a function that is not declared stable, a query sees
# what was committed by then. So an insert sees the erasure, or the erasure sees the insert.
POSTGRESQL = (
    """
    CREATE FUNCTION genloop_not_forgotten() RETURNS trigger LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
      IF EXISTS (
        SELECT 1 FROM forgotten WHERE digest = encode(sha256(convert_to('genloop-rater:' || NEW.rater, 'UTF8')), 'hex')
      ) THEN
        RETURN NULL;
      END IF;
      RETURN NEW;
    END
    $$
    """,
    "CREATE TRIGGER events_forgotten BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION genloop_not_forgotten()",
    # What the planner notes of a column are values out of it, in a table that only a superuser could clean.
    "ALTER TABLE events ALTER id SET STATISTICS 0, ALTER rater SET STATISTICS 0, ALTER body SET STATISTICS 0",
)


def upgrade() -> None:
    op.create_table("forgotten", sa.Column("digest", sa.String(64), primary_key=True), sa.Column("images", sa.Text))
    erase = sa.text("type = 'erase'")
    op.create_index("events_erase", "events", ["rater"], sqlite_where=erase, postgresql_where=erase)
    for statement in SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("raters who were forgotten could come back; restore a backup instead")
