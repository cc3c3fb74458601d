# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters: from stored credentials to what Argo CD reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.argocd.cluster import cluster_access
from ansible_collections.dcm.platform.plugins.plugin_utils.errors import filter_errors


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., dict[str, Any]]]:
        return {"argocd_cluster": filter_errors(cluster_access)}
