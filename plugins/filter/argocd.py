# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters: from stored credentials to what Argo CD reads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.dcm.platform.plugins.module_utils.argocd.cluster import cluster_access
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError


def _cluster(stored: Mapping[str, str], name: str) -> dict[str, Any]:
    """The function with its errors in Ansible's terms."""
    try:
        return cluster_access(stored, name)
    except InputError as error:
        raise AnsibleFilterError(str(error)) from None


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        return {"argocd_cluster": _cluster}
