"""python -m flows.prefect_server --port N: Prefect's server with its page, for this machine's user alone.

Prefect's own command answers every page in the user's browser, whichever site it is of. This one answers requests that were
sent to this machine by name, takes changes from its own page alone (a token against forged requests, and no other origins), and
asks nobody to log in.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

HOST = "127.0.0.1"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m flows.prefect_server", description=__doc__)
    parser.add_argument("--port", type=int, default=4200)
    port = parser.parse_args(arguments).port
    os.environ.update(variables(port))  # before Prefect is imported, which reads them then
    import uvicorn
    from prefect.server.api.server import create_app
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    app = TrustedHostMiddleware(create_app(), [HOST, "localhost"])
    uvicorn.run(app, host=HOST, port=port, log_level="error", timeout_keep_alive=30)


def variables(port: int) -> dict[str, str]:
    """The settings of such a server, as Prefect reads them."""
    address = f"http://{HOST}:{port}"
    return {
        "PREFECT_SERVER_UI_API_URL": f"{address}/api",
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": f"{address},http://localhost:{port}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # In files: a server that is started again knows which run holds the project.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",
    }


if __name__ == "__main__":
    main()
