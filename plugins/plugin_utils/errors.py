# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The collection's errors in Ansible's terms, for plugins that run on the controller."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from ansible.errors import AnsibleFilterError
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import PlatformError

P = ParamSpec("P")
R = TypeVar("R")


def filter_errors(function: Callable[P, R]) -> Callable[P, R]:
    """The function, whose foreseen errors are those of a filter."""

    @functools.wraps(function)
    def convert(*values: P.args, **options: P.kwargs) -> R:
        try:
            return function(*values, **options)
        except PlatformError as error:
            raise AnsibleFilterError(str(error)) from error

    return convert
