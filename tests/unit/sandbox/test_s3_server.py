# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab's S3 takes only what is signed with its key."""

from __future__ import annotations

import datetime
import urllib.parse
from collections.abc import Iterable
from typing import Any

import pytest
from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.sandbox.s3_server import SignatureCheck

URL = "http://127.0.0.1:9000/bucket/a%20b/%C3%BC?list-type=2&prefix=x%2Fy&empty="


def send(url: str, headers: dict[str, str], method: str = "GET", later: float = 0.0) -> str:
    """Status and error code of the answer to a request that arrives ``later`` seconds after it was signed."""
    parts = urllib.parse.urlsplit(url)
    environment: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "RAW_URI": f"{parts.path}?{parts.query}",
        "HTTP_HOST": parts.netloc,
        **{f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()},
    }
    statuses: list[str] = []

    def start_response(status: str, _headers: object) -> None:
        statuses.append(status)

    def application(_environment: dict[str, Any], start: Any) -> Iterable[bytes]:
        start("200 OK", [])
        return [b""]

    def now() -> datetime.datetime:
        return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=later)

    body = b"".join(SignatureCheck(application, "AK", "SK", now)(environment, start_response))
    code = body.decode().partition("<Code>")[2].partition("</Code>")[0]
    return f"{statuses[0]} {code}".strip()


def signed(access_key: str = "AK", secret_key: str = "SK", region: str = "us-east-1") -> dict[str, str]:
    request = AWSRequest(method="GET", url=URL, headers={"x-amz-meta-note": "two  spaces"})
    S3SigV4Auth(Credentials(access_key, secret_key), "s3", region).add_auth(request)
    return dict(request.headers.items())


def presigned(expires: int = 600) -> str:
    request = AWSRequest(method="GET", url=URL)
    S3SigV4QueryAuth(Credentials("AK", "SK"), "s3", "us-east-1", expires=expires).add_auth(request)
    return str(request.url)


def test_signed_requests_pass() -> None:
    assert send(URL, signed()) == "200 OK"
    assert send(URL, signed(region="us-west-2")) == "200 OK"
    assert send(presigned(), {}) == "200 OK"


@pytest.mark.parametrize(
    ("url", "headers", "answer"),
    [
        (URL, {}, "403 Forbidden AccessDenied"),
        (URL, {"authorization": "Basic eDp5"}, "403 Forbidden AccessDenied"),
        (URL, signed(access_key="OTHER"), "403 Forbidden InvalidAccessKeyId"),
        (URL, signed(secret_key="OTHER"), "403 Forbidden SignatureDoesNotMatch"),
        (URL.replace("prefix=x", "prefix=z"), signed(), "403 Forbidden SignatureDoesNotMatch"),
        (URL, {**signed(), "x-amz-meta-note": "other"}, "403 Forbidden SignatureDoesNotMatch"),
        (presigned().replace("Expires=600", "Expires=6000"), {}, "403 Forbidden SignatureDoesNotMatch"),
    ],
)
def test_others_do_not(url: str, headers: dict[str, str], answer: str) -> None:
    assert send(url, headers) == answer


def test_a_signature_for_one_method_is_none_for_another() -> None:
    assert send(URL, signed(), "DELETE") == "403 Forbidden SignatureDoesNotMatch"


def test_signatures_grow_old() -> None:
    assert send(URL, signed(), later=600) == "200 OK"
    assert send(URL, signed(), later=3600) == "403 Forbidden RequestTimeTooSkewed"
    assert send(presigned(expires=60), {}, later=30) == "200 OK"
    assert send(presigned(expires=60), {}, later=90) == "403 Forbidden AccessDenied"
