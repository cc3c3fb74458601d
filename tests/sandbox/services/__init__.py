# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The services of the lab: every subclass of Service in a module of this package, by name."""

from __future__ import annotations

import importlib
import pkgutil

from tests.sandbox.service import Service


def _discover() -> dict[str, type[Service]]:
    found: dict[str, type[Service]] = {}
    for module in pkgutil.iter_modules(__path__):
        for item in vars(importlib.import_module(f"{__name__}.{module.name}")).values():
            if isinstance(item, type) and issubclass(item, Service) and item is not Service:
                found[item.name] = item
    return dict(sorted(found.items()))


SERVICES = _discover()
DEFAULT = [name for name, kind in SERVICES.items() if not kind.optional]
