# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What would change on a node, and what a node still lacks. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Action, Change
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import (
    Document,
    at,
    by_identity,
    legacy_document,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.kubernetes_images import versions
from ansible_collections.dcm.platform.plugins.module_utils.talos.sensitive import masked

Mode = Literal["auto", "no_reboot", "staged", "try"]
Reboot = Literal["never", "if_needed", "always"]
Condition = Literal["applied", "running", "ready"]

_ALIVE = ("booting", "running")  # a control plane is booting until its etcd runs, so until the bootstrap
KIND = "machine configuration"

# What a running node takes of the v1alpha1 document without a reboot; all other documents it takes at once, too.
_IMMEDIATE: Mapping[str, frozenset[str]] = {
    "": frozenset({"debug", "cluster"}),
    "machine": frozenset(
        {
            *("ca", "acceptedCAs", "time", "certSANs", "install", "network", "sysfs", "sysctls", "logging"),
            *("controlPlane", "kubelet", "kernel", "registries", "pods", "seccompProfiles"),
            *("nodeAnnotations", "nodeLabels", "nodeTaints"),
        }
    ),
    "machine.features": frozenset(
        {"kubernetesTalosAPIAccess", "kubePrism", "hostDNS", "imageCache", "nodeAddressSortAlgorithm"}
    ),
}


@dataclass(frozen=True)
class Machine:
    """A node as it is. ``active`` is the configuration it runs with, ``stored`` the one it will boot with.

    In maintenance mode nobody may read either; both are empty.
    """

    maintenance: bool
    stage: str
    ready: bool = False
    unmet: Sequence[str] = ()
    active: Sequence[Document] = ()
    stored: Sequence[Document] = ()


def plan(desired: Sequence[Document], machine: Machine, mode: Mode, name: str) -> list[Change]:
    """One change for each document that differs. The order of documents means nothing, that of lists does."""
    if machine.maintenance:
        return [Change("create", KIND, name, None, _by_name(desired))]
    _check_type(desired, machine, name)
    _check_kubernetes(desired, machine, name)
    return [
        _change(name, key, before, after)
        for key, (before, after) in _differing(_reference(desired, machine, mode), desired).items()
    ]


def _check_type(desired: Sequence[Document], machine: Machine, name: str) -> None:
    is_type, should_be = (at(legacy_document(documents), "machine.type") for documents in (machine.active, desired))
    if is_type and is_type != should_be:
        raise RefusedError(
            f"{name} is a {is_type}; a configuration cannot make it a {should_be}.",
            hint="Reset the node first, it then takes any configuration.",
        )


def _check_kubernetes(desired: Sequence[Document], machine: Machine, name: str) -> None:
    """Another version of Kubernetes has an order among the nodes, which one node alone cannot keep."""
    before, after = versions(machine.active), versions(desired)
    changed = [component for component in before if after.get(component, before[component]) != before[component]]
    if changed:
        lines = (f"{component} from {before[component]} to {after[component]}" for component in changed)
        raise RefusedError(
            f"The configuration would change the Kubernetes version of {name}: {', '.join(lines)}.",
            hint="Use talos_kubernetes_upgrade (playbooks/upgrade_kubernetes.yml), which keeps the supported order.",
        )


def needs_reboot(active: Sequence[Document], desired: Sequence[Document]) -> bool:
    """Whether the difference comes true with a reboot only."""
    return bool(_fixed(legacy_document(active)) != _fixed(legacy_document(desired)))


def _fixed(value: Any, path: str = "") -> Any:
    if path not in _IMMEDIATE or not isinstance(value, Mapping):
        return value
    kept = {
        key: _fixed(item, f"{path}.{key}" if path else key)
        for key, item in value.items()
        if key not in _IMMEDIATE[path]
    }
    return {key: item for key, item in kept.items() if item not in (None, {}, [])}


def _reference(desired: Sequence[Document], machine: Machine, mode: Mode) -> Sequence[Document]:
    """The configuration that has to become the desired one."""
    if mode == "staged":
        return machine.stored
    if mode == "try" or _differing(machine.active, desired):
        return machine.active
    return machine.stored  # a configuration on trial, or one staged by somebody else


def _differing(before: Sequence[Document], after: Sequence[Document]) -> dict[str, tuple[Any, Any]]:
    old, new = by_identity(before), by_identity(after)
    keys = [*new, *(key for key in old if key not in new)]
    return {str(key): (old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)}


def _change(name: str, document: str, before: Document | None, after: Document | None) -> Change:
    action: Action = "update" if before and after else "create" if after else "delete"
    before, after = masked(before), masked(after)
    if before and after:
        before, after = _only_differences(before, after)
    return Change(action, KIND, f"{name} {document}", before, after)


def _only_differences(before: Document, after: Document) -> tuple[Document, Document]:
    """Both without what they have in common; a list that differs is kept whole."""
    old, new = dict(before), dict(after)
    for key in before.keys() & after.keys():
        if before[key] == after[key]:
            del old[key], new[key]
        elif isinstance(before[key], dict) and isinstance(after[key], dict):
            old[key], new[key] = _only_differences(before[key], after[key])
    return old, new


def _by_name(documents: Sequence[Document]) -> dict[str, Any]:
    return {str(key): masked(document) for key, document in by_identity(documents).items()}


def missing(desired: Sequence[Document], machine: Machine, mode: Mode, condition: Condition) -> str | None:
    """What keeps the node from being as asked for, as a person would say it; None when nothing does."""
    if machine.maintenance:
        return "it is in maintenance mode"
    if mode == "staged":
        return "the configuration is not stored yet" if _differing(machine.stored, desired) else None
    if _differing(machine.active, desired):
        return f"the configuration is not active yet (stage {machine.stage})"
    if machine.stage not in (_ALIVE if condition == "applied" else ("running",)):
        return f"its stage is {machine.stage}"
    if condition == "ready" and not machine.ready:
        return "; ".join(machine.unmet) or "it is not ready"
    return None
