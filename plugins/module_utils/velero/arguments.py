# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The options by which a module finds a Velero server."""

from __future__ import annotations

from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.arguments import KUBERNETES_ARGUMENTS

VELERO_ARGUMENTS = KUBERNETES_ARGUMENTS | Arguments({"namespace": {"type": "str", "default": "velero"}})
