# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where the lab takes vendors' definitions from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.sandbox import crds
from tests.sandbox.service import LabError

WIDGET = crds.Placeholder("example.com", "v1", "widgets", "Widget")
REAL = """
# a comment makes an empty document
---
kind: CustomResourceDefinition
metadata: {name: widgets.example.com}
"""


def test_the_real_ones_from_the_directory_that_is_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "example.yaml").write_text(REAL)
    monkeypatch.setenv("DCM_CRD_DIRECTORY", str(tmp_path))
    definitions, line = crds.load("example", [WIDGET])
    assert definitions == [{"kind": "CustomResourceDefinition", "metadata": {"name": "widgets.example.com"}}]
    assert line == f"example: real definitions from {tmp_path / 'example.yaml'}"


def test_placeholders_where_there_are_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCM_CRD_DIRECTORY", str(tmp_path))
    [definition], line = crds.load("example", [WIDGET])
    assert line.startswith("example: permissive placeholders")
    assert definition["metadata"]["name"] == "widgets.example.com"
    [version] = definition["spec"]["versions"]
    assert version["schema"]["openAPIV3Schema"]["x-kubernetes-preserve-unknown-fields"] is True
    assert version["subresources"] == {"status": {}}


def test_the_directory_must_exist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DCM_CRD_DIRECTORY", str(tmp_path / "missing"))
    with pytest.raises(LabError, match="is no directory"):
        crds.load("example", [WIDGET])
