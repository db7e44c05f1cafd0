"""Services that a project uses by its environment alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import pytest

from tests.support import servers

NUMBERS = count()


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    with servers.s3() as url:
        yield url


@pytest.fixture
def s3(s3_server: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables with which the libraries reach the S3 server; they are set in this process too."""
    variables = {**servers.KEYS, "AWS_ENDPOINT_URL": s3_server, "AWS_EC2_METADATA_DISABLED": "true"}
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "MLFLOW_S3_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return variables


@pytest.fixture
def bucket(s3: dict[str, str]) -> str:
    """The name of an empty bucket."""
    import boto3

    name = f"bucket-{next(NUMBERS)}"
    boto3.session.Session().client("s3").create_bucket(Bucket=name)
    return name


def keys(bucket: str, prefix: str = "") -> list[str]:
    """Of all objects in a bucket."""
    import boto3

    pages = boto3.session.Session().client("s3").get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """USER:PASSWORD@127.0.0.1:PORT"""
    with servers.postgresql() as address:
        yield address


@pytest.fixture
def database(postgresql_server: str) -> Callable[[], str]:
    """Makes empty databases; gives their URLs, with a password."""

    def make() -> str:
        name = f"services_{next(NUMBERS)}"
        servers.make_database(postgresql_server, name)
        return f"postgresql://{postgresql_server}/{name}"

    return make
