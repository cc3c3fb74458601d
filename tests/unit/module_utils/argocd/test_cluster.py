# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""From stored credentials to those of Argo CD."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.dcm.platform.plugins.filter.argocd import FilterModule

SECRET = "planted-token"
access = FilterModule().filters()["argocd_cluster"]


def kubeconfig(user: Any, current: str = "one") -> dict[str, str]:
    content = {
        "current-context": current,
        "contexts": [{"name": "other", "context": {}}, {"name": "one", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://192.0.2.1", "certificate-authority-data": "Q0E="}}],
        "users": [{"name": "u", "user": user}],
    }
    return {"kubeconfig": yaml.safe_dump(content)}


TLS = {"insecure": False, "caData": "Q0E="}
CASES = [
    ({}, "", {"tlsClientConfig": {"insecure": False}}),
    ({"token": "t", "ca_certificate": "CA"}, "", {"bearerToken": "t", "tlsClientConfig": TLS}),
    (
        {"client_certificate": "C", "client_key": "K", "ca_certificate": "CA"},
        "",
        {"tlsClientConfig": {**TLS, "certData": "Qw==", "keyData": "Sw=="}},
    ),
    (kubeconfig({"token": "t"}), "https://192.0.2.1", {"bearerToken": "t", "tlsClientConfig": TLS}),
    (
        kubeconfig({"client-certificate-data": "Qw==", "client-key-data": "Sw=="}),
        "https://192.0.2.1",
        {"tlsClientConfig": {**TLS, "certData": "Qw==", "keyData": "Sw=="}},
    ),
]


@pytest.mark.parametrize(("stored", "server", "config"), CASES)
def test_access(stored: dict[str, str], server: str, config: dict[str, Any]) -> None:
    assert access(stored, "talos") == {"server": server, "config": config}


@pytest.mark.parametrize(
    "stored",
    [
        {"kubeconfig": f"users: [{{token: {SECRET}"},
        {"kubeconfig": SECRET},
        {"kubeconfig": ""},
        {"kubeconfig": f"[{SECRET}]"},
        kubeconfig({"token": SECRET}, current="nowhere"),
        kubeconfig({"token": SECRET}, current="other"),
        kubeconfig({"exec": {"command": SECRET}}),
        kubeconfig({"client-certificate-data": SECRET}),
        kubeconfig(SECRET),
    ],
)
def test_a_kubeconfig_that_cannot_be_used_is_named_and_not_shown(stored: dict[str, str]) -> None:
    with pytest.raises(AnsibleFilterError, match="The kubeconfig of the cluster talos") as raised:
        access(stored, "talos")
    assert SECRET not in str(raised.value)
