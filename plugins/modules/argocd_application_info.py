#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What Argo CD says of its Applications, and a wait until they are well."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: argocd_application_info
short_description: Read the sync status and health of Argo CD Applications, and wait for them
version_added: "0.1.0"
description:
  - Tells of Applications whether they are synced and healthy, at which revision, and if not, why, as Argo CD has it in
    their status.
  - Waits, if asked to, until they are, and fails with one message that names what is not and why.
  - Talks to the Kubernetes API only. Neither the API server of Argo CD nor its command line is needed.
author:
  - The dcm.platform authors (@dcm-platform)
options:
  namespace:
    description: Namespace of the Applications.
    type: str
    default: argocd
  names:
    description: Names of Applications. Without them and without O(label_selectors), all of the namespace.
    type: list
    elements: str
    default: []
  label_selectors:
    description: Labels that the Applications carry, each as V(key=value) or any other term of a label selector.
    type: list
    elements: str
    default: []
  wait:
    description:
      - Whether to wait until the Applications are what O(wait_for) says. One of O(names) that does not exist is waited
        for, and so is a first Application with the labels.
      - In check mode nothing is waited for.
    type: bool
    default: false
  wait_for:
    description:
      - What an Application must be to be ready.
      - V(synced) means that the cluster is as the source says; V(healthy) that its resources work; V(operation) that no
        sync is under way.
      - A status from before the last change of the Application's source or destination does not count.
    type: list
    elements: str
    choices: [synced, healthy, operation]
    default: [synced, healthy, operation]
  revision:
    description:
      - The revision that an Application must have been compared with to be ready, a commit's hash or its first seven
        or more digits, or the version of a chart. Without it, any.
    type: str
  wait_timeout:
    description: Longest wait in seconds.
    type: int
    default: 600
extends_documentation_fragment:
  - dcm.platform.attributes.reader
  - dcm.platform.kubernetes
notes:
  - Since version 3.0 Argo CD keeps the health of single resources out of the Application. With its parameter
    C(controller.resource.health.persist) set to V(true), as the role P(dcm.platform.argocd#role) does, this module can
    name the resource that is not healthy, else only that there is one.
seealso:
  - module: dcm.platform.kubernetes_object
"""

EXAMPLES = r"""
- name: Wait until the platform's applications run what was merged
  dcm.platform.argocd_application_info:
    kubeconfig: ~/.kube/production
    names: [platform-apps]
    revision: 3f2a1bc
    wait: true
    wait_timeout: 900

- name: Which add-ons are not well?
  dcm.platform.argocd_application_info:
    label_selectors: [dcm.io/owner=addons]
  register: addons
"""

RETURN = r"""
applications:
  description: The Applications, in the order of O(names), else by name.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
      sample: platform-apps
    exists:
      description: Whether there is one of that name. If not, only RV(applications[].ready) and its reasons follow.
      type: bool
      sample: true
    project:
      description: Its AppProject.
      type: str
      sample: default
    sync:
      description: V(Synced), V(OutOfSync) or V(Unknown).
      type: str
      sample: Synced
    health:
      description: V(Healthy), V(Progressing), V(Degraded), V(Suspended), V(Missing) or V(Unknown).
      type: str
      sample: Healthy
    revisions:
      description: What it was compared with, one revision for each of its sources.
      type: list
      elements: str
      sample: [3f2a1bc9d0e8b7a6f5e4d3c2b1a09f8e7d6c5b4a]
    conditions:
      description: Errors and warnings of Argo CD, each with C(type) and C(message).
      type: list
      elements: dict
      sample: []
    operation:
      description:
        - The last sync with C(phase), C(message), C(revision), C(started), C(finished) and C(retries). Null before the
          first one.
      type: dict
      sample: {phase: Succeeded, message: successfully synced, revision: 3f2a1bc, retries: 0}
    resources:
      description:
        - The resources that are not synced, not healthy or could not be applied, each with C(group), C(kind),
          C(namespace), C(name), C(sync), C(health) and C(message).
      type: list
      elements: dict
      sample: []
    ready:
      description: Whether it is what O(wait_for) and O(revision) say.
      type: bool
      sample: true
    reasons:
      description: Why not.
      type: list
      elements: str
      sample: []
ready:
  description: Whether all of them are.
  returned: success
  type: bool
  sample: true
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.argocd.application import GOALS, Goal
from ansible_collections.dcm.platform.plugins.module_utils.argocd.info import ApplicationReader, Question
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import KUBERNETES
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.arguments import KUBERNETES_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.kubernetes.client import connect

ARGUMENTS = Arguments(
    {
        "namespace": {"type": "str", "default": "argocd"},
        "names": {"type": "list", "elements": "str", "default": []},
        "label_selectors": {"type": "list", "elements": "str", "default": []},
        "wait": {"type": "bool", "default": False},
        "wait_for": {"type": "list", "elements": "str", "choices": list(GOALS), "default": list(GOALS)},
        "revision": {"type": "str"},
        "wait_timeout": {"type": "int", "default": 600},
    },
    mutually_exclusive=(("names", "label_selectors"),),
)


def make(options: dict[str, Any]) -> ApplicationReader:
    """The reader for the module's options."""
    question = Question(
        namespace=options["namespace"],
        names=options["names"],
        label_selector=",".join(options["label_selectors"]),
        goal=Goal(frozenset(options["wait_for"]), options["revision"] or ""),
        timeout=options["wait_timeout"] if options["wait"] else None,
    )
    return ApplicationReader(connect(options), question)


def main() -> None:
    module = AnsibleModule(**(KUBERNETES_ARGUMENTS | ARGUMENTS).for_module(), supports_check_mode=True)
    reconcile(module, lambda: make(module.params), libraries=(KUBERNETES,))


if __name__ == "__main__":
    main()
