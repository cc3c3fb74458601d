# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation that everything about OpenBao and Vault shares."""

from __future__ import annotations


class ModuleDocFragment:
    """``vault``: the options to connect; ``vault.plugins``: where else a lookup finds them."""

    DOCUMENTATION = r"""
options:
  url:
    description:
      - Address of the OpenBao or Vault server, for example V(https://vault.example.com:8200).
      - Of a cluster, any server will do. Where a standby answers reads itself (OpenBao since 2.5), a module that wrote
        through it returns once that standby shows it (OpenBao since 2.7, which numbers its writes).
      - Must be given, here or in the environment variable E(ANSIBLE_HASHI_VAULT_ADDR) or else E(VAULT_ADDR).
    type: str
  auth_method:
    description:
      - How to log in. There is one login a call.
      - Can be set in the environment variable E(ANSIBLE_HASHI_VAULT_AUTH_METHOD).
    type: str
    choices: [token, approle, userpass, kubernetes, jwt, cert]
    default: token
  token:
    description:
      - The token, for O(auth_method=token).
      - If not set, the environment variable E(ANSIBLE_HASHI_VAULT_TOKEN) or else E(VAULT_TOKEN) is used.
    type: str
  role_id:
    description:
      - The role, for O(auth_method=approle), O(auth_method=kubernetes), O(auth_method=jwt), and if wanted for
        O(auth_method=cert).
      - If not set, the environment variable E(ANSIBLE_HASHI_VAULT_ROLE_ID) is used.
    type: str
  secret_id:
    description:
      - The secret of the role, for O(auth_method=approle), unless the role needs none.
      - If not set, the environment variable E(ANSIBLE_HASHI_VAULT_SECRET_ID) is used.
    type: str
  username:
    description:
      - The user, for O(auth_method=userpass).
      - If not set, the environment variable E(ANSIBLE_HASHI_VAULT_USERNAME) is used.
    type: str
  password:
    description:
      - The user's password, for O(auth_method=userpass).
      - If not set, the environment variable E(ANSIBLE_HASHI_VAULT_PASSWORD) is used.
    type: str
  jwt:
    description:
      - The signed token, for O(auth_method=jwt) and, as that of a service account, for O(auth_method=kubernetes).
      - If not set, the environment variable E(ANSIBLE_HASHI_VAULT_JWT) is used.
    type: str
  cert_auth_public_key:
    description:
      - Path of a PEM file with the client's certificate, for O(auth_method=cert).
      - If not set, the environment variable E(ANSIBLE_HASHI_VAULT_CERT_AUTH_PUBLIC_KEY) is used.
    type: path
  cert_auth_private_key:
    description:
      - Path of a PEM file with the certificate's key, for O(auth_method=cert).
      - If not set, the environment variable E(ANSIBLE_HASHI_VAULT_CERT_AUTH_PRIVATE_KEY) is used.
    type: path
  mount_point:
    description:
      - Where O(auth_method) is mounted, without C(auth/). If not set, below its own name.
      - Can be set in the environment variable E(ANSIBLE_HASHI_VAULT_MOUNT_POINT).
    type: str
  namespace:
    description:
      - The namespace in which to log in and to find the mount; the root namespace if not set.
      - If not set, the environment variable E(ANSIBLE_HASHI_VAULT_NAMESPACE) or else E(VAULT_NAMESPACE) is used.
    type: str
  ca_cert:
    description:
      - Path of a PEM file with the certificate authorities to trust instead of the system's.
      - If not set, the environment variable E(ANSIBLE_HASHI_VAULT_CA_CERT) or else E(VAULT_CACERT) is used.
    type: path
    aliases: [cacert]
  validate_certs:
    description:
      - Whether the server's certificate must be valid.
      - If not set, it must, unless the environment variable E(VAULT_SKIP_VERIFY) is true.
    type: bool
  proxies:
    description:
      - The proxy for all requests as a URL, or a dictionary of scheme (V(http), V(https)) to URL.
      - If not set, the environment variable E(ANSIBLE_HASHI_VAULT_PROXIES) is used, then the usual ones
        (E(HTTPS_PROXY), E(NO_PROXY) and so on).
    type: raw
  timeout:
    description:
      - Seconds to wait for a connection, and for an answer, in each request.
      - Can be set in the environment variable E(ANSIBLE_HASHI_VAULT_TIMEOUT).
    type: int
    default: 30
  retries:
    description:
      - How often a request is repeated that met no server, or a server that was busy (HTTP 412, 429, 5xx).
      - Pauses grow from a quarter of a second; a C(Retry-After) of the server is honoured up to a minute.
      - Can be set in the environment variable E(ANSIBLE_HASHI_VAULT_RETRIES).
    type: int
    default: 3
requirements:
  - hvac >= 2.0.0
"""

    # The last variable that is set counts.
    PLUGINS = r"""
options:
  url:
    env:
      - name: VAULT_ADDR
      - name: ANSIBLE_HASHI_VAULT_ADDR
  auth_method:
    env:
      - name: ANSIBLE_HASHI_VAULT_AUTH_METHOD
  token:
    env:
      - name: VAULT_TOKEN
      - name: ANSIBLE_HASHI_VAULT_TOKEN
  role_id:
    env:
      - name: ANSIBLE_HASHI_VAULT_ROLE_ID
  secret_id:
    env:
      - name: ANSIBLE_HASHI_VAULT_SECRET_ID
  username:
    env:
      - name: ANSIBLE_HASHI_VAULT_USERNAME
  password:
    env:
      - name: ANSIBLE_HASHI_VAULT_PASSWORD
  jwt:
    env:
      - name: ANSIBLE_HASHI_VAULT_JWT
  cert_auth_public_key:
    env:
      - name: ANSIBLE_HASHI_VAULT_CERT_AUTH_PUBLIC_KEY
  cert_auth_private_key:
    env:
      - name: ANSIBLE_HASHI_VAULT_CERT_AUTH_PRIVATE_KEY
  mount_point:
    env:
      - name: ANSIBLE_HASHI_VAULT_MOUNT_POINT
  namespace:
    env:
      - name: VAULT_NAMESPACE
      - name: ANSIBLE_HASHI_VAULT_NAMESPACE
  ca_cert:
    env:
      - name: VAULT_CACERT
      - name: ANSIBLE_HASHI_VAULT_CA_CERT
  proxies:
    env:
      - name: ANSIBLE_HASHI_VAULT_PROXIES
  timeout:
    env:
      - name: ANSIBLE_HASHI_VAULT_TIMEOUT
  retries:
    env:
      - name: ANSIBLE_HASHI_VAULT_RETRIES
"""
