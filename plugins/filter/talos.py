# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Filters: from a bundle of Talos secrets to the configuration of a node."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import require
from ansible_collections.dcm.platform.plugins.module_utils.talos.arguments import OFFLINE_LIBRARIES
from ansible_collections.dcm.platform.plugins.modules.talos_config import ARGUMENTS, rendered
from ansible_collections.dcm.platform.plugins.plugin_utils.errors import filter_errors


@filter_errors
def talos_config(secrets: Mapping[str, Any] | str, **options: Any) -> str:
    """What the module of this name renders, where a process of its own for each node would cost more than the work."""
    require(*OFFLINE_LIBRARIES)
    # through JSON, as Ansible's own kinds of text and mapping are none that YAML can write
    given = json.loads(json.dumps({**options, "secrets": secrets}))
    checked = ArgumentSpecValidator(dict(ARGUMENTS.spec)).validate(given)
    if checked.error_messages:
        raise InputError(f"talos_config: {'; '.join(checked.error_messages)}.")
    return rendered(checked.validated_parameters)


class FilterModule:
    """What Ansible loads."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"talos_config": talos_config}
