# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The version contract of a cluster: the Talos version it was created with, which decides how its files look."""

from __future__ import annotations

import base64
import re
from typing import NamedTuple

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError


class Contract(NamedTuple):
    """Major and minor version; later contracts compare greater."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"

    def encode_cluster_id(self, data: bytes) -> str:
        """Cluster ids were URL-safe before 1.14."""
        encode = base64.b64encode if self >= (1, 14) else base64.urlsafe_b64encode
        return encode(data).decode("ascii")


# Each has a renderer in config.py; a newer server accepts the configurations of an older contract unchanged.
SUPPORTED = (Contract(1, 13), Contract(1, 14))


def parse_contract(version: str) -> Contract:
    """The contract of a version such as ``1.13.9``, ``v1.13.9`` or ``1.13``. Raises :class:`InputError` if unknown."""
    match = re.fullmatch(r"v?(\d+)\.(\d+)(?:[.+-].*)?", version)
    contract = Contract(int(match[1]), int(match[2])) if match else None
    if contract not in SUPPORTED:
        raise InputError(
            f"{version!r} is not a version contract this collection can render.",
            hint=f"It knows {', '.join(map(str, SUPPORTED))}; Talos accepts an older contract than its own version.",
        )
    return contract
