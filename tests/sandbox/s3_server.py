# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""moto's S3 behind a check of every request's signature: moto alone takes any key, which no S3 does.

Run as ``python -m tests.sandbox.s3_server --settings <file>`` with a JSON file of ``port``, ``access_key`` and
``secret_key``. Signature version 4 only, in the header or in a presigned URL; the body's own checksum is not verified.
"""

from __future__ import annotations

import argparse
import datetime
import hashlib
import hmac
import json
import logging
import re
import signal
import sys
import urllib.parse
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple

Environment = dict[str, Any]  # of WSGI
StartResponse = Callable[..., Any]
Application = Callable[[Environment, StartResponse], Iterable[bytes]]

ALGORITHM = "AWS4-HMAC-SHA256"
CLOCK_SKEW = datetime.timedelta(minutes=15)


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


class RefusedError(Exception):
    """A request that S3 answers with 403. ``code`` is S3's error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class SignatureCheck:
    """WSGI layer that lets pass only what is signed with the one key pair."""

    def __init__(
        self,
        application: Application,
        access_key: str,
        secret_key: str,
        now: Callable[[], datetime.datetime] = _now,
    ) -> None:
        self._application = application
        self._now = now
        self._access_key = access_key
        self._secret_key = secret_key

    def __call__(self, environment: Environment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            self._verify(environment, self._now())
        except RefusedError as refusal:
            body = (
                '<?xml version="1.0" encoding="UTF-8"?>\n'
                f"<Error><Code>{refusal.code}</Code><Message>{refusal}</Message></Error>"
            ).encode()
            headers = [("Content-Type", "application/xml"), ("Content-Length", str(len(body)))]
            start_response("403 Forbidden", headers)
            return [body]
        return self._application(environment, start_response)

    def _verify(self, environment: Environment, now: datetime.datetime) -> None:
        path, _mark, query = environment["RAW_URI"].partition("?")
        parameters = urllib.parse.parse_qsl(query, keep_blank_values=True)
        claim = _claim(environment, dict(parameters))
        access_key, _slash, scope = claim["Credential"].partition("/")
        if access_key != self._access_key:
            raise RefusedError(
                "InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records."
            )
        _check_time(claim, now)
        canonical = "\n".join(
            [
                environment["REQUEST_METHOD"],
                path,
                _canonical_query(parameters),
                *(f"{name}:{_header(environment, name)}" for name in claim["SignedHeaders"].split(";")),
                "",
                claim["SignedHeaders"],
                claim["Payload"],
            ]
        )
        if not hmac.compare_digest(signature(self._secret_key, scope, claim["Date"], canonical), claim["Signature"]):
            raise RefusedError(
                "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided.",
            )


def signature(secret_key: str, scope: str, date: str, canonical: str) -> str:
    """Signature version 4 of a canonical request. ``scope``: date, region, service and ``aws4_request``."""
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    return hmac.digest(key, "\n".join([ALGORITHM, date, scope, digest]).encode(), "sha256").hex()


def _claim(environment: Environment, parameters: Mapping[str, str]) -> dict[str, str]:
    """What the request says of its signature: from the header, or from a presigned URL. Raises RefusedError."""
    header = environment.get("HTTP_AUTHORIZATION", "")
    if header.startswith(ALGORITHM):
        fields = dict(re.findall(r"(Credential|SignedHeaders|Signature)=([^,\s]+)", header))
        fields["Date"] = environment.get("HTTP_X_AMZ_DATE", "")
        fields["Payload"] = environment.get("HTTP_X_AMZ_CONTENT_SHA256", "")
    else:
        names = ("Algorithm", "Credential", "SignedHeaders", "Signature", "Date", "Expires")
        fields = {name: parameters[f"X-Amz-{name}"] for name in names if f"X-Amz-{name}" in parameters}
        fields["Payload"] = "UNSIGNED-PAYLOAD"
    if not {"Credential", "SignedHeaders", "Signature", "Date"} <= fields.keys():
        raise RefusedError("AccessDenied", "Access Denied")
    return fields


def _check_time(claim: Mapping[str, str], now: datetime.datetime) -> None:
    try:
        signed = datetime.datetime.strptime(claim["Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=datetime.UTC)
        valid_for = datetime.timedelta(seconds=int(claim["Expires"])) if "Expires" in claim else CLOCK_SKEW
    except ValueError as error:
        raise RefusedError("AccessDenied", f"unreadable date: {error}") from error
    if not signed - CLOCK_SKEW <= now <= signed + valid_for:
        code = "AccessDenied" if "Expires" in claim else "RequestTimeTooSkewed"
        raise RefusedError(code, "Request has expired")


def _canonical_query(parameters: Iterable[tuple[str, str]]) -> str:
    def quoted(text: str) -> str:
        return urllib.parse.quote(text, safe="-_.~")

    pairs = sorted((quoted(name), quoted(value)) for name, value in parameters if name != "X-Amz-Signature")
    return "&".join(f"{name}={value}" for name, value in pairs)


def _header(environment: Environment, name: str) -> str:
    key = name.upper().replace("-", "_")
    value = environment.get(key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else f"HTTP_{key}", "")
    return " ".join(str(value).split())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--settings", type=Path, required=True)
    settings = json.loads(parser.parse_args().settings.read_text())
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    # its line for each request would hold presigned URLs
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    application = SignatureCheck(
        DomainDispatcherApplication(create_backend_app), settings["access_key"], settings["secret_key"]
    )
    run_simple("127.0.0.1", settings["port"], application, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main()
