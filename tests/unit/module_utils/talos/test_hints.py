# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is valid and rarely meant."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.talos import hints as module
from ansible_collections.dcm.platform.plugins.module_utils.talos.hints import hints
from ansible_collections.dcm.platform.plugins.module_utils.talos.inputs import Inputs
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import Bundle


@pytest.fixture(name="inputs")
def inputs_fixture(bundle: Bundle) -> Inputs:
    """For which there is nothing to say."""
    return Inputs(
        "test",
        "https://10.0.0.10",
        "controlplane",
        "1.13.9",
        "1.36.3",
        bundle,
        service_subnets=["10.65.0.0/16"],
        network_policies=True,
    )


def test_nothing_to_say(inputs: Inputs) -> None:
    assert hints(inputs) == []
    worker_labels = {
        "dcm.platform/pool": "data",
        "topology.kubernetes.io/zone": "a",
        "node.kubernetes.io/instance-type": "b",
        "x.node.kubernetes.io/y": "",
        "kubernetes.io/hostname": "z",
        "plain": "",
    }
    assert hints(dataclasses.replace(inputs, machine_type="worker", node_labels=worker_labels)) == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"install_image": "example.com/installer:v1.13.8"}, "The installer image is of version 1.13.8"),
        ({"install_image": "example.com/installer:v1.13.8@sha256:00"}, "The installer image is of version 1.13.8"),
        ({"kubernetes_version": "1.37.0"}, "Talos 1.13.9 is made for Kubernetes 1.31 to 1.36, not for 1.37.0"),
        ({"kubernetes_version": "1.30.9"}, "not for 1.30.9"),
        ({"service_subnets": ["10.96.0.0/12"]}, "which reaches to 10.111.255.255"),
        ({"network_policies": False, "cni": "none"}, "nodes stay not ready until a network plugin is installed"),
        ({"network_policies": False}, "Flannel enforces no network policies"),
        ({"vip": "10.0.0.11", "vip_link": "eth0"}, "nobody will use the virtual address"),
        (
            {"machine_type": "worker", "node_labels": {"node-role.kubernetes.io/data": "", "a": ""}},
            "lets no worker give itself the labels node-role.kubernetes.io/data:",
        ),
        ({"machine_type": "worker", "node_taints": {"a": "NoSchedule"}}, "A worker gets its taints when it registers"),
    ],
)
def test_one_sentence_each(inputs: Inputs, options: dict[str, Any], sentence: str) -> None:
    (hint,) = hints(dataclasses.replace(inputs, **options))
    assert sentence in hint


def test_authorities_that_end_soon(inputs: Inputs, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SOON", datetime.timedelta(days=3700))
    assert [hint.partition(" ends on ")[0] for hint in hints(inputs)] == [
        f"The authority {name} of the cluster" for name in ("etcd", "k8s", "k8saggregator", "os")
    ]


def test_no_hint_holds_a_secret(inputs: Inputs, bundle: Bundle) -> None:
    text = " ".join(hints(dataclasses.replace(inputs, service_subnets=["10.96.0.0/12"], network_policies=False)))
    assert bundle.trustd_token not in text
