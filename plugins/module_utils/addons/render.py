# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What resolved add-ons become: Applications of Argo CD, and entries of the namespace table."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.addons.catalogue import Addon, is_definitions_only
from ansible_collections.dcm.platform.plugins.module_utils.addons.resolve import CRD_WAVE

Manifest = dict[str, Any]

OCI = "oci://"
UNGOVERNED = "kube-system"  # belongs to the cluster: a default deny in it would take DNS away
LEVELS = ("restricted", "baseline", "privileged")  # of Pod Security, strictest first

SYNC_OPTIONS = (
    "ServerSideApply=true",  # some definitions and values are too large for an annotation
    "RespectIgnoreDifferences=true",  # or else what controllers write is healed away
    "SkipDryRunOnMissingResource=true",  # a kind may be still to come with another Application
)
RETRY = {"limit": 20, "backoff": {"duration": "10s", "factor": 2, "maxDuration": "3m"}}
FINALIZER = "resources-finalizer.argocd.argoproj.io"  # what an Application made goes with it


@dataclass(frozen=True)
class Target:
    """Where Applications live, and where they lead. ``prefix`` keeps those of several clusters apart."""

    namespace: str = "argocd"
    project: str = "platform-addons"
    server: str = "https://kubernetes.default.svc"
    prefix: str = ""
    cascade: bool = False
    definitions: bool = False  # whether definitions are Applications, too


def applications(addons: Sequence[Addon], target: Target, provided_crds: Sequence[str] = ()) -> list[Manifest]:
    """An Application for each chart, in the order of the add-ons; with ``definitions`` those of the kinds first."""
    kinds = list(_definition_applications(addons, target, provided_crds)) if target.definitions else []
    return kinds + [_application(addon, target) for addon in addons if "chart" in addon or "git" in addon]


def _application(addon: Addon, target: Target) -> Manifest:
    source = _chart_source(addon["chart"]) if "chart" in addon else _git_source(addon["git"])
    helm: dict[str, Any] = {"releaseName": addon.get("release", addon["name"]), "skipCrds": True, "skipTests": True}
    if addon["values"]:
        helm["valuesObject"] = addon["values"]
    if addon.get("skip_schema_validation"):
        helm["skipSchemaValidation"] = True
    return _manifest(
        addon["name"],
        target,
        wave=addon["wave"],
        finalizers=[FINALIZER] if target.cascade else [],
        namespace=addon["namespace"],
        source={**source, "helm": helm},
        prune=True,
        sync_options=list(SYNC_OPTIONS),
        ignore_differences=addon.get("ignore_differences", ()),
    )


def _definition_applications(
    addons: Sequence[Addon], target: Target, provided_crds: Sequence[str]
) -> Iterator[Manifest]:
    """They prune nothing and leave everything behind: with a definition go all objects of its kind."""
    for addon in definition_owners(addons, provided_crds):
        crds = addon["crds"]
        if "git" in crds:
            include = crds["git"].get("include", "*.yaml")
            directory = {"include": include, "recurse": "/" in include}
            source = {**_git_source(crds["git"]), "directory": directory}
        else:
            source = {**_chart_source(crds["chart"]), "helm": {"releaseName": f"{addon['name']}-crds"}}
            if crds["chart"].get("values"):
                source["helm"]["valuesObject"] = crds["chart"]["values"]
        yield _manifest(
            f"crds-{addon['name']}",
            target,
            wave=CRD_WAVE,
            finalizers=[],
            namespace="default",
            source=source,
            prune=False,
            sync_options=[*SYNC_OPTIONS, "Prune=false"],
            ignore_differences=(),
        )


def definition_owners(addons: Sequence[Addon], provided_crds: Sequence[str] = ()) -> list[Addon]:
    """The add-ons whose kinds have to be brought: not those that the cluster has by itself."""
    return [addon for addon in addons if "crds" in addon and not set(addon.get("provides", ())) <= set(provided_crds)]


def _chart_source(chart: Mapping[str, Any]) -> dict[str, Any]:
    """Argo CD tells a registry by the missing scheme."""
    return {
        "repoURL": chart["repository"].removeprefix(OCI),
        "chart": chart["name"],
        "targetRevision": chart["version"],
    }


def _git_source(git: Mapping[str, Any]) -> dict[str, Any]:
    return {"repoURL": git["repository"], "path": git["path"], "targetRevision": git["revision"]}


def _manifest(
    name: str,
    target: Target,
    *,
    wave: int,
    finalizers: list[str],
    namespace: str,
    source: dict[str, Any],
    prune: bool,
    sync_options: list[str],
    ignore_differences: Sequence[Mapping[str, Any]],
) -> Manifest:
    metadata: dict[str, Any] = {
        "name": f"{target.prefix}{name}",
        "namespace": target.namespace,
        "labels": {"app.kubernetes.io/part-of": "addons", "app.kubernetes.io/name": name},
        "annotations": {"argocd.argoproj.io/sync-wave": str(wave)},
    }
    spec: dict[str, Any] = {
        "project": target.project,
        "source": source,
        "destination": {"server": target.server, "namespace": namespace},
        "syncPolicy": {
            "automated": {"prune": prune, "selfHeal": True},
            "syncOptions": sync_options,
            "retry": RETRY,
        },
    }
    if finalizers:
        metadata["finalizers"] = finalizers
    if ignore_differences:
        spec["ignoreDifferences"] = list(ignore_differences)
    return {"apiVersion": "argoproj.io/v1alpha1", "kind": "Application", "metadata": metadata, "spec": spec}


def namespaces(addons: Sequence[Addon]) -> dict[str, Any]:
    """The add-ons' namespaces as the role ``cluster_baseline`` has them, each with the rules of all its add-ons.

    A namespace gets the least strict of the Pod Security levels that its add-ons need.
    """
    table: dict[str, Any] = {}
    for addon in addons:
        if is_definitions_only(addon):
            continue
        own = {"namespace": addon["namespace"], "pod_security": addon["pod_security"]}
        for place in (own, *addon.get("extra_namespaces", ())):
            _add_place(table, place["namespace"], place["pod_security"])
        if addon["namespace"] in table:
            table[addon["namespace"]]["allow"] += addon.get("network", ())
    return table


def _add_place(table: dict[str, Any], name: str, pod_security: Mapping[str, str]) -> None:
    if name == UNGOVERNED:
        return
    entry = table.setdefault(name, {"pod_security": {}, "reason": "", "allow": []})
    level = pod_security["enforce"]
    if LEVELS.index(level) >= LEVELS.index(entry["pod_security"].get("enforce", LEVELS[0])):
        everything = dict.fromkeys(("enforce", "audit", "warn"), level)
        entry["pod_security"] = everything if level == "privileged" else {"enforce": level}
        entry["reason"] = pod_security["reason"]
