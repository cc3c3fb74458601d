# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The filter that renders configurations of Talos nodes."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible_collections.dcm.platform.plugins.filter.talos import FilterModule
from ansible_collections.dcm.platform.plugins.module_utils.talos.contract import Contract
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import generate

render = FilterModule().filters()["talos_config"]
OPTIONS: dict[str, Any] = {
    "cluster_name": "production",
    "endpoint": "https://192.0.2.10:6443",
    "machine_type": "worker",
    "talos_version": "1.13.9",
    "kubernetes_version": "1.34.4",
}


@pytest.fixture(scope="module")
def bundle() -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load(generate(Contract(1, 13)).text())
    return tree


def test_it_renders_what_the_module_renders_with_its_defaults(bundle: dict[str, Any]) -> None:
    document = next(iter(yaml.safe_load_all(render(bundle, **OPTIONS, node_labels={"pool": "data"}))))
    assert document["machine"]["type"] == "worker"
    assert document["machine"]["nodeLabels"] == {"pool": "data"}
    assert document["cluster"]["network"]["podSubnets"] == ["10.244.0.0/16"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"machine_type": "router"}, "router"),
        ({"cluster": "production"}, "cluster"),
        ({"kubernetes_version": None}, "kubernetes_version"),
        ({"endpoint": "nowhere"}, "nowhere"),
    ],
)
def test_a_wrong_option_is_named_and_no_secret(bundle: dict[str, Any], options: dict[str, Any], words: str) -> None:
    with pytest.raises(AnsibleFilterError, match=words) as raised:
        render(bundle, **{**OPTIONS, **options})
    assert bundle["cluster"]["secret"] not in str(raised.value)
