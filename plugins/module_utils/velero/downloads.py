# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Files of backups and restores, fetched by the signed links that a Velero server gives for a DownloadRequest.

A link is as good as a password for its ten minutes, so it appears in no message.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import gzip
import json
import shutil
import tempfile
import urllib.error
from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any
from urllib.parse import urlsplit

from ansible.module_utils.urls import ConnectionError as UrlConnectionError
from ansible.module_utils.urls import SSLValidationError, open_url
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    NotFoundError,
    PlatformError,
    RefusedError,
    TransientError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.retry import retrying
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import Object, Resource
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.objects import ObjectsClient
from ansible_collections.dcm.platform.plugins.module_utils.velero.resources import DOWNLOAD_REQUEST, LOCATION

SERVICE = "Object store"
SECRETS = Resource("", "v1", "secrets", "Secret")
READ_TIMEOUT = 30  # seconds between two bytes
NAME_PART = 57  # characters of a target's name that its request shows
QUOTED = 3  # messages of a results file that an error quotes

Results = dict[str, dict[str, Any]]


class Downloads:
    """Fetches files through the Velero server of one namespace."""

    def __init__(self, kubernetes: ObjectsClient, namespace: str, timeout: float) -> None:
        """``timeout``: seconds that the server may take to give a link."""
        self._kubernetes = kubernetes
        self._namespace = namespace
        self._timeout = timeout

    def results(self, kind: str, name: str, backup: Object) -> Results:
        """``errors`` and ``warnings`` of a backup (``BackupResults``) or a restore (``RestoreResults``)."""
        with self.fetch(kind, name, backup) as file, gzip.open(file) as plain:
            found: Results = json.load(plain)
        return {part: found.get(part) or {} for part in ("errors", "warnings")}

    def fetch(self, kind: str, name: str, backup: Object) -> IO[bytes]:
        """A file as it is stored, in an unnamed temporary one. ``backup``: tells where the file is.

        Raises :class:`NotFoundError` when the store does not have it, :class:`TimedOutError` when the server gives no
        link, :class:`UnreachableError` when the store does not answer.
        """
        with self._response(kind, name, backup) as response, contextlib.ExitStack() as on_failure:
            file = on_failure.enter_context(tempfile.TemporaryFile())
            with _failures(response.geturl(), f"{kind} of {name}"):
                shutil.copyfileobj(response, file)
            file.seek(0)
            on_failure.pop_all()
        return file

    def size(self, kind: str, name: str, backup: Object) -> int:
        """Bytes of a file, without fetching it: a signed link allows nothing but GET."""
        with self._response(kind, name, backup, {"Range": "bytes=0-0"}) as response:
            whole = response.headers.get("Content-Range", "").rpartition("/")[2] or response.headers["Content-Length"]
            return int(whole)

    def _response(self, kind: str, name: str, backup: Object, headers: Mapping[str, str] | None = None) -> Any:
        location = self._kubernetes.get(LOCATION, self._namespace, backup.get("spec", {}).get("storageLocation", ""))
        spec = (location or {}).get("spec", {})
        verify = spec.get("config", {}).get("insecureSkipTLSVerify") != "true"
        url = self._link(kind, name)

        def call() -> Any:
            with self._authority(spec.get("objectStorage", {})) as ca_path, _failures(url, f"{kind} of {name}"):
                return open_url(
                    url,
                    headers=dict(headers or {}),
                    timeout=READ_TIMEOUT,
                    validate_certs=verify,
                    ca_path=ca_path,
                    use_netrc=False,
                    decompress=False,
                )

        return retrying(call, idempotent=True, clock=self._kubernetes.clock)

    def _link(self, kind: str, name: str) -> str:
        metadata = {"generateName": f"{name[:NAME_PART].rstrip('-.')}-"}
        body = {"metadata": metadata, "spec": {"target": {"kind": kind, "name": name}}}
        request = self._kubernetes.create(DOWNLOAD_REQUEST, self._namespace, body)["metadata"]["name"]

        def examine(current: Object | None) -> str:
            url = (current or {}).get("status", {}).get("downloadURL")
            if not url:
                raise NotYet(f"no link to {kind} of {name}; does a Velero server run in this namespace?")
            return str(url)

        try:
            return self._kubernetes.follow(DOWNLOAD_REQUEST, self._namespace, request, examine, timeout=self._timeout)
        finally:
            with contextlib.suppress(PlatformError):  # the server drops it after ten minutes anyway
                self._kubernetes.delete(DOWNLOAD_REQUEST, self._namespace, request)

    @contextlib.contextmanager
    def _authority(self, storage: Mapping[str, Any]) -> Iterator[str | None]:
        """Path of a file with the certificate authority of the store, None where the system's serve."""
        content = self._certificates(storage)
        if not content:
            yield None
            return
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(content)
            file.flush()
            yield file.name

    def _certificates(self, storage: Mapping[str, Any]) -> bytes:
        reference = storage.get("caCertRef")
        encoded = storage.get("caCert", "")
        if reference:
            secret = self._kubernetes.find(SECRETS, reference["name"], self._namespace) or {}
            encoded = secret.get("data", {}).get(reference["key"], "")
        try:
            return base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise RefusedError(f"The certificate authority of the storage location is not base64: {error}.") from error


def texts(messages: Mapping[str, Any]) -> list[str]:
    """The messages of a results file's ``errors`` or ``warnings``, each with where it belongs."""
    found = [str(text) for part in ("velero", "cluster") for text in messages.get(part) or ()]
    namespaces = (messages.get("namespaces") or {}).items()
    return found + [f"{namespace}: {text}" for namespace, entries in sorted(namespaces) for text in entries]


def quoted(found: Sequence[str]) -> list[str]:
    """The first few messages as sentences for an error."""
    more = [f"({len(found) - QUOTED} more.)"] if len(found) > QUOTED else []
    return [f"{text.rstrip('.')}." for text in found[:QUOTED]] + more


@contextlib.contextmanager
def _failures(url: str, what: str) -> Iterator[None]:
    address = f"{urlsplit(url).scheme}://{urlsplit(url).netloc}"
    try:
        yield
    except urllib.error.HTTPError as error:
        text = f"{SERVICE} at {address} refuses {what}: HTTP status {error.code}."
        if error.code == 404:
            raise NotFoundError(text, hint="The files of the backup are damaged or gone.") from None
        if error.code >= 500:
            raise TransientError(text) from None
        raise RefusedError(text, hint="Compare the clocks of the cluster and of the store: links are signed.") from None
    except (UrlConnectionError, SSLValidationError, urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", None) or type(error).__name__
        raise UnreachableError(SERVICE, address, str(getattr(reason, "strerror", None) or reason)) from None
