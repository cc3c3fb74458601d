# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Schedules: what they should be, and whether they can keep their objective."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import Object
from ansible_collections.dcm.platform.plugins.module_utils.velero import phases
from ansible_collections.dcm.platform.plugins.module_utils.velero.backup_spec import checked_duration, template_spec
from ansible_collections.dcm.platform.plugins.module_utils.velero.cron import longest_interval, split_zone
from ansible_collections.dcm.platform.plugins.module_utils.velero.objects import ObjectReconciler, Stored, Wanted
from ansible_collections.dcm.platform.plugins.module_utils.velero.resources import SCHEDULE
from ansible_collections.dcm.platform.plugins.module_utils.velero.tree import Leaf, same_flag

ZONE = "CRON_TZ="


def wanted_schedule(item: Mapping[str, Any]) -> Wanted:
    """A schedule of the option. Raises :class:`InputError` that names it."""
    name = item["name"]
    if item["state"] == "absent":
        return Wanted(SCHEDULE, name, present=False)
    try:
        spec = _spec(item)
    except InputError as error:
        raise InputError(f"Schedule {name}: {error}") from error
    skip = item["skip_immediately"]
    initial: dict[str, Any] = {"template": {}, **({} if skip is None else {"skipImmediately": skip})}
    return Wanted(SCHEDULE, name, True, spec, item["labels"], ("schedule",), initial)


def _spec(item: Mapping[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = {}
    if item["cron"] is not None:
        spec["schedule"] = Leaf(expression(item["cron"], item["time_zone"]))
        _require_objective(spec["schedule"].value, item["rpo"])
    elif item["time_zone"] or item["rpo"]:
        raise InputError("time_zone and rpo need cron.")
    for option, key in (("paused", "paused"), ("use_owner_references", "useOwnerReferencesInBackup")):
        if item[option] is not None:
            spec[key] = Leaf(item[option], same_flag)
    template: dict[str, Any] = dict(template_spec(item["template"])) if item["template"] else {}
    if item["backup_labels"] is not None:
        template["metadata"] = {"labels": Leaf(dict(item["backup_labels"]))}
    return {**spec, "template": template} if template else spec


def expression(cron: str, zone: str | None) -> str:
    """What the server takes, time zone included. Raises :class:`InputError`."""
    own_zone, fields = split_zone(cron.strip())
    if own_zone and zone and own_zone != zone:
        raise InputError(f"cron names the time zone {own_zone}, and time_zone is {zone}.")
    if any(character.isspace() for character in zone or ""):
        raise InputError(f"time_zone: {zone!r} is no name of a time zone, such as Europe/Berlin.")
    return f"{ZONE}{own_zone or zone} {fields}" if own_zone or zone else fields


def _require_objective(cron: str, rpo: str | None) -> None:
    """Raise :class:`InputError` for what is no cron expression, or runs too seldom."""
    try:
        interval = longest_interval(cron)
    except ValueError as error:
        raise InputError(f"cron: {error}.") from error
    if rpo is not None and interval > checked_duration("rpo", rpo):
        raise InputError(f"up to {interval} pass between two runs of {cron!r}, more than the objective of {rpo}.")


class Schedules(ObjectReconciler):
    """Schedules as they are wanted, none of them refused by the server."""

    def result(self, actual: Stored, changes: Sequence[Change]) -> dict[str, Any]:
        """Raises :class:`RefusedError` for schedules that the server refused before, and that were not corrected."""
        changed = {change.name for change in changes}
        refused = [item for (_kind, name), item in self._after.items() if name not in changed and _is_refused(item)]
        if refused:
            raise RefusedError(
                " ".join(_refusal(item) for item in refused), hint="Correct them: the server makes no backups of these."
            )
        return {"schedules": self.summaries(changes, SCHEDULE)}

    def status_of(self, item: Object | None) -> dict[str, Any]:
        if item is None:
            return {}
        return {
            **super().status_of(item),
            "last_backup": item.get("status", {}).get("lastBackup"),
            "paused": bool(item["spec"].get("paused")),
        }


def _is_refused(schedule: Object) -> bool:
    return phases.phase(schedule) == phases.FAILED_VALIDATION


def _refusal(schedule: Object) -> str:
    metadata = schedule["metadata"]
    reasons = "; ".join(schedule["status"].get("validationErrors", ()))
    return f"Schedule {metadata['namespace']}/{metadata['name']} is refused by Velero: {reasons}."
