# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a machine configuration is rendered from, checked."""

from __future__ import annotations

import ipaddress
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import Bundle

CONTROL_PLANE = "controlplane"
API_SERVER_PORT = 6443
_VERSION = re.compile(r"v?(\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?)")
_HOSTNAME = re.compile(r"(?=.{1,253}$)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*")


@dataclass(frozen=True)
class Inputs:
    """The inputs of one node's configuration. Raises :class:`InputError` for the first that cannot be right.

    ``endpoint`` is the URL of the Kubernetes API, ``talos_version`` and ``kubernetes_version`` are full versions;
    ``install_image``, ``cni`` and ``hostname`` may be empty for what Talos does by itself.
    """

    cluster_name: str
    endpoint: str
    machine_type: str
    talos_version: str
    kubernetes_version: str
    bundle: Bundle
    install_disk: str = "/dev/sda"
    install_image: str = ""
    pod_subnets: Sequence[str] = ("10.244.0.0/16",)
    service_subnets: Sequence[str] = ("10.96.0.0/12",)
    dns_domain: str = "cluster.local"
    cert_sans: Sequence[str] = ()
    cni: str = ""
    hostname: str = ""

    def __post_init__(self) -> None:
        if not self.cluster_name:
            raise InputError("cluster_name is empty.")
        if self.hostname and not _HOSTNAME.fullmatch(self.hostname):
            raise InputError(f"hostname {self.hostname!r} is not a DNS name of lower-case letters, digits and hyphens.")
        talos_version = _version(self.talos_version, "talos_version")
        kubernetes_version = _version(self.kubernetes_version, "kubernetes_version")
        image = self.install_image or f"ghcr.io/siderolabs/installer:v{talos_version}"
        _check_subnets(self.pod_subnets, self.service_subnets)
        object.__setattr__(self, "endpoint", _endpoint(self.endpoint))
        object.__setattr__(self, "kubernetes_version", kubernetes_version)
        object.__setattr__(self, "install_image", image)

    @property
    def is_control_plane(self) -> bool:
        return self.machine_type == CONTROL_PLANE

    def kubernetes_image(self, repository: str) -> str:
        """The image of a Kubernetes component."""
        return f"{repository}:v{self.kubernetes_version}"


def _version(text: str, what: str) -> str:
    match = _VERSION.fullmatch(text)
    if not match:
        raise InputError(f"{what} {text!r} is not a full version such as 1.13.9.")
    return match[1]


def _endpoint(text: str) -> str:
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
