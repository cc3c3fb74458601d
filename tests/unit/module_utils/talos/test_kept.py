# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Credentials that are kept: when they are replaced, and that nobody else's are harmed."""

from __future__ import annotations

import base64
import datetime
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.talos import pki
from ansible_collections.dcm.platform.plugins.module_utils.talos.kept import (
    OURS,
    Authority,
    Entry,
    Kept,
    lifetimes,
    plan,
    refuse_another_cluster,
    tree_of,
    write_private,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import Bundle

MONTH = datetime.timedelta(days=30)
WANTED = {"roles": ["os:admin"]}


def entry(days: int = 60, **facts: Any) -> Entry:
    end = datetime.datetime.now(datetime.UTC) + datetime.timedelta(days=days)
    return Entry(end, {**WANTED, "more": 1, **facts})


@pytest.mark.parametrize(
    ("kept", "found", "expected"),
    [
        (Kept("x", 0o600), entry(), []),
        (Kept("x"), entry(), []),
        (Kept("x", 0o644), entry(), [("update", {"mode": "0644"}, {"mode": "0600"}, False)]),
        (Kept(""), None, [("create", None, {**WANTED, "mode": "0600"}, True)]),
        (
            Kept("x", 0o644),
            None,
            [("update", {"state": "it holds no usable credentials for the cluster"}, {"state": "new", **WANTED}, True)],
        ),
        (
            Kept("x", 0o600),
            entry(roles=["os:reader"]),
            [("update", {"roles": ["os:reader"]}, {"roles": ["os:admin"]}, True)],
        ),
    ],
)
def test_what_changes(kept: Kept, found: Entry | None, expected: Any) -> None:
    planned = plan("talosconfig", "/x", kept, found, WANTED, MONTH)
    assert [(change.action, change.before, change.after, change.payload) for change in planned] == expected


@pytest.mark.parametrize(("days", "renewed"), [(31, False), (30, True), (1, True), (-1, True)])
def test_renewed_when_due(days: int, renewed: bool) -> None:
    planned = plan("kubeconfig", "", Kept("x"), entry(days), {}, MONTH)
    assert [change.payload for change in planned] == [True] * renewed
    for change in planned:
        assert change.name == "kubeconfig"
        assert str((change.before or {})["state"]).startswith("expires on ")


def test_lifetimes() -> None:
    options = {"lifetime": 2, "renew_before": 1}
    assert lifetimes(options) == (datetime.timedelta(days=2), datetime.timedelta(days=1))
    assert lifetimes({"lifetime": 1, "renew_before": 366}, decides=False)[1].days == 366
    with pytest.raises(InputError, match="renew_before must be shorter than lifetime"):
        lifetimes({"lifetime": 30, "renew_before": 30})
    with pytest.raises(InputError, match="lifetime must be at least one day"):
        lifetimes({"lifetime": 0, "renew_before": -1})


def encoded(bundle: Bundle, *others: Bundle) -> str:
    return base64.b64encode(b"".join(one.authority("os").certificate for one in (bundle, *others))).decode()


def test_authorities(bundle: Bundle, other_bundle: Bundle) -> None:
    authority = Authority(bundle.authority("os").certificate)
    assert authority.judge(encoded(bundle)) == OURS
    assert authority.judge(encoded(other_bundle, bundle)) == OURS
    assert authority.judge(encoded(other_bundle)) == "of another cluster"
    with pytest.raises(InputError):
        authority.judge(None)


def test_another_cluster_is_not_replaced(bundle: Bundle, other_bundle: Bundle) -> None:
    refuse_another_cluster("x", None, encoded(bundle))
    refuse_another_cluster("x", encoded(bundle), encoded(bundle))
    refuse_another_cluster("x", encoded(bundle), encoded(other_bundle, bundle))  # while it is rotated
    with pytest.raises(InputError, match="x is there already and of another cluster"):
        refuse_another_cluster("x", encoded(bundle), encoded(other_bundle))


def test_files_are_replaced_in_one_step(tmp_path: Path) -> None:
    path, link = tmp_path / "config", tmp_path / "link"
    path.write_text("old")
    path.chmod(0o644)
    link.symlink_to(path)
    write_private(link, "new")
    assert link.is_symlink()
    assert (path.read_text(), path.stat().st_mode & 0o777) == ("new", 0o600)
    assert sorted(tmp_path.iterdir()) == [path, link]
    with pytest.raises(RefusedError, match="cannot be written: No such file or directory"):
        write_private(tmp_path / "no" / "config", "x")


@pytest.mark.parametrize("text", ["a: [", "- a", "a: 1\n---\nb: 1", "text"])
def test_what_is_no_mapping(text: str) -> None:
    with pytest.raises(InputError, match=r"^F "):
        tree_of(text, "F")


def test_subjects(bundle: Bundle) -> None:
    certificate = pki.client_certificate(bundle.authority("os"), ("os:reader", "os:admin")).certificate
    assert pki.organizations(certificate, "x") == ["os:admin", "os:reader"]
