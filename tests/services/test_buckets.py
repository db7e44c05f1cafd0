"""A bucket that cannot be used is found out in seconds, and said in one line that says what to do."""

from __future__ import annotations

import builtins
import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest

from pipelines.core import buckets
from pipelines.core.errors import GenloopError, InputError
from tests.support import http_servers


@pytest.fixture
def silent() -> Iterator[str]:
    """A server that takes connections and never answers."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(20)
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


def test_a_bucket_says_whether_there_is_anything(bucket: str) -> None:
    import boto3

    assert not buckets.check(f"s3://{bucket}/models", "X")
    boto3.session.Session().client("s3").put_object(Bucket=bucket, Key="models/3/weights", Body=b"0")
    assert buckets.check(f"s3://{bucket}/models", "X")
    assert buckets.check(f"s3://{bucket}", "X")
    assert not buckets.check(f"s3://{bucket}/data", "X")


def test_a_missing_bucket_is_named(s3: dict[str, str]) -> None:
    expected = rf"^X: s3://nowhere/a: {s3['AWS_ENDPOINT_URL']} has no bucket 'nowhere': make it, or name another one$"
    with pytest.raises(InputError, match=expected):
        buckets.check("s3://nowhere/a", "X")


@pytest.mark.parametrize("url", ["s3://", "s3:///path"])
def test_a_url_without_a_bucket_is_said(url: str) -> None:
    with pytest.raises(InputError, match=f"^X: expected s3://BUCKET/PATH; came {url}$"):
        buckets.check(url, "X")


def test_a_name_that_no_bucket_can_have_is_said(s3: dict[str, str]) -> None:
    with pytest.raises(InputError, match=r"^X: s3://a%b/c: .*Invalid bucket name"):
        buckets.check("s3://a%b/c", "X")


def test_missing_credentials_are_said(bucket: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    advice = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE"
    with pytest.raises(InputError, match=f"^X: s3://{bucket}: no credentials: {advice}$"):
        buckets.check(f"s3://{bucket}", "X")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "alone")
    with pytest.raises(InputError, match="no credentials"):
        buckets.check(f"s3://{bucket}", "X")


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (403, "InvalidAccessKeyId", r"refuses the credentials \(InvalidAccessKeyId\); see AWS_ACCESS_KEY_ID, AWS_SECRET"),
        (403, "SignatureDoesNotMatch", r"refuses the credentials \(SignatureDoesNotMatch\)"),
        (403, "AccessDenied", r"refuses to list the bucket 'b' \(AccessDenied\); give these credentials that right"),
        (400, "RequestTimeTooSkewed", r"answers with HTTP 400 \(RequestTimeTooSkewed: as it says\)"),
        (503, "SlowDown", r"answers with HTTP 503 \(SlowDown: as it says\)"),
    ],
)
def test_a_refusal_is_said_and_only_what_may_go_away_is_worth_another_try(
    s3: dict[str, str], monkeypatch: pytest.MonkeyPatch, status: int, code: str, words: str
) -> None:
    answer = (status, "application/xml", f"<Error><Code>{code}</Code><Message>as it says</Message></Error>")
    with http_servers.answering({"/b?list-type=2&prefix=&max-keys=1&encoding-type=url": answer}) as url:
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(GenloopError, match=f"^X: s3://b: {url} {words}") as raised:
            buckets.check("s3://b", "X")
    assert isinstance(raised.value, InputError) == (status != 503)


def test_a_refused_connection_is_said_at_once(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    started = time.monotonic()
    expected = r"^X: s3://b: http://127\.0\.0\.1:9 does not answer \(.*onnection.*\); start it, or change AWS_ENDPOINT_URL$"
    with pytest.raises(GenloopError, match=expected) as raised:
        buckets.check("s3://b", "X")
    assert not isinstance(raised.value, InputError)
    assert time.monotonic() - started < 20


def test_a_silent_server_is_said_soon(s3: dict[str, str], monkeypatch: pytest.MonkeyPatch, silent: str) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", silent)
    monkeypatch.setattr(buckets, "ANSWER", 0.3)
    started = time.monotonic()
    with pytest.raises(GenloopError, match=r"does not answer \(nothing came within 0\.3 seconds\)"):
        buckets.check("s3://b", "X")
    assert time.monotonic() - started < 20


@pytest.mark.parametrize("endpoint", ["127.0.0.1:9000", "http://ann:secret@[::1"])
def test_an_endpoint_that_is_none_is_said_without_a_password(
    s3: dict[str, str], monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with pytest.raises(InputError, match=r"^X: s3://b: ") as raised:
        buckets.check("s3://b", "X")
    assert "secret" not in str(raised.value)


def test_the_extra_is_named_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    installed = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name.startswith("boto"):
            raise ModuleNotFoundError(name=name)
        return installed(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"^X names S3, but the package boto3 is missing: .* `pip install 'genloop\[s3\]'`$"):
        buckets.check("s3://b", "X")
