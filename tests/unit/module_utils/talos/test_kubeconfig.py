# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Kubeconfigs: made offline, read, and merged."""

from __future__ import annotations

import base64
import copy
import datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import dump, load
from ansible_collections.dcm.platform.plugins.module_utils.talos.kept import OURS, Authority, Store
from ansible_collections.dcm.platform.plugins.module_utils.talos.kubeconfig import (
    Issue,
    KubeconfigReconciler,
    Source,
    issued,
    merge,
    parse,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import Bundle
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

MONTH = datetime.timedelta(days=30)
ISSUE = Issue("test", "https://10.0.0.10:6443", "admin", ["system:masters"], 2 * MONTH)
OTHER = Issue("other", "https://10.0.0.20:6443", "admin", ["system:masters"], 2 * MONTH)


def kubeconfig(bundle: Bundle, issue: Issue = ISSUE) -> dict[str, Any]:
    return issue.make(bundle.authority("k8s"))


def reconciler(
    bundle: Bundle, path: Path | None, current: str = "", issue: Issue = ISSUE, *, overwrite: bool = False
) -> KubeconfigReconciler:
    store = Store(path, current, lambda: None)
    return KubeconfigReconciler(store, MONTH, issued(issue, bundle.authority("k8s")), overwrite=overwrite)


def run(one: KubeconfigReconciler) -> tuple[list[Change], dict[str, Any]]:
    """As the engine does it."""
    actual = one.read()
    changes = one.plan(actual)
    assert all(outcome.error is None for outcome in one.apply(changes))
    return changes, one.result(actual, changes)


def test_it_is_the_one_of_talos(bundle: Bundle) -> None:
    made = kubeconfig(bundle)
    user = made["users"][0]["user"]
    assert made == {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "test",
                "cluster": {
                    "server": "https://10.0.0.10:6443",
                    "certificate-authority-data": bundle.certs["k8s"]["crt"],
                },
            }
        ],
        "users": [{"name": "admin@test", "user": user}],
        "contexts": [
            {"name": "admin@test", "context": {"cluster": "test", "namespace": "default", "user": "admin@test"}}
        ],
        "current-context": "admin@test",
    }
    certificate = x509.load_pem_x509_certificate(base64.b64decode(user["client-certificate-data"]))
    certificate.verify_directly_issued_by(x509.load_pem_x509_certificate(bundle.authority("k8s").certificate))
    assert isinstance(certificate.public_key(), ec.EllipticCurvePublicKey)
    (name,) = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    assert name.value == "admin"
    assert base64.b64decode(user["client-key-data"]).startswith(b"-----BEGIN EC PRIVATE KEY-----")


def test_what_is_in_it(bundle: Bundle) -> None:
    found = parse(dump([kubeconfig(bundle)]))
    assert (found.server, found.context, found.groups) == ("https://10.0.0.10:6443", "admin@test", ["system:masters"])
    assert abs(found.expires - datetime.datetime.now(datetime.UTC) - 2 * MONTH) < datetime.timedelta(hours=1)


@pytest.mark.parametrize(
    "text",
    [
        "a: [",
        "a: 1",
        "- a",
        "current-context: x\ncontexts: []\nclusters: []\nusers: []",
        "current-context: x",
        "contexts: 7",
        "current-context: x\ncontexts: 7",
    ],
)
def test_an_unusable_one_is_replaced(bundle: Bundle, text: str) -> None:
    with pytest.raises(InputError):
        parse(text)
    changes, result = run(reconciler(bundle, None, text))
    assert [(change.action, change.payload) for change in changes] == [("update", True)]
    assert parse(result["kubeconfig"]).context == "admin@test"


def test_a_good_one_stays(bundle: Bundle) -> None:
    text = dump([kubeconfig(bundle)])
    changes, result = run(reconciler(bundle, None, text))
    assert changes == []
    assert result["kubeconfig"] == text


@pytest.mark.parametrize(
    ("change", "before"),
    [
        ({"endpoint": "https://10.0.0.11:6443"}, {"server": "https://10.0.0.10:6443"}),
        ({"groups": ["b", "a"]}, {"groups": ["system:masters"]}),
    ],
)
def test_what_else_is_asked_for(bundle: Bundle, change: dict[str, Any], before: dict[str, Any]) -> None:
    issue = Issue(**{**vars(ISSUE), **change})
    (planned,), result = run(reconciler(bundle, None, dump([kubeconfig(bundle)]), issue))
    assert planned.before == before
    assert run(reconciler(bundle, None, result["kubeconfig"], issue))[0] == []


def test_a_cluster_that_was_made_anew(bundle: Bundle, other_bundle: Bundle) -> None:
    """Where the text is the caller's own there is nobody to ask."""
    (planned,), result = run(reconciler(bundle, None, dump([kubeconfig(other_bundle)])))
    assert planned.before == {"authority": "of another cluster"}
    assert run(reconciler(bundle, None, result["kubeconfig"]))[0] == []


def test_others_in_the_same_file_stay(bundle: Bundle, other_bundle: Bundle, tmp_path: Path) -> None:
    other = kubeconfig(other_bundle, OTHER)
    other |= {"preferences": {"colors": True}}
    path = tmp_path / "config"
    path.write_text(dump([other]))
    (planned,), result = run(reconciler(bundle, path))
    assert "kubeconfig" not in result
    assert result["context"] == "admin@test"
    (merged,) = load(path.read_text())
    assert merged["current-context"] == "admin@other"
    assert merged["preferences"] == {"colors": True}
    for section in ("clusters", "users", "contexts"):
        assert merged[section][0] == other[section][0]
    assert [item["name"] for item in merged["contexts"]] == ["admin@other", "admin@test"]
    assert planned.action == "update"
    assert run(reconciler(bundle, path))[0] == []
    path.write_text(path.read_text().replace("10.0.0.10", "10.0.0.12"))
    assert [change.action for change in run(reconciler(bundle, path))[0]] == ["update"]
    assert [item["name"] for item in load(path.read_text())[0]["clusters"]] == ["other", "test"]


def test_one_of_the_same_name_stays(bundle: Bundle, other_bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "config"
    before = dump([kubeconfig(other_bundle)])
    path.write_text(before)
    with pytest.raises(InputError, match=r"Cluster 'test' in .*/config is there already and of another cluster"):
        run(reconciler(bundle, path))
    assert path.read_text() == before
    assert len(run(reconciler(bundle, path, overwrite=True))[0]) == 1
    assert run(reconciler(bundle, path))[0] == []


@pytest.mark.parametrize("text", ["some text", "users: 7", "clusters: [{name: a}]"])
def test_a_file_of_something_else_stays(bundle: Bundle, tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes"
    path.write_text(text)
    with pytest.raises(InputError, match="/notes is not a "):
        run(reconciler(bundle, path))
    assert path.read_text() == text


def of_a_control_plane(bundle: Bundle, store: Store) -> KubeconfigReconciler:
    """As for a control plane that was not said the cluster's name of."""
    authority = Authority(bundle.authority("k8s").certificate)
    source = Source(lambda: kubeconfig(bundle), "", {"authority": OURS}, authority)
    return KubeconfigReconciler(store, MONTH, source, overwrite=False)


def test_several_clusters_without_a_name(bundle: Bundle, other_bundle: Bundle) -> None:
    """Which of them a control plane's would replace is not known."""
    two = merge(kubeconfig(bundle), kubeconfig(other_bundle, OTHER))
    one = of_a_control_plane(bundle, Store(None, dump([two]), lambda: None))
    with pytest.raises(RefusedError, match=r"has several contexts.*Set cluster_name"):
        one.plan(one.read())


def test_a_file_of_another_cluster_without_a_name(bundle: Bundle, other_bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text(dump([kubeconfig(other_bundle, OTHER)]))
    one = of_a_control_plane(bundle, Store(path, "", lambda: None))
    with pytest.raises(RefusedError, match=r"/config is of another cluster\. Set cluster_name"):
        one.plan(one.read())


def test_a_text_of_another_cluster_without_a_name(bundle: Bundle, other_bundle: Bundle) -> None:
    """It is the caller's own, and wholly replaced."""
    text = dump([kubeconfig(other_bundle, OTHER)])
    changes, result = run(of_a_control_plane(bundle, Store(None, text, lambda: None)))
    assert [change.before for change in changes] == [{"authority": "of another cluster"}]
    assert [item["name"] for item in load(result["kubeconfig"])[0]["contexts"]] == ["admin@test"]


def test_merging_changes_no_argument(bundle: Bundle, other_bundle: Bundle) -> None:
    base, new = kubeconfig(bundle), kubeconfig(other_bundle)
    kept = copy.deepcopy((base, new))
    merge(base, new)
    assert (base, new) == kept
