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
import os
import re
import secrets
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

import requests
import urllib3
import yaml
from cryptography.x509.oid import ExtendedKeyUsageOID
from kubernetes import client, config

from tests.sandbox import golang
from tests.sandbox.certificates import issue, key_pem, new_authority, new_key
from tests.sandbox.cluster import Cluster, Object
from tests.sandbox.service import (
    LabError,
    NotReady,
    Process,
    Progress,
    Service,
    Settings,
    accepts_connections,
    free_port,
    write_private,
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
NODE_ANNOTATION = {"kwok.x-k8s.io/node": "fake"}
NODE_CAPACITY = {"cpu": "8", "memory": "32Gi", "ephemeral-storage": "200Gi", "pods": "110"}
READY_WITHIN = 30.0
CERTIFICATES_LIVE = datetime.timedelta(days=3650)

# Smaller heaps for more processor time, as a lab is a guest on somebody's machine; who has memory to spare says so.
ENVIRONMENT = {"GOGC": os.environ.get("GOGC", "50")}


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
            return {
                "kubeconfig": str(given),
                "certificate_authority": authority,
                "context": context,
                "server": configuration.host,
            }
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
        if given:
            configuration, _context = _read_kubeconfig(given)
            if configuration.ssl_ca_cert:
                write_private(self.directory / "ca.crt", Path(configuration.ssl_ca_cert).read_bytes())
            return
        if not (self.directory / "ca.crt").exists():
            _write_keys(self.directory)
        write_private(self.directory / "tokens.csv", f"{settings['token']},lab,lab,system:masters\n".encode())
        write_private(self.directory / "kubeconfig", _kubeconfig(settings).encode())

    def processes(self, settings: Settings) -> Iterable[Process]:
        """One for each program there is; none for a given cluster."""
        if "ports" not in settings:
            return []
        ports = settings["ports"]
        definitions = {
            "etcd": (self._etcd(ports), functools.partial(accepts_connections, "127.0.0.1", ports["etcd"])),
            "kube-apiserver": (
                self._api_server(ports),
                functools.partial(_answers, f"{settings['server']}/readyz", settings, settings["token"]),
            ),
            "kube-controller-manager": (
                self._controller_manager(ports),
                functools.partial(_answers, f"https://127.0.0.1:{ports['kube-controller-manager']}/healthz", settings),
            ),
            "kube-scheduler": (
                self._scheduler(ports),
                functools.partial(_answers, f"https://127.0.0.1:{ports['kube-scheduler']}/healthz", settings),
            ),
            "kwok": (
                self._kwok(ports),
                functools.partial(_answers, f"http://127.0.0.1:{ports['kwok']}/readyz", settings),
            ),
        }
        # KWOK would read, before the file it is given, one that the user may have in the home directory.
        environment = {**ENVIRONMENT, "KWOK_WORKDIR": str(self.directory / "kwok")}
        return [
            Process(name, (str(self._bin / name), *arguments), ready, environment)
            for name, (arguments, ready) in definitions.items()
            if self._has(name)
        ]

    def configure(self, settings: Settings) -> None:
        """Add the nodes and wait for what the first pod needs. A given cluster must only answer."""
        try:
            cluster = Cluster(Path(settings["kubeconfig"]), self.directory, "lab")
            version = cluster.version()["gitVersion"]
        except (config.ConfigException, client.ApiException, urllib3.exceptions.HTTPError) as error:
            raise LabError(f"the cluster of {settings['kubeconfig']} at {settings['server']}: {error}") from error
        if "ports" not in settings:
            return
        if self._has("kwok"):
            for number, name in enumerate(NODES, start=1):
                _create_node(cluster, name, number, version)
        deadline = time.monotonic() + READY_WITHIN
        while missing := self._missing(cluster):
            if time.monotonic() > deadline:
                raise LabError(
                    f"not ready after {READY_WITHIN:g} s: {', '.join(missing)}; see the logs in {self.directory}"
                )
            time.sleep(0.05)

    @classmethod
    def environment(cls, settings: Settings) -> Mapping[str, str]:
        """For ``kubectl``, ``helm`` and all others."""
        return {"KUBECONFIG": settings["kubeconfig"]}

    def _missing(self, cluster: Cluster) -> list[str]:
        """What pods need to run and the cluster does not have yet."""
        missing = []
        if self._has("kwok"):
            ready = {node["metadata"]["name"] for node in cluster.items("/api/v1/nodes") if _is_ready(node)}
            missing += [f"node {name}" for name in NODES if name not in ready]
        if self._has("kube-controller-manager"):
            account = cluster.get("/api/v1/namespaces/default/serviceaccounts/default")
            missing += [] if account else ["service account of the namespace default"]
        return missing

    @property
    def _bin(self) -> Path:
        return self.directory / "bin"

    def _has(self, program: str) -> bool:
        return (self._bin / program).exists()

    def _file(self, name: str) -> str:
        return str(self.directory / name)

    def _etcd(self, ports: Mapping[str, int]) -> list[str]:
        clients, peers = (f"https://127.0.0.1:{ports[name]}" for name in ("etcd", "etcd-peer"))
        return [
            f"--data-dir={self._file('etcd')}",
            f"--listen-client-urls={clients}",
            f"--advertise-client-urls={clients}",
            f"--listen-peer-urls={peers}",
            f"--initial-advertise-peer-urls={peers}",
            f"--initial-cluster=default={peers}",
            # Other users of the machine can reach the ports, and all Secrets are in there.
            *self._tls("--cert-file", "--key-file", "--trusted-ca-file"),
            *self._tls("--peer-cert-file", "--peer-key-file", "--peer-trusted-ca-file"),
            "--client-cert-auth",
            "--peer-client-cert-auth",
            # A killed process loses nothing by this, only a machine without power does.
            "--unsafe-no-fsync",
            "--log-level=error",
        ]

    def _api_server(self, ports: Mapping[str, int]) -> list[str]:
        return [
            f"--etcd-servers=https://127.0.0.1:{ports['etcd']}",
            *self._tls("--etcd-certfile", "--etcd-keyfile", "--etcd-cafile"),
            *self._serve(ports["kube-apiserver"]),
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            f"--token-auth-file={self._file('tokens.csv')}",
            "--authorization-mode=Node,RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._file('service-account.key')}",
            f"--service-account-signing-key-file={self._file('service-account.key')}",
            "--service-cluster-ip-range=10.43.0.0/16",
            "--allow-privileged=true",
        ]

    def _controller_manager(self, ports: Mapping[str, int]) -> list[str]:
        return [
            f"--kubeconfig={self._file('kubeconfig')}",
            *self._serve(ports["kube-controller-manager"]),
            "--leader-elect=false",
            "--use-service-account-credentials=true",
            f"--service-account-private-key-file={self._file('service-account.key')}",
            f"--root-ca-file={self._file('ca.crt')}",
            "--kube-api-qps=200",
            "--kube-api-burst=400",
        ]

    def _scheduler(self, ports: Mapping[str, int]) -> list[str]:
        kubeconfig = f"--kubeconfig={self._file('kubeconfig')}"
        return [kubeconfig, *self._serve(ports["kube-scheduler"]), "--leader-elect=false"]

    def _kwok(self, ports: Mapping[str, int]) -> list[str]:
        return [
            f"--config={MODULE / 'kwok.conf'}",
            f"--kubeconfig={self._file('kubeconfig')}",
            f"--server-address=127.0.0.1:{ports['kwok']}",
            *(f"--manage-nodes-with-annotation-selector={key}={value}" for key, value in NODE_ANNOTATION.items()),
        ]

    def _serve(self, port: int) -> list[str]:
        files = [f"--tls-cert-file={self._file('tls.crt')}", f"--tls-private-key-file={self._file('tls.key')}"]
        return ["--bind-address=127.0.0.1", f"--secure-port={port}", "--profiling=false", *files]

    def _tls(self, certificate: str, key: str, authority: str) -> list[str]:
        files = {certificate: "tls.crt", key: "tls.key", authority: "ca.crt"}
        return [f"{option}={self._file(name)}" for option, name in files.items()]


def _given_kubeconfig() -> Path | None:
    given = os.environ.get("DCM_LAB_KUBECONFIG")
    return Path(given).expanduser().absolute() if given else None


def _read_kubeconfig(path: Path) -> tuple[client.Configuration, str]:
    """How to reach the cluster of the current context, and that context's name."""
    configuration = client.Configuration()
    try:
        _contexts, active = config.list_kube_config_contexts(str(path))
        config.load_kube_config(str(path), active["name"], configuration)
    except (config.ConfigException, OSError, yaml.YAMLError) as error:
        raise LabError(f"DCM_LAB_KUBECONFIG: {path}: {error}") from error
    return configuration, active["name"]


def _programs_in(assets: Path, progress: Progress) -> dict[str, Path]:
    programs = {name: assets / name for name in PROGRAMS if os.access(assets / name, os.X_OK)}
    for name, purpose in PROGRAMS.items():
        if name in programs:
            continue
        if name in REQUIRED:
            raise LabError(f"KUBEBUILDER_ASSETS: there is no program {name} in {assets}")
        progress(f"no {name} in KUBEBUILDER_ASSETS, so this cluster lacks {purpose}")
    return programs


def _version_variables() -> dict[str, str]:
    """What the API server says its version is, which Go cannot know of a module that is not the main one."""
    found = re.search(r"k8s\.io/kubernetes (v(\d+)\.(\d+)\.\d+)", (MODULE / "go.mod").read_text())
    if not found:
        raise LabError(f"{MODULE / 'go.mod'} does not require k8s.io/kubernetes")
    names = ("gitVersion", "gitMajor", "gitMinor")
    return {f"k8s.io/component-base/version.{name}": value for name, value in zip(names, found.groups(), strict=True)}


def _answers(url: str, settings: Settings, token: str = "") -> None:
    """Readiness probe: raise :class:`NotReady` until ``url`` answers with success."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        response = requests.get(url, headers=headers, timeout=2, verify=settings["certificate_authority"])
    except requests.RequestException as error:
        raise NotReady(f"{url} does not answer: {error}") from error
    if not response.ok:
        raise NotReady(f"{url}: {response.status_code}: {response.text[-300:]}")


def _create_node(cluster: Cluster, name: str, number: int, version: str) -> None:
    """Add the node unless it exists: then it stays as it is, for instance cordoned."""
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "topology.kubernetes.io/region": "lab",
        "topology.kubernetes.io/zone": f"lab-{number}",
    }
    # Addresses of documentation (RFC 5737): nothing answers there.
    addresses = [{"type": "InternalIP", "address": f"192.0.2.{number}"}, {"type": "Hostname", "address": name}]
    status = {
        "addresses": addresses,
        "capacity": NODE_CAPACITY,
        "allocatable": NODE_CAPACITY,
        "nodeInfo": {"kubeletVersion": version, "osImage": "KWOK"},
    }
    node = {
        "metadata": {"name": name, "labels": labels, "annotations": NODE_ANNOTATION},
        "spec": {"podCIDR": f"10.42.{number}.0/24"},
        "status": status,
    }
    if not cluster.get(f"/api/v1/nodes/{name}"):
        cluster.create("/api/v1/nodes", node)


def _is_ready(node: Object) -> bool:
    conditions = node["status"].get("conditions", ())
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def _kubeconfig(settings: Settings) -> str:
    name = settings["context"]
    authority = base64.b64encode(Path(settings["certificate_authority"]).read_bytes()).decode()
    cluster = {"server": settings["server"], "certificate-authority-data": authority}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": name, "cluster": cluster}],
        "users": [{"name": name, "user": {"token": settings["token"]}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "current-context": name,
    }
    return yaml.safe_dump(content, sort_keys=False)


def _write_keys(directory: Path) -> None:
    """A key for service accounts' tokens, and one with a certificate for all servers and for etcd's client.

    The authority's certificate is written last: where it is, the rest is complete. Its key is not kept.
    """
    authority = new_authority("dcm-lab", new_key())
    uses = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    leaf = issue(authority, uses, CERTIFICATES_LIVE, common_name="localhost", names=["localhost", "127.0.0.1"])
    # The API server finds the public half as well in keys of this form.
    write_private(directory / "service-account.key", key_pem(new_key()))
    write_private(directory / "tls.key", leaf.key)
    write_private(directory / "tls.crt", leaf.certificate)
    write_private(directory / "ca.crt", authority.certificate)
