# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What an installer image installs, and whether a node needs it."""

from __future__ import annotations

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.talos.upgrade import System, plan, system_of

SCHEMATIC = "ab" * 32
FACTORY = f"factory.talos.dev/metal-installer/{SCHEMATIC}"


@pytest.mark.parametrize(
    ("image", "given", "expected"),
    [
        ("ghcr.io/siderolabs/installer:v1.13.9", None, System("v1.13.9", "")),
        (f"{FACTORY}:v1.14.0-rc.1", None, System("v1.14.0-rc.1", SCHEMATIC)),
        (f"{FACTORY}:v1.13.9@sha256:{'0' * 64}", None, System("v1.13.9", SCHEMATIC)),
        ("registry.example.com:5000/installer:v1.13.9", None, System("v1.13.9", None)),
        ("registry.example.com/installer:v1.13.9", SCHEMATIC, System("v1.13.9", SCHEMATIC)),
    ],
)
def test_what_an_image_installs(image: str, given: str | None, expected: System) -> None:
    assert system_of(image, given) == expected


@pytest.mark.parametrize("image", ["", "installer", "installer:latest", "installer:v1.13", f"{FACTORY}:1.13.9"])
def test_an_image_without_a_version(image: str) -> None:
    with pytest.raises(InputError, match="has no tag that is a version of Talos"):
        system_of(image)


@pytest.mark.parametrize(
    ("running", "wanted", "changes"),
    [
        (System("v1.13.9", ""), System("v1.13.9", ""), 0),
        (System("v1.13.9", SCHEMATIC), System("v1.13.9", None), 0),
        (System("v1.13.9", ""), System("v1.13.9", SCHEMATIC), 1),
        (System("v1.13.9", SCHEMATIC), System("v1.13.9", ""), 1),
        (System("v1.12.4", ""), System("v1.13.9", ""), 1),
        (System("v1.13.9", ""), System("v1.12.4", ""), 1),
    ],
)
def test_whether_a_node_needs_it(running: System, wanted: System, changes: int) -> None:
    assert len(plan(running, wanted, "cp-1")) == changes


@pytest.mark.parametrize("wanted", ["v1.15.0", "v1.11.0", "v2.13.0"])
def test_no_leap(wanted: str) -> None:
    with pytest.raises(RefusedError, match="is more than one minor version away"):
        plan(System("v1.13.9", ""), System(wanted, ""), "cp-1")
