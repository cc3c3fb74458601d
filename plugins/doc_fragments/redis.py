# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation that everything about Redis shares."""

from __future__ import annotations


class ModuleDocFragment:
    """The options to connect."""

    DOCUMENTATION = r"""
options:
  login_host:
    description:
      - Name or address of the server. Of a cluster, any node; it tells the addresses of the others, which must be
        reachable from here, too.
      - If not set, the environment variable E(REDIS_HOST) is used.
    type: str
    default: localhost
  login_port:
    description:
      - Port of the server.
      - If not set, the environment variable E(REDIS_PORT) is used.
    type: int
    default: 6379
  login_user:
    description:
      - The administrator to log in as, the same on every node.
      - If not set, the environment variable E(REDIS_USER) is used, then the user C(default).
    type: str
  login_password:
    description:
      - Its password.
      - If not set, the environment variable E(REDISCLI_AUTH) is used.
    type: str
  tls:
    description: Whether the connection is encrypted.
    type: bool
    default: true
  validate_certs:
    description: Whether the server's certificate is checked. Only V(true) makes sure that the server is the right one.
    type: bool
    default: true
  ca_certs:
    description:
      - Path of a PEM file with the certificate authorities to trust.
      - If not set, those of the system are trusted.
    type: path
  timeout:
    description: Seconds to wait for a connection, and for the answer to a command.
    type: int
    default: 30
requirements:
  - redis >= 5.0 (pip package redis)
"""
