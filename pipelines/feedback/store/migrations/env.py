"""What Alembic runs for every command: migrations on the connection that pipelines/feedback/store/database.py gives."""

from __future__ import annotations

from alembic import context

from pipelines.feedback.store import tables

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=tables.metadata,
    version_table=tables.VERSION_TABLE,
)
with context.begin_transaction():
    context.run_migrations()
