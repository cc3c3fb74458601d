#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Keep a kubeconfig of a Talos cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: talos_kubeconfig
short_description: Keep a kubeconfig of a Talos cluster
version_added: "0.1.0"
author: The dcm.platform authors (@dcm-platform)
description:
  - Fetches a kubeconfig from a control plane, or makes one offline from the secrets bundle, and keeps it until its
    certificate is due. One that is still good is kept without asking the node.
  - It is merged into a file that only its owner may read, or returned. A returned kubeconfig I(is) a secret, so set
    C(no_log=true) on the task then.
  - A control plane answers as soon as it has its configuration; the kubeconfig works once the cluster is
    bootstrapped.
  - The kubeconfig of a control plane is always an administrator's. Its lifetime is in the machine configuration
    (C(cluster.adminKubeconfig.certLifetime)).
extends_documentation_fragment:
  - dcm.platform.talos
  - dcm.platform.talos.source
  - dcm.platform.talos.kept
options:
  cluster_name:
    description:
      - The name of the cluster, from which Talos makes the name of the context, such as V(admin@production).
      - Needed offline, and where the file also holds other clusters. By default the current context is kept.
    type: str
  endpoint:
    description: The URL of the Kubernetes API, such as V(https://192.168.10.10:6443). Needed offline.
    type: str
  user:
    description: Whom the certificate is for, offline only.
    type: str
    default: admin
  groups:
    description: The groups of O(user), offline only. The default are the administrators.
    type: list
    elements: str
    default: [system:masters]
  lifetime:
    description: For how many days a new certificate is good, offline only. The default is that of Talos.
  kubeconfig:
    description:
      - The kubeconfig so far, where it is kept elsewhere, for example in Vault. Empty if there is none.
    type: str
    default: ""
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

- name: Make a kubeconfig for a team that lives for a month, without asking the cluster
  dcm.platform.talos_kubeconfig:
    secrets: "{{ cluster.secrets }}"
    cluster_name: production
    endpoint: https://192.168.10.10:6443
    user: viewer
    groups: [dcm:viewers]
    lifetime: 30
    renew_before: 7
    path: ~/.kube/viewer
"""

RETURN = r"""
kubeconfig:
  description: The kubeconfig, a secret. V(null) in check mode if there is none that can be used so far.
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
groups:
  description: The groups of its user.
  returned: success
  type: list
  elements: str
  sample: ["system:masters"]
expires:
  description: When its certificate ends, as ISO 8601 in UTC.
  returned: success
  type: str
  sample: "2027-01-01T00:00:00+00:00"
"""

import datetime
from typing import Any

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
from ansible_collections.dcm.platform.plugins.module_utils.talos.connection import Connector
from ansible_collections.dcm.platform.plugins.module_utils.talos.inputs import endpoint_url
from ansible_collections.dcm.platform.plugins.module_utils.talos.kept import Authority, Store, lifetimes
from ansible_collections.dcm.platform.plugins.module_utils.talos.kubeconfig import (
    ADMINISTRATORS,
    Issue,
    KubeconfigReconciler,
    Source,
    fetched,
    issued,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.node import parse_node
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import parse

ARGUMENTS = (
    CREDENTIALS
    | SOURCE
    | KEPT
    | Arguments(
        {
            "kubeconfig": {"type": "str", "default": "", "no_log": True},
            "cluster_name": {"type": "str"},
            "endpoint": {"type": "str"},
            "user": {"type": "str", "default": "admin"},
            "groups": {"type": "list", "elements": "str", "default": [ADMINISTRATORS]},
        },
        mutually_exclusive=(("path", "kubeconfig"),),
    )
)


def source(options: dict[str, Any], lifetime: datetime.timedelta) -> Source:
    """Where a new kubeconfig comes from, for a module's options."""
    ca = parse(options["secrets"]).authority("k8s") if options["secrets"] is not None else None
    if options["node"]:
        node = parse_node(options["node"], options["name"])
        authority = Authority(ca.certificate) if ca else None
        return fetched(node, Connector.from_options(options), options["cluster_name"] or "", authority)
    if ca is None or not options["cluster_name"] or not options["endpoint"]:
        raise InputError("Set node to ask a control plane, or secrets, cluster_name and endpoint to do without one.")
    endpoint = endpoint_url(options["endpoint"])
    return issued(Issue(options["cluster_name"], endpoint, options["user"], options["groups"], lifetime), ca)


def reconciler(module: AnsibleModule) -> KubeconfigReconciler:
    """For a module's options."""
    options = module.params
    lifetime, renew_before = lifetimes(options, decides=not options["node"])
    store = Store.from_options(
        options["path"],
        options["kubeconfig"],
        lambda: release(module, "secrets", "key", "talosconfig", "kubeconfig"),
    )
    return KubeconfigReconciler(store, renew_before, source(options, lifetime), overwrite=options["overwrite"])


def main() -> None:
    module = AnsibleModule(**ARGUMENTS.for_module(), supports_check_mode=True)
    reconcile(module, lambda: reconciler(module), libraries=API_LIBRARIES)


if __name__ == "__main__":
    main()
