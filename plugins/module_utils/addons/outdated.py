# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Whether newer versions than the catalogue's pins are published, by the index of a chart repository."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.addons.catalogue import Addon
from ansible_collections.dcm.platform.plugins.module_utils.addons.render import OCI
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError

with contextlib.suppress(ImportError):  # whoever calls has checked that it is there
    import yaml

_VERSION = re.compile(r"v?(\d+)\.(\d+)\.(\d+)(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?")

Key = tuple[Any, ...]


def precedence(version: str) -> Key | None:
    """What semantic versions are compared by; None for a text that is none."""
    match = _VERSION.fullmatch(version)
    if not match:
        return None
    numbers = tuple(int(match[part]) for part in (1, 2, 3))
    if match[4] is None:
        return (*numbers, 1, ())
    identifiers = tuple((0, int(part), "") if part.isdigit() else (1, 0, part) for part in match[4].split("."))
    return (*numbers, 0, identifiers)


def _is_prerelease(key: Key) -> bool:
    return bool(key[3] == 0)


def newest(versions: Iterable[str], pinned: str) -> str | None:
    """The highest version that is newer than the pin; a pre-release counts only if the pin is one. None: none is."""
    pin = precedence(pinned)
    if pin is None:
        raise InputError(f"{pinned!r} is not a semantic version.")
    keys = {version: key for version in versions if (key := precedence(version))}
    newer = [version for version, key in keys.items() if key > pin and (_is_prerelease(pin) or not _is_prerelease(key))]
    return max(newer, key=lambda version: keys[version], default=None)


def repositories(addons: Iterable[Addon]) -> list[str]:
    """The repositories of charts that have an index; registries have none."""
    found = {addon["chart"]["repository"] for addon in addons if "chart" in addon}
    return sorted(repository for repository in found if not repository.startswith(OCI))


def outdated(
    addons: Sequence[Addon], indexes: Mapping[str, str], failures: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """The pins compared with the texts of indexes, by repository: ``outdated``, ``current``, ``unknown`` with a reason.

    ``failures`` says of repositories why there is no text.
    """
    published = {repository: _charts(text) for repository, text in indexes.items()}
    report: dict[str, list[dict[str, Any]]] = {"outdated": [], "current": [], "unknown": []}
    for addon in sorted(addons, key=lambda addon: str(addon["name"])):
        if "chart" in addon:
            kind, line = _compared(addon["chart"], published, failures or {})
            report[kind].append({"name": addon["name"], **line})
    return report


def _compared(
    chart: Mapping[str, Any], published: Mapping[str, Any], failures: Mapping[str, str]
) -> tuple[str, dict[str, Any]]:
    repository = chart["repository"]
    line = {"chart": chart["name"], "repository": repository, "pinned": chart["version"]}
    if repository not in published:
        reason = (
            "a registry has no index" if repository.startswith(OCI) else failures.get(repository, "no index was given")
        )
        return "unknown", {**line, "reason": reason}
    if published[repository] is None:
        return "unknown", {**line, "reason": "what was given is not the index of a chart repository"}
    versions = published[repository].get(chart["name"])
    if not versions:
        return "unknown", {**line, "reason": f"the index has no chart {chart['name']}"}
    latest = newest(versions, chart["version"])
    return ("outdated", {**line, "newest": latest, "app_version": versions[latest]}) if latest else ("current", line)


def _charts(text: str) -> dict[str, dict[str, str]] | None:
    """Chart → version → version of the program, of what is not withdrawn. None if the text is no index."""
    try:
        index = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError:
        return None
    if not isinstance(index, dict) or not isinstance(index.get("entries"), dict):
        return None
    return {
        chart: {
            str(one["version"]): str(one.get("appVersion", "")) for one in versions or () if not one.get("deprecated")
        }
        for chart, versions in index["entries"].items()
    }
