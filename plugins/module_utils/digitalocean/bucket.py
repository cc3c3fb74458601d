# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Buckets of Spaces, through their S3 API."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.plan import name_prefix
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.resource_type import Tree, given, unordered
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import apply_each, map_concurrently
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    InputError,
    PlatformError,
    RefusedError,
    UnreachableError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler

try:
    import boto3
    import botocore.config
    import botocore.exceptions
except ImportError:  # the engine reports a missing library with its package
    boto3 = None

SERVICE = "Spaces"
NOT_SET = ("NoSuchLifecycleConfiguration", "NoSuchCORSConfiguration", "NoSuchBucketPolicy", "NoSuchBucket", "404")
EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
Actual = Mapping[str, Any]  # the settings of each bucket by its name; None: there is no such bucket


def rules_of(lifecycle: Iterable[Tree]) -> list[dict[str, Any]]:
    """Lifecycle rules as S3 wants them. Spaces knows expiry and no tags, so there is nothing else."""
    rules = []
    for rule in lifecycle:
        made: dict[str, Any] = {
            "ID": rule["id"],
            "Filter": {"Prefix": rule.get("prefix", "")},
            "Status": "Enabled" if rule.get("enabled", True) else "Disabled",
        }
        if "expire_days" in rule:
            made["Expiration"] = {"Days": rule["expire_days"]}
        if "expire_noncurrent_days" in rule:
            made["NoncurrentVersionExpiration"] = {"NoncurrentDays": rule["expire_noncurrent_days"]}
        if "abort_multipart_days" in rule:
            made["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": rule["abort_multipart_days"]}
        rules.append(made)
    return rules


def options_of(rules: Iterable[Tree]) -> list[dict[str, Any]]:
    """S3's lifecycle rules in the words of the options."""
    lifecycle = []
    for rule in rules:
        found: dict[str, Any] = {"id": rule.get("ID", ""), "enabled": rule.get("Status") == "Enabled"}
        found["prefix"] = (rule.get("Filter") or {}).get("Prefix", rule.get("Prefix", ""))
        parts = (
            ("expire_days", "Expiration", "Days"),
            ("expire_noncurrent_days", "NoncurrentVersionExpiration", "NoncurrentDays"),
            ("abort_multipart_days", "AbortIncompleteMultipartUpload", "DaysAfterInitiation"),
        )
        found.update({name: rule[part][key] for name, part, key in parts if key in rule.get(part, {})})
        lifecycle.append(found)
    return lifecycle


def cors_rules(cors: Iterable[Tree]) -> list[dict[str, Any]]:
    names = {"allowed_origins": "AllowedOrigins", "allowed_methods": "AllowedMethods"}
    names |= {"allowed_headers": "AllowedHeaders", "max_age_seconds": "MaxAgeSeconds"}
    return [{names[key]: item for key, item in rule.items()} for rule in cors]


def _same(name: str, wanted: Any, actual: Any) -> bool:
    if name in ("lifecycle", "cors"):
        defaults = {"prefix": "", "enabled": True} if name == "lifecycle" else {}
        return bool(unordered({**defaults, **rule} for rule in wanted) == unordered(actual))
    if name == "policy":
        return json.dumps(wanted, sort_keys=True) == json.dumps(actual, sort_keys=True)
    return bool(wanted == actual)


SETTINGS = ("versioning", "acl", "lifecycle", "cors", "policy")
DEFAULTS: Mapping[str, Any] = {"versioning": False, "acl": "private", "lifecycle": [], "cors": [], "policy": {}}


def plan_bucket(wanted: Tree, actual: Tree | None, owner: str | None) -> Iterator[Change]:
    """Pure. ``actual``: its settings, or None if there is no such bucket. Raises :class:`RefusedError`."""
    name = wanted["name"]
    if wanted["state"] == "absent":
        if actual is not None:
            if owner and not name.startswith(name_prefix(owner)):
                raise RefusedError(f"Bucket {name} does not belong to {owner} and is not deleted.")
            yield Change("delete", "bucket", name, {"name": name}, None, dict(wanted))
        return
    if actual is None:
        yield Change("create", "bucket", name, None, {"name": name}, dict(wanted))
    before = DEFAULTS if actual is None else actual
    for setting in SETTINGS:
        if setting in wanted and not _same(setting, wanted[setting], before[setting]):
            yield Change(
                "update",
                "bucket",
                name,
                {setting: before[setting]},
                {setting: wanted[setting]},
                {"name": name, "setting": setting, "value": wanted[setting]},
            )


@dataclass(frozen=True)
class Spaces:
    """The buckets of one region. ``region`` is the one to sign for and to make buckets in."""

    client: Any
    address: str
    region: str

    def call(self, what: str, method: str, missing: Any = RefusedError, **arguments: Any) -> Any:
        """One S3 call. ``missing`` is returned for what is not set. Raises the engine's errors."""
        try:
            return getattr(self.client, method)(**arguments)
        except botocore.exceptions.ClientError as error:
            code = error.response.get("Error", {}).get("Code", "")
            if code in NOT_SET and missing is not RefusedError:
                return missing
            words = error.response.get("Error", {}).get("Message", "")
            raise RefusedError(f"{SERVICE} at {self.address} refused to {what}: {code}: {words}.") from error
        except botocore.exceptions.SSLError as error:
            raise RefusedError(f"The TLS connection to {SERVICE} at {self.address} failed: {error}.") from error
        except botocore.exceptions.HTTPClientError as error:
            raise UnreachableError(SERVICE, self.address, type(error).__name__) from error
        except botocore.exceptions.BotoCoreError as error:
            raise PlatformError(f"{SERVICE} at {self.address}: {error}.") from error

    def names(self) -> set[str]:
        """All buckets of the region."""
        return {item["Name"] for item in self.call("list buckets", "list_buckets")["Buckets"]}

    def read(self, bucket: str) -> dict[str, Any]:
        """All settings of a bucket."""

        def get(method: str) -> Any:
            return self.call(f"read {bucket}", method, {}, Bucket=bucket)

        policy = get("get_bucket_policy").get("Policy")
        grants = get("get_bucket_acl").get("Grants", ())
        public = any(grant["Grantee"].get("URI") == EVERYBODY and grant["Permission"] == "READ" for grant in grants)
        names = {"AllowedOrigins": "allowed_origins", "AllowedMethods": "allowed_methods"}
        names |= {"AllowedHeaders": "allowed_headers", "MaxAgeSeconds": "max_age_seconds"}
        return {
            "name": bucket,
            "versioning": get("get_bucket_versioning").get("Status") == "Enabled",
            "acl": "public-read" if public else "private",
            "lifecycle": options_of(get("get_bucket_lifecycle_configuration").get("Rules", ())),
            "cors": [
                {names[key]: item for key, item in rule.items() if key in names}
                for rule in get("get_bucket_cors").get("CORSRules", ())
            ],
            "policy": json.loads(policy) if policy else {},
        }

    def create(self, bucket: str) -> None:
        """Making one's own bucket again is no error."""
        place = {"CreateBucketConfiguration": {"LocationConstraint": self.region}} if self.region != "us-east-1" else {}
        self.call(f"make {bucket}", "create_bucket", Bucket=bucket, **place)

    def set(self, bucket: str, setting: str, value: Any) -> None:
        """Set one setting, or remove it when its value is empty."""
        what = f"set {setting} of {bucket}"
        if setting == "versioning":
            status = {"Status": "Enabled" if value else "Suspended"}
            self.call(what, "put_bucket_versioning", Bucket=bucket, VersioningConfiguration=status)
        elif setting == "acl":
            self.call(what, "put_bucket_acl", Bucket=bucket, ACL=value)
        elif setting == "lifecycle":
            rules = {"LifecycleConfiguration": {"Rules": rules_of(value)}} if value else {}
            self.call(what, f"{_verb(value)}_bucket_lifecycle{'_configuration' * bool(value)}", Bucket=bucket, **rules)
        elif setting == "cors":
            rules = {"CORSConfiguration": {"CORSRules": cors_rules(value)}} if value else {}
            self.call(what, f"{_verb(value)}_bucket_cors", Bucket=bucket, **rules)
        else:
            policy = {"Policy": json.dumps(value)} if value else {}
            self.call(what, f"{_verb(value)}_bucket_policy", Bucket=bucket, **policy)

    def delete(self, bucket: str, *, contents: bool) -> None:
        """Remove a bucket; with ``contents``, all versions of all objects and their delete markers first."""
        if contents:
            self._empty(bucket)
        self.call(f"delete {bucket}", "delete_bucket", None, Bucket=bucket)

    def _empty(self, bucket: str) -> None:
        marker: dict[str, str] = {}
        while True:
            page = self.call(f"list {bucket}", "list_object_versions", Bucket=bucket, **marker)
            found = [*page.get("Versions", ()), *page.get("DeleteMarkers", ())]
            objects = [{"Key": item["Key"], "VersionId": item["VersionId"]} for item in found]
            if objects:
                self.call(
                    f"empty {bucket}", "delete_objects", Bucket=bucket, Delete={"Objects": objects, "Quiet": True}
                )
            if not page.get("IsTruncated"):
                return
            marker = {"KeyMarker": page["NextKeyMarker"], "VersionIdMarker": page["NextVersionIdMarker"]}


def _verb(value: Any) -> str:
    return "put" if value else "delete"


def connect(options: Mapping[str, Any]) -> Spaces:
    """A client for the options of ``digitalocean_spaces_bucket``. Raises :class:`InputError` without keys."""
    for name in ("access_key", "secret_key"):
        if not options[name]:
            variable = {"access_key": "SPACES_ACCESS_KEY_ID", "secret_key": "SPACES_SECRET_ACCESS_KEY"}[name]
            raise InputError(f"{name} is missing.", hint=f"Give it, or set {variable}.")
    address = options["endpoint"] or f"https://{options['region']}.digitaloceanspaces.com"
    # S3 signs for us-east-1 at Spaces; a bucket lies where its endpoint is.
    region = options["signing_region"]
    client = boto3.client(
        "s3",
        endpoint_url=address,
        aws_access_key_id=options["access_key"],
        aws_secret_access_key=options["secret_key"],
        region_name=region,
        verify=options["ca_cert"] or True,
        config=botocore.config.Config(
            s3={"addressing_style": "path"},
            signature_version="s3v4",
            connect_timeout=options["timeout"],
            read_timeout=options["timeout"],
            retries={"total_max_attempts": options["retries"] + 1, "mode": "standard"},
        ),
    )
    return Spaces(client, address, region)


class BucketReconciler(Reconciler[Actual]):
    """Makes buckets as they are wanted."""

    def __init__(self, spaces: Spaces, buckets: Sequence[Tree], owner: str | None, workers: int) -> None:
        self._spaces = spaces
        self._wanted: list[dict[str, Any]] = given(buckets)
        self._owner = owner
        self._workers = workers
        names = [bucket["name"] for bucket in self._wanted]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise InputError(f"Bucket {repeated[0]} is declared twice in buckets.")

    def read(self) -> Actual:
        known = self._spaces.names()

        def settings(wanted: Tree) -> dict[str, Any] | None:
            return self._spaces.read(wanted["name"]) if wanted["name"] in known else None

        found = map_concurrently(settings, self._wanted, self._workers)
        return {wanted["name"]: actual for wanted, actual in zip(self._wanted, found, strict=True)}

    def plan(self, actual: Actual) -> list[Change]:
        return [
            change for wanted in self._wanted for change in plan_bucket(wanted, actual[wanted["name"]], self._owner)
        ]

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        return apply_each(changes, self._apply)

    def _apply(self, change: Change) -> None:
        if change.action == "create":
            self._spaces.create(change.name)
        elif change.action == "delete":
            self._spaces.delete(change.name, contents=change.payload.get("delete_contents", False))
        else:
            self._spaces.set(change.name, change.payload["setting"], change.payload["value"])

    def result(self, actual: Actual, changes: Sequence[Change]) -> dict[str, Any]:
        described = []
        for wanted in self._wanted:
            name = wanted["name"]
            if wanted["state"] == "absent":
                described.append({"name": name, "state": "absent"})
                continue
            known = {**DEFAULTS, **(actual[name] or {}), **{key: wanted[key] for key in SETTINGS if key in wanted}}
            described.append({**known, "name": name, "urn": f"do:space:{name}", "state": "present"})
        return {"buckets": described}
