# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which add-ons an environment gets, in which order, and why a selection cannot work."""

from __future__ import annotations

import difflib
import graphlib
import heapq
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.addons.capacity import Amount, requested
from ansible_collections.dcm.platform.plugins.module_utils.addons.catalogue import Addon, Tree, completed, value_at
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError

CRD_WAVE = -40  # definitions of custom resources come before everything else


@dataclass(frozen=True)
class Selection:
    """What is wanted for one cluster.

    ``options`` are the user's own versions and values by add-on, ``facts`` fill the catalogue's values,
    ``provided_crds`` are API groups that the cluster has by itself, ``capacity`` has ``nodes``, ``cpu`` and ``memory``
    that all add-ons together may request (empty: anything).
    """

    environment: str
    profile: str
    kubernetes_version: str = ""
    enabled: Sequence[str] = ()
    disabled: Sequence[str] = ()
    options: Tree = field(default_factory=dict)
    facts: Tree = field(default_factory=dict)
    provided_crds: Sequence[str] = ()
    capacity: Tree = field(default_factory=dict)

    @property
    def nodes(self) -> int:
        """How many nodes the cluster has."""
        return int(self.capacity.get("nodes", 1))


def resolve(catalogue: Iterable[Addon], selection: Selection) -> dict[str, Any]:
    """The add-ons in order with their final values (``addons``), ``warnings``, and what they request (``requests``).

    ``manifests`` are their own objects, ``manifest_kinds`` the kinds of all the catalogue has, to prune by.
    Raises :class:`InputError` with one sentence for each thing that is wrong.
    """
    entries = {entry["name"]: entry for entry in catalogue}
    _refuse(_naming_problems(entries, selection))
    names = _selected(entries, selection)
    addons, problems = _completed([entries[name] for name in sorted(names)], selection)
    problems += [
        *_dependency_problems(addons, entries, selection),
        *_version_problems(addons, selection.kubernetes_version),
        *_ingress_class_problems(addons),
    ]
    _refuse(problems)
    ordered = order(addons)
    total = sum((requested(addon, selection.nodes) for addon in ordered), Amount())
    _refuse(_capacity_problems(ordered, total, selection))
    return {
        "addons": ordered,
        "warnings": list(_warnings(ordered, selection.kubernetes_version)),
        "requests": total.shown(),
        "manifests": [manifest for addon in ordered for manifest in addon.get("manifests", ())],
        "manifest_kinds": _manifest_kinds(entries.values()),
    }


def _manifest_kinds(entries: Iterable[Addon]) -> list[dict[str, str]]:
    kinds = {(item["apiVersion"], item["kind"]) for entry in entries for item in entry.get("manifests", ())}
    return [{"api_version": version, "kind": kind} for version, kind in sorted(kinds)]


def _refuse(problems: Iterable[str]) -> None:
    if problems := list(problems):
        raise InputError(f"These add-ons cannot be installed: {' '.join(problems)}")


def _naming_problems(entries: Mapping[str, Addon], selection: Selection) -> Iterator[str]:
    given = {
        "addons_enabled": selection.enabled,
        "addons_disabled": selection.disabled,
        "addons_options": list(selection.options),
    }
    for variable, names in given.items():
        for name in names:
            if name not in entries:
                near = difflib.get_close_matches(name, entries, n=1)
                yield f"{variable}: there is no add-on {name}{f'; did you mean {near[0]}?' if near else '.'}"
    for name in selection.enabled:
        if name in selection.disabled:
            yield f"{name} is both in addons_enabled and in addons_disabled."
        elif entries.get(name, {}).get("installed_by"):
            yield f"{name} is installed by the role {entries[name]['installed_by']}, not by this one."
    environments = sorted({name for entry in entries.values() for name in entry["environments"]})
    if selection.environment not in environments and not selection.enabled:
        yield (
            f"No add-on is meant for the environment {selection.environment}: "
            f"set addons_environment to one of {', '.join(environments)}, or name some in addons_enabled."
        )


def _selected(entries: Mapping[str, Addon], selection: Selection) -> set[str]:
    default = {name for name, entry in entries.items() if selection.environment in entry["environments"]}
    return (default | set(selection.enabled)) - set(selection.disabled)


def _completed(entries: Iterable[Addon], selection: Selection) -> tuple[list[Addon], list[str]]:
    addons, problems = [], []
    for entry in entries:
        options = selection.options.get(entry["name"]) or {}
        try:
            addons.append(completed(entry, selection.environment, selection.profile, options, selection.facts))
        except InputError as error:
            problems.append(str(error))
            addons.append({**entry, "values": {}, "workloads": [], "ingress_class": ""})
    return addons, problems


def substitutes(addons: Iterable[Addon]) -> dict[str, str]:
    """Which selected add-on stands for a name: the one of that name, or an alternative to it."""
    found = {}
    for addon in addons:
        found[addon["name"]] = addon["name"]
        if addon.get("alternative_to"):
            found.setdefault(addon["alternative_to"], addon["name"])
    return found


def _dependency_problems(addons: list[Addon], entries: Mapping[str, Addon], selection: Selection) -> Iterator[str]:
    standing = substitutes(addons)
    elsewhere = {name for name, entry in entries.items() if entry.get("installed_by")}
    provided = set(selection.provided_crds)
    provided |= {group for addon in addons for group in addon.get("provides", ())}
    provided |= {group for name in elsewhere for group in entries[name].get("provides", ())}
    for addon in addons:
        name, requires = addon["name"], addon.get("requires", {})
        if addon.get("alternative_to") and standing.get(addon["alternative_to"]) != name:
            default = addon["alternative_to"]
            yield f"{name} takes the place of {standing[default]}: only one can be, add the other to addons_disabled."
        for needed in requires.get("addons", ()):
            if needed not in standing and needed not in elsewhere:
                yield f"{name} needs the add-on {needed}: add it to addons_enabled, or {name} to addons_disabled."
        for group in requires.get("crds", ()):
            if group not in provided:
                yield f"{name} needs the kinds of {group}, {_provider(group, entries)}."


def _provider(group: str, entries: Mapping[str, Addon]) -> str:
    names = sorted(name for name, entry in entries.items() if group in entry.get("provides", ()))
    add = f"which {' or '.join(names)} would bring: add it to addons_enabled" if names else "which no add-on brings"
    return f"{add}, or name the group in addons_provided_crds if the cluster has them"


def _minor(version: str) -> tuple[int, int]:
    match = re.match(r"v?(\d+)\.(\d+)", version)
    if not match:
        raise InputError(f"{version!r} is not a version of Kubernetes such as 1.34.4.")
    return int(match[1]), int(match[2])


def _outside(version: str, bounds: Tree) -> bool:
    running = _minor(version)
    low, high = (_minor(bounds[side]) if side in bounds else running for side in ("min", "max"))
    return not low <= running <= high


def _range(bounds: Tree) -> str:
    if "max" not in bounds:
        return f"{bounds['min']} or newer"
    return f"{bounds['min']} to {bounds['max']}" if "min" in bounds else f"{bounds['max']} or older"


def _version_problems(addons: list[Addon], version: str) -> Iterator[str]:
    for addon in addons:
        bounds = addon.get("kubernetes", {})
        if version and bounds and _outside(version, bounds):
            yield f"{addon['name']} runs on Kubernetes {_range(bounds)}, the cluster has {version}."


def _ingress_class_problems(addons: list[Addon]) -> Iterator[str]:
    owners: dict[str, str] = {}
    for addon in addons:
        if not addon.get("ingress_class"):
            continue
        name = str(value_at(addon["values"], addon["ingress_class"]))
        if name in owners:
            yield f"{owners[name]} and {addon['name']} both make the ingress class {name}: rename one, or disable one."
        owners.setdefault(name, addon["name"])


def order(addons: list[Addon]) -> list[Addon]:
    """By wave, each after those it needs, by name where neither says. Raises :class:`InputError` for a cycle."""
    by_name = {addon["name"]: addon for addon in addons}
    standing = substitutes(addons)
    needs = {
        name: {standing[needed] for needed in addon.get("requires", {}).get("addons", ()) if needed in standing}
        for name, addon in by_name.items()
    }
    _refuse(
        f"{name}, of wave {by_name[name]['wave']}, needs {needed}, which comes later, in {by_name[needed]['wave']}."
        for name in sorted(needs)
        for needed in sorted(needs[name])
        if by_name[needed]["wave"] > by_name[name]["wave"]
    )
    sorter = graphlib.TopologicalSorter(needs)
    try:
        sorter.prepare()
    except graphlib.CycleError as error:
        circle = " → ".join(reversed(error.args[1]))
        raise InputError(f"The add-ons {circle} need each other in a circle.") from error
    ready: list[tuple[int, str]] = []
    ordered = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heapq.heappush(ready, (by_name[name]["wave"], name))
        done = heapq.heappop(ready)[1]
        ordered.append(by_name[done])
        sorter.done(done)
    return ordered


def _capacity_problems(addons: list[Addon], total: Amount, selection: Selection) -> Iterator[str]:
    if not selection.capacity:
        return
    room = Amount.of(selection.capacity)
    if total.cpu <= room.cpu and total.memory <= room.memory:
        return
    amounts = [(requested(addon, selection.nodes), addon["name"]) for addon in addons]
    amounts.sort(key=lambda part: -part[0].memory)
    largest = ", ".join(f"{name} ({amount})" for amount, name in amounts[:3])
    yield (
        f"Together they ask for {total}, and the profile {selection.profile} has {room} for them on {selection.nodes} "
        f"nodes. The largest are {largest}. Choose a larger addons_profile, or disable some."
    )


def _warnings(addons: list[Addon], version: str) -> Iterator[str]:
    for addon in addons:
        if addon.get("warning"):
            yield f"{addon['name']} instead of {addon['alternative_to']}: {addon['warning']}"
        bounds = addon.get("tested", {})
        if version and bounds and _outside(version, bounds):
            yield f"{addon['name']} is tested with Kubernetes {_range(bounds)}, the cluster has {version}."
