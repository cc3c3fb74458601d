# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a backup or a restore says of itself: its log, and the results file with warnings and errors."""

from __future__ import annotations

import gzip
import json
import logging

from tests.sandbox.cluster import Object
from tests.sandbox.velero import terms

logger = logging.getLogger(__name__)

VELERO = None  # scope of a message that belongs to no object


class Messages:
    """Warnings, or errors, by where they belong: to Velero, to the cluster, to a namespace."""

    def __init__(self) -> None:
        self._velero: list[str] = []
        self._by_namespace: dict[str, list[str]] = {}

    def add(self, text: str, namespace: str | None) -> None:
        """``namespace``: empty for objects that have none, :data:`VELERO` where there is no object."""
        (self._velero if namespace is VELERO else self._by_namespace.setdefault(namespace, [])).append(text)

    def __len__(self) -> int:
        return len(self._velero) + sum(map(len, self._by_namespace.values()))

    def as_result(self) -> Object:
        """As the results file holds them."""
        namespaces = {name: texts for name, texts in sorted(self._by_namespace.items()) if name}
        parts = {"velero": self._velero, "cluster": self._by_namespace.get("", []), "namespaces": namespaces}
        return {name: part for name, part in parts.items() if part}


class Journal:
    """Log and results of one backup or restore, named like ``backup=velero/daily``."""

    def __init__(self, subject: str) -> None:
        self._subject = subject
        self._lines: list[str] = []
        self.warnings = Messages()
        self.errors = Messages()

    def info(self, text: str) -> None:
        """A line of the log."""
        self._log("info", text)

    def warning(self, text: str, namespace: str | None = VELERO) -> None:
        """A line of the log that counts as a warning."""
        self._log("warning", text)
        self.warnings.add(text, namespace)

    def error(self, text: str, namespace: str | None = VELERO) -> None:
        """A line of the log that counts as an error."""
        self._log("error", text)
        self.errors.add(text, namespace)

    def _log(self, level: str, text: str) -> None:
        self._lines.append(f"time={json.dumps(terms.timestamp(terms.now()))} level={level} msg={json.dumps(text)}")
        logger.debug("%s %s: %s", self._subject, level, text)

    def log_gzip(self) -> bytes:
        """The log file."""
        return gzip.compress("".join(f"{line} {self._subject}\n" for line in self._lines).encode())

    def results(self) -> Object:
        """The content of the results file."""
        return {"errors": self.errors.as_result(), "warnings": self.warnings.as_result()}
