# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which values of a configuration are secrets."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Secret
from ansible_collections.dcm.platform.plugins.module_utils.talos.sensitive import (
    masked,
    plain_texts,
    secret_texts,
)

SECRETS = [
    {"machine": {"token": "HUSH"}},
    {"machine": {"ca": {"key": "HUSH"}}},
    {"machine": {"network": {"interfaces": [{"wireguard": {"privateKey": "HUSH"}}]}}},
    {"machine": {"registries": {"config": {"example.com": {"auth": {"password": "HUSH"}}}}}},
    {"machine": {"registries": {"config": {"example.com": {"auth": {"auth": "HUSH"}}}}}},
    {"machine": {"registries": {"config": {"example.com": {"auth": {"identityToken": "HUSH"}}}}}},
    {"machine": {"registries": {"config": {"example.com": {"tls": {"clientIdentity": {"key": "HUSH"}}}}}}},
    {"machine": {"files": [{"content": "HUSH"}]}},
    {"machine": {"env": {"ANYTHING": "HUSH"}}},
    {"machine": {"systemDiskEncryption": {"state": {"keys": [{"static": {"passphrase": "HUSH"}}]}}}},
    {"cluster": {"secret": "HUSH"}},
    {"cluster": {"token": "HUSH"}},
    {"cluster": {"secretboxEncryptionSecret": "HUSH"}},
    {"cluster": {"aescbcEncryptionSecret": "HUSH"}},
    {"cluster": {"aggregatorCA": {"key": "HUSH"}}},
    {"cluster": {"serviceAccount": {"key": "HUSH"}}},
    {"cluster": {"etcd": {"ca": {"key": "HUSH"}}}},
    {"cluster": {"inlineManifests": [{"contents": "HUSH"}]}},
    {"cluster": {"extraManifestHeaders": {"Authorization": "HUSH"}}},
    {"cluster": {"apiServer": {"env": {"ANYTHING": "HUSH"}}}},
    {"kind": "DiscoveryIdentityConfig", "clusterSecret": "HUSH"},
    {"kind": "WireguardConfig", "peers": [{"presharedKey": "HUSH"}]},
    {"kind": "RegistryAuthConfig", "password": "HUSH"},
    {"kind": "KubeServiceAccountConfig", "issuer": {"privateKey": "HUSH"}},
    {
        "kind": "KubeEtcdEncryptionConfig",
        "config": {"resources": [{"providers": [{"secretbox": {"keys": [{"secret": "HUSH"}]}}]}]},
    },
    {"kind": "ExtensionServiceConfig", "environment": ["A=HUSH"]},
    {"kind": "ExtensionServiceConfig", "configFiles": [{"content": "HUSH"}]},
    {"kind": "HCloudVIPConfig", "apiToken": "HUSH"},
    {"kind": "SideroLinkConfig", "apiUrl": "HUSH"},
    {"kind": "EnvironmentConfig", "variables": {"ANYTHING": "HUSH"}},
    {"kind": "KubeExternalManifestConfig", "headers": {"Authorization": "HUSH"}},
    {"kind": "Unknown", "anywhere": {"proxy": "https://user:HUSH@proxy"}},
    {"kind": "Unknown", "anywhere": ["-----BEGIN PRIVATE KEY-----\nHUSH\n-----END PRIVATE KEY-----"]},
]


@pytest.mark.parametrize("document", SECRETS, ids=str)
def test_secrets_are_masked_wherever_they_stand(document: Any) -> None:
    assert "HUSH" not in str(masked(document))
    (found,) = secret_texts(document)
    assert "HUSH" in found
    assert found not in plain_texts(document)


PLAIN = [
    {"machine": {"type": "worker", "certSANs": ["a"], "nodeLabels": {"a": "b"}}},
    {"machine": {"ca": {"crt": "certificate", "key": ""}}},
    {"machine": {"network": {"interfaces": [{"wireguard": {"peers": [{"publicKey": "p"}]}}]}}},
    {"cluster": {"id": "i", "controlPlane": {"endpoint": "https://10.0.0.10:6443"}}},
    {"cluster": {"apiServer": {"extraArgs": {"service-account-key-file": "/x", "oidc-client-id": "y"}}}},
    {"kind": "BondConfig", "adUserPortKey": 7},
]


@pytest.mark.parametrize("document", PLAIN, ids=str)
def test_everything_else_is_shown(document: Any) -> None:
    assert masked(document) == document
    assert not list(secret_texts(document))
    assert all(text in str(document) for text in plain_texts(document))


def test_masked_values_still_compare() -> None:
    assert masked({"token": "a"}) == masked({"token": "a"}) != masked({"token": "b"})
    assert masked({"token": "a"}) == {"token": Secret("a")}


def test_a_text_that_is_also_a_secret_is_not_shown() -> None:
    assert plain_texts({"token": "HUSH", "image": "HUSH", "type": "worker"}) == {"worker"}
