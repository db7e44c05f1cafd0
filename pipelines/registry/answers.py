"""Whether the server of a registry answers, found out in seconds: MLflow itself tries for minutes."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from pipelines.core import postgresql
from pipelines.core.errors import GenloopError
from pipelines.core.urls import hide_password

VARIABLE = "MLFLOW_TRACKING_URI"
ANSWER = 5.0  # seconds to wait for it
PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
GATEWAY_ERRORS = (502, 503, 504)  # of what stands before a server that does not answer


def check(uri: str) -> None:
    """Raises GenloopError where the server at this address, of MLflow or its database, does not answer soon, or refuses us."""
    scheme = urlsplit(uri).scheme.partition("+")[0]
    reason = None
    if scheme in ("http", "https"):
        reason = http_fault(uri)
    elif scheme in PORTS:
        reason = port_fault(uri, PORTS[scheme])
    if reason:
        raise GenloopError(f"MLflow at {hide_password(uri)} does not answer ({reason}); start it, or change {VARIABLE}")
    if postgresql.is_postgresql(uri) and (reason := postgresql.fault(uri, VARIABLE)):
        raise GenloopError(f"MLflow's database at {hide_password(uri)} cannot be used ({reason}); see {VARIABLE}")


def http_fault(uri: str) -> str | None:
    """Asked in MLflow's own way: with its passwords, certificates and proxies. Every answer is one, `no such page` too."""
    from mlflow.exceptions import MlflowException
    from mlflow.utils.credentials import get_default_host_creds
    from mlflow.utils.rest_utils import http_request

    server = get_default_host_creds(uri.rstrip("/"))
    try:
        answer = http_request(server, "/health", "GET", max_retries=0, timeout=ANSWER, raise_on_status=False)
    except MlflowException as error:
        return explain(error.__cause__ or error)
    return f"HTTP {answer.status_code}" if answer.status_code in GATEWAY_ERRORS else None


def port_fault(uri: str, usual_port: int) -> str | None:
    try:
        address = urlsplit(uri)
        if address.hostname is None:  # on this machine, by a file
            return None
        socket.create_connection((address.hostname, address.port or usual_port), ANSWER).close()
    except TimeoutError as error:
        return explain(error)
    except (OSError, ValueError) as error:  # a port that is no number
        return str(error)
    return None


def explain(error: BaseException) -> str:
    """The last cause, which the message of a request names last, in brackets: `… (Caused by SomeError('…: WORDS'))`."""
    words = str(error)
    if "timed out" in words:
        return f"nothing came within {ANSWER:g} seconds"
    return words.removesuffix("))").strip("'\"").rpartition(": ")[2]
