# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is valid in a machine configuration and still rarely meant: one sentence each, for the person who wrote it."""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from ansible_collections.dcm.platform.plugins.module_utils.talos.inputs import Inputs, minor_version

SOON = datetime.timedelta(days=365)
# Talos 1.N runs Kubernetes up to 1.(N + 23) and five minor versions back.
KUBERNETES_AHEAD, KUBERNETES_RANGE = 23, 5
TALOS_SERVICES = ipaddress.ip_network("10.96.0.0/12")
# What the NodeRestriction plugin lets a worker say about itself, of the names that belong to Kubernetes.
_OWN_LABELS = ("kubelet.kubernetes.io/", "node.kubernetes.io/")
_OWN_LABEL_NAMES = frozenset(
    f"{prefix}kubernetes.io/{name}"
    for prefix, names in (
        ("", ("hostname", "arch", "os")),
        ("topology.", ("zone", "region")),
        ("failure-domain.beta.", ("zone", "region")),
        ("beta.", ("arch", "os", "instance-type")),
    )
    for name in names
)


def hints(inputs: Inputs) -> list[str]:
    """Every hint for the configuration of one node."""
    found = [*_versions(inputs), *_networks(inputs), *_expiring(inputs)]
    if not inputs.is_control_plane:
        found += _worker(inputs)
    return found


def _versions(inputs: Inputs) -> Iterator[str]:
    tag = re.search(r":v?([^:/@]+)(?:@.*)?$", inputs.installer)
    if tag and tag[1] != inputs.talos_version:
        yield (
            f"The installer image is of version {tag[1]}, talos_version is {inputs.talos_version}: "
            "the node will run what the image holds."
        )
    major, minor = minor_version(inputs.kubernetes_version)
    newest = inputs.talos_minor[1] + KUBERNETES_AHEAD
    if major == 1 and not newest - KUBERNETES_RANGE <= minor <= newest:
        yield (
            f"Talos {inputs.talos_version} is made for Kubernetes 1.{newest - KUBERNETES_RANGE} to 1.{newest}, "
            f"not for {inputs.kubernetes_version}."
        )


def _networks(inputs: Inputs) -> Iterator[str]:
    if any(ipaddress.ip_network(text) == TALOS_SERVICES for text in inputs.service_subnets):
        yield (
            "The services are in Talos's own network 10.96.0.0/12, which reaches to 10.111.255.255: "
            "set service_subnets where networks are connected."
        )
    if inputs.is_control_plane and inputs.cni == "none":
        yield "With cni none, nodes stay not ready until a network plugin is installed."
    if inputs.is_control_plane and inputs.cni != "none" and not inputs.network_policies:
        yield "Flannel enforces no network policies without network_policies: they are accepted and do nothing."
    host = urlsplit(inputs.endpoint).hostname
    if inputs.vip and host and host[0].isdigit() and host != inputs.vip:
        yield f"endpoint is {host} and vip is {inputs.vip}: nobody will use the virtual address."


def _expiring(inputs: Inputs) -> Iterator[str]:
    limit = datetime.datetime.now(datetime.UTC) + SOON
    for name, end in inputs.bundle.expiries().items():
        if end <= limit:
            yield f"The authority {name} of the cluster ends on {end:%Y-%m-%d}: rotate it before."


def _worker(inputs: Inputs) -> Iterator[str]:
    refused = [label for label in inputs.node_labels if _is_restricted(label)]
    if refused:
        yield (
            f"Kubernetes lets no worker give itself the labels {', '.join(refused)}: "
            "set them through the Kubernetes API, or use a name of your own."
        )
    if inputs.node_taints:
        yield (
            "A worker gets its taints when it registers; Kubernetes lets it change none of them later: "
            "change them through the Kubernetes API, too."
        )


def _is_restricted(label: str) -> bool:
    domain = label.partition("/")[0] if "/" in label else ""
    of_kubernetes = domain in ("kubernetes.io", "k8s.io") or domain.endswith((".kubernetes.io", ".k8s.io"))
    own = label in _OWN_LABEL_NAMES or any(f"{domain}/".endswith(suffix) for suffix in _OWN_LABELS)
    return of_kubernetes and not own and label != "node.kubernetes.io/instance-type"
