# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The secrets bundle: made as Talos makes it, and never accepted half."""

from __future__ import annotations

import base64
import copy
import datetime
import re
from typing import Any

import pytest
import yaml
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos.contract import Contract, parse_contract
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import Bundle, generate, parse

TOKEN = r"[a-z0-9]{6}\.[a-z0-9]{16}"


@pytest.mark.row("TAL-09")
def test_a_new_bundle_is_a_secrets_yaml(bundle: Bundle) -> None:
    assert yaml.safe_load(bundle.text()) == bundle.tree
    shape = {key: sorted(value) for key, value in bundle.tree.items()}
    assert shape == {
        "cluster": ["id", "secret"],
        "secrets": ["bootstraptoken", "secretboxencryptionsecret"],
        "trustdinfo": ["token"],
        "certs": ["etcd", "k8s", "k8saggregator", "k8sserviceaccount", "os"],
    }
    assert {name: sorted(pair) for name, pair in bundle.certs.items()} == {
        **{name: ["crt", "key"] for name in ("etcd", "k8s", "k8saggregator", "os")},
        "k8sserviceaccount": ["key"],
    }
    assert re.fullmatch(TOKEN, bundle.bootstrap_token)
    assert re.fullmatch(TOKEN, bundle.trustd_token)
    assert bundle.bootstrap_token != bundle.trustd_token
    assert len(base64.b64decode(bundle.cluster["secret"], validate=True)) == 32
    assert len(base64.urlsafe_b64decode(bundle.cluster["id"])) == 32
    assert bundle.encryption_key[0] == "secretbox"
    assert len(base64.b64decode(bundle.encryption_key[1], validate=True)) == 32


def test_cluster_ids_were_safe_in_urls_before_1_14() -> None:
    data = b"\xff" * 32
    assert Contract(1, 13).encode_cluster_id(data).startswith("____")
    assert Contract(1, 14).encode_cluster_id(data).startswith("////")


def test_a_bundle_of_1_14_differs_in_its_id_only(bundle: Bundle) -> None:
    newer = generate(Contract(1, 14))
    parse(newer.tree)
    assert len(base64.b64decode(newer.cluster["id"], validate=True)) == 32
    assert {key: sorted(value) for key, value in newer.tree.items()} == {
        key: sorted(value) for key, value in bundle.tree.items()
    }


def test_two_bundles_have_nothing_in_common(bundle: Bundle, other_bundle: Bundle) -> None:
    def values(tree: Any) -> set[str]:
        return {text for value in tree.values() for text in (values(value) if isinstance(value, dict) else {value})}

    assert values(bundle.tree).isdisjoint(values(other_bundle.tree))


def test_what_is_given_stays_as_it_is(bundle: Bundle) -> None:
    assert parse(bundle.text()) == bundle
    assert parse(bundle.tree).text() == bundle.text()
    with_clock = {**bundle.tree, "clock": {}}
    assert parse(with_clock) == bundle


def test_an_old_encryption_key_is_kept(bundle: Bundle) -> None:
    tree = copy.deepcopy(bundle.tree)
    tree["secrets"]["aescbcencryptionsecret"] = tree["secrets"].pop("secretboxencryptionsecret")
    assert parse(tree).encryption_key == ("aescbc", bundle.encryption_key[1])


def test_expiry_is_reported(bundle: Bundle) -> None:
    in_ten_years = datetime.datetime.now(datetime.UTC) + datetime.timedelta(hours=87600)
    assert set(bundle.expiries()) == {"etcd", "k8s", "k8saggregator", "os"}
    for expiry in bundle.expiries().values():
        assert abs(expiry - in_ten_years) < datetime.timedelta(hours=1)


def test_a_bundle_is_never_shown(bundle: Bundle) -> None:
    assert bundle.trustd_token not in f"{bundle!r} {bundle}"


BROKEN: list[tuple[str, Any, str]] = [
    ("cluster.id", None, "cluster.id is missing"),
    ("cluster.secret", "AAAA", "cluster.secret is not base64 of 32 bytes"),
    ("cluster.secret", "hunter2!", "cluster.secret is not base64"),
    ("secrets.bootstraptoken", "hunter2", "secrets.bootstraptoken is not of the form abcdef.0123456789abcdef"),
    ("secrets.secretboxencryptionsecret", None, "secrets must have exactly one of"),
    ("secrets.aescbcencryptionsecret", "A" * 43 + "=", "secrets must have exactly one of"),
    ("trustdinfo", None, "trustdinfo.token is missing"),
    ("certs.os.crt", "hunter2A", "certs.os.crt is not a certificate in PEM"),
    ("certs.k8sserviceaccount.key", "hunter2A", "certs.k8sserviceaccount.key is not a private key in PEM"),
    ("certs.etcd", {}, "certs.etcd.crt is missing; certs.etcd.key is missing"),
]


@pytest.mark.parametrize(("place", "value", "message"), BROKEN)
def test_every_problem_is_named_by_its_place(bundle: Bundle, place: str, value: Any, message: str) -> None:
    tree = copy.deepcopy(bundle.tree)
    *parents, last = place.split(".")
    target = tree
    for part in parents:
        target = target[part]
    target[last] = value
    if value is None:
        del target[last]
    with pytest.raises(InputError) as caught:
        parse(tree, "/etc/secrets.yaml")
    assert str(caught.value).startswith("/etc/secrets.yaml is not valid: ")
    assert message in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_keys_of_another_bundle_are_noticed(bundle: Bundle, other_bundle: Bundle) -> None:
    tree = copy.deepcopy(bundle.tree)
    tree["certs"]["os"]["key"] = other_bundle.tree["certs"]["os"]["key"]
    with pytest.raises(InputError, match=r"the key of certs\.os does not belong to its certificate"):
        parse(tree)


@pytest.mark.parametrize("value", ["", "a: 1\n---\nb: 1", "- a", 7, []])
def test_what_is_no_bundle_at_all(value: Any) -> None:
    with pytest.raises(InputError, match="mapping"):
        parse(value)


@pytest.mark.parametrize("version", ["1.13", "v1.13", "1.13.9", "v1.13.0-rc.1"])
def test_contracts(version: str) -> None:
    assert parse_contract(version) == (1, 13)


@pytest.mark.parametrize("version", ["1.12.4", "1.15.0", "2.13", "latest", "", "1"])
def test_unknown_contracts(version: str) -> None:
    with pytest.raises(InputError, match=r"It knows 1\.13, 1\.14;"):
        parse_contract(version)
