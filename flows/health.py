"""Whether Prefect's API answers at an address, in words. It needs no Prefect, whose import takes seconds."""

from __future__ import annotations

import importlib.metadata
import json

import httpx

from pipelines.core.environment import is_this_machine, split

TIMEOUT = 10.0  # seconds
CLOUD = ".prefect.cloud"  # Prefect's own service, which asks for a key first and serves every version


def fault(url: str) -> str | None:
    """What is wrong with the server at this address, a PREFECT_API_URL; None where Prefect's API answers."""
    host = split(url).hostname
    if host is None:
        return f"PREFECT_API_URL={url} is no address; expected one like http://127.0.0.1:4200/api"
    try:
        with httpx.Client(trust_env=not is_this_machine(host), timeout=TIMEOUT) as client:
            health = client.get(f"{url.rstrip('/')}/health")
            version = client.get(f"{url.rstrip('/')}/admin/version")
    except httpx.ProxyError as error:
        return f"the proxy does not pass on to {url} ({error}); NO_PROXY={host} has it asked directly"
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, ImportError) as error:
        return (
            f"Prefect's server at {url} does not answer ({error or type(error).__name__}); start it, or unset PREFECT_API_URL"
        )
    if host.endswith(CLOUD):
        return None
    if health.status_code == httpx.codes.UNAUTHORIZED:
        return None  # a gateway that asks for what Prefect's own client may be told, such as custom headers
    if health.is_server_error:
        return f"Prefect's server at {url} answers with HTTP {health.status_code}; its own log says why"
    if health.status_code != httpx.codes.OK or parse(health) is not True:
        kind = health.headers.get("content-type", "no type").partition(";")[0]
        return (
            f"what answers at {url} is not Prefect's API (HTTP {health.status_code}, {kind}); its address ends with "
            "/api, as in http://127.0.0.1:4200/api"
        )
    own = importlib.metadata.version("prefect")
    found = parse(version) if version.is_success else own  # a server with a password does not say
    if str(found).partition(".")[0] != own.partition(".")[0]:  # Prefect's client refuses another major version
        return f"the server at {url} is Prefect {found}, and here is {own}; start one of the same major version"
    return None


def parse(answer: httpx.Response) -> object:
    try:
        return answer.json()
    except json.JSONDecodeError:
        return None
