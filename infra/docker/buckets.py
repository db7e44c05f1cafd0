"""Makes the S3 buckets of DVC's remote and of MLflow's artifacts, where they are not there yet: what comes later does not."""

from __future__ import annotations

import os
import sys
from urllib.parse import urlsplit

VARIABLES = ("GENLOOP_REMOTE_URL", "MLFLOW_DEFAULT_ARTIFACT_ROOT")
NOT_FOUND = "404"


def main() -> None:
    urls = [urlsplit(os.environ.get(name, "")) for name in VARIABLES]
    buckets = sorted({url.netloc for url in urls if url.scheme == "s3"})
    if not buckets:
        return
    import boto3
    from botocore.exceptions import BotoCoreError, ClientError

    client = boto3.client("s3")
    for bucket in buckets:
        try:
            client.head_bucket(Bucket=bucket)
        except ClientError as error:
            if error.response["Error"]["Code"] != NOT_FOUND:
                sys.exit(f"setup: the bucket {bucket} cannot be used: {error}")
            client.create_bucket(Bucket=bucket)
            print(f"setup: made the bucket {bucket}")
        except BotoCoreError as error:
            sys.exit(f"setup: the S3 store does not answer: {error}")


if __name__ == "__main__":
    main()
