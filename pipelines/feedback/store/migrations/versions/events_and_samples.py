"""Events, which can be added but not changed, and samples."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

CONTENT = "id, type, rater, at, body, received_at"

# Only `erase` deletes: it takes this trigger away for the length of its transaction.
SQLITE = (
    f"""
    CREATE TRIGGER events_content BEFORE UPDATE OF {CONTENT} ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END
    """,
    """
    CREATE TRIGGER events_delete BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'events are append-only'); END
    """,
    # INSERT OR REPLACE would delete without asking the trigger above.
    """
    CREATE TRIGGER events_replace BEFORE INSERT ON events WHEN EXISTS (SELECT 1 FROM events WHERE id = NEW.id)
    BEGIN SELECT RAISE(IGNORE); END
    """,
)

# Only `erase` deletes: it names the rater in a setting of its transaction.
POSTGRESQL = (
    """
    CREATE FUNCTION genloop_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF TG_OP = 'DELETE' AND current_setting('genloop.erasing', true) = OLD.rater THEN
        RETURN OLD;
      END IF;
      RAISE EXCEPTION 'events are append-only';
    END
    $$
    """,
    f"""
    CREATE TRIGGER events_content BEFORE UPDATE OF {CONTENT} ON events
    FOR EACH ROW EXECUTE FUNCTION genloop_append_only()
    """,
    "CREATE TRIGGER events_delete BEFORE DELETE ON events FOR EACH ROW EXECUTE FUNCTION genloop_append_only()",
    "CREATE TRIGGER events_truncate BEFORE TRUNCATE ON events FOR EACH STATEMENT EXECUTE FUNCTION genloop_append_only()",
)


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.String(128), primary_key=True),
        sa.Column("type", sa.String(16), nullable=False),
        sa.Column("rater", sa.String(128), nullable=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("received_at", sa.String(27), nullable=False),
        sa.Column("batch", sa.String(64)),
    )
    new, taken = sa.text("batch IS NULL"), sa.text("batch IS NOT NULL")
    op.create_index("events_rater", "events", ["rater"])
    op.create_index("events_new", "events", ["received_at"], sqlite_where=new, postgresql_where=new)
    op.create_index("events_batch", "events", ["batch"], sqlite_where=taken, postgresql_where=taken)
    op.create_table(
        "batches",
        sa.Column("batch", sa.String(64), primary_key=True),
        sa.Column("events", sa.Integer, nullable=False),
    )
    op.create_table(
        "samples",
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seed", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("label", sa.Integer, primary_key=True, autoincrement=False),
    )
    for statement in SQLITE if op.get_bind().dialect.name == "sqlite" else POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("it would drop events; restore a backup instead")
