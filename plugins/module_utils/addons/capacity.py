# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What the pods of add-ons ask for, and whether a cluster of a given size holds it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.addons.catalogue import Addon, value_at
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError

_SUFFIXES = {
    "m": Decimal("0.001"),
    "": Decimal(1),
    **{letter: Decimal(1000) ** power for power, letter in enumerate("kMGTP", 1)},
    **{f"{letter}i": Decimal(1024) ** power for power, letter in enumerate("KMGTP", 1)},
}
_MEBIBYTE = _SUFFIXES["Mi"]


def quantity(text: object) -> Decimal:
    """A quantity of Kubernetes such as ``250m`` or ``1.5Gi``, in CPUs or bytes. Raises :class:`InputError`."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(\w*)", str(text), re.ASCII)
    if not match or match[2] not in _SUFFIXES:
        raise InputError(f"{str(text)!r} is not a quantity such as 250m or 1.5Gi.")
    return Decimal(match[1]) * _SUFFIXES[match[2]]


@dataclass(frozen=True)
class Amount:
    """CPUs and bytes of memory."""

    cpu: Decimal = Decimal(0)
    memory: Decimal = Decimal(0)

    @classmethod
    def of(cls, resources: Mapping[str, Any]) -> Amount:
        """From a mapping as pods have it."""
        return cls(quantity(resources.get("cpu", 0)), quantity(resources.get("memory", 0)))

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.cpu + other.cpu, self.memory + other.memory)

    def times(self, factor: int) -> Amount:
        """As much, that many times."""
        return Amount(self.cpu * factor, self.memory * factor)

    def shown(self) -> dict[str, str]:
        """In the form in which Kubernetes has it, rounded up."""
        return {"cpu": f"{math.ceil(self.cpu * 1000)}m", "memory": f"{math.ceil(self.memory / _MEBIBYTE)}Mi"}

    def __str__(self) -> str:
        return f"{float(self.cpu):.3g} CPU and {float(self.memory / _SUFFIXES['Gi']):.3g} GiB"


def requested(addon: Addon, nodes: int) -> Amount:
    """The requests of all pods of a completed add-on. Raises :class:`InputError` for a path without a value."""
    total = Amount()
    for workload in addon.get("workloads", ()):
        try:
            resources = _looked_up(workload["resources"], addon)
            pods = nodes if workload.get("per_node") else int(_looked_up(workload.get("replicas", 1), addon))
            total += Amount.of(resources.get("requests") or {}).times(pods)
        except InputError as error:
            raise InputError(f"{addon['name']}: workloads: {error}") from None
    return total


def _looked_up(given: Any, addon: Addon) -> Any:
    return value_at(addon["values"], given) if isinstance(given, str) else given
