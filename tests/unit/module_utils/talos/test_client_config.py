# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Talosconfigs: made offline, and merged."""

from __future__ import annotations

import dataclasses
import datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos import pki
from ansible_collections.dcm.platform.plugins.module_utils.talos.client_config import (
    ClientConfig,
    ClientConfigReconciler,
    issued,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.credentials import credentials
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import dump, load
from ansible_collections.dcm.platform.plugins.module_utils.talos.kept import Authority, Store
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import Bundle

MONTH = datetime.timedelta(days=30)
CONFIG = ClientConfig("main", ["os:reader", "os:etcd:backup"], ["10.0.0.11", "10.0.0.12"], [], 2 * MONTH)
NONE = {"secrets": None, "ca": None, "crt": None, "key": None, "context": None}


def reconciler(
    bundle: Bundle, path: Path | None, current: str = "", config: ClientConfig = CONFIG, *, overwrite: bool = False
) -> ClientConfigReconciler:
    ca = bundle.authority("os")
    store, authority = Store(path, current, lambda: None), Authority(ca.certificate)
    return ClientConfigReconciler(store, MONTH, config, issued(ca), authority, overwrite=overwrite)


def run(one: ClientConfigReconciler) -> tuple[list[Change], dict[str, Any]]:
    """As the engine does it."""
    actual = one.read()
    changes = one.plan(actual)
    assert all(outcome.error is None for outcome in one.apply(changes))
    return changes, one.result(actual, changes)


def made(bundle: Bundle) -> str:
    text: str = run(reconciler(bundle, None))[1]["talosconfig"]
    return text


def test_it_can_be_used(bundle: Bundle) -> None:
    _changes, result = run(reconciler(bundle, None))
    (config,) = load(result["talosconfig"])
    assert config["context"] == "main"
    assert set(config["contexts"]["main"]) == {"endpoints", "ca", "crt", "key"}
    assert config["contexts"]["main"]["endpoints"] == ["10.0.0.11", "10.0.0.12"]
    found = credentials({**NONE, "talosconfig": result["talosconfig"]})
    assert found.authorities == bundle.authority("os").certificate
    assert pki.organizations(found.client.certificate, "x") == ["os:etcd:backup", "os:reader"]
    assert found.client.key.startswith(b"-----BEGIN ED25519 PRIVATE KEY-----")
    expires = datetime.datetime.fromisoformat(result["expires"])
    assert abs(expires - datetime.datetime.now(datetime.UTC) - 2 * MONTH) < datetime.timedelta(minutes=5)
    assert result["roles"] == ["os:etcd:backup", "os:reader"]


def test_a_good_one_stays(bundle: Bundle) -> None:
    text = made(bundle)
    changes, result = run(reconciler(bundle, None, text))
    assert changes == []
    assert result["talosconfig"] == text


@pytest.mark.parametrize(
    ("options", "before"),
    [
        ({"roles": ["os:admin"]}, {"roles": ["os:etcd:backup", "os:reader"]}),
        ({"endpoints": ["10.0.0.13"]}, {"endpoints": ["10.0.0.11", "10.0.0.12"]}),
        ({"nodes": ["10.0.0.21"]}, {"nodes": []}),
        ({"name": "other"}, {"state": "it holds no usable credentials for the cluster"}),
    ],
)
def test_what_else_is_asked_for(bundle: Bundle, options: dict[str, Any], before: dict[str, Any]) -> None:
    config = dataclasses.replace(CONFIG, **options)
    (planned,), result = run(reconciler(bundle, None, made(bundle), config))
    assert planned.before == before
    assert run(reconciler(bundle, None, result["talosconfig"], config))[0] == []
    assert load(result["talosconfig"])[0]["context"] == "main"


def test_nodes_that_are_not_asked_for_any_more_go(bundle: Bundle) -> None:
    config = dataclasses.replace(CONFIG, nodes=["10.0.0.21"])
    text = run(reconciler(bundle, None, "", config))[1]["talosconfig"]
    (planned,), result = run(reconciler(bundle, None, text))
    assert (planned.before, planned.after) == ({"nodes": ["10.0.0.21"]}, {"nodes": []})
    assert "nodes" not in load(result["talosconfig"])[0]["contexts"]["main"]


@pytest.mark.parametrize(
    "text", ["a: [", "contexts: 7", "contexts: {main: 7}", "contexts: {main: {ca: AAAA, crt: AAAA, key: AAAA}}"]
)
def test_an_unusable_one_is_replaced(bundle: Bundle, text: str) -> None:
    (planned,), result = run(reconciler(bundle, None, text))
    assert planned.action == "update"
    assert run(reconciler(bundle, None, result["talosconfig"]))[0] == []


def test_others_in_the_same_file_stay(bundle: Bundle, other_bundle: Bundle, tmp_path: Path) -> None:
    (other,) = load(made(other_bundle))
    kept = {**other["contexts"]["main"], "proxy-url": "http://proxy", "cluster": "x"}
    path = tmp_path / "config"
    path.write_text(dump([{"context": "theirs", "contexts": {"theirs": kept}, "future": 1}]))
    (planned,), result = run(reconciler(bundle, path))
    assert planned.action == "update"
    assert "talosconfig" not in result
    (merged,) = load(path.read_text())
    assert merged["context"] == "theirs"
    assert merged["future"] == 1
    assert list(merged["contexts"]) == ["theirs", "main"]
    assert merged["contexts"]["theirs"] == kept
    assert path.stat().st_mode & 0o777 == 0o600
    assert run(reconciler(bundle, path))[0] == []


def test_what_else_its_own_context_has_stays(bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "config"
    (config,) = load(made(bundle))
    config["contexts"]["main"]["proxy-url"] = "http://proxy"
    path.write_text(dump([config]))
    run(reconciler(bundle, path, config=dataclasses.replace(CONFIG, roles=["os:admin"])))
    assert load(path.read_text())[0]["contexts"]["main"]["proxy-url"] == "http://proxy"


def test_one_of_the_same_name_stays(bundle: Bundle, other_bundle: Bundle, tmp_path: Path) -> None:
    path = tmp_path / "config"
    before = made(other_bundle)
    path.write_text(before)
    with pytest.raises(InputError, match=r"Context 'main' in .*/config is there already and of another cluster"):
        run(reconciler(bundle, path))
    assert path.read_text() == before
    assert len(run(reconciler(bundle, path, overwrite=True))[0]) == 1
    assert run(reconciler(bundle, path))[0] == []


@pytest.mark.parametrize("text", ["some text", "contexts: [a]", "contexts: {a: b}", "a: ["])
def test_a_file_of_something_else_stays(bundle: Bundle, tmp_path: Path, text: str) -> None:
    path = tmp_path / "notes"
    path.write_text(text)
    with pytest.raises(InputError, match="/notes is not "):
        run(reconciler(bundle, path))
    assert path.read_text() == text
