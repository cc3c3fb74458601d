# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A real Kubernetes control plane with fake nodes: etcd, API server, controller manager, scheduler and KWOK.

Built from ``tests/sandbox/controlplane``. Two variables of the environment change where it comes from:

``DCM_LAB_KUBECONFIG``
    A kubeconfig whose current context is the cluster to use. Nothing is started and nothing is set up in it.
``KUBEBUILDER_ASSETS``
    A directory with ``etcd`` and ``kube-apiserver``, and perhaps the other programs, to use instead of building.
"""

from __future__ import annotations

import base64
import datetime
import functools
import ipaddress
import os
import re
import secrets
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import urllib3
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from kubernetes import client, config

from tests.sandbox import golang
from tests.sandbox.service import (
    LabError,
    NotReady,
    Process,
    Progress,
    Service,
    Settings,
    accepts_connections,
    free_port,
)

MODULE = Path(__file__).parents[1] / "controlplane"

# What a cluster lacks without each program.
PROGRAMS = {
    "etcd": "storage",
    "kube-apiserver": "the API",
    "kube-controller-manager": "Deployments, Jobs, service accounts, removal of namespaces",
    "kube-scheduler": "scheduling of pods",
    "kwok": "nodes, and pods that become ready",
}
REQUIRED = ("etcd", "kube-apiserver")

NODES = ("worker-1", "worker-2", "worker-3")
NODE_ANNOTATION = ("kwok.x-k8s.io/node", "fake")
NODE_CAPACITY = {"cpu": "8", "memory": "32Gi", "ephemeral-storage": "200Gi", "pods": "110"}
READY_WITHIN = 30.0

# Smaller heaps for a little more processor time: a lab shares its machine with the tests, and its cluster is small.
ENVIRONMENT = {"GOGC": "50"}


class KubernetesService(Service):
    """The cluster that the lab's inventory manages.

    Settings: ``kubeconfig`` (path), ``context``, ``server`` (URL), ``certificate_authority`` (path of a PEM file, or
    None where the machine's own certificates do); only of a cluster that the lab runs itself: ``token`` (of a cluster
    administrator) and ``ports``.
    """

    name = "kubernetes"

    def build(self, progress: Progress) -> None:
        """Link the programs into ``bin``. Raises :class:`LabError` when one that is required cannot be had."""
        if _given_kubeconfig():
            return
        assets = os.environ.get("KUBEBUILDER_ASSETS")
        if assets:
            programs = _programs_in(Path(assets), progress)
        else:
            built = golang.build(MODULE, "controlplane", progress, _version_variables())
            programs = dict.fromkeys(PROGRAMS, built)
        self._bin.mkdir(parents=True, exist_ok=True)
        for name in PROGRAMS:
            (self._bin / name).unlink(missing_ok=True)
            if name in programs:
                (self._bin / name).symlink_to(programs[name])

    def settings(self) -> Settings:
        """See the class. Raises :class:`LabError` for a given kubeconfig that describes no cluster."""
        given = _given_kubeconfig()
        if given:
            configuration, context = _read_kubeconfig(given)
            authority = str(self.directory / "ca.crt") if configuration.ssl_ca_cert else None
            endpoint = {"context": context, "server": configuration.host}
            return {"kubeconfig": str(given), "certificate_authority": authority, **endpoint}
        ports = {name: free_port() for name in (*PROGRAMS, "etcd-peer")}
        return {
            "kubeconfig": str(self.directory / "kubeconfig"),
            "certificate_authority": str(self.directory / "ca.crt"),
            "context": "dcm-lab",
            "server": f"https://127.0.0.1:{ports['kube-apiserver']}",
            "token": secrets.token_urlsafe(32),
            "ports": ports,
        }

    def prepare(self, settings: Settings) -> None:
        """Write keys, certificates, the token and the kubeconfig. Keys stay what they are while the lab lives."""
        given = _given_kubeconfig()
        if settings["kubeconfig"] != str(given or self.directory / "kubeconfig"):
            raise LabError(
                f"this lab was made for the cluster of {settings['kubeconfig']}, and DCM_LAB_KUBECONFIG now says "
                f"{given or 'nothing'}: set it as it was, or remove the lab and make it anew"
            )
        self.directory.mkdir(parents=True, exist_ok=True)
        if given:
            configuration, _context = _read_kubeconfig(given)
            if configuration.ssl_ca_cert:
                _write_private(self.directory / "ca.crt", Path(configuration.ssl_ca_cert).read_bytes())
            return
        if not (self.directory / "ca.crt").exists():
            _write_keys(self.directory)
        _write_private(self.directory / "tokens.csv", f"{settings['token']},lab,lab,system:masters\n".encode())
        _write_private(self.directory / "kubeconfig", _kubeconfig(settings).encode())

    def processes(self, settings: Settings) -> Iterable[Process]:
        """One for each program there is; none for a given cluster."""
        if "ports" not in settings:
            return []
        api = functools.partial(_answers, f"{settings['server']}/readyz", settings, settings["token"])
        ports = settings["ports"]
        arguments = {
            "etcd": self._etcd(ports),
            "kube-apiserver": self._api_server(ports),
            "kube-controller-manager": self._controller_manager(ports),
            "kube-scheduler": self._scheduler(ports),
            "kwok": self._kwok(ports),
        }
        ready = {
            "etcd": functools.partial(accepts_connections, "127.0.0.1", ports["etcd"]),
            "kube-apiserver": api,
            "kube-controller-manager": _health(ports, "kube-controller-manager", settings),
            "kube-scheduler": _health(ports, "kube-scheduler", settings),
            "kwok": functools.partial(_answers, f"http://127.0.0.1:{ports['kwok']}/readyz", settings),
        }
        return [
            Process(name, (str(self._bin / name), *arguments[name]), ready[name], {**ENVIRONMENT, **self._home})
            for name in PROGRAMS
            if (self._bin / name).exists()
        ]
