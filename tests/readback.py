# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What really exists on the lab, read through each system's own client and never through this collection."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime
import json
import ssl
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import hvac
import psycopg2
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from grpclib.client import Channel, UnaryUnaryMethod
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError, StreamTerminatedError
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


@dataclass(frozen=True)
class TalosNode:
    """What a node says of itself."""

    name: str
    address: str
    machine_type: str
    stage: str
    etcd_member: str

    def __str__(self) -> str:
        member = f", etcd member {self.etcd_member}" if self.etcd_member else ""
        return f"{self.name} at {self.address}: {self.machine_type}, {self.stage}{member}"


def talos_nodes(settings: Settings) -> list[TalosNode]:
    """Every node of the lab, asked over raw gRPC: with the cluster's own authority, or openly in maintenance."""
    paths = [path for path in secret_paths(settings["vault"]) if path.startswith("dcm/talos/")]
    stored = [secret(settings["vault"], path) for path in paths]
    bundles = [yaml.safe_load(data["bundle"]) for data in stored if "bundle" in data]
    context = _admin_context(bundles[0]) if bundles else None
    return asyncio.run(_ask_all(settings["talos"]["nodes"], settings["talos"]["port"], context))


async def _ask_all(nodes: list[dict[str, str]], port: int, context: ssl.SSLContext | None) -> list[TalosNode]:
    return [await _ask(node, port, context) for node in nodes]


async def _ask(node: dict[str, str], port: int, context: ssl.SSLContext | None) -> TalosNode:
    try:
        if context is None:
            raise ssl.SSLError("no cluster yet")
        status = await _cosi(node["address"], port, context, "runtime", "MachineStatuses.runtime.talos.dev", "machine")
    except (ssl.SSLError, OSError, StreamTerminatedError):
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(["h2"])
        status = await _cosi(node["address"], port, context, "runtime", "MachineStatuses.runtime.talos.dev", "machine")
    member: dict[str, Any] = {}
    with contextlib.suppress(GRPCError):
        member = await _cosi(node["address"], port, context, "etcd", "EtcdMembers.etcd.talos.dev", "local")
    return TalosNode(node["name"], node["address"], node["type"], status["stage"], member.get("memberID", ""))


class _Bytes(CodecBase):
    """Messages as they stand on the wire."""

    __content_subtype__ = "proto"

    def encode(self, message: bytes, message_type: Any) -> bytes:
        return message

    def decode(self, data: bytes, message_type: Any) -> bytes:
        return data


async def _cosi(host: str, port: int, context: ssl.SSLContext, *identity: str) -> dict[str, Any]:
    """The specification of a COSI resource, given as namespace, type and id."""
    request = b"".join(
        bytes([number << 3 | 2, len(text)]) + text.encode() for number, text in enumerate(identity, start=1)
    )
    channel = Channel(host, port, ssl=context, codec=_Bytes())
    try:
        method = UnaryUnaryMethod(channel, "/cosi.resource.State/Get", bytes, bytes)
        reply = await method(request, timeout=5)
    finally:
        channel.close()
    resource = _fields(reply)[1]
    specification: dict[str, Any] = yaml.safe_load(_fields(_fields(resource)[2])[2])
    return specification


def _fields(data: bytes) -> dict[int, bytes]:
    """The length-delimited fields of a protobuf message."""
    found, position = {}, 0

    def varint() -> int:
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while position < len(data):
        tag = varint()
        length = varint() if tag & 7 == 2 else 0
        if tag & 7 == 0:
            varint()
        found[tag >> 3] = data[position : position + length]
        position += length
    return found


def _admin_context(bundle: Mapping[str, Any]) -> ssl.SSLContext:
    """Mutual TLS with a short-lived administrator's certificate, made from the bundle's authority."""
    authority = {part: base64.b64decode(bundle["certs"]["os"][part]).decode() for part in ("crt", "key")}
    issuer = x509.load_pem_x509_certificate(authority["crt"].encode())
    issuer_key = load_pem_private_key(authority["key"].replace("ED25519 PRIVATE", "PRIVATE").encode(), None)
    assert isinstance(issuer_key, ed25519.Ed25519PrivateKey)
    key, now = ed25519.Ed25519PrivateKey.generate(), datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.ORGANIZATION_NAME, "os:admin")]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
        .sign(issuer_key, None)
    )
    pem = certificate.public_bytes(Encoding.PEM) + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    context = ssl.create_default_context(cadata=authority["crt"])
    context.set_alpn_protocols(["h2"])
    with tempfile.NamedTemporaryFile() as file:  # the ssl module reads keys from files only; this one is private
        file.write(pem)
        file.flush()
        context.load_cert_chain(file.name)
    return context


if __name__ == "__main__":  # for the scenarios' verify: the nodes of the lab in a directory
    for talos_node in talos_nodes(json.loads(Path(sys.argv[1], "lab.json").read_text())["services"]):
        print(talos_node)
