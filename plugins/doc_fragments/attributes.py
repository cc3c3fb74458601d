# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What check mode and diff mode of modules do."""

from __future__ import annotations


class ModuleDocFragment:
    """``attributes``: of a module that changes things; ``attributes.reader``: of one that does not."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    support: full
    description: Reads, predicts the changes, and makes none.
  diff_mode:
    support: full
    description: Shows what differs, without secrets.
"""

    READER = r"""
attributes:
  check_mode:
    support: full
    description: Reads only.
  diff_mode:
    support: none
    description: Nothing changes.
"""
