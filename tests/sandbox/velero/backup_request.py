# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Velero makes of a new Backup before it runs: the defaults it writes back, and what it refuses."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml

from tests.sandbox.cluster import Object
from tests.sandbox.velero import filters, terms
from tests.sandbox.velero.archive import FORMAT_VERSION

TTL = datetime.timedelta(hours=720)
DURATIONS = {
    "ttl": TTL,
    "csiSnapshotTimeout": datetime.timedelta(minutes=10),
    "itemOperationTimeout": datetime.timedelta(hours=4),
}
RESOURCE_TIMEOUT = datetime.timedelta(minutes=10)
AUTOMATICALLY_EXCLUDED = {
    "namespaced": "volumesnapshots.snapshot.storage.k8s.io",
    "cluster": "volumesnapshotcontents.snapshot.storage.k8s.io",
}
NO_LOCATION = (
    "an existing backup storage location was not specified at backup creation time and the {} {} {}. Please address "
    "this issue (see `velero backup-location -h` for options) and create a new backup. Error: "
    'BackupStorageLocation.velero.io "{}" not found'
)


@dataclass(frozen=True)
class Surroundings:
    """What Velero looks at when it prepares a backup. ``version``: of the cluster; ``policy``: the ConfigMap that
    ``spec.resourcePolicy`` names, if there is one."""

    locations: Sequence[Object] = ()
    snapshot_locations: Sequence[Object] = ()
    excluded_namespaces: Sequence[str] = ()
    version: Mapping[str, str] = field(default_factory=dict)
    policy: Object | None = None


@dataclass(frozen=True)
class Prepared:
    """The whole spec, labels and annotations that the Backup gets, and why it cannot run (if it cannot)."""

    spec: Object
    labels: dict[str, str]
    annotations: dict[str, str]
    errors: list[str]

    @property
    def ttl(self) -> datetime.timedelta:
        """How long the backup is kept."""
        return terms.duration(self.spec["ttl"])


def prepare(backup: Object, surroundings: Surroundings) -> Prepared:
    """Prepare a Backup that left the queue."""
    spec: Object = dict(terms.spec(backup))
    for name, default in DURATIONS.items():
        given = terms.duration(spec[name]) if spec.get(name) else datetime.timedelta()
        spec[name] = terms.go_duration(given or default)
    for name, value in (
        ("snapshotMoveData", False),
        ("defaultVolumesToFsBackup", False),
        ("volumeGroupSnapshotLabelKey", "velero.io/volume-group"),
        ("includedNamespaces", ["*"]),
    ):
        if spec.get(name) in (None, "", []):
            spec[name] = value
    errors = _set_location(spec, surroundings.locations)
    errors += _set_snapshot_locations(spec, surroundings.snapshot_locations)
    if surroundings.excluded_namespaces:
        spec["excludedNamespaces"] = [*(spec.get("excludedNamespaces") or ()), *surroundings.excluded_namespaces]
    errors += _errors_of_filters(spec)
    errors += _errors_of_policy(spec, surroundings.policy)
    metadata, version = backup["metadata"], surroundings.version
    labels = {terms.STORAGE_LOCATION: terms.label_value(spec["storageLocation"])}
    annotations = {
        "velero.io/source-cluster-k8s-gitversion": version.get("gitVersion", ""),
        "velero.io/source-cluster-k8s-major-version": version.get("major", ""),
        "velero.io/source-cluster-k8s-minor-version": version.get("minor", ""),
        "velero.io/resource-timeout": terms.go_duration(RESOURCE_TIMEOUT),
    }
    return Prepared(
        spec,
        {**(metadata.get("labels") or {}), **labels},
        {**(metadata.get("annotations") or {}), **annotations},
        errors,
    )


def _set_location(spec: Object, locations: Iterable[Object]) -> list[str]:
    by_name = {location["metadata"]["name"]: location for location in locations}
    given = spec.get("storageLocation")
    default = next((name for name, location in by_name.items() if terms.spec(location).get("default")), None)
    name = spec["storageLocation"] = given or default or terms.DEFAULT_LOCATION
    location = by_name.get(name)
    if location is None:
        words = ("default", name, "was not found") if given else ("server default", name, "does not exist")
        return [NO_LOCATION.format(*words, name)]
    errors = []
    if terms.spec(location).get("accessMode") == "ReadOnly":
        errors.append(f"backup can't be created because backup storage location {name} is currently in read-only mode")
    if terms.phase(location) != "Available":
        errors.append(f"backup can't be created because BackupStorageLocation {name} is in Unavailable status.")
    return errors


def _set_snapshot_locations(spec: Object, locations: Iterable[Object]) -> list[str]:
    """One location for each provider: the one named, else the only one there is."""
    providers: dict[str, list[str]] = {}
    for location in locations:
        providers.setdefault(terms.spec(location).get("provider", ""), []).append(location["metadata"]["name"])
    provider_of = {name: provider for provider, names in providers.items() for name in names}
    chosen: dict[str, str] = {}
    errors = []
    for name in spec.get("volumeSnapshotLocations") or ():
        if name not in provider_of:
            errors.append(
                f"a VolumeSnapshotLocation CRD for the location {name} with the name specified in the backup spec "
                "needs to be created before this snapshot can be executed. Error: VolumeSnapshotLocation.velero.io "
                f'"{name}" not found'
            )
        elif chosen.setdefault(provider_of[name], name) != name:
            errors.append(
                f"more than one VolumeSnapshotLocation name specified for provider {provider_of[name]}: {name}; "
                f"unexpected name was {chosen[provider_of[name]]}"
            )
    for provider, names in providers.items() if not errors else ():
        if provider not in chosen and len(names) > 1:
            errors.append(
                f"provider {provider} has more than one possible volume snapshot location, and none were specified "
                "explicitly or as a default"
            )
        chosen.setdefault(provider, names[0])
    if not errors and chosen:
        spec["volumeSnapshotLocations"] = list(chosen.values())
    return errors


def _errors_of_filters(spec: Object) -> list[str]:
    """Check the filters; where they are right, exclude what Velero always excludes."""
    namespaced, cluster = AUTOMATICALLY_EXCLUDED["namespaced"], AUTOMATICALLY_EXCLUDED["cluster"]
    errors = [filters.MIXED_FILTERS] if filters.mixes_filters(spec) else []
    if filters.uses_old_filters(spec):
        wrong = filters.errors_of_lists(*_lists(spec, *filters.OLD_LISTS))
        errors += [f"Invalid included/excluded resource lists: {error}" for error in wrong]
        if not wrong:
            _exclude(spec, *filters.OLD_LISTS, [namespaced, cluster])
    else:
        for scope, lists, excluded in (
            ("cluster", filters.NEW_LISTS[:2], cluster),
            ("namespace", filters.NEW_LISTS[2:], namespaced),
        ):
            wrong = filters.errors_of_scoped_lists(*_lists(spec, *lists))
            errors += [f"Invalid {scope}-scoped included/excluded resource lists: {error}" for error in wrong]
            if not wrong:
                _exclude(spec, lists[0], lists[1], [excluded])
    wrong = filters.errors_of_namespaces(*_lists(spec, "includedNamespaces", "excludedNamespaces"))
    errors += [f"Invalid included/excluded namespace lists: {error}" for error in wrong]
    if spec.get("orLabelSelectors") and spec.get("labelSelector"):
        errors.append(filters.BOTH_SELECTORS.format("backup"))
    return errors


def _lists(spec: Object, includes: str, excludes: str) -> tuple[list[str], list[str]]:
    return spec.get(includes) or [], spec.get(excludes) or []


def _exclude(spec: Object, includes: str, excludes: str, added: Sequence[str]) -> None:
    included, excluded = _lists(spec, includes, excludes)
    spec[excludes] = [*excluded, *(name for name in added if name not in excluded)]
    if included:
        spec[includes] = [name for name in included if name not in spec[excludes]]


def _errors_of_policy(spec: Object, policy: Object | None) -> list[str]:
    reference = spec.get("resourcePolicy")
    if not reference:
        return []
    if str(reference.get("kind", "")).lower() != "configmap" or policy is None:
        return [
            f"invalid resource policies: fail to get ResourcePolicies {reference.get('kind')} {reference.get('name')}"
        ]
    data = list((policy.get("data") or {}).values())
    if len(data) != 1:
        return [f"invalid resource policies: illegal resource policies {reference['name']} ConfigMap"]
    try:
        content: Any = yaml.safe_load(data[0])
    except yaml.YAMLError as error:
        return [f"invalid resource policies: failed to decode yaml data into resource policies: {error}"]
    if not isinstance(content, dict) or content.get("version") != "v1":
        return ["invalid resource policies: incompatible version number, supported version: v1"]
    return []


def initial_status(prepared: Prepared, now: datetime.datetime) -> Object:
    """The status with which the Backup begins, or with which it is refused."""
    status = {
        "phase": "FailedValidation" if prepared.errors else "InProgress",
        "version": 1,
        "formatVersion": FORMAT_VERSION,
        "expiration": terms.timestamp(now + prepared.ttl),
        "queuePosition": None,
    }
    if prepared.errors:
        return {**status, "validationErrors": prepared.errors}
    return {**status, "startTimestamp": terms.timestamp(now)}
