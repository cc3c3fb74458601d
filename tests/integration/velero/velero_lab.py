# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The lab's Velero as the tests see it, through clients of their own."""

from __future__ import annotations

import contextlib
import functools
import io
import tarfile
from collections.abc import Iterator
from typing import Any

from kubernetes import client as kubernetes
from kubernetes import config
from kubernetes.client.exceptions import ApiException

from tests import waiting
from tests.conftest import LabFixture
from tests.sandbox.services import s3

FAULTS = "stand-in-faults"
ENDS_WITHIN = 60  # seconds; a backup of the lab takes about one
KINDS = {
    "backups": "Backup",
    "restores": "Restore",
    "schedules": "Schedule",
    "backupstoragelocations": "BackupStorageLocation",
}


eventually = functools.partial(waiting.eventually, within=ENDS_WITHIN)


def phase_of(item: Any) -> str:
    """The phase; empty where there is none yet."""
    return str((item or {}).get("status", {}).get("phase", ""))


class Velero:
    """What lies in Velero's namespace and in the store. ``prefix``: folder of the tests in the bucket of backups."""

    def __init__(self, lab: LabFixture, prefix: str) -> None:
        self.lab = lab
        self.prefix = prefix
        services = lab("kubernetes", "s3", "velero")
        self.kubernetes = services["kubernetes"]
        self.s3 = services["s3"]
        self.namespace: str = services["velero"]["namespace"]
        self.store = s3.client(self.s3)
        self.bucket: str = self.s3["buckets"]["backups"]
        api = config.new_client_from_config(self.kubernetes["kubeconfig"], context=self.kubernetes["context"])
        self.core = kubernetes.CoreV1Api(api)
        self._custom = kubernetes.CustomObjectsApi(api)

    @property
    def connection(self) -> dict[str, str]:
        """Options of a module."""
        return {"kubeconfig": self.kubernetes["kubeconfig"], "context": self.kubernetes["context"]}

    def _arguments(self, plural: str) -> dict[str, str]:
        return {"group": "velero.io", "version": "v1", "namespace": self.namespace, "plural": plural}

    # -- objects -----------------------------------------------------------------------------------------------

    def get(self, name: str, plural: str = "backups") -> Any:
        """The object, None when there is none."""
        try:
            return self._custom.get_namespaced_custom_object(**self._arguments(plural), name=name)
        except ApiException as error:
            if error.status != 404:
                raise
            return None

    def items(self, plural: str = "backups") -> list[Any]:
        """All objects of a kind."""
        found: list[Any] = self._custom.list_namespaced_custom_object(**self._arguments(plural))["items"]
        return found

    def objects(self, plural: str) -> dict[str, Any]:
        """The same by name."""
        return {item["metadata"]["name"]: item for item in self.items(plural)}

    def create(self, plural: str, name: str, spec: Any) -> None:
        """Make an object as somebody else does."""
        body = {"apiVersion": "velero.io/v1", "kind": KINDS[plural], "metadata": {"name": name}, "spec": spec}
        self._custom.create_namespaced_custom_object(**self._arguments(plural), body=body)

    def patch(self, plural: str, name: str, body: Any) -> None:
        """Merge a patch into an object."""
        self._custom.patch_namespaced_custom_object(
            **self._arguments(plural), name=name, body=body, _content_type="application/merge-patch+json"
        )

    def set_status(self, name: str, status: Any) -> None:
        """Write what else the server writes."""
        self.patch("backups", name, {"status": status})

    def delete(self, plural: str, name: str) -> None:
        """Remove an object, not what belongs to it; one that is gone is fine."""
        with contextlib.suppress(ApiException):
            self._custom.delete_namespaced_custom_object(**self._arguments(plural), name=name)

    # -- the store ---------------------------------------------------------------------------------------------

    def make_credentials(self, name: str) -> None:
        """A Secret with the store's keys."""
        keys = f"[default]\naws_access_key_id={self.s3['access_key']}\naws_secret_access_key={self.s3['secret_key']}\n"
        self.core.create_namespaced_secret(self.namespace, {"metadata": {"name": name}, "stringData": {"cloud": keys}})

    def remove_credentials(self, name: str) -> None:
        """Remove that Secret."""
        with contextlib.suppress(ApiException):
            self.core.delete_namespaced_secret(name, self.namespace)

    def store_config(self) -> dict[str, str]:
        """How the plug-in reaches the store."""
        return {"region": self.s3["region"], "s3Url": self.s3["endpoint"], "s3ForcePathStyle": "true"}

    def make_location(self) -> None:
        """A location of the tests, with its credentials; both have the name of the tests' folder."""
        self.make_credentials(self.prefix)
        storage = {"bucket": self.bucket, "prefix": self.prefix}
        credential = {"name": self.prefix, "key": "cloud"}
        spec = {"provider": "aws", "objectStorage": storage, "config": self.store_config(), "credential": credential}
        self.create("backupstoragelocations", self.prefix, spec)
        eventually(lambda: self.location_phase() == "Available", "the location is available")

    def location_phase(self) -> str:
        """The phase of that location."""
        return phase_of(self.get(self.prefix, "backupstoragelocations"))

    def remove_location(self) -> None:
        """Remove that location and every restore and backup, with their files."""
        for item in self.items("restores"):
            self.delete("restores", item["metadata"]["name"])
        eventually(lambda: not self.items("restores"), "the restores are gone")  # while their files can be found
        self.delete("backupstoragelocations", self.prefix)
        self.remove_credentials(self.prefix)
        self.empty_store()
        for item in self.items():
            self.delete("backups", item["metadata"]["name"])

    def namespaces(self, label_selector: str = "") -> set[str]:
        """Names of the namespaces that carry the labels."""
        return {item.metadata.name for item in self.core.list_namespace(label_selector=label_selector).items}

    def remove_namespaces(self, *names: str) -> None:
        """Remove namespaces, and wait until they are gone."""
        for name in names:
            with contextlib.suppress(ApiException):
                self.core.delete_namespace(name)
        eventually(lambda: not self.namespaces() & set(names), f"{', '.join(names)} are gone")

    def files(self, backup: str) -> dict[str, int]:
        """Size by name of the files of a backup."""
        prefix = f"{self.prefix}/backups/{backup}/"
        found = self.store.list_objects_v2(Bucket=self.bucket, Prefix=prefix).get("Contents", [])
        return {item["Key"].removeprefix(prefix): item["Size"] for item in found}

    def archive(self, backup: str) -> list[str]:
        """Paths in the archive of a backup."""
        key = f"{self.prefix}/backups/{backup}/{backup}.tar.gz"
        content = self.store.get_object(Bucket=self.bucket, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(content)) as archive:
            return archive.getnames()

    def empty_store(self) -> None:
        """Remove the files of the tests; before the backups, which would come back otherwise."""
        for page in self.store.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix):
            for item in page.get("Contents", []):
                self.store.delete_object(Bucket=self.bucket, Key=item["Key"])

    # -- faults ------------------------------------------------------------------------------------------------

    @contextlib.contextmanager
    def faults(self, **faults: str) -> Iterator[None]:
        """Make the stand-in fail: ``backups_fail="name"`` is its key ``backups.fail``."""
        self.core.create_namespaced_config_map(self.namespace, _faults(faults))
        try:
            yield
        finally:
            self.heal()

    def switch_faults(self, **faults: str) -> None:
        """Other faults instead, without a moment in between."""
        self.core.replace_namespaced_config_map(FAULTS, self.namespace, _faults(faults))

    def heal(self) -> None:
        """End all faults."""
        with contextlib.suppress(ApiException):
            self.core.delete_namespaced_config_map(FAULTS, self.namespace)


def _faults(faults: dict[str, str]) -> dict[str, Any]:
    data = {key.replace("_", ".", 1).replace("_", "-"): value for key, value in faults.items()}
    return {"metadata": {"name": FAULTS}, "data": data}
