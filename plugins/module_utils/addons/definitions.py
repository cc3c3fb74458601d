# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Custom resource definitions from a directory of upstream's files."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.addons.catalogue import Addon
from ansible_collections.dcm.platform.plugins.module_utils.addons.render import definition_owners
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError

with contextlib.suppress(ImportError):  # whoever calls has checked that it is there
    import yaml

_KIND = "CustomResourceDefinition"


def _loader() -> type[Any]:
    """A loader that takes a bare ``=`` for text, as YAML 1.2 does; upstream has it in lists of choices."""

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        pass

    Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: loader.construct_scalar(node))
    return Loader


def definitions(addons: Sequence[Addon], directory: str, provided_crds: Sequence[str] = ()) -> list[dict[str, Any]]:
    """All definitions of the add-ons' kinds. Raises :class:`InputError` that names every file that is not there."""
    owners = definition_owners(addons, provided_crds)
    paths = {addon["name"]: Path(directory) / addon["crds"]["file"] for addon in owners}
    missing = [f"{path.name} ({name})" for name, path in paths.items() if not path.is_file()]
    if missing:
        raise InputError(f"addons_crds_directory {directory} lacks {', '.join(missing)}.")
    found = []
    for path in paths.values():
        try:
            documents = list(yaml.load_all(path.read_bytes(), Loader=_loader()))
        except yaml.YAMLError as error:
            raise InputError(f"{path} is not YAML: {error}.") from error
        found += [document for document in documents if isinstance(document, dict) and document.get("kind") == _KIND]
    return found


def check_sources(addons: Sequence[Addon], provided_crds: Sequence[str] = ()) -> None:
    """Raises :class:`InputError` for kinds that only a directory can bring, as no upstream source has them alone."""
    owners = definition_owners(addons, provided_crds)
    without = [addon["name"] for addon in owners if not {"git", "chart"} & set(addon["crds"])]
    if without:
        raise InputError(
            f"No upstream source has the kinds of {', '.join(without)} alone: "
            "give a directory that has them in addons_crds_directory."
        )
