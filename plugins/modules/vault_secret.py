#!/usr/bin/python
# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Many secrets in OpenBao or Vault in one call."""

from __future__ import annotations

DOCUMENTATION = r"""
---
module: vault_secret
short_description: Write, generate and remove many secrets in OpenBao or Vault in one call
version_added: "0.1.0"
description:
  - Makes a list of secrets of a key-value engine as described, with values that are given, values that are generated
    once, or both.
  - An engine of version 1 keeps neither versions nor metadata. With it, nothing is checked when writing, so that the
    last of two runs at once wins; what is removed is gone; and options that need versions or metadata are refused.
  - Each secret is read first and written only if it differs, on top of the very version that was read (check-and-set).
    If somebody else wrote in between, the secret is read once more. What they wrote is kept if that will do or if both
    changes fit together; otherwise that secret fails and the others go on.
  - Requests run concurrently over one login.
  - Results, diffs and errors tell paths, versions and the names of keys, never values.
author:
  - The dcm.platform authors (@dcm-platform)
options:
  mount:
    description: Where the key-value engine is mounted.
    type: str
    default: secret
  secrets:
    description:
      - The secrets; about 1000 in one call are fine. Each path may appear once.
      - Secrets that are not in the list are not touched.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Path of the secret below the mount.
        type: str
        required: true
      state:
        description:
          - With V(present), the secret holds the keys of O(secrets[].data) and O(secrets[].generate).
          - With V(absent), its latest version is deleted. That version can be undeleted, and earlier ones stay readable
            by their number.
          - With V(undeleted), its latest version can be read again, if it was deleted.
          - With V(destroyed), all its versions and its metadata are removed for good.
        type: str
        choices: [present, absent, destroyed, undeleted]
        default: present
      data:
        description:
          - A dictionary of keys and their values, for O(secrets[].state=present). Values may be of any type that JSON
            knows.
        type: raw
      generate:
        description:
          - Keys whose values are made here, for O(secrets[].state=present). Each is a dictionary of C(type) and what
            belongs to it. A value is made when the secret lacks the key, and never again; what changes later about the
            recipe applies to keys made later.
          - V(random), the default, is text of C(length) characters (V(1) to V(4096), default V(32)) of an C(alphabet),
            which is V(alphanumeric) (letters and digits, the default), V(hex) (lower case) or V(urlsafe) (letters,
            digits, C(-) and C(_)).
          - V(key_pair) and V(ssh_key_pair) are private keys of an C(algorithm) (V(ecdsa), the default, V(ed25519) or
            V(rsa) of 3072 bits), in PEM and in OpenSSH's form. The public one gets the key's name with C(_public)
            appended.
          - V(certificate) is a private key with a certificate that it signs itself, under the name with C(_certificate)
            appended, for a C(common_name), C(dns_names), C(usage) (V(server), the default, V(client) or V(authority))
            and C(days) (default V(825)).
        type: dict
      replace:
        description:
          - Whether the secret holds nothing but the keys of O(secrets[].data) and O(secrets[].generate).
          - If V(false), other keys stay as they are.
        type: bool
        default: true
      overwrite:
        description:
          - Whether a secret that exists is changed. If V(false), it is written only when it does not exist, and left as
            it is otherwise, whatever it holds.
          - With V(false), a secret whose latest version is deleted is an error, as a new version would bury it.
        type: bool
        default: true
      metadata:
        description:
          - Metadata of the secret, for O(secrets[].state=present), compared only where given.
        type: dict
        suboptions:
          max_versions:
            description: How many versions are kept; V(0) for what the engine says.
            type: int
          delete_version_after:
            description: After how long a version is deleted, such as V(720h).
            type: str
          cas_required:
            description: Whether every write must name the version it replaces.
            type: bool
          custom_metadata:
            description: Names and texts that everybody may see who may see metadata. Other names stay as they are.
            type: dict
  owner:
    description:
      - Whose secrets these are. Each that is present is marked so, in the custom metadata C(dcm_owner).
    type: str
  prune:
    description:
      - A path. Secrets below it that carry the mark of O(owner) and are not listed are deleted, so that they can be
        undeleted. Nothing without that mark is.
    type: str
  fingerprint_key:
    description:
      - A secret of at least 16 characters. With it, each secret gets a keyed fingerprint of what was asked for and of
        the version that fulfils it, in the custom metadata C(dcm_fingerprint).
      - On OpenBao, secrets whose fingerprints are right are not read any more, and an unchanged run is one request for
        each folder. HashiCorp Vault does not list metadata, so there each secret is read as without it.
      - A new key only means that each secret is read and marked anew.
    type: str
  workers:
    description: How many requests run at a time.
    type: int
    default: 24
attributes:
  check_mode:
    support: full
    description: Reads, predicts the changes and the versions, and writes nothing.
  diff_mode:
    support: full
    description: Shows which keys come, change and go, without their values.
extends_documentation_fragment:
  - dcm.platform.vault
seealso:
  - plugin: dcm.platform.vault_secret
    plugin_type: lookup
"""

EXAMPLES = r"""
- name: Give every service its password, once
  dcm.platform.vault_secret:
    url: https://vault.example.com:8200
    token: "{{ platform_token }}"
    secrets:
      - path: dcm/guilds/ember
        generate:
          app_password: {length: 40}
      - path: dcm/platform/grafana
        data: {admin_user: admin}
        generate:
          admin_password: {}

- name: Store values that come from elsewhere, and keep the other keys of the secret
  dcm.platform.vault_secret:
    secrets:
      - path: dcm/platform/object-store
        data:
          access_key: "{{ spaces_access_key }}"
          secret_key: "{{ spaces_secret_key }}"
        replace: false

- name: Keep what must never be replaced, whatever a later run says
  dcm.platform.vault_secret:
    secrets:
      - path: dcm/clusters/production/talos
        data: "{{ talos_secrets }}"
        overwrite: false

- name: Remove one secret so that it can be undeleted, and another one for good
  dcm.platform.vault_secret:
    auth_method: approle
    role_id: "{{ platform_role_id }}"
    secret_id: "{{ platform_secret_id }}"
    secrets:
      - {path: dcm/guilds/ash, state: absent}
      - {path: dcm/guilds/cinder, state: destroyed}
"""

RETURN = r"""
secrets:
  description: The secrets in the order of the option. In check mode, as they would be.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: Path below the mount, without slashes at its ends.
      type: str
      sample: dcm/guilds/ember
    mount:
      description: The mount.
      type: str
      sample: secret
    state:
      description: The state that was asked for.
      type: str
      sample: present
    version:
      description: Number of the latest version, V(0) if there is none.
      type: int
      sample: 1
    keys:
      description: The names of the keys, sorted. Empty unless O(secrets[].state=present).
      type: list
      elements: str
      sample: [app_password]
    changed:
      description: Whether this secret was changed.
      type: bool
      sample: true
counts:
  description:
    - How many secrets were C(created), C(updated), C(deleted), C(destroyed), C(undeleted) and left C(unchanged).
  returned: success
  type: dict
  sample: {created: 2, updated: 0, deleted: 0, destroyed: 0, undeleted: 0, unchanged: 0}
applied:
  description: The changes that were made before the failure.
  returned: failure after the first write
  type: list
  elements: dict
  sample: [{action: create, kind: secret, name: dcm/guilds/ember}]
failed_changes:
  description: The changes that failed, each with its C(reason).
  returned: failure after the first write
  type: list
  elements: dict
not_tried:
  description: The changes that were not tried any more.
  returned: failure after the first write
  type: list
  elements: dict
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.arguments import Arguments
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError, RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import CRYPTOGRAPHY, HVAC, require
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import reconcile
from ansible_collections.dcm.platform.plugins.module_utils.vault.arguments import VAULT_ARGUMENTS, take
from ansible_collections.dcm.platform.plugins.module_utils.vault.client import connect
from ansible_collections.dcm.platform.plugins.module_utils.vault.key_value import open_mount
from ansible_collections.dcm.platform.plugins.module_utils.vault.plan import Fingerprints, Wanted, wanted_secrets
from ansible_collections.dcm.platform.plugins.module_utils.vault.secret import Prune, SecretReconciler

SECRET = {
    "path": {"type": "str", "required": True},
    "state": {"type": "str", "choices": ["present", "absent", "destroyed", "undeleted"], "default": "present"},
    # raw, not dict: of a dictionary written as text, Ansible would mask the text only, and print the parsed values
    "data": {"type": "raw", "no_log": True},
    "generate": {"type": "dict"},
    "replace": {"type": "bool", "default": True},
    "overwrite": {"type": "bool", "default": True},
    "metadata": {
        "type": "dict",
        "options": {
            "max_versions": {"type": "int"},
            "delete_version_after": {"type": "str"},
            "cas_required": {"type": "bool"},
            "custom_metadata": {"type": "dict"},
        },
    },
}
SHORTEST_KEY = 16  # characters: whoever sees the fingerprints must not be able to guess it
ARGUMENTS = Arguments(
    {
        "mount": {"type": "str", "default": "secret"},
        "secrets": {"type": "list", "elements": "dict", "required": True, "no_log": False, "options": SECRET},
        "owner": {"type": "str"},
        "prune": {"type": "str"},
        "fingerprint_key": {"type": "str", "no_log": True},
        "workers": {"type": "int", "default": 24},
    },
    required_by={"prune": ("owner",)},
)


def make(module: AnsibleModule, secrets: list[dict[str, Any]]) -> SecretReconciler:
    """The reconciler for the module's options, connected."""
    options = module.params
    if 0 < len(options["fingerprint_key"] or "") < SHORTEST_KEY:
        raise InputError(f"fingerprint_key must have at least {SHORTEST_KEY} characters.")
    wanted = wanted_secrets(secrets, options["owner"])
    if any(recipe.type != "random" for secret in wanted for recipe in secret.generate.values()):
        require(CRYPTOGRAPHY)
    store = open_mount(connect(options, connections=options["workers"]), options["mount"])
    if store.version == 1:
        refuse_on_version_1(options, wanted)
    return SecretReconciler(
        store,
        wanted,
        options["workers"],
        fingerprints=Fingerprints(options["fingerprint_key"]) if options["fingerprint_key"] else None,
        prune=None if options["prune"] is None else Prune(options["prune"].strip("/"), options["owner"]),
    )


def refuse_on_version_1(options: dict[str, Any], wanted: list[Wanted]) -> None:
    """Raise :class:`RefusedError` for what an engine without versions and metadata cannot do."""
    asked = [name for name in ("owner", "prune", "fingerprint_key") if options[name]]
    asked += [f"metadata of {secret.path}" for secret in wanted if secret.metadata or secret.custom]
    asked += [f"state undeleted of {secret.path}" for secret in wanted if secret.state == "undeleted"]
    if asked:
        raise RefusedError(
            f"The mount {options['mount']} is a key-value engine of version 1, which knows no {asked[0]}.",
            hint="Upgrade it to version 2, or give another mount.",
        )


def main() -> None:
    # no_log: AnsibleModule writes its options to the system log, and its masking misses values with line breaks there.
    module = AnsibleModule(**(VAULT_ARGUMENTS | ARGUMENTS).for_module(), supports_check_mode=True, no_log=True)
    secrets = take(module, "secrets", "data")
    reconcile(module, lambda: make(module, secrets), libraries=(HVAC,))


if __name__ == "__main__":
    main()
