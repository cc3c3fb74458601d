# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filter: what a failed result of kubernetes.core means."""

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


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"kubernetes_failure": kubernetes_failure}
