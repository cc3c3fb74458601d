# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the options that the modules of the Talos API share."""

from __future__ import annotations


class ModuleDocFragment:
    """``dcm.platform.talos`` is the connection, ``dcm.platform.talos.node`` the node it goes to."""

    DOCUMENTATION = r"""
options:
  secrets:
    description:
      - The secrets bundle of the cluster, as M(dcm.platform.talos_secrets) returns it or C(secrets.yaml) holds it; a
        mapping or its YAML text.
      - From its OS authority an administrator's certificate that lives for one hour is made in memory for each call.
      - Comes before O(key) and O(talosconfig).
    type: raw
  ca:
    description:
      - The OS authority of the cluster, as PEM or as base64 of PEM; several certificates while it is rotated.
    type: str
  crt:
    description:
      - The client certificate, as PEM or as base64 of PEM. The modules need the role C(os:admin).
    type: str
  key:
    description:
      - The private key of O(crt), as PEM or as base64 of PEM. Comes before O(talosconfig).
    type: str
  talosconfig:
    description:
      - A talosconfig, as the path of its file, as its YAML text or as a mapping.
      - If it is not set, the environment variable E(TALOSCONFIG) is used, which holds the path.
      - One of O(secrets), O(key) and O(talosconfig) is needed.
    type: raw
  context:
    description:
      - The context of O(talosconfig) to use. By default the one that it names itself.
      - Its endpoints and nodes are not used; every module says which node it talks to.
    type: str
  tls_server_name:
    description:
      - The name to check the certificate of a node against, instead of the address that is dialled. For nodes behind
        address translation.
    type: str
  connect_timeout:
    description:
      - How long to keep trying a node that does not answer, in seconds, before it is reported as not reachable. A node
        that just reboots needs a minute or more.
    type: int
    default: 30
requirements:
  - "cryptography >= 41.0"
  - "grpclib >= 0.4.7"
  - "protobuf >= 4.25"
  - "PyYAML >= 6.0"
notes:
  - The API is asked directly, over mutual TLS; C(talosctl) is not needed.
  - Certificates are always verified against the OS authority of the cluster. Only a node in maintenance mode, which has
    no configuration yet and nothing to prove itself by, is talked to without that.
"""

    NODE = r"""
options:
  node:
    description:
      - The node to talk to, as C(host), C(host:port) or C([IPv6]:port). The port is 50000 if none is given.
    type: str
    required: true
  name:
    description:
      - What the node is called in messages and results, such as its name in the inventory. By default O(node).
    type: str
"""
