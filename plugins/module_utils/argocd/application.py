# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An Argo CD Application as data: what it is, what is wanted of it, and why it is not that."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import Object, Resource

APPLICATION = Resource("argoproj.io", "v1alpha1", "applications", "Application")
GOALS = ("synced", "healthy", "operation")

NAMED = 5  # resources that one message names
LONGEST_MESSAGE = 600  # characters of a message of Argo CD, which may quote a whole manifest

_REFRESH = "argocd.argoproj.io/refresh"  # an annotation that the controller takes away when it has looked anew
_RUNNING = ("Running", "Terminating")
_FAILED = ("Failed", "Error")
_SOURCE = ("repoURL", "path", "chart", "targetRevision")
_DESTINATION = ("server", "name", "namespace")
_HASH = re.compile(r"[0-9a-f]{7,}")


@dataclass(frozen=True)
class Goal:
    """What an Application is to be: some of ``GOALS``, and at which revision (empty: any)."""

    wanted: frozenset[str] = frozenset(GOALS)
    revision: str = ""


def name_of(application: Object) -> str:
    """Its name."""
    return str(application["metadata"]["name"])


def shortfalls(application: Object, goal: Goal) -> list[str]:
    """Why the Application is not what the goal says, as sentences without a full stop; empty when it is."""
    status = application.get("status", {})
    found = []
    if reason := _not_compared(application):
        found.append(reason)
    if "synced" in goal.wanted and (sync := _sync(status)) != "Synced":
        found.append(_because(f"it is {sync}", _reasons_of_sync(status)))
    if goal.revision and not any(_is_revision(item, goal.revision) for item in revisions(status)):
        at = ", ".join(revisions(status)) or "none"
        found.append(f"it was compared with revision {at} and not {goal.revision}")
    if "healthy" in goal.wanted and (health := _health(status)) != "Healthy":
        found.append(_because(f"its health is {health}", _listed(_unhealthy(status))))
    phase = status.get("operationState", {}).get("phase")
    if "operation" in goal.wanted and (phase in _RUNNING or "operation" in application):
        found.append(_because("a sync is under way", [_operation_message(status)]))
    return found


def described(application: Object, goal: Goal) -> dict[str, Any]:
    """What a module returns of an Application."""
    status = application.get("status", {})
    reasons = shortfalls(application, goal)
    return {
        "name": name_of(application),
        "exists": True,
        "project": application.get("spec", {}).get("project", ""),
        "sync": _sync(status),
        "health": _health(status),
        "revisions": revisions(status),
        "conditions": [
            {"type": item["type"], "message": _short(item["message"])} for item in status.get("conditions", ())
        ],
        "operation": _operation(status),
        "resources": list(_troubled(status)),
        "ready": not reasons,
        "reasons": reasons,
    }


def revisions(status: Mapping[str, Any]) -> list[str]:
    """What the Application was compared with: one revision for each of its sources."""
    sync = status.get("sync", {})
    return list(sync.get("revisions") or ([sync["revision"]] if sync.get("revision") else []))


def _sync(status: Mapping[str, Any]) -> str:
    return str(status.get("sync", {}).get("status") or "Unknown")


def _health(status: Mapping[str, Any]) -> str:
    return str(status.get("health", {}).get("status") or "Unknown")


def _is_revision(found: str, wanted: str) -> bool:
    """Also by the beginning of a commit's hash, as Git has it."""
    return found == wanted or (bool(_HASH.fullmatch(wanted)) and found.startswith(wanted))


def _not_compared(application: Object) -> str:
    """Why the status does not speak of the Application as it is now; empty if it does."""
    if _REFRESH in application["metadata"].get("annotations", {}):
        return "it is about to be compared anew"
    spec, compared = application.get("spec", {}), application.get("status", {}).get("sync", {}).get("comparedTo")
    if not compared:
        return "it was never compared"
    if "sourceHydrator" in spec:  # what was compared is then of Argo CD's own making
        return ""
    if _sources(spec) != _sources(compared) or _part(spec, "destination", _DESTINATION) != _part(
        compared, "destination", _DESTINATION
    ):
        return "it has changed and was not compared since"
    return ""


def _sources(tree: Mapping[str, Any]) -> list[list[str]]:
    sources = tree.get("sources") or [tree.get("source", {})]
    return [[str(source.get(key) or "") for key in _SOURCE] for source in sources]


def _part(tree: Mapping[str, Any], name: str, keys: Sequence[str]) -> list[str]:
    return [str(tree.get(name, {}).get(key) or "") for key in keys]


def _reasons_of_sync(status: Mapping[str, Any]) -> list[str]:
    """Errors of Argo CD, then what the last sync failed with, then what differs."""
    errors = [f"{item['type']}: {item['message']}" for item in status.get("conditions", ()) if _is_error(item)]
    failed = _operation_message(status) if status.get("operationState", {}).get("phase") in _FAILED else ""
    return [*errors, failed, *_listed([item for item in _troubled(status) if item["sync"] != "Synced"])]


def _is_error(condition: Mapping[str, Any]) -> bool:
    return str(condition["type"]).endswith("Error")


def _unhealthy(status: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [item for item in _troubled(status) if item["health"] not in ("", "Healthy")]


def _troubled(status: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The resources that are not Synced or not Healthy, or that the last sync failed with; and why."""
    failures = _failures(status)
    for resource in status.get("resources", ()):
        health = resource.get("health", {})
        failure = failures.pop(_key(resource), "")
        if resource.get("status") in (None, "Synced") and health.get("status") in (None, "Healthy") and not failure:
            continue
        state = {"sync": resource.get("status") or "", "health": health.get("status") or ""}
        yield {**_key_as_result(_key(resource)), **state, "message": _short(failure or health.get("message") or "")}
    for key, failure in failures.items():  # hooks, and what could not be made at all
        yield {**_key_as_result(key), "sync": "", "health": "", "message": _short(failure)}


def _failures(status: Mapping[str, Any]) -> dict[tuple[str, ...], str]:
    """Messages of the resources that the last sync could not apply."""
    state = status.get("operationState", {})
    if state.get("phase") == "Succeeded":
        return {}
    results = (state.get("syncResult") or {}).get("resources") or ()
    return {
        _key(item): str(item.get("message") or "failed")
        for item in results
        if item.get("status") == "SyncFailed" or item.get("hookPhase") in _FAILED
    }


def _key(resource: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(str(resource.get(part) or "") for part in ("group", "kind", "namespace", "name"))


def _key_as_result(key: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(("group", "kind", "namespace", "name"), key, strict=True))


def _operation(status: Mapping[str, Any]) -> dict[str, Any] | None:
    state = status.get("operationState")
    if not state:
        return None
    return {
        "phase": state["phase"],
        "message": _short(state.get("message") or ""),
        "revision": (state.get("syncResult") or {}).get("revision") or "",
        "started": state.get("startedAt"),
        "finished": state.get("finishedAt"),
        "retries": state.get("retryCount", 0),
    }


def _operation_message(status: Mapping[str, Any]) -> str:
    return str(status.get("operationState", {}).get("message") or "")


def _listed(resources: Sequence[Mapping[str, Any]]) -> list[str]:
    """Up to ``NAMED`` resources, each with its state and message."""
    told = []
    for item in resources[:NAMED]:
        where = "/".join(part for part in (item["namespace"], item["name"]) if part)
        state = " and ".join(part for part in (item["sync"], item["health"]) if part not in ("", "Synced", "Healthy"))
        told.append(
            f"{item['kind']} {where} is {state or 'not applied'}" + f": {item['message']}" * bool(item["message"])
        )
    return [*told, f"and {len(resources) - NAMED} more"] if len(resources) > NAMED else told


def _because(what: str, reasons: Sequence[str]) -> str:
    told = "; ".join(dict.fromkeys(_short(reason).rstrip(".") for reason in reasons if reason))
    return f"{what} ({told})" if told else what


def _short(message: str) -> str:
    """One line, cut where it gets too long."""
    line = " ".join(message.split())
    return line if len(line) <= LONGEST_MESSAGE else f"{line[:LONGEST_MESSAGE]} …"
