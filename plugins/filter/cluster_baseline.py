# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters: from the tables of a cluster to the objects that govern it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.cluster_baseline.objects import cluster_objects
from ansible_collections.dcm.platform.plugins.module_utils.cluster_baseline.service_graph import (
    service_graph_namespaces,
)
from ansible_collections.dcm.platform.plugins.plugin_utils.errors import filter_errors


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "cluster_baseline_objects": filter_errors(cluster_objects),
            "service_graph_namespaces": filter_errors(service_graph_namespaces),
        }
