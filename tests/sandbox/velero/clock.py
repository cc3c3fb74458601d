# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The stand-in's clock, which tests move.

The ConfigMap ``stand-in-clock`` in the server's namespace says by how much it goes before the time of the machine, as a
duration under ``offset`` (``25h``). Schedules, lifetimes and all timestamps go by it; how often something is looked at
does not. It is right again when the ConfigMap is gone.
"""

from __future__ import annotations

import datetime

from tests.sandbox.cluster import Object
from tests.sandbox.velero import terms
from tests.sandbox.velero.loop import Controller

CONFIG_MAP = "stand-in-clock"
RIGHT = datetime.timedelta()


class ClockController(Controller):
    """Moves the clock, and has everything looked at again then."""

    kind = terms.CONFIG_MAPS

    def handle(self, item: Object) -> float | None:
        if item["metadata"]["name"] == CONFIG_MAP:
            self._move(terms.duration(item["data"]["offset"]))
        return None

    def forget(self, name: str) -> None:
        if name == CONFIG_MAP:
            self._move(RIGHT)

    def _move(self, offset: datetime.timedelta) -> None:
        if terms.CLOCK.offset != offset:
            terms.CLOCK.offset = offset
            self.context.look_again()
