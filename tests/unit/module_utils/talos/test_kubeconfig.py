# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""When a kubeconfig is fetched anew."""

from __future__ import annotations

import base64
import datetime

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos import pki
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import dump
from ansible_collections.dcm.platform.plugins.module_utils.talos.kubeconfig import parse, plan
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import Bundle

MONTH = datetime.timedelta(days=30)


@pytest.fixture(name="kubeconfig")
def kubeconfig_fixture(bundle: Bundle) -> str:
    """For 60 days."""
    pair = pki.client_certificate(bundle.authority("k8s"), ["system:masters"], 2 * MONTH)
    return dump(
        [
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "test", "cluster": {"server": "https://10.0.0.10:6443"}}],
                "users": [
                    {
                        "name": "admin@test",
                        "user": {"client-certificate-data": base64.b64encode(pair.certificate).decode()},
                    }
                ],
                "contexts": [{"name": "admin@test", "context": {"cluster": "test", "user": "admin@test"}}],
                "current-context": "admin@test",
            }
        ]
    )


def test_what_is_in_it(kubeconfig: str) -> None:
    found = parse(kubeconfig)
    assert (found.server, found.context) == ("https://10.0.0.10:6443", "admin@test")
    assert abs(found.expires - datetime.datetime.now(datetime.UTC) - 2 * MONTH) < datetime.timedelta(hours=1)


@pytest.mark.parametrize(
    ("renew_before", "mode", "changes"),
    [
        (MONTH, None, []),
        (MONTH, 0o600, []),
        (MONTH, 0o644, [("update", False)]),
        (2 * MONTH, 0o600, [("update", True)]),
        (3 * MONTH, None, [("update", True)]),
    ],
)
def test_a_good_one_stays(
    kubeconfig: str, renew_before: datetime.timedelta, mode: int | None, changes: list[tuple[str, bool]]
) -> None:
    planned = plan(kubeconfig, "/x", renew_before, mode)
    assert [(change.action, change.payload) for change in planned] == changes


def test_a_missing_one_is_made() -> None:
    assert [(change.action, change.name, change.payload) for change in plan("", "/x", MONTH, None)] == [
        ("create", "/x", True)
    ]
    assert [change.name for change in plan("", "", MONTH, None)] == ["kubeconfig"]


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "a: 1",
        "- a",
        "current-context: x\ncontexts: []\nclusters: []\nusers: []",
        "current-context: x",
        "contexts: 7",
    ],
)
def test_an_unusable_one_is_replaced(text: str) -> None:
    with pytest.raises(InputError):
        parse(text)
    assert [(change.action, change.payload) for change in plan(text, "/x", MONTH, 0o600)] == [("update", True)]
