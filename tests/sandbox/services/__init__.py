# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The services of the lab: every subclass of Service in a module of this package."""

from __future__ import annotations

import functools
import importlib
import pkgutil

from tests.sandbox.service import Service


@functools.cache
def services() -> dict[str, type[Service]]:
    """By name. Not a constant: they load much, which who only stops a lab does not need."""
    found: dict[str, type[Service]] = {}
    for module in pkgutil.iter_modules(__path__):
        for item in vars(importlib.import_module(f"{__name__}.{module.name}")).values():
            if isinstance(item, type) and issubclass(item, Service) and item is not Service:
                found[item.name] = item
    return dict(sorted(found.items()))


def default() -> list[str]:
    """The names of those that are started where none is asked for."""
    return [name for name, kind in services().items() if not kind.optional]
