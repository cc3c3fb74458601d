# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Attacks with one guild's token on another guild's secrets in OpenBao or Vault, and their outcome. Data only.

No request does harm where it succeeds: a write names a version that cannot be the latest, or holds what the server
refuses after it has looked at the token's policies. An attack is denied with HTTP 403; every other answer, 404 among
them, means that it was allowed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Outcome = Literal["allow", "deny"]

NEVER_THE_LATEST = {"data": {}, "options": {"cas": 2**31 - 1}}


@dataclass(frozen=True)
class Attack:
    """One request. In ``path`` ``{own}`` and ``{other}`` stand for the two guilds' ids, ``{mount}`` and ``{path}`` for
    where the secrets of guilds lie, and ``{secret}`` for the name of one that every guild has."""

    row: str
    method: str
    path: str
    expected: Outcome = "deny"
    body: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The attack for a person."""
        return f"{self.method.upper()} {self.path}"


ATTACKS: tuple[Attack, ...] = (
    Attack("V1", "get", "{mount}/data/{path}/{other}/{secret}"),
    Attack("V1", "get", "{mount}/subkeys/{path}/{other}/{secret}"),
    Attack("V1", "get", "{mount}/metadata/{path}/{other}/{secret}"),
    Attack("V1", "list", "{mount}/metadata/{path}/{other}"),
    Attack("V1", "list", "{mount}/metadata/{path}"),
    Attack("V1", "scan", "{mount}/metadata/{path}"),
    Attack("V1", "list", "{mount}/detailed-metadata/{path}"),
    Attack("V1", "get", "{mount}/config"),
    # Another guild's id may begin like one's own.
    Attack("V1", "get", "{mount}/data/{path}/{own}0/{secret}"),
    Attack("V2", "post", "{mount}/data/{path}/{other}/{secret}", body=NEVER_THE_LATEST),
    Attack("V2", "post", "{mount}/data/{path}/{other}/dcm-check", body=NEVER_THE_LATEST),
    Attack("V2", "delete", "{mount}/data/{path}/{other}/dcm-check"),
    Attack("V2", "delete", "{mount}/metadata/{path}/{other}/dcm-check"),
    Attack("V2", "post", "{mount}/destroy/{path}/{other}/dcm-check", body={"versions": []}),
    Attack("V2", "post", "{mount}/data/{path}/{own}/{secret}", body=NEVER_THE_LATEST),
    Attack("V2", "delete", "{mount}/metadata/{path}/{own}/dcm-check"),
    Attack("V3", "list", "sys/policies/acl"),
    Attack("V3", "get", "sys/policies/acl/{other_policy}"),
    Attack("V3", "post", "sys/policies/acl/{own_policy}", body={"policy": "no policy {"}),
    Attack("V3", "get", "sys/mounts"),
    Attack("V3", "get", "sys/auth"),
    Attack("V3", "get", "sys/audit"),
    Attack("V3", "list", "auth/token/accessors"),
    Attack("V3", "post", "auth/token/create", body={"policies": ["{other_policy}"], "ttl": "1s"}),
    Attack("V3", "post", "sys/mounts/{mount}/tune", body={"default_lease_ttl": "no time"}),
    Attack("V4", "get", "{mount}/data/{path}/{own}/{secret}", expected="allow"),
    Attack("V4", "get", "auth/token/lookup-self", expected="allow"),
)
