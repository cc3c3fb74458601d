# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How controllers are driven: one watch a kind, one thread a controller, objects looked at again when they are due."""

from __future__ import annotations

import abc
import heapq
import logging
import threading
import time
from collections.abc import Sequence
from typing import ClassVar

from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from tests.sandbox.cluster import Object, Resource
from tests.sandbox.velero.context import Context
from tests.sandbox.velero.storage import StorageError

logger = logging.getLogger(__name__)

WATCH_SECONDS = 300
RECONNECT_AFTER = 0.5
LONGEST_RETRY = 30.0


class Controller(abc.ABC):
    """Brings objects of one kind forward, one object at a time."""

    kind: ClassVar[Resource]

    def __init__(self, context: Context) -> None:
        self.context = context

    def start(self) -> None:  # noqa: B027 - most have nothing to clear up
        """What a server does with what its predecessor left. Called once, before the first object."""

    @abc.abstractmethod
    def handle(self, item: Object) -> float | None:
        """Do what is due for an object. Returns the seconds until it should be looked at again without a change."""

    def forget(self, name: str) -> None:  # noqa: B027
        """An object is gone."""


class Worker:
    """The thread of a controller, with the names of the objects to look at and when."""

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self._due: dict[str, float] = {}
        self._order: list[tuple[float, str]] = []
        self._changed = threading.Condition()
        self._failures: dict[str, int] = {}

    def start(self) -> None:
        """Begin to work."""
        threading.Thread(target=self._run, name=type(self.controller).__name__, daemon=True).start()

    def look_at(self, name: str, delay: float = 0.0) -> None:
        """Have an object handled after ``delay`` seconds, or earlier if that was already planned."""
        due = time.monotonic() + delay
        with self._changed:
            if due < self._due.get(name, float("inf")):
                self._due[name] = due
                heapq.heappush(self._order, (due, name))
                self._changed.notify()

    def _next(self) -> str:
        with self._changed:
            while True:
                wait = None
                if self._order:
                    due, name = self._order[0]
                    wait = due - time.monotonic()
                    if wait <= 0:
                        heapq.heappop(self._order)
                        if self._due.get(name) == due:  # else it was planned earlier and is done
                            del self._due[name]
                            return name
                        continue
                self._changed.wait(wait)

    def _run(self) -> None:
        while True:
            name = self._next()
            try:
                delay = self._handle(name)
                self._failures.pop(name, None)
            except (ApiException, HTTPError, StorageError) as error:
                logger.warning("%s %s: %s", self.controller.kind, name, _brief(error))
                delay = self._retry(name)
            except Exception:
                logger.exception("%s %s", self.controller.kind, name)
                delay = self._retry(name)
            if delay is not None:
                self.look_at(name, delay)

    def _handle(self, name: str) -> float | None:
        context, kind = self.controller.context, self.controller.kind
        item = context.get(kind, name)
        if item is None:
            self.controller.forget(name)
            return None
        if context.faults.active(kind, "never-answered", name):
            return context.periods.waiting
        return self.controller.handle(item)

    def _retry(self, name: str) -> float:
        failures = self._failures[name] = self._failures.get(name, 0) + 1
        return min(2.0 ** (failures - 2), LONGEST_RETRY)


class Watcher:
    """Tells the workers of a kind about every object and every change. Lives through an API server's absence."""

    def __init__(self, context: Context, kind: Resource, workers: Sequence[Worker]) -> None:
        self._context = context
        self._kind = kind
        self._workers = workers
        self._away = False
        self.synchronised = threading.Event()

    def start(self) -> None:
        """Begin to watch."""
        threading.Thread(target=self._run, name=f"watch {self._kind}", daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                self._follow(self._list())
            except (ApiException, HTTPError, ValueError) as error:  # ValueError: a stream cut within a line
                if not self._away:  # once for each absence
                    logger.warning("watch of %s: %s", self._kind, _brief(error))
                self._away = True
            time.sleep(RECONNECT_AFTER)

    def _list(self) -> str:
        version = ""
        for page in self._context.cluster.pages(self._kind.path(self._context.namespace)):
            version = page["metadata"]["resourceVersion"]
            for item in page["items"]:
                self._tell(item)
        self._away = False
        self.synchronised.set()
        return version

    def _follow(self, version: str) -> None:
        path = self._kind.path(self._context.namespace)
        while True:
            for event in self._context.cluster.watch(path, version, WATCH_SECONDS):
                if event["type"] == "ERROR":  # the version is too old: list again
                    return
                version = event["object"]["metadata"]["resourceVersion"]
                if event["type"] != "BOOKMARK":
                    self._tell(event["object"])

    def tell_all(self) -> None:
        """Have every object looked at."""
        for item in self._context.items(self._kind):
            self._tell(item)

    def _tell(self, item: Object) -> None:
        for worker in self._workers:
            worker.look_at(item["metadata"]["name"])


def _brief(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:300]
