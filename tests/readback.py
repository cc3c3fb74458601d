# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What really exists on the lab, read through each system's own client and never through this collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import boto3
import hvac
import psycopg2
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

Settings = Mapping[str, Any]


def schemas(postgres: Settings) -> set[str]:
    """Names of the guilds' schemas."""
    with _postgres(postgres) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'g\\_%'")
        return {row[0] for row in cursor.fetchall()}


def roles(postgres: Settings) -> set[str]:
    """Names of all roles but the built-in ones."""
    with _postgres(postgres) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT rolname FROM pg_roles WHERE rolname NOT LIKE 'pg\\_%'")
        return {row[0] for row in cursor.fetchall()}


def _postgres(postgres: Settings) -> Any:
    superuser = postgres["superuser"]
    connection = psycopg2.connect(
        host=postgres["host"],
        port=postgres["port"],
        dbname=postgres["database"],
        user=superuser["user"],
        password=superuser["password"],
    )
    connection.autocommit = True
    return connection


def secret_paths(vault: Settings, path: str = "") -> set[str]:
    """Paths of all secrets below ``path`` in the lab's key-value engine."""
    server = hvac.Client(url=vault["url"], token=vault["token"])
    try:
        keys = server.secrets.kv.v2.list_secrets(path=path, mount_point=vault["mount"])["data"]["keys"]
    except hvac.exceptions.InvalidPath:
        return set()
    found: set[str] = set()
    for key in keys:
        found |= secret_paths(vault, f"{path}{key}") if key.endswith("/") else {f"{path}{key}"}
    return found


def secret(vault: Settings, path: str) -> dict[str, Any]:
    """The data of one secret."""
    server = hvac.Client(url=vault["url"], token=vault["token"])
    reply = server.secrets.kv.v2.read_secret_version(
        path=path, mount_point=vault["mount"], raise_on_deleted_version=True
    )
    data: dict[str, Any] = reply["data"]["data"]
    return data


def kubernetes_client(kubernetes: Settings) -> client.ApiClient:
    """A client of the lab's cluster."""
    return config.new_client_from_config(kubernetes["kubeconfig"], context=kubernetes["context"])


def namespaces(kubernetes: Settings) -> dict[str, dict[str, str]]:
    """Labels by namespace."""
    core = client.CoreV1Api(kubernetes_client(kubernetes))
    return {item.metadata.name: item.metadata.labels or {} for item in core.list_namespace().items}


def api_objects(kubernetes: Settings) -> set[tuple[str, str, str]]:
    """(kind, namespace, name) of what the platform puts into a cluster."""
    api = kubernetes_client(kubernetes)
    core, networking, custom = client.CoreV1Api(api), client.NetworkingV1Api(api), client.CustomObjectsApi(api)
    lists = {
        "Namespace": core.list_namespace().items,
        "ResourceQuota": core.list_resource_quota_for_all_namespaces().items,
        "LimitRange": core.list_limit_range_for_all_namespaces().items,
        "NetworkPolicy": networking.list_network_policy_for_all_namespaces().items,
        "Secret": core.list_secret_for_all_namespaces().items,
    }
    found = {(kind, o.metadata.namespace or "", o.metadata.name) for kind, items in lists.items() for o in items}
    for plural in ("backups", "schedules", "backupstoragelocations"):
        try:
            items = custom.list_cluster_custom_object("velero.io", "v1", plural)["items"]
        except ApiException as error:
            if error.status != 404:
                raise
            continue
        found |= {(plural, item["metadata"]["namespace"], item["metadata"]["name"]) for item in items}
    return found


def backups(kubernetes: Settings) -> dict[str, str]:
    """Phase by name of Velero's backups."""
    custom = client.CustomObjectsApi(kubernetes_client(kubernetes))
    items = custom.list_namespaced_custom_object("velero.io", "v1", "velero", "backups")["items"]
    return {item["metadata"]["name"]: item.get("status", {}).get("phase", "") for item in items}


def stored_objects(s3: Settings, bucket: str) -> dict[str, int]:
    """Size by key of what lies in a bucket."""
    store = boto3.client(
        "s3",
        endpoint_url=s3["endpoint"],
        aws_access_key_id=s3["access_key"],
        aws_secret_access_key=s3["secret_key"],
        region_name=s3["region"],
    )
    pages = store.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}
