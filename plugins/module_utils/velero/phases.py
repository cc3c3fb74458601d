# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the status of a backup says."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

COMPLETED = "Completed"
PARTIALLY_FAILED = "PartiallyFailed"
FAILED = "Failed"
FAILED_VALIDATION = "FailedValidation"
DELETING = "Deleting"

FAILURES = (FAILED_VALIDATION, FAILED, PARTIALLY_FAILED)
TERMINAL = (COMPLETED, *FAILURES)


def phase(backup: Mapping[str, Any]) -> str:
    """The phase; empty while no server has seen the backup."""
    return str(backup.get("status", {}).get("phase", ""))


def timestamp(backup: Mapping[str, Any], key: str) -> datetime | None:
    """A time of the status, such as ``startTimestamp``; None while it is not set."""
    text = backup.get("status", {}).get(key)
    return datetime.fromisoformat(text) if text else None


def progress(backup: Mapping[str, Any]) -> str:
    """What the backup is doing, as a person would say it."""
    status = backup.get("status", {})
    if not phase(backup):
        return "no Velero server has taken it up yet; does one run in this namespace?"
    text = f"its phase is {phase(backup)}"
    if "queuePosition" in status:
        text += f", position {status['queuePosition']} of the queue"
    if "progress" in status:
        count = items(backup)
        text += f", {count['backed_up']} of {count['total']} items are backed up"
    return text


def items(backup: Mapping[str, Any]) -> dict[str, int]:
    """How many objects the backup has to hold, and how many it holds."""
    counted = backup.get("status", {}).get("progress", {})
    return {"total": counted.get("totalItems", 0), "backed_up": counted.get("itemsBackedUp", 0)}


def failure(backup: Mapping[str, Any]) -> str:
    """Why the backup is not what one wanted, in one sentence. For a phase of ``FAILURES``."""
    metadata, status = backup["metadata"], backup.get("status", {})
    what = f"Backup {metadata['namespace']}/{metadata['name']} ended as {phase(backup)}"
    if phase(backup) == FAILED_VALIDATION:
        return f"{what}, nothing was backed up: {'; '.join(status.get('validationErrors', []))}."
    if phase(backup) == FAILED:
        return f"{what}: {status.get('failureReason') or 'the server gives no reason'}."
    count = items(backup)
    return (
        f"{what}: {status.get('errors', 0)} errors and {status.get('warnings', 0)} warnings, "
        f"{count['backed_up']} of {count['total']} items are backed up."
    )


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
