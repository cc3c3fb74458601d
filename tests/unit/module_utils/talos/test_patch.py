# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The rules by which Talos merges patches."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import by_identity, identity
from ansible_collections.dcm.platform.plugins.module_utils.talos.patch import apply_patches
from hypothesis import given, settings
from hypothesis import strategies as st

DELETE = {"$patch": "delete"}


def document(kind: str, name: str = "", **fields: Any) -> dict[str, Any]:
    return {"apiVersion": "v1alpha1", "kind": kind, **({"name": name} if name else {}), **fields}


def legacy(machine: Any = None, cluster: Any = None) -> dict[str, Any]:
    parts = {"machine": machine, "cluster": cluster}
    return {"version": "v1alpha1", **{key: value for key, value in parts.items() if value is not None}}


RULES = [
    # name, base, patch, result
    (
        "maps are merged",
        legacy({"sysctls": {"a": "1"}}),
        legacy({"sysctls": {"b": "2"}}),
        {"sysctls": {"a": "1", "b": "2"}},
    ),
    ("texts are replaced", legacy({"token": "old"}), legacy({"token": "new"}), {"token": "new"}),
    (
        "numbers are replaced",
        legacy({"kubePrism": {"port": 1}}),
        legacy({"kubePrism": {"port": 2}}),
        {"kubePrism": {"port": 2}},
    ),
    ("an empty text replaces nothing", legacy({"token": "old"}), legacy({"token": ""}), {"token": "old"}),
    ("a zero replaces nothing", legacy({"mtu": 9000}), legacy({"mtu": 0}), {"mtu": 9000}),
    ("but fills a gap", legacy({}), legacy({"nodeLabels": {"a": ""}}), {"nodeLabels": {"a": ""}}),
    ("false is a value", legacy({"persist": True}), legacy({"persist": False}), {"persist": False}),
    ("null is not", legacy({"token": "old"}), legacy({"token": None}), {"token": "old"}),
    (
        "lists are appended to",
        legacy({"certSANs": ["a"]}),
        legacy({"certSANs": ["b", "a"]}),
        {"certSANs": ["a", "b", "a"]},
    ),
    ("an empty list appends nothing", legacy({"certSANs": ["a"]}), legacy({"certSANs": []}), {"certSANs": ["a"]}),
    (
        "extraArgs are replaced value by value",
        legacy({"kubelet": {"extraArgs": {"a": ["1", "2"], "b": "x"}}}),
        legacy({"kubelet": {"extraArgs": {"a": ["3"]}}}),
        {"kubelet": {"extraArgs": {"a": ["3"], "b": "x"}}},
    ),
    (
        "interfaces are merged by name",
        legacy({"network": {"interfaces": [{"interface": "eth0", "dhcp": True}, {"interface": "eth1"}]}}),
        legacy({"network": {"interfaces": [{"interface": "eth0", "mtu": 9000, "addresses": ["10.0.0.1/8"]}]}}),
        {
            "network": {
                "interfaces": [
                    {"interface": "eth0", "dhcp": True, "mtu": 9000, "addresses": ["10.0.0.1/8"]},
                    {"interface": "eth1"},
                ]
            }
        },
    ),
    (
        "or by their selector",
        legacy({"network": {"interfaces": [{"deviceSelector": {"driver": "virtio"}, "dhcp": True}]}}),
        legacy(
            {
                "network": {
                    "interfaces": [
                        {"deviceSelector": {"driver": "virtio"}, "mtu": 1400},
                        {"deviceSelector": {"driver": "e1000"}},
                    ]
                }
            }
        ),
        {
            "network": {
                "interfaces": [
                    {"deviceSelector": {"driver": "virtio"}, "dhcp": True, "mtu": 1400},
                    {"deviceSelector": {"driver": "e1000"}},
                ]
            }
        },
    ),
    (
        "and their VLANs by id",
        legacy({"network": {"interfaces": [{"interface": "eth0", "vlans": [{"vlanId": 5, "mtu": 1}, {"vlanId": 6}]}]}}),
        legacy(
            {"network": {"interfaces": [{"interface": "eth0", "vlans": [{"vlanId": 5, "dhcp": True}, {"vlanId": 7}]}]}}
        ),
        {
            "network": {
                "interfaces": [
                    {
                        "interface": "eth0",
                        "vlans": [{"vlanId": 5, "mtu": 1, "dhcp": True}, {"vlanId": 6}, {"vlanId": 7}],
                    }
                ]
            }
        },
    ),
]


@pytest.mark.parametrize(("base", "patch", "machine"), [rule[1:] for rule in RULES], ids=[rule[0] for rule in RULES])
def test_merging_machine(base: Any, patch: Any, machine: Any) -> None:
    assert apply_patches([base], [patch]) == [legacy(machine)]


@pytest.mark.parametrize(
    ("before", "patch", "after"),
    [
        ({"network": {"podSubnets": ["a"]}}, {"network": {"podSubnets": ["b"]}}, {"network": {"podSubnets": ["b"]}}),
        (
            {"network": {"serviceSubnets": ["a"]}},
            {"network": {"serviceSubnets": ["b"]}},
            {"network": {"serviceSubnets": ["b"]}},
        ),
        (
            {"apiServer": {"auditPolicy": {"rules": [1], "omitStages": [2]}}},
            {"apiServer": {"auditPolicy": {"rules": [3]}}},
            {"apiServer": {"auditPolicy": {"rules": [3]}}},
        ),
        (
            {"apiServer": {"admissionControl": [{"name": "PodSecurity", "configuration": {"a": 1}}]}},
            {
                "apiServer": {
                    "admissionControl": [{"name": "PodSecurity", "configuration": {"b": 2}}, {"name": "Other"}]
                }
            },
            {
                "apiServer": {
                    "admissionControl": [{"name": "PodSecurity", "configuration": {"a": 1, "b": 2}}, {"name": "Other"}]
                }
            },
        ),
    ],
    ids=["pod subnets", "service subnets", "audit policy", "admission control by name"],
)
def test_merging_cluster(before: Any, patch: Any, after: Any) -> None:
    assert apply_patches([legacy(cluster=before)], [legacy(cluster=patch)]) == [legacy(cluster=after)]


@pytest.mark.parametrize(
    ("kind", "before", "patch", "after"),
    [
        ("KubeNetworkConfig", {"podSubnets": ["a"]}, {"podSubnets": ["b"]}, {"podSubnets": ["b"]}),
        ("KubeNetworkConfig", {"serviceSubnets": ["a"]}, {"serviceSubnets": ["b"]}, {"serviceSubnets": ["b"]}),
        (
            "KubeAuditPolicyConfig",
            {"configuration": {"a": 1}},
            {"configuration": {"b": 1}},
            {"configuration": {"b": 1}},
        ),
        ("KubeAuthenticationConfig", {"configuration": {"a": 1}}, {"configuration": {}}, {"configuration": {}}),
        (
            "KubeCredentialProviderConfig",
            {"configuration": {"a": 1}},
            {"configuration": {"b": 1}},
            {"configuration": {"b": 1}},
        ),
        ("KubeStaticPodConfig", {"pod": {"a": 1}}, {"pod": {"b": 1}}, {"pod": {"b": 1}}),
        ("CRIBaseRuntimeSpecConfig", {"overrides": {"a": 1}}, {"overrides": {"b": 1}}, {"overrides": {"b": 1}}),
        ("NetworkRuleConfig", {"ingress": [1]}, {"ingress": [2]}, {"ingress": [2]}),
        (
            "NetworkRuleConfig",
            {"portSelector": {"ports": [1], "protocol": "tcp"}},
            {"portSelector": {"ports": [2]}},
            {"portSelector": {"ports": [2], "protocol": "tcp"}},
        ),
        ("BGPInstanceConfig", {"neighbors": [1]}, {"neighbors": [2]}, {"neighbors": [2]}),
        ("BGPInstanceConfig", {"advertise": ["a"]}, {"advertise": ["b"]}, {"advertise": ["b"]}),
        ("BGPInstanceConfig", {"importRoutes": [1]}, {"importRoutes": [2]}, {"importRoutes": [2]}),
        (
            "KubeletConfig",
            {"extraArgs": {"a": ["1"], "b": "x"}},
            {"extraArgs": {"a": "2"}},
            {"extraArgs": {"a": "2", "b": "x"}},
        ),
        ("KubeletConfig", {"clusterDNS": ["a"]}, {"clusterDNS": ["b"]}, {"clusterDNS": ["a", "b"]}),
        ("KubeCoreDNSConfig", {"enabled": True}, {"enabled": False}, {"enabled": False}),
        (
            "ExtensionServiceConfig",
            {"environment": ["A=1"]},
            {"environment": ["A=2"]},
            {"environment": ["A=1", "A=2"]},
        ),
        (
            "ExtensionServiceConfig",
            {"configFiles": [{"mountPath": "/a", "content": "1"}]},
            {"configFiles": [{"mountPath": "/a", "content": "2"}, {"mountPath": "/b"}]},
            {"configFiles": [{"mountPath": "/a", "content": "2"}, {"mountPath": "/b"}]},
        ),
        (
            "ImageVerificationConfig",
            {"rules": [{"image": "a", "skip": True}]},
            {"rules": [{"image": "a", "deny": True}]},
            {"rules": [{"image": "a", "deny": True}]},
        ),
        (
            "VolumeConfig",
            {"provisioning": {"tags": ["a"]}},
            {"provisioning": {"tags": ["b"]}},
            {"provisioning": {"tags": ["a", "b"]}},
        ),
    ],
)
def test_merging_documents(kind: str, before: Any, patch: Any, after: Any) -> None:
    assert apply_patches([document(kind, "x", **before)], [document(kind, "x", **patch)]) == [
        document(kind, "x", **after)
    ]


def test_documents_are_told_apart_by_kind_and_name() -> None:
    base = [legacy({"type": "worker"}), document("VolumeConfig", "STATE", a=1), document("VolumeConfig", "META", a=1)]
    patch = [document("VolumeConfig", "META", b=2), document("SysctlConfig", sysctls={"a": "1"})]
    assert apply_patches(base, patch) == [*base[:2], document("VolumeConfig", "META", a=1, b=2), patch[1]]


def test_the_v1alpha1_document_comes_first() -> None:
    assert apply_patches([document("HostnameConfig")], [legacy({"type": "worker"})])[0] == legacy({"type": "worker"})


def test_a_text_may_hold_many_documents() -> None:
    patch = "machine:\n  token: new\n---\napiVersion: v1alpha1\nkind: HostnameConfig\nauto: off\n"
    assert apply_patches([legacy({"token": "old"})], [patch]) == [
        legacy({"token": "new"}),
        document("HostnameConfig", auto="off"),
    ]


DELETIONS = [
    ("a key", legacy({"a": 1, "b": 2}), legacy({"a": DELETE}), legacy({"b": 2})),
    (
        "deep inside",
        legacy({"a": {"b": {"c": 1, "d": 2}}}),
        legacy({"a": {"b": {"c": DELETE}}}),
        legacy({"a": {"b": {"d": 2}}}),
    ),
    (
        "a whole mapping, whatever else the patch says of it",
        legacy({"a": {"b": 1}}),
        legacy({"a": {**DELETE, "b": 1}}),
        legacy({}),
    ),
    (
        "the first element of a list that matches the first key",
        legacy({"list": [{"name": "x", "v": 1}, {"name": "y"}, {"name": "x", "v": 2}]}),
        legacy({"list": [{"name": "x", "v": 2, **DELETE}]}),
        legacy({"list": [{"name": "y"}, {"name": "x", "v": 2}]}),
    ),
    (
        "by a number",
        legacy({"vlans": [{"vlanId": 5}]}),
        legacy({"vlans": [{"vlanId": 5, **DELETE}]}),
        legacy({"vlans": []}),
    ),
    (
        "before anything is merged",
        legacy({"list": [{"name": "x", "v": 1}]}),
        legacy({"list": [{"name": "x", "v": 2}, {"name": "x", **DELETE}]}),
        legacy({"list": [{"name": "x", "v": 2}]}),
    ),
]


@pytest.mark.parametrize(
    ("base", "patch", "after"), [case[1:] for case in DELETIONS], ids=[case[0] for case in DELETIONS]
)
def test_deleting(base: Any, patch: Any, after: Any) -> None:
    assert apply_patches([base], [patch]) == [after]


def test_all_deletions_of_a_document_come_before_its_merges() -> None:
    base = legacy({"network": {"interfaces": [{"interface": "eth0", "mtu": 1}], "nameservers": ["a"]}})
    patch = legacy(
        {
            "network": {
                "interfaces": [{"interface": "eth0", "mtu": 2}, {"interface": "eth0", **DELETE}],
                "nameservers": ["b"],
            }
        }
    )
    assert apply_patches([base], [patch]) == [
        legacy({"network": {"interfaces": [{"interface": "eth0", "mtu": 2}], "nameservers": ["a", "b"]}})
    ]


def test_kinds_of_patches_mix_in_order() -> None:
    """Each is told by what it is: documents, or a list of operations; as data or as YAML text."""
    patches = [
        legacy({"a": 1}),
        [{"op": "add", "path": "/machine/b", "value": 2}],
        "- op: replace\n  path: /machine/a\n  value: 3\n",
        "machine: {c: 4}",
    ]
    assert apply_patches([legacy({})], patches) == [legacy({"a": 3, "b": 2, "c": 4})]


def test_deleting_a_document() -> None:
    base = [legacy({"type": "worker"}), document("VolumeConfig", "META", a=1), document("HostnameConfig")]
    assert apply_patches(base, [document("VolumeConfig", "META", **DELETE)]) == [base[0], base[2]]
    assert apply_patches(base, [document("VolumeConfig", "STATE", **DELETE)]) == base
    assert apply_patches(base, [document("VolumeConfig", "STATE", a=DELETE)]) == base


@pytest.mark.parametrize(
    ("patches", "message"),
    [
        ([legacy({"b": DELETE})], "Patch 1 of 1: patch delete: path 'machine.b' in document v1alpha1: lookup failed"),
        ([legacy({"list": [{"name": "z", **DELETE}]})], "'machine.list' in document v1alpha1: lookup failed"),
        ([{"machine": {}}, legacy({"a": {"$patch": "replace"}})], "Patch 2 of 2: machine.a: the only $patch directive"),
        ([{"$patch": "delete"}], "the root of the v1alpha1 document cannot be deleted"),
        ([legacy({"list": [{"name": "x", "in": DELETE}]})], "cannot delete an inner key in machine.list.in"),
        ([legacy({"list": [DELETE]})], "an element is deleted by {key: value, $patch: delete}"),
        ([legacy({"a": {"b": 1}})], "machine.a: a mapping cannot be merged into a single value"),
        ([legacy({"list": "x"})], "machine.list: a single value cannot be merged into a list"),
        (["a: ["], "Patch 1 of 1: the patch is not valid YAML"),
        (["a: 1\n---\n- op: add"], "either configuration documents or one list"),
        (["text"], "either configuration documents or one list"),
        ([7], "either configuration documents or one list"),
        (["machine: {}\n---\nmachine: {}"], "holds the document v1alpha1 twice"),
        ([{"kind": "HostnameConfig"}], "has a kind only"),
    ],
)
def test_refused(patches: list[Any], message: str) -> None:
    with pytest.raises(InputError) as caught:
        apply_patches([legacy({"a": 1, "list": [{"name": "x"}]})], patches)
    assert message in str(caught.value)


def test_operations_need_a_single_document() -> None:
    operations = [{"op": "replace", "path": "/machine/a", "value": 2}]
    assert apply_patches([legacy({"a": 1})], [operations]) == [legacy({"a": 2})]
    assert apply_patches([legacy({"a": 1})], ["- {op: remove, path: /machine/a}"]) == [legacy({})]
    with pytest.raises(InputError, match="JSON6902 patches are not supported for multi-document"):
        apply_patches([legacy({"a": 1}), document("HostnameConfig")], [operations])


# --- properties ------------------------------------------------------------------------------------------------------

KEYS = st.sampled_from("abcdef")
VALUES = st.one_of(st.booleans(), st.integers(-2, 9), st.sampled_from(["", "x", "y"]))
# The type of a value is fixed by its key, as it is in Talos: maps under a-c, lists under d, single values under e-f.
MAPS = st.recursive(
    st.fixed_dictionaries({}, optional={"d": st.lists(VALUES), "e": VALUES, "f": VALUES}),
    lambda inner: st.fixed_dictionaries(
        {}, optional={"a": inner, "b": inner, "c": inner, "d": st.lists(VALUES), "e": VALUES}
    ),
    max_leaves=8,
)


def without_lists(tree: dict[str, Any]) -> dict[str, Any]:
    kept = {key: value for key, value in tree.items() if not isinstance(value, list)}
    return {key: without_lists(value) if isinstance(value, dict) else value for key, value in kept.items()}


WITHOUT_LISTS = MAPS.map(without_lists)


def leaves(tree: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if not isinstance(tree, dict):
        return {path: tree}
    return {key: value for name, inner in tree.items() for key, value in leaves(inner, (*path, name)).items()}


@settings(deadline=None)  # the machine may be busy
@given(MAPS, WITHOUT_LISTS)
def test_a_patch_without_lists_is_idempotent(base: Any, patch: Any) -> None:
    once = apply_patches([legacy(base)], [legacy(patch)])
    assert apply_patches(once, [legacy(patch)]) == once


@settings(deadline=None)  # the machine may be busy
@given(MAPS, MAPS)
def test_nothing_outside_the_patch_is_lost(base: Any, patch: Any) -> None:
    before, wanted = leaves(base), leaves(patch)
    after = leaves(apply_patches([legacy(base)], [legacy(patch)])[0]["machine"])
    assert {path: value for path, value in before.items() if path not in wanted}.items() <= after.items()
    assert set(after) == set(before) | set(wanted)
    for path, value in wanted.items():
        if isinstance(value, list):
            assert after[path] == [*before.get(path, []), *value]
        elif value in ("", 0) and not isinstance(value, bool):
            assert after[path] == before.get(path, value)
        else:
            assert after[path] == value


@settings(deadline=None)  # the machine may be busy
@given(MAPS, MAPS)
def test_the_order_of_keys_is_kept(base: Any, patch: Any) -> None:
    merged = apply_patches([legacy(base)], [legacy(patch)])[0]["machine"]
    assert list(merged) == [*base, *(key for key in patch if key not in base)]


@settings(deadline=None)  # the machine may be busy
@given(st.lists(st.tuples(st.sampled_from(["VolumeConfig", "LinkConfig"]), KEYS), unique=True), MAPS)
def test_the_order_of_documents_is_kept(names: list[tuple[str, str]], patch: Any) -> None:
    base = [legacy({}), *(document(kind, name) for kind, name in names)]
    patched = apply_patches(base, [legacy(patch), document("VolumeConfig", "new"), document("VolumeConfig", "new")])
    assert [identity(item) for item in patched] == [*by_identity(base), identity(document("VolumeConfig", "new"))]


@settings(deadline=None)  # the machine may be busy
@given(MAPS, MAPS)
def test_the_arguments_stay_as_they_are(base: Any, patch: Any) -> None:
    documents, patches = [legacy(base)], [legacy(patch), legacy({"e": DELETE} if "e" in base else {})]
    kept = copy.deepcopy((documents, patches))
    apply_patches(documents, patches)
    assert (documents, patches) == kept


NAMES = st.sampled_from(["eth0", "eth1", "eth2"])
INTERFACES = st.dictionaries(NAMES, WITHOUT_LISTS).map(
    lambda interfaces: [{"interface": name, **fields} for name, fields in interfaces.items()]
)


@given(INTERFACES, INTERFACES)
def test_elements_with_a_name_are_merged_and_keep_their_order(base: Any, patch: Any) -> None:
    def config(interfaces: Any) -> Any:
        return legacy({"network": {"interfaces": copy.deepcopy(interfaces)}})

    once = apply_patches([config(base)], [config(patch)])
    merged = once[0]["machine"]["network"]["interfaces"]
    known = [item["interface"] for item in base]
    assert [item["interface"] for item in merged] == [
        *known,
        *(item["interface"] for item in patch if item["interface"] not in known),
    ]
    untouched = [item for item in base if item["interface"] not in {other["interface"] for other in patch}]
    assert all(item in merged for item in untouched)
    assert apply_patches(once, [config(patch)]) == once


@given(MAPS, st.data())
def test_deleting_a_key_deletes_only_that(base: Any, data: st.DataObject) -> None:
    paths = sorted(leaves(base), key=str)
    if not paths or paths == [()]:
        return
    path = data.draw(st.sampled_from([one for one in paths if one]))
    patch: Any = DELETE
    for part in reversed(path):
        patch = {part: patch}
    after = leaves(apply_patches([legacy(base)], [legacy(patch)])[0]["machine"])
    expected = {key: value for key, value in leaves(base).items() if key != path}
    assert {key: value for key, value in after.items() if value != {}} == {
        key: value for key, value in expected.items() if value != {}
    }
    with pytest.raises(InputError, match="lookup failed"):
        apply_patches(apply_patches([legacy(base)], [legacy(patch)]), [legacy(patch)])


@given(MAPS, MAPS, MAPS)
def test_one_patch_after_the_other_or_both_at_once(base: Any, first: Any, second: Any) -> None:
    """A list of patches is nothing but each in its order; documents in one text likewise."""
    stepwise = apply_patches(apply_patches([legacy(base)], [legacy(first)]), [legacy(second)])
    assert apply_patches([legacy(base)], [legacy(first), legacy(second)]) == stepwise


@given(MAPS, KEYS, VALUES)
def test_an_operation_touches_its_own_place_only(base: Any, key: str, value: Any) -> None:
    operations = [{"op": "add", "path": f"/machine/{key}", "value": value}]
    (patched,) = apply_patches([legacy(base)], [operations])
    assert patched["machine"] == {**base, key: value}
    assert apply_patches([patched], [operations]) == [patched]
    removed = apply_patches([patched], [[{"op": "remove", "path": f"/machine/{key}"}]])
    assert removed == [legacy({name: item for name, item in base.items() if name != key})]
