#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keep a talosconfig for a Talos cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: talos_client_config
short_description: Keep a talosconfig for a Talos cluster
version_added: "0.1.0"
author: The dcm.platform authors (@dcm-platform)
description:
  - Has a control plane make credentials for the Talos API, or makes them offline from the secrets bundle, and keeps
    them as a context of a talosconfig until their certificate is due. What is still good and as asked for is kept
    without asking anybody.
  - It is merged into a file that only its owner may read, or returned. A returned talosconfig I(is) a secret, so set
    C(no_log=true) on the task then.
  - The modules of this collection need none of it, they work from O(secrets) alone. This is for people, for
    C(talosctl), and for those who may do less than everything.
extends_documentation_fragment:
  - dcm.platform.talos
  - dcm.platform.talos.source
  - dcm.platform.talos.kept
options:
  context_name:
    description: The name of the context to keep, such as the name of the cluster.
    type: str
    required: true
  roles:
    description:
      - What its owner may do. V(os:reader) reads all that is no secret, V(os:operator) may also reboot and restart,
        V(os:etcd:backup) may only take snapshots of etcd, V(os:admin) may do everything.
    type: list
    elements: str
    choices: ["os:admin", "os:operator", "os:reader", "os:etcd:backup", "os:image:verifier", "os:meta:writer"]
    default: ["os:admin"]
  endpoints:
    description: The control planes that requests are sent through, as names or addresses.
    type: list
    elements: str
    required: true
  nodes:
    description: The nodes that requests are for if nothing else is said.
    type: list
    elements: str
    default: []
  current:
    description:
      - The talosconfig so far, where it is kept elsewhere, for example in Vault. Empty if there is none.
    type: str
    default: ""
attributes:
  check_mode:
    support: full
    description: Nothing is made, and nobody is asked.
  diff_mode:
    support: full
    description: Says what differs and why credentials are replaced, and nothing secret of them.
seealso:
  - module: dcm.platform.talos_secrets
  - module: dcm.platform.talos_kubeconfig
"""

EXAMPLES = r"""
- name: Keep an administrator's talosconfig beside those of other clusters
  dcm.platform.talos_client_config:
    secrets: "{{ cluster.secrets }}"
    context_name: production
    endpoints: [192.168.10.11, 192.168.10.12, 192.168.10.13]
    path: ~/.talos/config

- name: Have a control plane make a talosconfig for a month that may only take snapshots
  dcm.platform.talos_client_config:
    talosconfig: ~/.talos/config
    node: 192.168.10.11
    name: cp-1
    context_name: production-backup
    roles: ["os:etcd:backup"]
    lifetime: 30
    renew_before: 7
    endpoints: [192.168.10.11]
    path: ~/.talos/backup
"""

RETURN = r"""
talosconfig:
  description: The talosconfig, a secret. V(null) in check mode if there is none that can be used so far.
  returned: when O(path) is not set
  type: str
context:
  description: The name of its context.
  returned: success
  type: str
  sample: production
roles:
  description: What its owner may do. V(null) in check mode if there is none that can be used so far.
  returned: success
  type: list
  elements: str
  sample: ["os:admin"]
endpoints:
  description: The control planes that requests are sent through.
  returned: success
  type: list
  elements: str
nodes:
  description: The nodes that requests are for if nothing else is said.
  returned: success
  type: list
  elements: str
expires:
  description: When its certificate ends, as ISO 8601 in UTC.
  returned: success
  type: str
  sample: "2027-01-01T00:00:00+00:00"
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.talos.arguments import (
    API_LIBRARIES,
    CREDENTIALS,
    KEPT,
    SOURCE,
    release,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.client_config import (
    ROLES,
    ClientConfig,
    ClientConfigReconciler,
    generated,
    issued,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.kept import Authority, Store, lifetimes
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import parse_node
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import parse

ARGUMENTS = (
    CREDENTIALS
    | SOURCE
    | KEPT
    | Arguments(
        {
            "context_name": {"type": "str", "required": True},
            "roles": {"type": "list", "elements": "str", "choices": list(ROLES), "default": ["os:admin"]},
            "endpoints": {"type": "list", "elements": "str", "required": True},
            "nodes": {"type": "list", "elements": "str", "default": []},
            "current": {"type": "str", "default": "", "no_log": True},
        },
        mutually_exclusive=(("path", "current"),),
    )
)


def reconciler(module: AnsibleModule) -> ClientConfigReconciler:
    """For a module's options."""
    options = module.params
    lifetime, renew_before = lifetimes(options)
    if not options["endpoints"] or not options["roles"]:
        raise InputError("endpoints and roles must name at least one each.")
    config = ClientConfig(options["context_name"], options["roles"], options["endpoints"], options["nodes"], lifetime)
    store = Store.from_options(
        options["path"], options["current"], lambda: release(module, "secrets", "key", "talosconfig", "current")
    )
    if options["node"]:
        connector = Connector.from_options(options)
        make = generated(parse_node(options["node"], options["name"]), connector)
        authority = Authority(connector.credentials.authorities)
    elif options["secrets"] is not None:
        ca = parse(options["secrets"]).authority("os")
        make, authority = issued(ca), Authority(ca.certificate)
    else:
        raise InputError("Set node to ask a control plane, or secrets to do without one.")
    return ClientConfigReconciler(store, renew_before, config, make, authority, overwrite=options["overwrite"])


def main() -> None:
    module = AnsibleModule(**ARGUMENTS.for_module(), supports_check_mode=True)
    reconcile(module, lambda: reconciler(module), libraries=API_LIBRARIES)


if __name__ == "__main__":
    main()
