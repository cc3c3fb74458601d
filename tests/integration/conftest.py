# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fixtures of several files here."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conftest import LabFixture

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.integration.postgres.guild_database import Servers
    from tests.integration.talos.talos_machines import Machines


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """PostgreSQL servers for tests of guilds, without any role of another test."""
    from tests.integration.postgres.guild_database import Servers

    with Servers(tmp_path_factory.mktemp("servers")) as started:
        yield started


@pytest.fixture(scope="module")
def machines(lab: LabFixture, tmp_path_factory: pytest.TempPathFactory) -> Machines:
    """The lab's Talos machines, in maintenance mode."""
    from tests.integration.talos.talos_machines import Machines  # it takes long, and most files here need none

    return Machines(lab, tmp_path_factory.mktemp("talos"))
