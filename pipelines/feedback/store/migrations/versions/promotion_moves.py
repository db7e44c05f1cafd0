"""The moves of the alias `champion`, which can be added but not changed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

TABLES = ("promotion_moves", "promotion_done")
WORDS = "the history of promotions is append-only"


def sqlite(table: str) -> tuple[str, ...]:
    return (
        *(
            f"CREATE TRIGGER {table}_{action.lower()} BEFORE {action} ON {table} BEGIN SELECT RAISE(ABORT, '{WORDS}'); END"
            for action in ("UPDATE", "DELETE")
        ),
        # INSERT OR REPLACE would delete without asking the trigger above.
        f"""
        CREATE TRIGGER {table}_replace BEFORE INSERT ON {table}
        WHEN EXISTS (SELECT 1 FROM {table} WHERE model = NEW.model AND number = NEW.number)
        BEGIN SELECT RAISE(ABORT, '{WORDS}'); END
        """,
    )


def postgresql(table: str) -> tuple[str, ...]:
    return (
        f"""
        CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table}
        FOR EACH STATEMENT EXECUTE FUNCTION genloop_promotions_append_only()
        """,
    )


FUNCTION = f"""
CREATE FUNCTION genloop_promotions_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '{WORDS}';
END
$$
"""


def upgrade() -> None:
    op.create_table(
        "promotion_moves",
        sa.Column("model", sa.String(256), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(27), nullable=False),
        sa.Column("from_version", sa.Integer),
        sa.Column("to_version", sa.Integer),
        sa.Column("moved_by", sa.Text, nullable=False),
        sa.Column("verdict", sa.String(16), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("benchmark_id", sa.String(128)),
        sa.Column("figures", sa.Text),
    )
    op.create_table(
        "promotion_done",
        sa.Column("model", sa.String(256), primary_key=True),
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(27), nullable=False),
    )
    lite = op.get_bind().dialect.name == "sqlite"
    if not lite:
        op.execute(FUNCTION)
    for table in TABLES:
        for statement in sqlite(table) if lite else postgresql(table):
            op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("it would drop the history of promotions; restore a backup instead")
