"""python -m flows.prefect_server --port N: Prefect's server with its page, for this machine's user alone.

Prefect's own command answers every page in the user's browser, whichever site it is of. This one answers requests that were
sent to this machine by name, takes changes from its own page alone (a token against forged requests, and no other origins), and
asks nobody to log in.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

HOST = "127.0.0.1"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m flows.prefect_server", description=__doc__)
    parser.add_argument("--port", type=int, default=4200)
    port = parser.parse_args(arguments).port
    os.environ.update(variables(port))  # before Prefect is imported, which reads them then
    import uvicorn
    from prefect.server.api.server import create_app
    from starlette.middleware.trustedhost import TrustedHostMiddleware

    app = OriginGuard(TrustedHostMiddleware(create_app(), [HOST, "localhost"]), origins(port))
    uvicorn.run(app, host=HOST, port=port, log_level="error", timeout_keep_alive=30)


class OriginGuard:
    """Closes WebSockets to pages of other sites: neither tokens nor CORS hold for these. Programs send no origin."""

    def __init__(self, app: Any, allowed: Sequence[str]) -> None:
        self.app, self.allowed = app, allowed

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        origin = dict(scope.get("headers", ())).get(b"origin")
        if scope["type"] == "websocket" and origin is not None and origin.decode("latin-1") not in self.allowed:
            await receive()
            await send({"type": "websocket.close", "code": 1008})
            return
        await self.app(scope, receive, send)


def origins(port: int) -> list[str]:
    return [f"http://{host}:{port}" for host in (HOST, "localhost")]


def variables(port: int) -> dict[str, str]:
    """The settings of such a server, as Prefect reads them."""
    address = f"http://{HOST}:{port}"
    return {
        "PREFECT_SERVER_UI_API_URL": f"{address}/api",
        "PREFECT_SERVER_CSRF_PROTECTION_ENABLED": "true",
        "PREFECT_SERVER_CORS_ALLOWED_ORIGINS": ",".join(origins(port)),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        # In files: a server that is started again knows which run holds the project.
        "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
        "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
        "PREFECT_LOGGING_SERVER_LEVEL": "ERROR",
        "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "ERROR",
    }


if __name__ == "__main__":
    main()
