"""What the environment and the command say of a studio: where it listens, its secret, and who holds keys of its API."""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from pipelines.core import files
from pipelines.core.errors import InputError
from pipelines.core.project import Project

SECRET, KEYS, HOSTS, WIDGETS = "GENLOOP_SECRET_KEY", "GENLOOP_API_KEYS", "GENLOOP_STUDIO_HOSTS", "GENLOOP_WIDGET_ORIGINS"
LOG, LOGS = "GENLOOP_STUDIO_LOG", ("", "json", "plain")  # by default json, but plain lines on a terminal
SCOPES = ("generate", "events", "admin")
LEAST_SECRET = 32  # characters; `openssl rand -hex 32` makes 64
OWN_SECRET = "studio.secret"  # in `logs`: cookies outlive a restart on a machine without the variable
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class ApiKey:
    """name: who holds it, as logs and votes without a visitor say. scopes: of SCOPES."""

    name: str
    scopes: frozenset[str]
    key: str


@dataclass(frozen=True)
class StudioSettings:
    """hosts: names by which it may be asked, without ports. widget_origins: whose pages may show the widget. log: of LOGS."""

    host: str
    port: int
    secret: str
    keys: tuple[ApiKey, ...] = ()
    hosts: frozenset[str] = frozenset({"127.0.0.1", "localhost", "::1"})
    widget_origins: tuple[str, ...] = ()
    log: str = ""

    @property
    def address(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"


def read(project: Project, host: str, port: int) -> StudioSettings:
    """Raises InputError where a variable is unusable, or a secret is missing where other machines can reach the studio."""
    environment = project.environment
    secret = environment.get(SECRET, "")
    if not secret and not is_loopback(host):
        raise InputError(
            f"{SECRET} is missing: other machines can reach {host}, so set it to a secret of your own "
            f"(`export {SECRET}=$(openssl rand -hex 32)`), or listen on 127.0.0.1"
        )
    if secret and len(secret) < LEAST_SECRET:
        raise InputError(f"{SECRET}: expected at least {LEAST_SECRET} characters, came {len(secret)}")
    if (log := environment.get(LOG, "")) not in LOGS:
        raise InputError(f"{LOG}: expected json, plain or nothing, came {log!r}")
    hosts = {"127.0.0.1", "localhost", "::1", host, *split(environment, HOSTS)}
    return StudioSettings(
        host,
        port,
        secret or own_secret(project),
        read_keys(environment),
        frozenset(hosts),
        tuple(split(environment, WIDGETS)),
        log,
    )


def split(environment: Mapping[str, str], name: str) -> list[str]:
    return [part.strip() for part in environment.get(name, "").split(",") if part.strip()]


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_keys(environment: Mapping[str, str]) -> tuple[ApiKey, ...]:
    """The keys of `name:scope+scope:key`, joined by commas."""
    found = []
    for number, text in enumerate(split(environment, KEYS), 1):
        name, scopes, key = [*text.split(":", 2), "", ""][:3]
        wrong = [scope for scope in scopes.split("+") if scope not in SCOPES]
        if not NAME.fullmatch(name) or wrong or len(key) < 16:
            raise InputError(
                f"{KEYS}: entry {number} is not name:scope+scope:key; scopes are {', '.join(SCOPES)}, and a key has at least "
                "16 characters"
            )  # what came is not shown, because it may be a key
        found.append(ApiKey(name, frozenset(scopes.split("+")), key))
    if len({one.key for one in found}) < len(found):
        raise InputError(f"{KEYS}: two entries have the same key")
    return tuple(found)


def own_secret(project: Project) -> str:
    """The secret of this project, made where there is none, that only its owner can read."""
    path = project.logs / OWN_SECRET
    if not path.is_file():
        project.logs.mkdir(parents=True, exist_ok=True)
        files.write(path, secrets.token_hex(32))
        os.chmod(path, 0o600)
    return path.read_text().strip()
