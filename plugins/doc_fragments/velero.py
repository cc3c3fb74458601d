# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Options shared by the modules for Velero."""

from __future__ import annotations


class ModuleDocFragment:
    """Mirrors what ``VELERO_ARGUMENTS`` adds to ``KUBERNETES_ARGUMENTS``."""

    DOCUMENTATION = r"""
options:
  namespace:
    description:
      - Namespace of the Velero server, where all of its objects are.
    type: str
    default: velero
"""
