#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Make or adopt the secrets bundle of a Talos cluster."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: talos_secrets
short_description: Make or adopt the secrets bundle of a Talos cluster
version_added: "0.1.0"
author: The dcm.platform authors (@dcm-platform)
description:
  - Makes the secrets that a whole Talos cluster is built on (certificate authorities, tokens, encryption keys), the
    same as C(talosctl gen secrets) writes into C(secrets.yaml).
  - Or adopts those of a cluster that exists, from C(secrets.yaml) or from the machine configuration of one of its
    control planes, and returns them as they are.
  - The result I(is) the secret. Set C(no_log=true) on the task, register the result and hand it on, for example to
    M(dcm.platform.vault_secret) with O(dcm.platform.vault_secret#module:secrets[].overwrite=false).
  - Nothing is ever made anew that was given. Whoever loses the bundle cannot change or extend the cluster any more.
  - Runs offline.
options:
  secrets:
    description:
      - A bundle to check and return, as a mapping or as YAML text. A new one is made if none of this, O(path) and
        O(config) is set.
    type: raw
  path:
    description:
      - A file with a bundle to check and return. It must exist and is only read.
    type: path
  config:
    description:
      - The machine configuration of a control plane, as YAML text, to take the bundle from. Those of workers hold no
        keys.
    type: str
  certs:
    description:
      - Authorities to build a new bundle on, as a mapping with any of C(etcd), C(k8s), C(k8saggregator), C(os), each
        with C(crt) and C(key), and C(k8sserviceaccount) with C(key). Each value is PEM, or base64 of PEM.
      - Everything else of the bundle is made, so keep the result.
    type: dict
  talos_version:
    description:
      - The Talos version the cluster is created with, such as V(1.14.0) or V(1.13). It decides the form of a new
        bundle.
    type: str
    default: "1.13"
  warn_before:
    description: Warn of every certificate authority that ends within so many days. The default is this collection's.
    type: int
    default: 365
attributes:
  check_mode:
    support: full
    description: A new bundle is made and returned, so that later tasks can be predicted. It is thrown away.
  diff_mode:
    support: full
    description: Says that a bundle is made, and nothing of it.
requirements:
  - "cryptography >= 41.0"
  - "PyYAML >= 6.0"
seealso:
  - module: dcm.platform.talos_config
"""

EXAMPLES = r"""
- name: Make the secrets of a new cluster
  dcm.platform.talos_secrets:
    talos_version: 1.13.9
  register: cluster
  no_log: true

- name: Adopt the secrets of an existing cluster
  dcm.platform.talos_secrets:
    path: /run/secrets/secrets.yaml
  register: cluster
  no_log: true

- name: Adopt the secrets of an existing cluster whose secrets.yaml is lost
  dcm.platform.talos_secrets:
    config: "{{ lookup('ansible.builtin.file', '/run/secrets/controlplane.yaml') }}"
  register: cluster
  no_log: true
"""

RETURN = r"""
secrets:
  description:
    - The bundle, with the keys C(cluster), C(secrets), C(trustdinfo) and C(certs) of C(secrets.yaml).
    - Everything in it is a secret.
  returned: success
  type: dict
text:
  description: The same as YAML text, the content of C(secrets.yaml). A secret.
  returned: success
  type: str
expires:
  description: When each certificate authority ends, as ISO 8601 in UTC.
  returned: success
  type: dict
  sample: {"etcd": "2036-01-01T00:00:00+00:00", "k8s": "2036-01-01T00:00:00+00:00"}
"""

import datetime
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler, reconcile
from ansible_collections.dcm.platform.plugins.module_utils.talos.adoption import bundle_of
from ansible_collections.dcm.platform.plugins.module_utils.talos.arguments import OFFLINE_LIBRARIES, release
from ansible_collections.dcm.platform.plugins.module_utils.talos.contract import parse_contract
from ansible_collections.dcm.platform.plugins.module_utils.talos.secrets import Bundle, generate, given_certs, parse

ARGUMENTS = Arguments(
    {
        "secrets": {"type": "raw", "no_log": True},
        "path": {"type": "path"},
        "config": {"type": "str", "no_log": True},
        "certs": {"type": "dict", "no_log": True},
        "talos_version": {"type": "str", "default": "1.13"},
        "warn_before": {"type": "int", "default": 365},
    },
    mutually_exclusive=(("secrets", "path", "config", "certs"),),
)


class SecretsReconciler(Reconciler["Bundle | None"]):
    """A bundle that was given stays; otherwise there is one after the call, which only the result holds."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._contract = parse_contract(module.params["talos_version"])
        self._certs = given_certs(module.params["certs"] or {})

    def read(self) -> Bundle | None:
        path, given, config = (self._module.params[name] for name in ("path", "secrets", "config"))
        if config is not None:
            return bundle_of(config)
        if path is not None:
            try:
                given = Path(path).read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise InputError(f"{path} cannot be read: {error}.") from error
        return None if given is None else parse(given, path or "The secrets bundle")

    def plan(self, actual: Bundle | None) -> Sequence[Change]:
        kept = {"certs": sorted(self._certs)} if self._certs else {}
        return [] if actual else [Change("create", "secrets bundle", f"for Talos {self._contract}", None, kept)]

    def apply(self, changes: Sequence[Change]) -> Sequence[Outcome]:
        return [Outcome(change) for change in changes]

    def result(self, actual: Bundle | None, changes: Sequence[Change]) -> dict[str, Any]:
        bundle = actual or generate(self._contract, self._certs)
        expiries = bundle.expiries()
        self._warn(expiries)
        release(self._module, "secrets", "config", "certs")
        expires = {name: end.isoformat() for name, end in expiries.items()}
        return {"secrets": bundle.tree, "text": bundle.text(), "expires": expires}

    def _warn(self, expiries: dict[str, datetime.datetime]) -> None:
        now = datetime.datetime.now(datetime.UTC)
        limit = now + datetime.timedelta(days=self._module.params["warn_before"])
        for name, end in expiries.items():
            if end <= limit:
                verb = "ended" if end <= now else "ends"
                self._module.warn(f"The authority {name} {verb} on {end:%Y-%m-%d}: rotate it, or the cluster stops.")


def main() -> None:
    module = AnsibleModule(**ARGUMENTS.for_module(), supports_check_mode=True)
    reconcile(module, lambda: SecretsReconciler(module), libraries=OFFLINE_LIBRARIES)


if __name__ == "__main__":
    main()
