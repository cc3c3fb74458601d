# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters: what a result of kubernetes.core means."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import PlatformError, UnreachableError
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import KUBERNETES, require
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import SERVICE, connect

NO_CONNECTION = re.compile(r"Max retries exceeded|Connection aborted|Failed to establish|Read timed out")
REASON = re.compile(r"\[Errno -?\d+\] ([\w ]+)")

BOOKKEEPING = ("generation", "managedFields", "resourceVersion")


def kubernetes_failure(result: Mapping[str, Any], kubeconfig: str, context: str = "") -> str:
    """The sentence for a failed result."""
    try:
        require(KUBERNETES)
        others = {"host": None, "api_key": None, "ca_cert": None, "validate_certs": None}
        address = connect({"kubeconfig": kubeconfig, "context": context or None, **others}).address
    except PlatformError as error:
        return str(error)
    message = str(result.get("msg") or "the task gives no reason")
    if NO_CONNECTION.search(message):
        reasons = REASON.findall(message)
        return str(UnreachableError(SERVICE, address, reasons[-1] if reasons else "the connection broke"))
    return f"{SERVICE} at {address} refuses: {_reason(message)}"


def _reason(message: str) -> str:
    """The server's own sentence, where the message ends in its answer."""
    try:
        return str(json.loads(message[message.index("{") :])["message"])
    except (ValueError, KeyError, TypeError):
        return message


def kubernetes_changed(result: Mapping[str, Any]) -> bool:
    """Whether a task that applied objects, with ``diff: true``, changed what they say.

    A controller may write a status between the module's read and its write; that is not our change.
    """
    return any(_changed(one) for one in result.get("result", {}).get("results", [result]))


def _changed(result: Mapping[str, Any]) -> bool:
    diff = result.get("diff")
    if not (result.get("changed") and diff):
        return bool(result.get("changed"))
    return any(_content(diff.get(side, {})) for side in ("before", "after"))


def _content(part: Mapping[str, Any]) -> dict[str, Any]:
    """A side of a diff without what the server and its controllers keep."""
    metadata = {key: value for key, value in part.get("metadata", {}).items() if key not in BOOKKEEPING}
    rest = {key: value for key, value in part.items() if key not in ("metadata", "status")}
    return {**rest, **metadata}


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"kubernetes_changed": kubernetes_changed, "kubernetes_failure": kubernetes_failure}
