# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which services the lab starts without being asked, and what tests do where the others are not built."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sandbox import golang
from tests.sandbox.lab import with_needs
from tests.sandbox.services import default, gitops, services


def test_optional_services_and_what_only_they_need_are_not_started() -> None:
    assert {"gitops", "kubernetes_second"} <= set(services()) - set(default())
    assert set(with_needs(default())) == set(default())


def test_tests_of_argo_cd_run_where_it_is_built_or_may_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCM_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("DCM_LAB_GITOPS", raising=False)
    assert "DCM_LAB_GITOPS=1" in gitops.unavailable()
    monkeypatch.setenv("DCM_LAB_GITOPS", "1")
    assert gitops.unavailable() == ""
    monkeypatch.delenv("DCM_LAB_GITOPS")
    golang.executable(gitops.MODULES / "controllers", "argocd").touch()
    for name in gitops.TOOLS:
        assert gitops.unavailable()
        golang.executable(gitops.MODULES / "tools", name).touch()
    assert gitops.unavailable() == ""
