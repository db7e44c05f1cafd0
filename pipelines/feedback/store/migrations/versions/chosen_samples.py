"""How samples were chosen that people were shown."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("samples", sa.Column("guided", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("samples", sa.Column("approval_id", sa.String(64)))
    op.add_column("samples", sa.Column("temperature", sa.Float))
    op.add_column("samples", sa.Column("approval", sa.Float))
    op.add_column("samples", sa.Column("tries", sa.Integer))
    op.add_column("samples", sa.Column("weight", sa.Float))


def downgrade() -> None:
    raise NotImplementedError("it would drop how samples were chosen; restore a backup instead")
