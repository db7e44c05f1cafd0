"""S3 buckets: whether one can be used, found out in seconds. Libraries that read and write there try for minutes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pipelines.core.errors import GenloopError, InputError
from pipelines.core.urls import hide_password

if TYPE_CHECKING:
    from botocore.client import BaseClient

ANSWER = 5.0  # seconds to wait for a connection, and then for an answer
ENDPOINT = "AWS_ENDPOINT_URL"
EXTRA = "install Genloop with its extra, `pip install 'genloop[s3]'`"
UNKNOWN_KEYS = ("InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "AuthFailure")
UNAVAILABLE = 500  # this HTTP status and those above it may go away by themselves


def is_bucket(url: str) -> bool:
    return url.startswith("s3://")


def check(url: str, source: str, endpoint: str | None = None) -> bool:
    """Ask for one name below an s3:// URL, with the credentials of the AWS_… variables, profiles and machine roles.

    Returns whether there is anything.

    source: the setting that names the URL. endpoint: the server, where it is not the one of AWS_ENDPOINT_URL.

    Raises:
        InputError: the package is missing, or the bucket, or credentials, or they are refused.
        GenloopError: the server does not answer.
    """
    place = urlsplit(url)
    if not place.hostname:
        raise InputError(f"{source}: expected s3://BUCKET/PATH; came {hide_password(url)}")
    try:
        import boto3  # noqa: F401
    except ModuleNotFoundError as error:
        raise InputError(f"{source} names S3, but the package {error.name} is missing: {EXTRA}") from None
    from botocore.exceptions import BotoCoreError, ClientError

    server = endpoint or ENDPOINT
    try:
        client = connect(endpoint)
        server = client.meta.endpoint_url
        found = client.list_objects_v2(Bucket=place.netloc, Prefix=place.path.lstrip("/"), MaxKeys=1)
    except ClientError as error:
        raise refusal(error.response, place.netloc, f"{source}: {url}", hide_password(server)) from None
    except (BotoCoreError, ValueError) as error:  # ValueError of an endpoint that is no URL
        raise fault(error, f"{source}: {url}", hide_password(server)) from None
    return bool(found.get("KeyCount"))


def is_fault(error: BaseException) -> bool:
    """Whether an error is the S3 libraries' own, as they raise it while they read and write."""
    return type(error).__module__.partition(".")[0] in ("boto3", "botocore", "s3transfer")


def explain(error: BaseException) -> str:
    """Such an error in a line."""
    return hide_password(" ".join(str(error).split())[:300] or type(error).__name__)


def connect(endpoint: str | None) -> BaseClient:
    import boto3
    from botocore.config import Config

    config = Config(connect_timeout=ANSWER, read_timeout=ANSWER, retries={"total_max_attempts": 1})
    return boto3.session.Session().client("s3", endpoint_url=endpoint, config=config)


def refusal(response: dict[str, Any], bucket: str, place: str, server: str) -> GenloopError:
    """The error for an answer that says no."""
    code, words = response["Error"].get("Code", ""), response["Error"].get("Message", "")
    status = response["ResponseMetadata"]["HTTPStatusCode"]
    if code == "NoSuchBucket" or status == 404:
        return InputError(f"{place}: {server} has no bucket {bucket!r}: make it, or name another one")
    if code in UNKNOWN_KEYS:
        return InputError(f"{place}: {server} refuses the credentials ({code}); see AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY")
    if status in (401, 403):
        return InputError(
            f"{place}: {server} refuses to list the bucket {bucket!r} ({code}); give these credentials that right"
        )
    kind = GenloopError if status >= UNAVAILABLE else InputError
    return kind(f"{place}: {server} answers with HTTP {status} ({code}: {words})")


def fault(error: Exception, place: str, server: str) -> GenloopError:
    """The error for no answer, or for a question that was never asked."""
    from botocore import exceptions

    if isinstance(error, exceptions.NoCredentialsError | exceptions.PartialCredentialsError):
        return InputError(f"{place}: no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE")
    if isinstance(error, exceptions.ConnectTimeoutError | exceptions.ReadTimeoutError):
        words = f"nothing came within {ANSWER:g} seconds"
        return GenloopError(f"{place}: {server} does not answer ({words}); start it, or change {ENDPOINT}")
    if isinstance(error, exceptions.ConnectionError | exceptions.HTTPClientError):
        cause = str(error.kwargs.get("error") or error)
        words = cause.removesuffix("))").strip("'\"").rpartition(": ")[2]
        return GenloopError(f"{place}: {server} does not answer ({words}); start it, or change {ENDPOINT}")
    return InputError(f"{place}: {explain(error)}")
