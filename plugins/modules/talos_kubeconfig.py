#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Fetch the administrator's kubeconfig of a Talos cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: talos_kubeconfig
short_description: Fetch the administrator's kubeconfig of a Talos cluster
version_added: "0.1.0"
author: The dcm.platform authors (@dcm-platform)
description:
  - Fetches a kubeconfig from a control plane and keeps it until its certificate is due. A kubeconfig that is still
    good is kept without asking the node.
  - It is written to a file that only its owner may read, or returned. A returned kubeconfig I(is) a secret, so set
    C(no_log=true) on the task then.
  - A control plane answers as soon as it has its configuration; the kubeconfig works once the cluster is
    bootstrapped.
extends_documentation_fragment:
  - dcm.platform.talos
  - dcm.platform.talos.node
options:
  path:
    description:
      - The file to keep the kubeconfig in, with mode C(0600). Its directory must exist. Without it the kubeconfig is
        returned.
    type: path
  kubeconfig:
    description:
      - The kubeconfig so far, where it is kept elsewhere, for example in Vault. Empty if there is none.
    type: str
    default: ""
  renew_before:
    description:
      - How many days before the end of its certificate a kubeconfig is replaced. Talos makes them for a year.
    type: int
    default: 30
attributes:
  check_mode:
    support: full
    description: Nothing is fetched.
  diff_mode:
    support: full
    description: Says why a kubeconfig is replaced, and nothing of it.
seealso:
  - module: dcm.platform.talos_bootstrap
"""

EXAMPLES = r"""
- name: Keep a kubeconfig in a file
  dcm.platform.talos_kubeconfig:
    node: 192.168.10.11
    name: cp-1
    secrets: "{{ cluster.secrets }}"
    path: ~/.kube/production
"""

RETURN = r"""
kubeconfig:
  description: The kubeconfig, a secret. V(null) in check mode if there is none so far.
  returned: when O(path) is not set
  type: str
server:
  description: The URL of the Kubernetes API in it.
  returned: success
  type: str
  sample: https://192.168.10.10:6443
context:
  description: Its context.
  returned: success
  type: str
  sample: admin@production
expires:
  description: When its certificate ends, as ISO 8601 in UTC.
  returned: success
  type: str
  sample: "2027-01-01T00:00:00+00:00"
"""

import datetime

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.talos.arguments import (
    API_LIBRARIES,
    CREDENTIALS,
    NODE,
    release,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.kubeconfig import KubeconfigReconciler
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import parse_node

ARGUMENTS = (
    CREDENTIALS
    | NODE
    | Arguments(
        {
            "path": {"type": "path"},
            "kubeconfig": {"type": "str", "default": "", "no_log": True},
            "renew_before": {"type": "int", "default": 30},
        },
        mutually_exclusive=(("path", "kubeconfig"),),
    )
)


def reconciler(module: AnsibleModule) -> KubeconfigReconciler:
    """For a module's options."""
    options = module.params
    return KubeconfigReconciler(
        node=parse_node(options["node"], options["name"]),
        connector=Connector.from_options(options),
        current=options["kubeconfig"],
        path=options["path"] or "",
        renew_before=datetime.timedelta(days=options["renew_before"]),
        release=lambda: release(module, "secrets", "key", "talosconfig", "kubeconfig"),
    )


def main() -> None:
    module = AnsibleModule(**ARGUMENTS.for_module(), supports_check_mode=True)
    reconcile(module, lambda: reconciler(module), libraries=API_LIBRARIES)


if __name__ == "__main__":
    main()
