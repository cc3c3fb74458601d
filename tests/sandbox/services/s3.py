# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Object storage: moto's S3, with signatures checked. What it holds is in memory and gone with the process."""

from __future__ import annotations

import functools
import json
import os
import secrets
from collections.abc import Iterable, Mapping
from typing import Any

import boto3
from botocore.config import Config

from tests.sandbox.service import Process, Service, Settings, accepts_connections, free_port

REGION = "us-east-1"


class S3Service(Service):
    """The bucket store of the lab.

    Settings: ``endpoint`` (URL), ``port``, ``access_key``, ``secret_key``, ``region``, ``buckets`` (use → name; the
    ones of the second region serve copies across regions).
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
        descriptor = os.open(self._file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(content)

    def processes(self, settings: Settings) -> Iterable[Process]:
        return [
            Process(
                "s3",
                (self.python, "-m", "tests.sandbox.s3_server", "--settings", self._file),
                functools.partial(accepts_connections, "127.0.0.1", settings["port"]),
            )
        ]

    def configure(self, settings: Settings) -> None:
        """Create the buckets that do not exist; creating one's own bucket again changes nothing in us-east-1."""
        store = client(settings)
        for bucket in settings["buckets"].values():
            store.create_bucket(Bucket=bucket)

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
    def _file(self) -> str:
        return str(self.directory / "server.json")


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
