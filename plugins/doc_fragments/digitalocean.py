# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation that everything about DigitalOcean shares."""

from __future__ import annotations


class ModuleDocFragment:
    """``digitalocean``: connection and waits; ``digitalocean.owner``: whose an object is."""

    DOCUMENTATION = r"""
options:
  api_token:
    description:
      - The token of the account.
      - If not set, the environment variable E(DIGITALOCEAN_TOKEN), E(DIGITALOCEAN_ACCESS_TOKEN) or E(DO_API_TOKEN) is
        used. One of them must be there.
    type: str
  api_url:
    description:
      - Address of the API, without a path.
      - Can be set in the environment variable E(DIGITALOCEAN_API_URL).
    type: str
    default: https://api.digitalocean.com
  ca_cert:
    description:
      - Path of a PEM file with the certificate authorities to trust instead of the usual ones.
      - Can be set in the environment variable E(DIGITALOCEAN_CA_CERT).
    type: path
  timeout:
    description: Seconds to wait for a connection, and for each answer.
    type: int
    default: 30
  retries:
    description:
      - How often a request is repeated when the API is busy or away (HTTP 429, 5xx, a lost connection).
      - The pauses that the API asks for are kept. What makes an object is repeated only after a look that found none.
    type: int
    default: 9
  workers:
    description: How many requests run at a time.
    type: int
    default: 8
  wait:
    description:
      - Whether to wait until what was made is ready and what was deleted is gone.
      - A change that needs the one before it to be finished always waits for that.
    type: bool
    default: true
  wait_timeout:
    description: Seconds for each of these waits.
    type: int
    default: 1800
requirements:
  - requests >= 2.31
"""

    OWNER = r"""
options:
  owner:
    description:
      - The environment that the objects belong to, such as V(production).
      - What can carry tags is tagged C(dcm:<owner>), a description ends with that word, and the name of anything else
        must begin with C(<owner>-), in lower case and with dashes.
      - With it, nothing that belongs to somebody else is deleted or replaced.
    type: str
  purge:
    description:
      - Whether objects of this type are removed that carry the owner's mark and are not in the list. Needs O(owner).
    type: bool
    default: false
"""
