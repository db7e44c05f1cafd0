"""Serves the studio until it is told to stop; what people have said by then is stored."""

from __future__ import annotations

import contextlib
import logging
import socket
import sys

import scipy.linalg  # noqa: F401  (whose threads are limited here, so it has to be loaded)
import uvicorn
from threadpoolctl import threadpool_limits

from pipelines.core.errors import GenloopError
from pipelines.core.project import Project
from studio import app, memory, monitoring, settings

GRACE = 10  # seconds for requests that are being answered
KEEP_ALIVE = 75  # seconds that a connection without requests is kept
SWITCH = 0.0005  # seconds that a thread that computes may keep one that answers waiting


def serve(project: Project, host: str, port: int) -> None:
    """Raises InputError where it cannot be set up, GenloopError where the port is taken."""
    found = settings.read(project, host, port)
    log = monitoring.set_up_logs(found.log)
    application = app.make(project, found, log.info)
    listener = listen(host, port)
    config = uvicorn.Config(
        application,
        log_level=logging.WARNING,
        access_log=False,
        timeout_graceful_shutdown=GRACE,
        timeout_keep_alive=KEEP_ALIVE,
        server_header=False,
        h11_max_incomplete_event_size=64 * 1024,
    )
    log.info(f"the studio is at http://{host}:{listener.getsockname()[1]}")
    sys.setswitchinterval(SWITCH)
    memory.use_few_arenas()
    # What it learns by are small matrices, for which threads of the linear algebra wait for each other longer than they work.
    threadpool_limits(limits=1, user_api="blas")
    with contextlib.suppress(KeyboardInterrupt):  # which uvicorn raises when it has ended as it was told to
        uvicorn.Server(config).run(sockets=[listener])
    log.info("the studio has ended; everything that was said is stored")


def listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError as error:
        listener.close()
        raise GenloopError(f"{host}:{port}: {error.strerror}; --port takes another one") from None
    return listener
