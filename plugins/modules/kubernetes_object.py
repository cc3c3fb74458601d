#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Apply a list of manifests to a Kubernetes cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: kubernetes_object
short_description: Apply a list of manifests to a Kubernetes cluster, and remove what left the list
version_added: 0.1.0
author:
  - The dcm.platform authors (@dcm-platform)
description:
  - Applies all manifests of a list by server-side apply with the field manager C(dcm.platform). What a manifest says
    wins; fields that it does not name stay with whoever set them.
  - The server first tries every manifest, with defaults, admission and webhooks, and keeps nothing. Only what would
    change something is then written, so a second run writes nothing, and check mode and diff are the server's own word.
    If it refuses one, nothing is written, and the message tells all refusals.
  - The order of the list does not matter. Definitions of custom resources come first and are waited for, then
    namespaces, then what others refer to or are governed by. What goes into a namespace or is of a kind that the same
    list brings cannot be tried before that is there; check mode says that it will be created. So it does, with a
    warning, for a namespace that nobody has made yet.
  - Unknown fields are refused.
options:
  objects:
    description:
      - The manifests, each with C(apiVersion), C(kind) and C(metadata.name), and C(metadata.namespace) if its kind is
        in one. Secrets belong into O(secrets).
    type: list
    elements: dict
    default: []
  secrets:
    description:
      - Objects of kind Secret. Their values are never shown; the diff tells which of them change.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      namespace:
        description: Its namespace.
        type: str
        required: true
      type:
        description: What it is for, such as V(kubernetes.io/tls).
        type: str
        default: Opaque
      labels:
        description: Its labels.
        type: dict
      annotations:
        description: Its annotations.
        type: dict
      string_data:
        description: Keys with values that need not be secret by themselves, such as a URL, as text.
        type: dict
      secret_data:
        description: Keys with values that must not be seen anywhere, as text.
        type: dict
  owner:
    description:
      - Name of the list. Every object gets it as the label C(dcm.io/owner).
    type: str
  prune:
    description:
      - Whether to delete the objects of O(owner) that are not in the list. Only what this module applied is deleted, of
        the kinds in the list and in O(prune_kinds).
      - Namespaces, definitions of custom resources, persistent volumes and claims are never deleted, see RV(kept).
    type: bool
    default: false
  prune_kinds:
    description:
      - Further kinds to prune, should the list no longer hold any of them. One that is not served is left out.
    type: list
    elements: dict
    default: []
    suboptions:
      api_version:
        description: Group and version, such as V(networking.k8s.io/v1).
        type: str
        required: true
      kind:
        description: The kind, such as V(NetworkPolicy).
        type: str
        required: true
  wait_timeout:
    description:
      - Seconds for the definitions of the list to be served.
    type: int
    default: 120
extends_documentation_fragment:
  - dcm.platform.attributes
  - dcm.platform.kubernetes
seealso:
  - module: kubernetes.core.k8s
"""

EXAMPLES = r"""
- name: Govern a namespace, and remove the rules that are no longer in the list
  dcm.platform.kubernetes_object:
    kubeconfig: ~/.kube/production
    owner: rules
    prune: true
    objects:
      - apiVersion: v1
        kind: Namespace
        metadata: {name: example}
      - apiVersion: networking.k8s.io/v1
        kind: NetworkPolicy
        metadata: {name: default-deny, namespace: example}
        spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
"""

RETURN = r"""
objects:
  description:
    - The objects in the order of O(objects) and O(secrets), then those that were deleted; in check mode, as they would
      be.
  returned: success
  type: list
  elements: dict
  contains:
    api_version:
      description: Group and version.
      type: str
      sample: networking.k8s.io/v1
    kind:
      description: The kind.
      type: str
      sample: NetworkPolicy
    namespace:
      description: The namespace, empty if it is in none.
      type: str
      sample: example
    name:
      description: The name.
      type: str
      sample: default-deny
    result:
      description: V(created), V(updated), V(unchanged) or V(deleted).
      type: str
      sample: created
kept:
  description:
    - Objects of O(owner) that are not in the list and are never deleted, each with the first four keys of RV(objects).
  returned: success
  type: list
  elements: dict
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import KUBERNETES
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.apply import ObjectReconciler
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.arguments import KUBERNETES_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.manifests import refuse_secrets, secret_manifest
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.objects import connect_objects

KIND = {"api_version": {"type": "str", "required": True}, "kind": {"type": "str", "required": True}}
SECRET = {
    "name": {"type": "str", "required": True},
    "namespace": {"type": "str", "required": True},
    "type": {"type": "str", "default": "Opaque"},
    "labels": {"type": "dict"},
    "annotations": {"type": "dict"},
    "string_data": {"type": "dict", "no_log": False},
    "secret_data": {"type": "dict", "no_log": True},
}
ARGUMENTS = Arguments(
    {
        "objects": {"type": "list", "elements": "dict", "default": []},
        "secrets": {"type": "list", "elements": "dict", "no_log": False, "options": SECRET, "default": []},
        "owner": {"type": "str"},
        "prune": {"type": "bool", "default": False},
        "prune_kinds": {"type": "list", "elements": "dict", "options": KIND, "default": []},
        "wait_timeout": {"type": "int", "default": 120},
    },
    required_if=(("prune", True, ("owner",)),),
)


def make(module: AnsibleModule) -> ObjectReconciler:
    """The reconciler for the module's options."""
    options = module.params
    refuse_secrets(options["objects"])
    manifests = [*options["objects"], *(secret_manifest(item) for item in options["secrets"])]
    kinds = [(entry["api_version"], entry["kind"]) for entry in options["prune_kinds"]]
    return ObjectReconciler(
        connect_objects(options),
        manifests,
        owner=options["owner"],
        prune=kinds if options["prune"] else None,
        timeout=options["wait_timeout"],
        predicting=module.check_mode,
    )


def main() -> None:
    module = AnsibleModule(**(KUBERNETES_ARGUMENTS | ARGUMENTS).for_module(), supports_check_mode=True)
    reconcile(module, lambda: make(module), libraries=(KUBERNETES,))


if __name__ == "__main__":
    main()
