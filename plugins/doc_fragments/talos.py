# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation of the options that the modules of the Talos API share."""

from __future__ import annotations


class ModuleDocFragment:
    """``dcm.platform.talos`` is the connection; ``.node`` and ``.control_planes`` say where it goes to."""

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

    SOURCE = r"""
options:
  node:
    description:
      - A control plane to ask, as C(host), C(host:port) or C([IPv6]:port). The port is 50000 if none is given.
      - Without it the credentials are made offline from O(secrets), which must be set then.
    type: str
  name:
    description:
      - What the node is called in messages, such as its name in the inventory. By default O(node).
    type: str
"""

    KEPT = r"""
options:
  path:
    description:
      - The file to keep it in, with mode C(0600). Its directory must exist. Without it the content is returned.
      - What else is in the file, such as other clusters and which of them is the current one, stays as it is, except
        comments. A file that holds something else is refused.
    type: path
  overwrite:
    description:
      - Whether an entry of the same name may be replaced if it is of another cluster. Also needed after the authority
        of the cluster was rotated.
    type: bool
    default: false
  lifetime:
    description: For how many days a new certificate is good. The default is that of Talos.
    type: int
    default: 365
  renew_before:
    description:
      - How many days before the end of its certificate it is replaced. Until then nothing changes, unless something
        else is asked for. The default is this collection's.
    type: int
    default: 30
"""

    CONTROL_PLANES = r"""
options:
  control_planes:
    description:
      - All control planes of the cluster, as a mapping of names to addresses. The names are for messages and results,
        the addresses are C(host), C(host:port) or C([IPv6]:port).
    type: dict
    required: true
"""

    DRAIN = r"""
options:
  kubeconfig:
    description:
      - With the kubeconfig of the cluster, as the path of its file, as its YAML text or as a mapping, the node is
        cordoned and drained before it goes down, as disruption budgets allow, and uncordoned when it is ready again.
        Without one, its pods die with it.
      - Pods of DaemonSets and of the node's own files stay. All others are evicted, also those that nothing makes anew.
      - A cordon that somebody else has set stays. One that an interrupted run has left is found and undone.
      - If it is not set, the environment variable E(K8S_AUTH_KUBECONFIG) is used, which holds the path.
      - Needs the Python library C(kubernetes), 28.1.0 or newer.
    type: raw
  drain_timeout:
    description: How long to wait for the pods to be gone, in seconds. The node stays up and cordoned if they are not.
    type: int
    default: 600
  power_cycle:
    description:
      - Whether the node boots through its firmware. By default the new kernel is started straight from the old one, as
        Talos does it by itself.
    type: bool
    default: false
"""
