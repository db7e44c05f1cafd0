"""infra/compose.yaml as Docker Compose reads it: with its variables filled in, each service with what it inherits."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dotenv import dotenv_values
from ruamel.yaml import YAML

from tests.conftest import REPOSITORY

INFRA = REPOSITORY / "infra"
COMPOSE = INFRA / "compose.yaml"
EXAMPLE = INFRA / ".env.example"
IMAGE = "genloop:0.1.0"  # ours
VARIABLE = re.compile(r"\$(?:(\$)|\{(\w+)(?:(:[-?])([^}]*))?\})")


class UnsetError(Exception):
    """A variable has no value, and Compose would stop with this message."""


def load(variables: Mapping[str, str]) -> dict[str, Any]:
    """The file with `${NAME}`, `${NAME:-default}` and `${NAME:?message}` replaced. Raises UnsetError."""
    content: dict[str, Any] = fill(read_yaml(COMPOSE), variables)
    return content


def read_yaml(path: Path) -> Any:
    return YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))


def fill(content: Any, variables: Mapping[str, str]) -> Any:
    if isinstance(content, dict):
        return {name: fill(value, variables) for name, value in content.items()}
    if isinstance(content, list):
        return [fill(value, variables) for value in content]
    return substitute(content, variables) if isinstance(content, str) else content


def substitute(text: str, variables: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        dollar, name, operator, word = match.groups()
        if dollar:
            return "$"
        found = variables.get(name, "")
        if not found and operator == ":?":
            raise UnsetError(f"{name}: {word}")
        return found or (word if operator == ":-" else "")

    return VARIABLE.sub(value, text)


def example() -> dict[str, str]:
    """infra/.env.example with every empty value filled in, as whoever installs it does."""
    filled = {
        "POSTGRES_PASSWORD": "0123456789abcdef",
        "S3_ACCESS_KEY": "access0123456789",
        "S3_SECRET_KEY": "secret0123456789abcdef",
        "GENLOOP_SECRET_KEY": "0123456789abcdef0123456789abcdef",
        "GENLOOP_API_KEYS": "shop:generate+events:0123456789abcdef",
        "PREFECT_AUTH": "genloop:0123456789abcdef",
        # of the password `pages`
        "PAGES_PASSWORD_HASH": "$2a$04$Ewx8Vk5Gm9wJzfZ9B6tKze8F8nqO1C8kUjY1yJk6O1q1oXbQm0o5K",
        "GRAFANA_PASSWORD": "0123456789abcdef",
    }
    values = {name: value or "" for name, value in dotenv_values(EXAMPLE, interpolate=False).items()}
    return values | filled


def our_services(content: Mapping[str, Any]) -> list[str]:
    return [name for name, service in content["services"].items() if service["image"] == IMAGE]


def order(content: Mapping[str, Any]) -> list[str]:
    """Names of services, each after those that it depends on."""
    found: list[str] = []

    def add(name: str) -> None:
        for needed in content["services"][name].get("depends_on", {}):
            add(needed)
        if name not in found:
            found.append(name)

    for name in content["services"]:
        add(name)
    return found


def image_variables(dockerfile: Path) -> dict[str, str]:
    """ENV of the last stage."""
    last = dockerfile.read_text(encoding="utf-8").rpartition("\nFROM ")[2].replace("\\\n", " ")
    lines = [line.removeprefix("ENV ") for line in last.splitlines() if line.startswith("ENV ")]
    return dict(part.split("=", 1) for line in lines for part in line.split())


def build_context() -> Iterator[Path]:
    """Files that `docker build` sends, of those that git knows or would take, relative to the repository."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    names = subprocess.run(listed, cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout.split("\0")
    text = (REPOSITORY / ".dockerignore").read_text(encoding="utf-8")
    rules = [line for line in text.splitlines() if line and not line.startswith("#")]
    yield from (Path(name) for name in names if name and (REPOSITORY / name).is_file() and not is_ignored(name, rules))


def is_ignored(name: str, rules: list[str]) -> bool:
    """By the last rule that fits the file or a folder that it is in, as Docker decides it."""
    places = [name, *map(str, Path(name).parents)][:-1]
    ignored = False
    for rule in rules:
        pattern = re.escape(rule.removeprefix("!")).replace(r"\*\*/", "(?:.*/)?").replace(r"\*", "[^/]*")
        if any(re.fullmatch(pattern, place) for place in places):
            ignored = not rule.startswith("!")
    return ignored
