# SPDX-License-Identifier: Apache-2.0
"""A server that speaks the API of S3, on this machine."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

REGION: Final = "us-east-1"


@contextmanager
def s3_server() -> Iterator[str]:
    """Its URL. It is empty: all such servers of a process share what they hold."""
    from moto.server import ThreadedMotoServer  # a second, for those who need it

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        url = f"http://{host}:{port}"
        urllib.request.urlopen(urllib.request.Request(f"{url}/moto-api/reset", method="POST"), timeout=10).close()
        yield url
    finally:
        server.stop()


def create_bucket(url: str, name: str, user: str = "test") -> None:
    """As this user, with the same word as secret."""
    import boto3  # half a second, for those who need it

    keys = {"aws_access_key_id": user, "aws_secret_access_key": user}
    boto3.client("s3", endpoint_url=url, region_name=REGION, **keys).create_bucket(Bucket=name)
