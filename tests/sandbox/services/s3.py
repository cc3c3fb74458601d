# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Object storage: moto's S3, with signatures checked. What it holds is in memory and gone with the process."""

from __future__ import annotations

import functools
import json
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from tests.sandbox.service import Process, Service, Settings, accepts_connections, free_port, write_private

REGION = "us-east-1"
SECOND_REGION = "us-west-2"


class S3Service(Service):
    """The bucket store of the lab.

    Settings: ``endpoint`` (URL), ``port``, ``access_key``, ``secret_key``, ``region``, ``buckets`` (use → name; that of
    ``backups_second_region`` lies in another region, for copies).
    """

    name = "s3"

    def settings(self) -> Settings:
        port = free_port()
        return {
            "endpoint": f"http://127.0.0.1:{port}",
            "port": port,
            "access_key": f"AKIA{secrets.token_hex(8).upper()}",
            "secret_key": secrets.token_urlsafe(30),
            "region": REGION,
            "buckets": {"backups": "dcm-backups", "backups_second_region": "dcm-backups-second-region"},
        }

    def prepare(self, settings: Settings) -> None:
        """Write the server's settings; private, as they hold the key."""
        content = json.dumps({name: settings[name] for name in ("port", "access_key", "secret_key")})
        write_private(self._file, content)

    def processes(self, settings: Settings) -> Iterable[Process]:
        return [
            Process(
                "s3",
                (self.python, "-m", "tests.sandbox.s3_server", "--settings", str(self._file)),
                functools.partial(accepts_connections, "127.0.0.1", settings["port"]),
            )
        ]

    def configure(self, settings: Settings) -> None:
        """Create the buckets that do not exist."""
        store = client(settings)
        existing = {bucket["Name"] for bucket in store.list_buckets()["Buckets"]}
        for use, bucket in settings["buckets"].items():
            if bucket not in existing:
                elsewhere = {"CreateBucketConfiguration": {"LocationConstraint": SECOND_REGION}}
                store.create_bucket(Bucket=bucket, **(elsewhere if use.endswith("second_region") else {}))

    @classmethod
    def environment(cls, settings: Settings) -> Mapping[str, str]:
        """For the AWS command line and boto3."""
        return {
            "AWS_ENDPOINT_URL_S3": settings["endpoint"],
            "AWS_ACCESS_KEY_ID": settings["access_key"],
            "AWS_SECRET_ACCESS_KEY": settings["secret_key"],
            "AWS_DEFAULT_REGION": settings["region"],
        }

    @property
    def _file(self) -> Path:
        return self.directory / "server.json"


def client(settings: Settings) -> Any:
    """A boto3 client of the lab's S3."""
    return boto3.client(
        "s3",
        endpoint_url=settings["endpoint"],
        aws_access_key_id=settings["access_key"],
        aws_secret_access_key=settings["secret_key"],
        region_name=settings["region"],
        config=Config(s3={"addressing_style": "path"}, signature_version="s3v4"),
    )
