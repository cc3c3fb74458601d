# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Documentation that everything about PostgreSQL shares."""

from __future__ import annotations


class ModuleDocFragment:
    """The options to connect."""

    DOCUMENTATION = r"""
options:
  login_host:
    description:
      - Name or address of the server, or the directory of its socket.
      - If not set, the environment variable E(PGHOST) is used.
    type: str
    default: localhost
  login_port:
    description:
      - Port of the server.
      - If not set, the environment variable E(PGPORT) is used.
    type: int
    default: 5432
  login_user:
    description:
      - The administrator to log in as. A superuser can do everything.
      - On a managed server it is the owner of the database, with C(CREATEROLE), and always the same one, since a role
        is administered by who created it.
      - If not set, the environment variable E(PGUSER) is used.
    type: str
    default: postgres
  login_password:
    description:
      - Its password.
      - If not set, the environment variable E(PGPASSWORD) is used, then the file C(~/.pgpass).
    type: str
  login_db:
    description:
      - The database.
      - Must be given, here or in the environment variable E(PGDATABASE).
    type: str
    required: true
  ssl_mode:
    description:
      - Whether the connection is encrypted, and what of the server's certificate is checked, as in libpq.
      - Only V(verify-full) makes sure that the server is the right one.
      - If not set, the environment variable E(PGSSLMODE) is used.
    type: str
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
    default: prefer
  ca_cert:
    description:
      - Path of a PEM file with the certificate authorities to trust.
      - If not set, the environment variable E(PGSSLROOTCERT) is used, then the file C(~/.postgresql/root.crt).
    type: path
  connect_timeout:
    description:
      - Seconds to wait for a connection.
      - If not set, the environment variable E(PGCONNECT_TIMEOUT) is used.
    type: int
    default: 10
requirements:
  - psycopg2 >= 2.9 (pip package psycopg2-binary)
"""
