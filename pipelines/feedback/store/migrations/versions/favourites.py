"""Samples that a rater keeps as favourites."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.create_table(
        "favourites",
        sa.Column("rater", sa.String(128), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seed", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("label", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String(27), nullable=False),
    )
    if op.get_bind().dialect.name != "sqlite":  # as of events: what the planner notes of a column are values out of it
        op.execute("ALTER TABLE favourites ALTER rater SET STATISTICS 0")


def downgrade() -> None:
    raise NotImplementedError("it would drop favourites; restore a backup instead")
