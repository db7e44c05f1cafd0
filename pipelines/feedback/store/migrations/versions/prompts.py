"""Prompts that people wrote themselves, by which samples are generated that have no class."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"

LONGEST = 500  # characters
KEYS = {"samples": ("version", "seed", "label"), "favourites": ("rater", "version", "seed", "label")}

# SQLite cannot change the primary key of a table: it is made anew, with what the old one held.
SAMPLES = """
CREATE TABLE samples_with_prompts (
    version INTEGER NOT NULL, seed INTEGER NOT NULL, label INTEGER NOT NULL, prompt VARCHAR(500) DEFAULT '' NOT NULL,
    guided BOOLEAN DEFAULT 0 NOT NULL, approval_id VARCHAR(64), temperature FLOAT, approval FLOAT, tries INTEGER, weight FLOAT,
    PRIMARY KEY (version, seed, label, prompt)
)
"""
FAVOURITES = """
CREATE TABLE favourites_with_prompts (
    rater VARCHAR(128) NOT NULL, version INTEGER NOT NULL, seed INTEGER NOT NULL, label INTEGER NOT NULL,
    prompt VARCHAR(500) DEFAULT '' NOT NULL, at VARCHAR(27) NOT NULL,
    PRIMARY KEY (rater, version, seed, label, prompt)
)
"""
COLUMNS = {
    "samples": "version, seed, label, guided, approval_id, temperature, approval, tries, weight",
    "favourites": "rater, version, seed, label, at",
}


def upgrade() -> None:
    if op.get_bind().dialect.name == "sqlite":
        for table, made in (("samples", SAMPLES), ("favourites", FAVOURITES)):
            op.execute(made)
            op.execute(f"INSERT INTO {table}_with_prompts ({COLUMNS[table]}) SELECT {COLUMNS[table]} FROM {table}")
            op.drop_table(table)
            op.rename_table(f"{table}_with_prompts", table)
        return
    for table, key in KEYS.items():
        op.add_column(table, sa.Column("prompt", sa.String(LONGEST), nullable=False, server_default=""))
        op.execute(f"ALTER TABLE {table} DROP CONSTRAINT {table}_pkey, ADD PRIMARY KEY ({', '.join(key)}, prompt)")
        # As of events: what the planner notes of a column are values out of it.
        op.execute(f"ALTER TABLE {table} ALTER prompt SET STATISTICS 0")


def downgrade() -> None:
    raise NotImplementedError("it would drop prompts, and with them what samples are; restore a backup instead")
