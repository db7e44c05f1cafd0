"""When things run. Everything that imports Prefect is in this folder."""

import os

# Prefect reads its settings once, when it is imported, so they are set before anything here imports it.
# Its log goes to its page; on the terminal are the stages' own words, once.
os.environ.setdefault("PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL", "CRITICAL")
# An embedded server needs 13 s to start on two idle cores; the limit is 20 s unless it is raised.
os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", "90")
