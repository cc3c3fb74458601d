# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Storage locations: what they should be, where they may not be, and when the server has found them usable."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import SplitResult, urlsplit

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    ConflictError,
    InputError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import FIELD_MANAGER, Object
from ansible_collections.dcm.platform.plugins.module_utils.velero import phases
from ansible_collections.dcm.platform.plugins.module_utils.velero.backup import Waiting
from ansible_collections.dcm.platform.plugins.module_utils.velero.backup_spec import checked_duration, same_duration
from ansible_collections.dcm.platform.plugins.module_utils.velero.client import VeleroClient
from ansible_collections.dcm.platform.plugins.module_utils.velero.durations import parse_duration
from ansible_collections.dcm.platform.plugins.module_utils.velero.objects import (
    ObjectReconciler,
    Stored,
    Wanted,
    Write,
)
from ansible_collections.dcm.platform.plugins.module_utils.velero.resources import LOCATION, SNAPSHOT_LOCATION
from ansible_collections.dcm.platform.plugins.module_utils.velero.tree import Leaf, Tree, document, same_flag

AVAILABLE = "Available"
IN_CLUSTER = re.compile(r"\.svc(\.cluster\.local)?$")  # Services as the cluster's own DNS names them
AWS = "amazonaws.com"
PORTS = {"https": 443, "http": 80}
DURATIONS = {"backup_sync_period": "backupSyncPeriod", "validation_frequency": "validationFrequency"}


def same_certificate(wanted: str, stored: str | None) -> bool:
    """The same PEM text, white space at the ends aside; both in base64."""
    try:
        return base64.b64decode(wanted).strip() == base64.b64decode(stored or "").strip()
    except binascii.Error:
        return False


def wanted_location(item: Mapping[str, Any]) -> Wanted:
    """A BackupStorageLocation of the option. Raises :class:`InputError` for a duration that is none."""
    storage = {"bucket": _given(item["bucket"]), "prefix": _given(item["prefix"]), **_authority(item)}
    spec: dict[str, Any] = {
        **_common(item),
        "objectStorage": {key: leaf for key, leaf in storage.items() if leaf is not None},
        "accessMode": _given(item["access_mode"]),
        "default": None if item["default"] is None else Leaf(item["default"], same_flag),
    }
    for option, key in DURATIONS.items():
        if item[option] is not None:
            checked_duration(option, item[option])
            spec[key] = Leaf(item[option], same_duration)
    return _wanted(LOCATION, item, spec, ("provider", "objectStorage.bucket"))


def wanted_snapshot_location(item: Mapping[str, Any]) -> Wanted:
    """A VolumeSnapshotLocation of the option."""
    return _wanted(SNAPSHOT_LOCATION, item, _common(item), ("provider",))


def _wanted(resource: Any, item: Mapping[str, Any], spec: Mapping[str, Any], required: tuple[str, ...]) -> Wanted:
    given = {key: value for key, value in spec.items() if value not in (None, {})}
    return Wanted(resource, item["name"], item["state"] == "present", given, item["labels"], required)


def _common(item: Mapping[str, Any]) -> dict[str, Leaf | None]:
    config = item["config"]
    return {
        "provider": _given(item["provider"]),
        "config": None if config is None else Leaf({key: _text(value) for key, value in config.items()}),
        "credential": _given(item["credential"]),
    }


def _given(value: Any) -> Leaf | None:
    return None if value is None else Leaf(value)


def _text(value: Any) -> str:
    """A setting as the API wants it: text, with booleans as JSON writes them."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _authority(item: Mapping[str, Any]) -> dict[str, Leaf]:
    """One of two keys, never both; the other one is taken away."""
    if item["ca_cert"] is not None:
        encoded = base64.b64encode(item["ca_cert"].encode()).decode()
        return {"caCert": Leaf(encoded, same_certificate), "caCertRef": Leaf(None)}
    if item["ca_cert_ref"] is not None:
        return {"caCertRef": Leaf(item["ca_cert_ref"]), "caCert": Leaf(None)}
    return {}


# -- where a location may not be -------------------------------------------------------------------------------------


def require_elsewhere(name: str, spec: Tree, sources: Sequence[str], external: bool) -> None:
    """Raise :class:`InputError` for a location that a disaster would take together with what it saves.

    ``sources``: URLs of stores or, with a path, of buckets that hold the data; ``external``: refuse Services of the
    cluster, too.
    """
    bucket = str((spec.get("objectStorage") or {}).get("bucket", ""))
    place = urlsplit(_endpoint(spec))
    if external and IN_CLUSTER.search(place.hostname or ""):
        raise _refused(name, f"is at {place.geturl()}, inside the cluster that it backs up")
    for source in sources:
        if _is_source(place, bucket, urlsplit(source)):
            where = f"the bucket {bucket} at {place.geturl()}"
            raise _refused(name, f"is {where}, which is or belongs to the source {source}")


def _refused(name: str, why: str) -> InputError:
    return InputError(
        f"The backup location {name} {why}.",
        hint="A disaster would take the backups with the data: give it a store elsewhere.",
    )


def _endpoint(spec: Tree) -> str:
    """URL of the store."""
    config = spec.get("config") or {}
    provider = str(spec.get("provider", "")).removeprefix("velero.io/")
    if provider != "aws":
        return f"https://{provider}"
    return str(config.get("s3Url") or f"https://s3.{AWS}").rstrip("/").lower()


def _is_source(place: SplitResult, bucket: str, source: SplitResult) -> bool:
    """Whether the bucket is the source, written as a host, as a host and a path, or with the bucket before the host."""
    if _address(source) == (f"{bucket}.{place.hostname}", _address(place)[1]):
        return True
    both_aws = all(_is_aws(url.hostname or "") for url in (place, source))
    same_store = both_aws or _address(source) == _address(place)
    return same_store and source.path.strip("/").partition("/")[0] in ("", bucket)


def _address(url: SplitResult) -> tuple[str, int | None]:
    return (url.hostname or "").lower(), url.port or PORTS.get(url.scheme.lower())


def _is_aws(host: str) -> bool:
    return host.endswith(f".{AWS}")


# -- the reconciler --------------------------------------------------------------------------------------------------


class Locations(ObjectReconciler):
    """Storage and snapshot locations as they are wanted, the storage locations usable.

    ``revalidate``: wait for a new look of the server at those that did not change, too, as their Secrets may have.
    """

    workers = 1  # the default first is taken from one, then given to another

    def __init__(
        self,
        client: VeleroClient,
        wanted: Sequence[Wanted],
        waiting: Waiting,
        *,
        sources: Sequence[str] = (),
        external: bool = False,
        revalidate: bool = False,
        predicting: bool = False,
    ) -> None:
        super().__init__(client, wanted, predicting=predicting)
        self._storage = [one for one in wanted if one.resource == LOCATION and one.present]
        self._defaults = [one.name for one in self._storage if _makes_default(one)]
        if len(self._defaults) > 1:
            raise InputError(f"Only one location can be the default, not {' and '.join(self._defaults)}.")
        self._waiting = waiting
        self._sources, self._external = sources, external
        self._revalidate = revalidate
        self._changed: set[str] = set()

    def plan(self, actual: Stored) -> list[Change]:
        for one in self._storage:
            stored = actual.get(one.key, {}).get("spec", {})
            require_elsewhere(one.name, _overlaid(stored, document(one.spec)), self._sources, self._external)
        changes = super().plan(actual)
        self._changed = {change.name for change in changes if change.kind == LOCATION.kind}
        return _default_last(_others_resign(self._defaults, actual, changes) + changes)

    def settle(self) -> None:
        """Every storage location is available, as the server found after the change."""
        if not self._waiting.wait:
            return
        clock = self._client.clock
        deadline = clock.now() + self._waiting.timeout
        for one in self._storage:
            self._after[one.key] = self._settled(self._after[one.key], deadline - clock.now())
        for one in self._storage:
            if _makes_default(one) and not self._after[one.key]["spec"].get("default"):
                raise ConflictError(
                    f"{self._called(one.name)} was made the default, but is not any more.",
                    hint="Velero keeps the newest of several defaults, and without any takes the one named default.",
                )

    def _settled(self, location: Object, timeout: float) -> Object:
        name = location["metadata"]["name"]
        if not is_looked_at(location["spec"]):
            return location
        since = location if name in self._changed or self._revalidate else None

        def examine(current: Object | None) -> Object:
            if current is None:
                raise ConflictError(f"{self._called(name)} was deleted by somebody else.")
            require_available(current, since)
            return current

        return self._client.follow(LOCATION, name, examine, max(0.0, timeout))

    def _called(self, name: str) -> str:
        return f"{LOCATION.kind} {self._client.namespace}/{name}"

    def result(self, actual: Stored, changes: Sequence[Change]) -> dict[str, Any]:
        return {
            "locations": self.summaries(changes, LOCATION),
            "snapshot_locations": self.summaries(changes, SNAPSHOT_LOCATION, with_status=False),
        }

    def status_of(self, item: Object | None) -> dict[str, Any]:
        if item is None:
            return {}
        status = item.get("status", {})
        return {
            "phase": status.get("phase"),
            "message": status.get("message"),
            "last_validation": status.get("lastValidationTime"),
            "default": bool(item["spec"].get("default")),
        }


def is_looked_at(spec: Tree) -> bool:
    """Whether the server validates the location at all."""
    frequency = spec.get("validationFrequency")
    return not frequency or parse_duration(frequency) != timedelta()


def require_available(location: Object, since: Object | None) -> None:
    """Raise :class:`NotYet` unless the server found the location usable, after ``since`` was written where given.

    Times are whole seconds: a look in the second of the change counts as one after it.
    """
    status = location.get("status", {})
    last = phases.timestamp(location, "lastValidationTime")
    if since is not None:
        written = _written(since)
        too_old = last == phases.timestamp(since, "lastValidationTime") or (last and written and last < written)
        if last is None or too_old:
            raise NotYet("Velero has not looked at it since; does a server run in this namespace?")
    if status.get("phase") != AVAILABLE:
        raise NotYet(status.get("message") or "Velero has not found it available; does a server run in this namespace?")


def _written(location: Object) -> datetime | None:
    """When we last wrote the object, by the API server's clock."""
    entries = location["metadata"].get("managedFields") or ()
    times = [entry["time"] for entry in entries if entry.get("manager") == FIELD_MANAGER and "time" in entry]
    return max(map(datetime.fromisoformat, times), default=None)


def _makes_default(wanted: Wanted) -> bool:
    leaf = wanted.spec.get("default")
    return isinstance(leaf, Leaf) and leaf.value is True


def _overlaid(stored: Tree, given: Tree) -> dict[str, Any]:
    """The spec as it will be."""
    storage = {**(stored.get("objectStorage") or {}), **given.get("objectStorage", {})}
    return {**stored, **given, "objectStorage": storage}


def _others_resign(defaults: Sequence[str], actual: Stored, changes: Sequence[Change]) -> list[Change]:
    """The server keeps the newest of several defaults, so the others give it up before an older one becomes it."""
    if not defaults:
        return []
    resigning = {change.name for change in changes if change.kind == LOCATION.kind and _resigns(change)}
    others = [
        name
        for (kind, name), item in actual.items()
        if kind == LOCATION.kind and item["spec"].get("default") and name not in (*defaults, *resigning)
    ]
    resigned = {"spec": {"default": False}}
    return [
        Change("update", LOCATION.kind, name, {"spec": {"default": True}}, resigned, Write(LOCATION, resigned))
        for name in others
    ]


def _resigns(change: Change) -> bool:
    return change.after is None or (change.after.get("spec") or {}).get("default") is False


def _default_last(changes: Sequence[Change]) -> list[Change]:
    """The location that becomes the default after all others."""
    return sorted(changes, key=lambda change: bool(((change.after or {}).get("spec") or {}).get("default")))
