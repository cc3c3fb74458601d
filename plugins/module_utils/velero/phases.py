# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the status of a backup or a restore says."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

T = TypeVar("T", bound=Mapping[str, Any])

COMPLETED = "Completed"
PARTIALLY_FAILED = "PartiallyFailed"
FAILED = "Failed"
FAILED_VALIDATION = "FailedValidation"
DELETING = "Deleting"

FAILURES = (FAILED_VALIDATION, FAILED, PARTIALLY_FAILED)
TERMINAL = (COMPLETED, *FAILURES)

DONE = {"Backup": "backed up", "Restore": "restored"}  # what becomes of an item
COUNTED = {"Backup": "itemsBackedUp", "Restore": "itemsRestored"}


def kind(item: Mapping[str, Any]) -> str:
    """``Backup`` or ``Restore``."""
    return str(item.get("kind", "Backup"))


def phase(backup: Mapping[str, Any]) -> str:
    """The phase; empty while no server has seen the backup."""
    return str(backup.get("status", {}).get("phase", ""))


def timestamp(backup: Mapping[str, Any], key: str) -> datetime | None:
    """A time of the status, such as ``startTimestamp``; None while it is not set."""
    text = backup.get("status", {}).get(key)
    return datetime.fromisoformat(text) if text else None


def has_expired(backup: Mapping[str, Any], now: datetime) -> bool:
    """Whether the server may delete the backup at any moment."""
    expires = timestamp(backup, "expiration")
    return expires is not None and expires <= now


def newest(backups: Iterable[T], usable: Collection[str], now: datetime) -> T | None:
    """The backup in one of the phases that started last and is kept."""
    kept = [item for item in backups if phase(item) in usable and not has_expired(item, now)]
    return max(kept, key=lambda item: item["status"].get("startTimestamp", ""), default=None)


def progress(backup: Mapping[str, Any]) -> str:
    """What the backup is doing, as a person would say it."""
    status = backup.get("status", {})
    if not phase(backup):
        return "no Velero server has taken it up yet; does one run in this namespace?"
    text = f"its phase is {phase(backup)}"
    if "queuePosition" in status:
        text += f", position {status['queuePosition']} of the queue"
    if "progress" in status:
        text += f", {_items_done(backup)}"
    return text


def items(backup: Mapping[str, Any]) -> dict[str, int]:
    """How many objects there are to back up or restore, and how many are."""
    counted = backup.get("status", {}).get("progress", {})
    done = DONE[kind(backup)].replace(" ", "_")
    return {"total": counted.get("totalItems", 0), done: counted.get(COUNTED[kind(backup)], 0)}


def _items_done(backup: Mapping[str, Any]) -> str:
    total, done = items(backup).values()
    return f"{done} of {total} items are {DONE[kind(backup)]}"


def failure(backup: Mapping[str, Any]) -> str:
    """Why the backup is not what one wanted, in one sentence. For a phase of ``FAILURES``."""
    metadata, status = backup["metadata"], backup.get("status", {})
    what = f"{kind(backup)} {metadata['namespace']}/{metadata['name']} ended as {phase(backup)}"
    if phase(backup) == FAILED_VALIDATION:
        return f"{what}, nothing was {DONE[kind(backup)]}: {'; '.join(status.get('validationErrors', []))}."
    if phase(backup) == FAILED:
        return f"{what}: {status.get('failureReason') or 'the server gives no reason'}."
    counts = f"{status.get('errors', 0)} errors and {status.get('warnings', 0)} warnings"
    return f"{what}: {counts}, {_items_done(backup)}."


def summary(backup: Mapping[str, Any]) -> dict[str, Any]:
    """A backup as a result shows it. Counts that the server leaves out are zero."""
    metadata, spec, status = backup["metadata"], backup.get("spec", {}), backup.get("status", {})
    return {
        "name": metadata["name"],
        "phase": phase(backup) or "New",
        "started": status.get("startTimestamp"),
        "completed": status.get("completionTimestamp"),
        "expires": status.get("expiration"),
        "items": items(backup),
        "errors": status.get("errors", 0),
        "warnings": status.get("warnings", 0),
        "storage_location": spec.get("storageLocation"),
    }
