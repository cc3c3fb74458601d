#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Check whether a Talos cluster is well."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: talos_health
short_description: Check whether a Talos cluster is well
version_added: "0.1.0"
author: The dcm.platform authors (@dcm-platform)
description:
  - Asks all nodes at once and makes all the checks of C(talosctl health) that the Talos API can answer, and more of
    etcd. Unlike that, it does not stop at the first that fails; every check has a result.
  - Fails if the cluster is not well when the time is up, and says all that is wrong. For a gate before and after
    upgrades, and for monitoring.
  - A node that does not answer is named with its address; the others are checked all the same.
  - Needs the role C(os:reader) only, if O(talosconfig) or O(key) is used.
extends_documentation_fragment:
  - dcm.platform.talos
  - dcm.platform.talos.control_planes
options:
  workers:
    description: The other nodes of the cluster, as in O(control_planes).
    type: dict
    default: {}
  skip:
    description:
      - Checks to leave out. V(api) is that every node answers, V(boot) that it runs and meets its conditions,
        V(diagnostics) that it warns of nothing, V(time), V(memory) and V(disk) that it has enough of them.
      - V(etcd_service), V(etcd_members), V(etcd_control_planes), V(etcd_quorum) and V(etcd_alarms) are of etcd, which
        should run everywhere, be of one mind about its members, have no others, all of them serving, and no alarm.
      - V(static_pods), V(nodes_ready) and V(nodes_schedulable) are of Kubernetes, as far as the nodes know. Without a
        network plugin, nodes are not ready.
    type: list
    elements: str
    choices:
      - api
      - boot
      - services
      - time
      - memory
      - disk
      - diagnostics
      - etcd_service
      - etcd_members
      - etcd_control_planes
      - etcd_quorum
      - etcd_alarms
      - static_pods
      - nodes_ready
      - nodes_schedulable
    default: []
  fail:
    description: Whether to fail if the cluster is not well. Otherwise only RV(healthy) says so.
    type: bool
    default: true
  wait:
    description: Whether to wait until the cluster is well. Otherwise it is asked once.
    type: bool
    default: true
  wait_timeout:
    description: How long to wait, in seconds.
    type: int
    default: 300
attributes:
  check_mode:
    support: full
    description: Nothing is ever changed.
  diff_mode:
    support: N/A
    description: Nothing is ever changed.
seealso:
  - module: dcm.platform.talos_machine_info
"""

EXAMPLES = r"""
- name: Go on only if the cluster is well
  dcm.platform.talos_health:
    secrets: "{{ cluster.secrets }}"
    control_planes:
      cp-1: 192.168.10.11
      cp-2: 192.168.10.12
      cp-3: 192.168.10.13
    workers:
      worker-1: 192.168.10.21

- name: Look once, and do not fail
  dcm.platform.talos_health:
    talosconfig: ~/.talos/reader
    control_planes:
      cp-1: 192.168.10.11
    wait: false
    fail: false
    skip: [nodes_schedulable]
  register: health
"""

RETURN = r"""
healthy:
  description: Whether all checks passed.
  returned: always
  type: bool
checks:
  description: Every check, in the order of O(skip).
  returned: always
  type: list
  elements: dict
  contains:
    check:
      description: Its name, as in O(skip).
      type: str
    description:
      description: What should be.
      type: str
      sample: all clocks are in sync
    healthy:
      description: Whether it is so, as far as could be found out.
      type: bool
    problems:
      description:
        - Why it is not so, each with C(node), C(address) and C(reason). C(node) and C(address) are V(null) for the
          cluster as a whole.
      type: list
      elements: dict
    not_checked:
      description: The nodes that could not be asked.
      type: list
      elements: str
"""

from collections.abc import Sequence

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments, waiting
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import TimedOutError
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import require
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import boundary
from ansible_collections.dcm.platform.plugins.module_utils.engine.redaction import Redactor
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet, wait_for
from ansible_collections.dcm.platform.plugins.module_utils.talos.arguments import (
    API_LIBRARIES,
    CONTROL_PLANES,
    CREDENTIALS,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.health import CHECKS, Result, collect, judge
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import parse_control_planes, parse_nodes

ARGUMENTS = (
    CREDENTIALS
    | CONTROL_PLANES
    | waiting(300)
    | Arguments(
        {
            "workers": {"type": "dict", "default": {}},
            "skip": {"type": "list", "elements": "str", "choices": list(CHECKS), "default": []},
            "fail": {"type": "bool", "default": True},
        }
    )
)
INTERVAL = 5.0  # seconds between looks, as talosctl takes


def checked(module: AnsibleModule) -> Sequence[Result]:
    """The results when the cluster is well, or when the time is up."""
    options = module.params
    control_planes, workers = (
        parse_control_planes(options["control_planes"]),
        parse_nodes("workers", options["workers"]),
    )
    connector = Connector.from_options(options)
    latest: Sequence[Result] = ()

    def look() -> Sequence[Result]:
        nonlocal latest
        latest = judge(collect(control_planes, workers, connector, patiently=not options["wait"]), options["skip"])
        if not all(one.healthy for one in latest):
            raise NotYet("; ".join(one.sentence() for one in latest if not one.healthy))
        return latest

    try:
        return wait_for(
            "the cluster to be well", look, timeout=options["wait_timeout"] if options["wait"] else 0, interval=INTERVAL
        )
    except TimedOutError:
        return latest


def main() -> None:
    module = AnsibleModule(**ARGUMENTS.for_module(), supports_check_mode=True)
    redactor = Redactor(module.no_log_values)
    with boundary(module, redactor):
        require(*API_LIBRARIES)
        results = checked(module)
        failed = [one.sentence() for one in results if not one.healthy]
        found = redactor.tree({"healthy": not failed, "checks": [one.tree() for one in results]})
        if failed and module.params["fail"]:
            module.fail_json(msg=redactor.text(f"The cluster is not well: {'. '.join(failed)}."), **found)
        module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
