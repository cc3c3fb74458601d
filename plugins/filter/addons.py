# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters: from the catalogue of add-ons to what is applied to a cluster."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.addons import definitions, outdated, render
from ansible_collections.dcm.platform.plugins.module_utils.addons.catalogue import Addon, check_entries
from ansible_collections.dcm.platform.plugins.module_utils.addons.resolve import Selection, resolve
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import PYYAML, require
from ansible_collections.dcm.platform.plugins.plugin_utils.errors import filter_errors


@filter_errors
def addons_resolve(catalogue: Sequence[Addon], schema: Mapping[str, Any], **selection: Any) -> dict[str, Any]:
    """The add-ons of an environment in order, checked."""
    check_entries(catalogue, schema)
    return resolve(catalogue, Selection(**selection))


@filter_errors
def addon_applications(addons: Sequence[Addon], provided_crds: Sequence[str] = (), **target: Any) -> list[Any]:
    """An Application for each."""
    if target.get("definitions"):
        definitions.check_sources(addons, provided_crds)
    return render.applications(addons, render.Target(**target), provided_crds)


@filter_errors
def addon_namespaces(addons: Sequence[Addon]) -> dict[str, Any]:
    """Their namespaces."""
    return render.namespaces(addons)


@filter_errors
def addon_definitions(addons: Sequence[Addon], directory: str, provided_crds: Sequence[str] = ()) -> list[Any]:
    """Their custom resource definitions."""
    require(PYYAML)
    return definitions.definitions(addons, directory, provided_crds)


@filter_errors
def addons_outdated(
    addons: Sequence[Addon], indexes: Mapping[str, str], failures: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Their pins compared."""
    require(PYYAML)
    return outdated.outdated(addons, indexes, failures)


@filter_errors
def addon_repositories(addons: Sequence[Addon]) -> list[str]:
    """Where their charts come from, as far as that has an index."""
    return outdated.repositories(addons)


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "addon_applications": addon_applications,
            "addon_definitions": addon_definitions,
            "addon_namespaces": addon_namespaces,
            "addon_repositories": addon_repositories,
            "addons_outdated": addons_outdated,
            "addons_resolve": addons_resolve,
        }
