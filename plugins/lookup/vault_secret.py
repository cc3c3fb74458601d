# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Secrets of OpenBao or Vault as data in a play."""
# ruff: noqa: E402 - the documentation stands before the imports, as in modules

from __future__ import annotations

DOCUMENTATION = r"""
---
name: vault_secret
short_description: Read secrets from OpenBao or Vault
version_added: "0.1.0"
description:
  - Reads the latest version of secrets of a key-value engine, concurrently over one login.
  - It reads whenever it is evaluated and remembers nothing, so that it sees what an earlier task wrote. A variable that
    holds this lookup is evaluated at each use; pass many paths to one lookup rather than one path to many.
author:
  - The dcm.platform authors (@dcm-platform)
options:
  _terms:
    description: Paths of the secrets below the mount.
    type: list
    elements: str
    required: true
  mount:
    description: Where the key-value engine is mounted.
    type: str
    default: secret
  missing:
    description:
      - What to do about a secret that does not exist or is deleted.
      - With V(error), fail and name all that are missing.
      - With V(empty), return an empty dictionary for it.
    type: str
    choices: [error, empty]
    default: error
  workers:
    description: How many requests run at a time.
    type: int
    default: 8
notes:
  - What is returned is secret. Use it in options that are themselves kept out of the output, or set C(no_log) on the
    task.
  - As with every lookup, C(lookup) returns the dictionary itself for one path and a list for several, and C(query)
    always returns a list.
extends_documentation_fragment:
  - dcm.platform.vault
  - dcm.platform.vault.plugins
seealso:
  - plugin: dcm.platform.vault_secret
    plugin_type: module
"""

EXAMPLES = r"""
- name: Use one key of a secret
  ansible.builtin.uri:
    url: https://grafana.example.com/api/health
    url_username: admin
    url_password: "{{ lookup('dcm.platform.vault_secret', 'dcm/platform/grafana').admin_password }}"
    force_basic_auth: true

- name: Read the secrets of all guilds at once, from a server that the environment does not name
  ansible.builtin.set_fact:
    guild_secrets: "{{ dict(guild_ids | zip(found)) }}"
  vars:
    paths: "{{ guild_ids | map('regex_replace', '^', 'dcm/guilds/') | list }}"
    found: "{{ query('dcm.platform.vault_secret', *paths, url='https://vault.example.com:8200', missing='empty') }}"
  no_log: true
"""

RETURN = r"""
_raw:
  description: The keys and values of each secret, in the order of the paths.
  type: list
  elements: dict
"""

from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import map_concurrently
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import NotFoundError, PlatformError
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import HVAC, require
from ansible_collections.dcm.platform.plugins.module_utils.engine.redaction import Redactor
from ansible_collections.dcm.platform.plugins.module_utils.vault.client import connect
from ansible_collections.dcm.platform.plugins.module_utils.vault.key_value import open_mount

NAMED = 10  # missing secrets listed in the error


class LookupModule(LookupBase):
    """See the documentation above."""

    def run(self, terms: list[Any], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        """Raises ``AnsibleLookupError`` with one clear sentence, without values."""
        self.set_options(var_options=variables, direct=kwargs)
        options = self.get_options()
        redactor = Redactor(filter(None, (options["token"], options["secret_id"], options["password"], options["jwt"])))
        try:
            return _read([str(term) for term in self._flatten(terms)], options)
        except PlatformError as error:
            raise AnsibleLookupError(redactor.text(str(error))) from None


def _read(paths: list[str], options: dict[str, Any]) -> list[dict[str, Any]]:
    if not paths:
        return []
    require(HVAC)
    store = open_mount(connect(options, connections=options["workers"]), options["mount"])
    found = map_concurrently(store.read, paths, options["workers"])
    missing = [path for path, stored in zip(paths, found, strict=True) if stored.data is None]
    if missing and options["missing"] == "error":
        named = ", ".join(missing[:NAMED]) + (f" and {len(missing) - NAMED} more" if len(missing) > NAMED else "")
        raise NotFoundError(
            f"{len(missing)} of {len(paths)} secrets do not exist, or are deleted, in {store.mount}/: {named}.",
            hint="Write them first, or pass missing='empty'.",
        )
    return [dict(stored.data or {}) for stored in found]
