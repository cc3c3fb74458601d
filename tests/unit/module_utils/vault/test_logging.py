# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""``AnsibleModule`` writes its options to the system log, masking them in a way that misses line breaks."""

from __future__ import annotations

import syslog

import pytest
from ansible.module_utils import basic
from ansible.module_utils.testing import patch_module_args
from ansible_collections.dcm.platform.plugins.modules import vault_secret

CANARY = "first line\nsecond line"


def run(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the module writes to the system log when it is called with a value of two lines."""
    logged: list[str] = []
    monkeypatch.setattr(basic, "has_journal", False)
    monkeypatch.setattr(syslog, "syslog", lambda *words: logged.append(str(words)))
    arguments = {
        "url": "http://127.0.0.1:1",
        "token": "t",
        "retries": 0,
        "secrets": [{"path": "p", "data": {"k": CANARY}}],
    }
    with patch_module_args(arguments), pytest.raises(SystemExit):
        vault_secret.main()
    return logged


def test_options_do_not_get_into_the_system_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch) == []
    assert "second line" not in capsys.readouterr().out


def test_without_the_precaution_they_would(monkeypatch: pytest.MonkeyPatch) -> None:
    build = basic.AnsibleModule
    monkeypatch.setattr(vault_secret, "AnsibleModule", lambda **options: build(**{**options, "no_log": False}))
    assert "second line" in "".join(run(monkeypatch))
