# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Everything that governs a cluster, from its tables. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.cluster_baseline.access import access_objects
from ansible_collections.dcm.platform.plugins.module_utils.cluster_baseline.classes import (
    priority_classes,
    storage_classes,
)
from ansible_collections.dcm.platform.plugins.module_utils.cluster_baseline.entries import Object, Table
from ansible_collections.dcm.platform.plugins.module_utils.cluster_baseline.namespaces import (
    Defaults,
    merged,
    namespace_objects,
)
from ansible_collections.dcm.platform.plugins.module_utils.cluster_baseline.network import Peers


def cluster_objects(
    tables: Iterable[Table],
    *,
    defaults: Mapping[str, Any],
    peers: Peers,
    roles: Table,
    groups: Mapping[str, Sequence[str]],
    priorities: Table,
    storage: Table,
) -> list[Object]:
    """The manifests for tables of namespaces and for what belongs to the cluster as a whole.

    ``defaults`` are the fields of :class:`Defaults`; ``peers`` says what the named peers of network rules are. Raises
    :class:`InputError` for what makes no sense.
    """
    namespaces = merged(tables)
    governing = (
        namespace_objects(name, entry, Defaults(**defaults), peers) for name, entry in sorted(namespaces.items())
    )
    return [
        *(one for each in governing for one in each),
        *access_objects(roles, groups, namespaces),
        *priority_classes(priorities),
        *storage_classes(storage),
    ]
