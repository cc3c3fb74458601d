# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A bundle from what a cluster already has."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos.adoption import bundle_of
from ansible_collections.dcm.platform.plugins.module_utils.talos.config import render
from ansible_collections.dcm.platform.plugins.module_utils.talos.contract import SUPPORTED, Contract
from ansible_collections.dcm.platform.plugins.module_utils.talos.inputs import Inputs
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import Bundle, generate, given_certs, parse


def config(bundle: Bundle, contract: Contract, machine_type: str = "controlplane", *patches: Any) -> str:
    inputs = Inputs("test", "https://10.0.0.10", machine_type, "1.14.0", "1.36.3", bundle)
    return render(inputs, contract, patches)


@pytest.mark.parametrize("contract", SUPPORTED, ids=str)
@pytest.mark.parametrize("provider", ["secretbox", "aescbc"])
def test_what_was_rendered_gives_the_bundle_back(bundle: Bundle, contract: Contract, provider: str) -> None:
    tree = copy.deepcopy(bundle.tree)
    tree["secrets"][f"{provider}encryptionsecret"] = tree["secrets"].pop("secretboxencryptionsecret")
    assert bundle_of(config(parse(tree), contract)).tree == tree


@pytest.mark.parametrize("contract", SUPPORTED, ids=str)
def test_a_worker_has_no_keys(bundle: Bundle, contract: Contract) -> None:
    with pytest.raises(InputError, match="is not of a control plane"):
        bundle_of(config(bundle, contract, "worker"))


@pytest.mark.parametrize(
    ("contract", "kind", "place", "message"),
    [
        ((1, 13), None, "cluster.aggregatorCA", "certs.k8saggregator.crt is missing"),
        ((1, 13), None, "machine.token", "trustdinfo.token is missing"),
        ((1, 14), "KubeServiceAccountConfig", "issuer", "certs.k8sserviceaccount.key is missing"),
        ((1, 14), "KubeEtcdEncryptionConfig", "config", "secrets must have exactly one of"),
        ((1, 14), "DiscoveryIdentityConfig", "clusterSecret", "cluster.secret is missing"),
    ],
)
def test_what_is_missing_is_named(
    bundle: Bundle, contract: tuple[int, int], kind: str | None, place: str, message: str
) -> None:
    documents = list(yaml.safe_load_all(config(bundle, Contract(*contract))))
    *parents, last = place.split(".")
    target = next(document for document in documents if document.get("kind") == kind)
    for part in parents:
        target = target[part]
    del target[last]
    with pytest.raises(InputError) as caught:
        bundle_of(yaml.safe_dump_all(documents))
    assert message in str(caught.value)
    assert bundle.trustd_token not in str(caught.value)


def test_the_first_key_for_secrets_counts(bundle: Bundle) -> None:
    other = {"resources": ["configmaps"], "providers": [{"secretbox": {"keys": [{"name": "x", "secret": "no"}]}}]}
    documents = list(yaml.safe_load_all(config(bundle, Contract(1, 14))))
    encryption = next(document for document in documents if document.get("kind") == "KubeEtcdEncryptionConfig")
    encryption["config"]["resources"].insert(0, other)
    encryption["config"]["resources"][1]["providers"].insert(0, {"identity": {}})
    assert bundle_of(yaml.safe_dump_all(documents)).encryption_key == bundle.encryption_key


def test_given_authorities_stay_and_the_rest_is_made(bundle: Bundle) -> None:
    os_pem = {
        "crt": bundle.authority("os").certificate.decode(),
        "key": bundle.authority("os").key.decode(),
    }
    certs = {"os": os_pem, "etcd": bundle.certs["etcd"], "k8sserviceaccount": bundle.certs["k8sserviceaccount"]}
    made = generate(Contract(1, 14), given_certs(certs))
    parse(made.tree)
    for name in certs:
        assert made.certs[name] == bundle.certs[name]
    for name in ("k8s", "k8saggregator"):
        assert made.certs[name] != bundle.certs[name]
    assert made.bootstrap_token != bundle.bootstrap_token


@pytest.mark.parametrize(
    ("certs", "message"),
    [
        ({"king": {}}, "certs has no 'king', only etcd, k8s, k8saggregator, os, k8sserviceaccount"),
        ({"os": "text"}, "certs.os must have crt and key"),
        ({"os": {"crt": "S-CRT"}}, "certs.os must have crt and key"),
        ({"k8sserviceaccount": {"crt": "", "key": ""}}, "certs.k8sserviceaccount must have key"),
        ({"os": {"crt": "S-CRT!", "key": "S-KEY!"}}, "certs.os.crt is not base64"),
        ({"os": {"crt": "", "key": ""}}, "certs.os.crt is missing"),
        ({"k8sserviceaccount": {"key": "AAAA"}}, "certs.k8sserviceaccount.key is not a private key"),
    ],
)
def test_what_cannot_be_built_on(certs: Any, message: str) -> None:
    with pytest.raises(InputError) as caught:
        given_certs(certs)
    assert message in str(caught.value)
    assert "S-" not in str(caught.value)


def test_the_key_of_another(bundle: Bundle, other_bundle: Bundle) -> None:
    pair = {"crt": bundle.certs["os"]["crt"], "key": other_bundle.certs["os"]["key"]}
    with pytest.raises(InputError, match=r"the key of certs\.os does not belong to its certificate"):
        given_certs({"os": pair})
