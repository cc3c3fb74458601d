# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Writes the result of the task under test to the file that ``DCM_RESULT_FILE`` names."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
name: result_file
type: notification
short_description: Keeps a module's result for a test
description:
  - Writes the result of the only task of a play as JSON, also when it failed.
"""


class CallbackModule(CallbackBase):
    """Much cheaper than a second task that copies what the first one registered."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "notification"
    CALLBACK_NAME = "result_file"

    def v2_runner_on_ok(self, result: Any) -> None:
        self._keep(result, failed=False)

    def v2_runner_on_failed(self, result: Any, ignore_errors: bool = False) -> None:
        self._keep(result, failed=True)

    def _keep(self, result: Any, failed: bool) -> None:
        with open(os.environ["DCM_RESULT_FILE"], "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            json.dump({"changed": False, **result._result, "failed": failed}, file, default=str)
