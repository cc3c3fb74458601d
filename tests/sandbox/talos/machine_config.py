# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Machine configurations: reading, checking and comparing them as Talos does."""

from __future__ import annotations

import base64
import binascii
import copy
import difflib
import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import yaml
from cryptography import x509

from tests.sandbox.talos.known_keys import CONTROL_PLANE_KINDS, document_keys, knows_kind, unknown_keys
from tests.sandbox.talos.pki import Authority, load_key

Document = dict[str, Any]
STATIC_PODS = {
    "kube-apiserver": ("KubeAPIServerConfig", "apiServer"),
    "kube-controller-manager": ("KubeControllerManagerConfig", "controllerManager"),
    "kube-scheduler": ("KubeSchedulerConfig", "scheduler"),
}


class ConfigError(Exception):
    """A configuration that Talos refuses; the text is Talos's answer."""


class _Loader(yaml.CSafeLoader):
    """YAML as Go reads it: a key may be there only once."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _unused in node.value:
            if key.value in seen:
                line = key.start_mark.line + 1
                raise ConfigError(f'yaml: unmarshal errors:\n  line {line}: mapping key "{key.value}" already defined')
            seen.add(key.value)
        return super().construct_mapping(node, deep)


@dataclass(frozen=True)
class Installation:
    """Where and what a configuration wants to install; ``selector`` is what ``disk`` is not."""

    image: str
    disk: str
    selector: Mapping[str, Any]
    unattended: bool
    reboot: bool


@dataclass(frozen=True)
class MachineConfig:
    """A machine configuration as it was submitted, and what the machine reads from it."""

    raw: bytes
    documents: tuple[Document, ...]

    def document(self, kind: str) -> Document | None:
        """The document of a kind that is there at most once."""
        return next((document for document in self.documents if document.get("kind", "v1alpha1") == kind), None)

    def _get(self, path: str, default: Any = "") -> Any:
        """A value by kind of document and keys, such as ``v1alpha1.machine.ca.crt``."""
        kind, *keys = path.split(".")
        value: Any = self.document(kind)
        for key in keys:
            value = (value or {}).get(key)
        return default if value is None else value

    @property
    def complete(self) -> bool:
        """Only a complete configuration lets a machine leave maintenance."""
        return self.document("v1alpha1") is not None

    @property
    def machine_type(self) -> str:
        """``controlplane``, ``worker`` or empty; ``init`` is an old control plane."""
        return str(self._get("v1alpha1.machine.type")).replace("init", "controlplane")

    @property
    def is_control_plane(self) -> bool:
        return self.machine_type == "controlplane"

    @property
    def token(self) -> str:
        return str(self._get("v1alpha1.machine.token"))

    @functools.cached_property
    def os_authority(self) -> Authority:
        return _decoded_authority(self._get("v1alpha1.machine.ca", {}))

    @functools.cached_property
    def accepted_os_authorities(self) -> tuple[str, ...]:
        """PEM certificates whose clients the API accepts."""
        accepted = [_decode(entry.get("crt", "")) for entry in self._get("v1alpha1.machine.acceptedCAs", [])]
        return (self.os_authority.certificate, *accepted)

    @functools.cached_property
    def etcd_authority(self) -> Authority:
        return _decoded_authority(self._get("v1alpha1.cluster.etcd.ca", {}))

    @functools.cached_property
    def kubernetes_authority(self) -> Authority:
        issuer = self._get("KubeAPIServerCAConfig.issuingCA", {})
        if issuer:
            return Authority(issuer.get("cert", ""), issuer.get("key", ""))
        return _decoded_authority(self._get("v1alpha1.cluster.ca", {}))

    @property
    def api_names(self) -> list[str]:
        return [str(name) for name in self._get("v1alpha1.machine.certSANs", [])]

    @property
    def cluster_name(self) -> str:
        return str(self._get("KubeClusterConfig.clusterName") or self._get("v1alpha1.cluster.clusterName"))

    @property
    def endpoint(self) -> str:
        return str(self._get("KubeClusterConfig.endpoint") or self._get("v1alpha1.cluster.controlPlane.endpoint"))

    @property
    def cluster_id(self) -> str:
        return str(self._get("DiscoveryIdentityConfig.clusterID") or self._get("v1alpha1.cluster.id"))

    @property
    def discovers_members(self) -> bool:
        old = self._get("v1alpha1.cluster.discovery.enabled", False)
        return bool(self.cluster_id and (old or self.document("DiscoveryServiceConfig")))

    @property
    def hostname(self) -> str:
        """The name that the configuration sets; empty when the machine makes one up."""
        return str(self._get("HostnameConfig.hostname") or self._get("v1alpha1.machine.network.hostname"))

    @property
    def kubelet_image(self) -> str:
        return str(self._get("KubeletConfig.image") or self._get("v1alpha1.machine.kubelet.image"))

    def static_pod_image(self, name: str) -> str:
        """Of ``kube-apiserver`` and the other two."""
        kind, section = STATIC_PODS[name]
        return str(self._get(f"{kind}.image") or self._get(f"v1alpha1.cluster.{section}.image"))

    @property
    def registers_node(self) -> bool:
        old = self._get("v1alpha1.machine.kubelet.skipNodeRegistration", False)
        return not (old or self._get("KubeNodeConfig.skipNodeRegistration", False))

    @property
    def brings_network(self) -> bool:
        """Whether Talos itself installs the cluster's network plugin."""
        if self.document("KubeClusterConfig"):
            return self.document("KubeFlannelCNIConfig") is not None or not self.is_control_plane
        return bool(self._get("v1alpha1.cluster.network.cni.name", "flannel") != "none")

    @property
    def admin_lifetime(self) -> str:
        return str(self._get("v1alpha1.cluster.adminKubeconfig.certLifetime"))

    @property
    def installation(self) -> Installation | None:
        unattended = self.document("UnattendedInstallConfig")
        if unattended is not None:
            image = self._get("UnattendedInstallConfig.installer.image")
            selector = self._get("UnattendedInstallConfig.provisioning.diskSelector", {})
            return Installation(image, "", selector, True, bool(unattended.get("reboot", bool(image))))
        old = self._get("v1alpha1.machine.install", {})
        if not old:
            return None
        return Installation(old.get("image", ""), old.get("disk", ""), old.get("diskSelector") or {}, False, True)


def parse(data: bytes, minor: int) -> MachineConfig:
    """Read a configuration as a server of Talos 1.``minor`` does; raises :class:`ConfigError`."""
    documents = _load(data)
    _require_unique(documents)
    for document in documents:
        _require_known_keys(document, minor)
    if not documents:
        raise ConfigError("no configuration documents found")
    return MachineConfig(data, tuple(documents))


def _load(data: bytes) -> list[Document]:
    try:
        loaded = list(yaml.load_all(data, _Loader))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"yaml: {error}") from error
    documents = [document for document in loaded if document is not None]
    for document in documents:
        if not isinstance(document, dict):
            raise ConfigError("yaml: unmarshal errors:\n  line 1: cannot unmarshal into a configuration document")
        if ("kind" in document) != ("apiVersion" in document):
            raise ConfigError("both apiVersion and kind must be set in a document")
    return documents


def _require_unique(documents: Iterable[Document]) -> None:
    seen = set()
    for document in documents:
        identity = (document.get("apiVersion"), document.get("kind", "v1alpha1"), document.get("name"))
        if identity in seen:
            raise ConfigError("not allowed to define the same document twice: " + "/".join(filter(None, identity)))
        seen.add(identity)


def _require_known_keys(document: Document, minor: int) -> None:
    kind = document.get("kind", "v1alpha1")
    if "kind" in document and (document["apiVersion"] != "v1alpha1" or not knows_kind(kind, minor)):
        raise ConfigError(f'"{kind}" "{document["apiVersion"]}": not registered')
    content = {key: value for key, value in document.items() if key not in ("kind", "apiVersion")}
    try:
        unknown = unknown_keys(content, document_keys()[kind])
    except TypeError as error:
        raise ConfigError(f"yaml: unmarshal errors:\n  {error}") from error
    if unknown:
        raise ConfigError("unknown keys found during decoding:\n" + _dump(unknown))
    if "name" in document_keys()[kind].named and not document.get("name"):
        raise ConfigError(f"name is required for document {kind}")


def validate(config: MachineConfig, *, requires_install: bool) -> list[str]:
    """Check what a machine is about to take; returns warnings, raises :class:`ConfigError` with all errors found."""
    errors = list(_conflicts(config))
    warnings = []
    if config.complete:
        errors += _machine_errors(config)
        errors += _install_errors(config, requires_install=requires_install)
        if not config.cluster_name and config.is_control_plane:
            warnings.append("cluster name is not set")
    if errors:
        plural = "error" if len(errors) == 1 else "errors"
        raise ConfigError(f"{len(errors)} {plural} occurred:\n" + "".join(f"\t* {error}\n" for error in errors) + "\n")
    return warnings


def _machine_errors(config: MachineConfig) -> Iterable[str]:
    document = config.document("v1alpha1") or {}
    for section in ("machine", "cluster"):
        if not document.get(section):
            yield f"{section} instructions are required"
            return
    if document.get("version") != "v1alpha1":
        yield f'unsupported config version "{document.get("version", "")}"'
    if config.machine_type not in ("controlplane", "worker"):
        yield f'invalid machine type: "{config.machine_type}"'
    if not config.token:
        yield "machine token is required"
    yield from _authority_errors("machine.ca", config.os_authority, needs_key=config.is_control_plane)
    if config.etcd_authority.certificate:
        yield from _authority_errors("cluster.etcd.ca", config.etcd_authority, needs_key=True)
    if config.kubernetes_authority.certificate:
        yield from _authority_errors("cluster.ca", config.kubernetes_authority, needs_key=config.is_control_plane)
    endpoint = urlsplit(config.endpoint)
    if endpoint.scheme != "https" or not endpoint.hostname:
        yield f'invalid cluster endpoint URL: "{config.endpoint}"'
    if not config.is_control_plane:
        kinds = {str(document.get("kind")) for document in config.documents}
        for kind in sorted(kinds & CONTROL_PLANE_KINDS):
            yield f"{kind} is not allowed on worker machines"


def _authority_errors(name: str, authority: Authority, *, needs_key: bool) -> Iterable[str]:
    if not authority.certificate or (needs_key and not authority.key):
        yield f"authority {name} is required with " + ("certificate and key" if needs_key else "certificate")
        return
    try:
        x509.load_pem_x509_certificate(authority.certificate.encode())
        if authority.key:
            load_key(authority.key)
    except ValueError:
        yield f"authority {name} is not a PEM certificate with its key"


def _install_errors(config: MachineConfig, *, requires_install: bool) -> Iterable[str]:
    installation = config.installation
    if not requires_install or (
        installation and (installation.unattended or installation.disk or installation.selector)
    ):
        return
    if config.document("KubeClusterConfig"):
        return  # configurations of contract 1.14 may leave installing to the operator
    yield (
        "either install disk or diskSelector should be defined"
        if installation
        else 'install instructions are required in "metal" mode'
    )


# Kind of document, the v1alpha1 field that it replaces, and what Talos says when both are there.
_REPLACED = [
    ("HostnameConfig", "machine.network.hostname", "static hostname is already set in v1alpha1 config"),
    ("UnattendedInstallConfig", "machine.install", ""),
    ("DiscoveryServiceConfig", "cluster.discovery", ""),
    ("DiscoveryIdentityConfig", "cluster.id", ""),
    ("DiscoveryIdentityConfig", "cluster.secret", ""),
    ("KubeSpanConfig", "machine.network.kubespan", ""),
    ("KubeletConfig", "machine.kubelet", ""),
    ("KubePrismConfig", "machine.features.kubePrism", ""),
    ("KubeClusterConfig", "cluster.controlPlane", ""),
    ("KubeClusterConfig", "cluster.clusterName", ""),
    ("KubeNodeConfig", "machine.nodeLabels", ""),
    ("KubeNodeConfig", "machine.nodeTaints", ""),
    ("KubeNetworkConfig", "cluster.network", ""),
    ("KubeAPIServerCAConfig", "cluster.ca", ""),
    ("KubeAggregatorCAConfig", "cluster.aggregatorCA", ""),
    ("KubeServiceAccountConfig", "cluster.serviceAccount", ""),
    ("KubeAPIServerConfig", "cluster.apiServer", ""),
    ("KubeControllerManagerConfig", "cluster.controllerManager", ""),
    ("KubeSchedulerConfig", "cluster.scheduler", ""),
    ("KubeProxyConfig", "cluster.proxy", ""),
    ("KubeCoreDNSConfig", "cluster.coreDNS", ""),
    ("RegistryMirrorConfig", "machine.registries.mirrors", ""),
    ("TimeSyncConfig", "machine.time", ""),
]


def _conflicts(config: MachineConfig) -> Iterable[str]:
    for kind, field, text in _REPLACED:
        if config.document(kind) is not None and config._get(f"v1alpha1.{field}"):
            yield text or f"{kind}: {field} is already set in v1alpha1 config"
    if config._get("ResolverConfig.hostDNS") and config._get("v1alpha1.machine.features.hostDNS"):
        yield "ResolverConfig: machine.features.hostDNS is already set in v1alpha1 config"
    if config._get("HostnameConfig.hostname") and config._get("HostnameConfig.auto", "off") != "off":
        yield "'auto' and 'hostname' cannot be set at the same time"


# What machines up to Talos 1.13 can change while they run.
_IMMEDIATE_MACHINE = """ca acceptedCAs time certSANs install network sysfs sysctls logging controlPlane kubelet kernel
    registries pods seccompProfiles nodeAnnotations nodeLabels nodeTaints"""
_IMMEDIATE_FEATURES = "kubernetesTalosAPIAccess kubePrism hostDNS imageCache nodeAddressSortAlgorithm"


def _fixed_part(config: MachineConfig) -> Document:
    document = copy.deepcopy(config.document("v1alpha1") or {})
    machine = document.get("machine") or {}
    features = machine.get("features") or {}
    immediate = [(document, "debug cluster"), (machine, _IMMEDIATE_MACHINE), (features, _IMMEDIATE_FEATURES)]
    for owner, keys in immediate:
        for key in keys.split():
            owner.pop(key, None)
    return document


def needs_reboot(old: MachineConfig, new: MachineConfig) -> str:
    """Why a machine up to Talos 1.13 cannot take ``new`` without a reboot; empty when it can."""
    before, after = _fixed_part(old), _fixed_part(new)
    if before == after:
        return ""
    return "this config change can't be applied in immediate mode\ndiff:" + _unified(_dump(before), _dump(after))


def describe_difference(old: MachineConfig | None, new: MachineConfig) -> str:
    """The difference as a dry run shows it, secrets included."""
    text = _unified(_normalised(old) if old else "", _normalised(new))
    return f"Config diff:\n\n{text or 'No changes.'}"


def _normalised(config: MachineConfig) -> str:
    return "---\n".join(_dump(document) for document in config.documents)


def _dump(value: Any) -> str:
    return yaml.safe_dump(value, indent=4, sort_keys=False)


def _unified(before: str, after: str) -> str:
    return "".join(difflib.unified_diff(before.splitlines(True), after.splitlines(True), "a", "b"))


def _decoded_authority(pair: Mapping[str, str]) -> Authority:
    return Authority(_decode(pair.get("crt", "")), _decode(pair.get("key", "")))


def _decode(text: str) -> str:
    try:
        return base64.b64decode(text or "", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ConfigError(f"illegal base64 data: {error}") from error


_UNITS = {"": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def size_matches(expression: str, size: int) -> bool:
    """Whether a size in bytes is what a disk selector asks for, such as ``>= 100GB``; raises :class:`ConfigError`."""
    match = re.fullmatch(r"\s*(<=|>=|<|>|==)?\s*([\d.]+)\s*([A-Za-z]*)\s*", expression)
    if match is None or match[3].upper() not in _UNITS:
        raise ConfigError(f'failed to parse disk size condition "{expression}"')
    wanted = float(match[2]) * _UNITS[match[3].upper()]
    return {"<=": size <= wanted, ">=": size >= wanted, "<": size < wanted, ">": size > wanted}.get(
        match[1], size == wanted
    )
