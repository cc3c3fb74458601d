# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Entries of a catalogue for tests of its rules."""

from __future__ import annotations

from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.addons.resolve import Selection


def entry(name: str, **keys: Any) -> dict[str, Any]:
    """An add-on with a chart of its own that is on in ``dev``."""
    return {
        "name": name,
        "title": name.title(),
        "purpose": "Serves a test.",
        "requirements": [],
        "licence": "Apache-2.0",
        "chart": {"repository": "https://charts.example.org", "name": name, "version": "1.0.0"},
        "namespace": "platform-system",
        "wave": 0,
        "environments": ["dev"],
        "pod_security": {"enforce": "restricted", "reason": "It passes."},
        **keys,
    }


def selection(**keys: Any) -> Selection:
    """The environment ``dev`` on Kubernetes 1.34."""
    return Selection(**{"environment": "dev", "profile": "small", "kubernetes_version": "1.34.4", **keys})
