# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a machine configuration is rendered from, checked."""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import Bundle

CONTROL_PLANE = "controlplane"
API_SERVER_PORT = 6443
INSTALL_DISK = "/dev/sda"
IMAGE_FACTORY = "factory.talos.dev/metal-installer"
VANILLA_SCHEMATIC = "376567988ad370138ad8b2698212367b8edcb69b5fd68c80be1f2ec7d603b4ba"  # no extensions at all
LAST_PUBLISHED = (1, 13)  # from the next minor version on, installers come from the image factory only
_VERSION = re.compile(r"v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)")
_SCHEMATIC = re.compile(r"[0-9a-f]{64}")
_HOSTNAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


@dataclass(frozen=True)
class Link:
    """A network interface: addresses with the length of their prefix, routes in the terms of Talos."""

    name: str
    addresses: Sequence[str] = ()
    gateway: str | None = None
    routes: Sequence[Mapping[str, Any]] = ()
    mtu: int | None = None
    dhcp: bool = False

    def __post_init__(self) -> None:
        for address in self.addresses:
            if "/" not in address or not _parses(ipaddress.ip_interface, address):
                raise InputError(f"links: {address!r} of {self.name} is not an address with a prefix: 10.0.0.11/24.")
        if self.gateway and not _parses(ipaddress.ip_address, self.gateway):
            raise InputError(f"links: the gateway {self.gateway!r} of {self.name} is not an address.")


@dataclass(frozen=True)
class Inputs:
    """The inputs of one node's configuration. Raises :class:`InputError` for the first that cannot be right.

    ``endpoint`` is the URL of the Kubernetes API, ``talos_version`` and ``kubernetes_version`` are full versions;
    ``install_image``, ``cni`` and ``hostname`` may be empty for what Talos does by itself, ``install_disk`` and
    ``install_disk_selector`` are None both for Talos's own disk.
    """

    cluster_name: str
    endpoint: str
    machine_type: str
    talos_version: str
    kubernetes_version: str
    bundle: Bundle
    install_disk: str | None = None
    install_disk_selector: Mapping[str, Any] | str | None = None
    install_image: str = ""
    install_schematic: str = ""
    image_factory: str = IMAGE_FACTORY
    pod_subnets: Sequence[str] = ("10.244.0.0/16",)
    service_subnets: Sequence[str] = ("10.96.0.0/12",)
    dns_domain: str = "cluster.local"
    cert_sans: Sequence[str] = ()
    cni: str = ""
    network_policies: bool = False
    hostname: str = ""
    vip: str = ""
    vip_link: str = ""
    links: Sequence[Link] = ()
    nameservers: Sequence[str] = ()
    time_servers: Sequence[str] = ()
    node_labels: Mapping[str, Any] = field(default_factory=dict)
    node_taints: Mapping[str, Any] = field(default_factory=dict)
    allow_scheduling_on_control_planes: bool = False
    audit_policy: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        if not self.cluster_name:
            raise InputError("cluster_name is empty.")
        if self.hostname and not _HOSTNAME.fullmatch(self.hostname):
            raise InputError(f"hostname {self.hostname!r} is not a DNS name of lower-case letters, digits and hyphens.")
        talos_version = _version(self.talos_version, "talos_version")
        kubernetes_version = _version(self.kubernetes_version, "kubernetes_version")
        _check_subnets(self.pod_subnets, self.service_subnets)
        _check_vip(self.vip, self.vip_link)
        for address in self.nameservers:
            if not _parses(ipaddress.ip_address, address):
                raise InputError(f"nameservers: {address!r} is not an address.")
        if self.network_policies and self.cni == "none":
            raise InputError("network_policies is a switch of Flannel; with cni none it is up to the other plugin.")
        if self.install_disk and self.install_disk_selector:
            raise InputError("install_disk and install_disk_selector exclude each other.")
        if self.install_schematic and self.install_image:
            raise InputError("install_image and install_schematic exclude each other.")
        if self.install_schematic and not _SCHEMATIC.fullmatch(self.install_schematic):
            raise InputError("install_schematic is not the id of a schematic: 64 lower-case hexadecimal digits.")
        object.__setattr__(self, "endpoint", endpoint_url(self.endpoint))
        object.__setattr__(self, "talos_version", talos_version)
        object.__setattr__(self, "kubernetes_version", kubernetes_version)
        object.__setattr__(self, "node_labels", {key: str(value) for key, value in self.node_labels.items()})
        object.__setattr__(self, "node_taints", {key: str(value) for key, value in self.node_taints.items()})

    @property
    def disk(self) -> str:
        """The disk to install on by its name; empty if there is a selector, or nothing to install."""
        if self.install_disk is None and self.install_disk_selector is None:
            return INSTALL_DISK
        return self.install_disk or ""

    @property
    def installer(self) -> str:
        """The installer image that was asked for, else the one that Talos publishes for its version."""
        if self.install_image:
            return self.install_image
        if self.install_schematic or self.talos_minor > LAST_PUBLISHED:
            return f"{self.image_factory}/{self.install_schematic or VANILLA_SCHEMATIC}:v{self.talos_version}"
        return f"ghcr.io/siderolabs/installer:v{self.talos_version}"

    @property
    def talos_minor(self) -> tuple[int, int]:
        """Major and minor version of the Talos to install."""
        return minor_version(self.talos_version)

    @property
    def is_control_plane(self) -> bool:
        return self.machine_type == CONTROL_PLANE

    @property
    def enforces_network_policies(self) -> bool:
        """Only control planes install the network plugin."""
        return self.network_policies and self.is_control_plane

    def kubernetes_image(self, repository: str) -> str:
        """The image of a Kubernetes component."""
        return f"{repository}:v{self.kubernetes_version}"


def minor_version(version: str) -> tuple[int, int]:
    """Major and minor of a version such as ``1.13.9``."""
    major, minor = version.split(".")[:2]
    return int(major), int(minor)


def _parses(parser: Callable[[str], Any], text: str) -> bool:
    try:
        parser(text)
    except ValueError:
        return False
    return True


def _check_vip(vip: str, link: str) -> None:
    if bool(vip) != bool(link):
        raise InputError("vip and vip_link belong together: the address, and the interface that gets it.")
    if vip and not _parses(ipaddress.ip_address, vip):
        raise InputError(f"vip {vip!r} is not an address.")


def _version(text: str, what: str) -> str:
    match = _VERSION.fullmatch(text)
    if not match:
        raise InputError(f"{what} {text!r} is not a full version such as 1.13.9.")
    return match[1]


def endpoint_url(text: str) -> str:
    """The URL of the Kubernetes API with its port. Raises :class:`InputError` for anything else."""
    try:
        url = urlsplit(text)
        port = url.port or API_SERVER_PORT
    except ValueError:
        raise InputError(f"endpoint {text!r} is not a URL.") from None
    if url.scheme != "https" or not url.hostname or url.path.strip("/") or url.query or url.username:
        raise InputError(f"endpoint {text!r} is not of the form https://host:{API_SERVER_PORT}.")
    host = f"[{url.hostname}]" if ":" in url.hostname else url.hostname
    return f"https://{host}:{port}"


def _check_subnets(pods: Sequence[str], services: Sequence[str]) -> None:
    if not pods or not services:
        raise InputError("pod_subnets and service_subnets must each name at least one network.")
    try:
        networks = [ipaddress.ip_network(text) for text in (*pods, *services)]
    except ValueError as error:
        raise InputError(f"pod_subnets and service_subnets must be networks in CIDR notation: {error}.") from None
    for first, second in itertools.combinations(networks, 2):
        if first.overlaps(second):
            raise InputError(f"pod_subnets and service_subnets must not overlap, but {first} and {second} do.")
