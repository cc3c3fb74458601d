# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The etcd clusters of the simulated machines: who is a member of which one, and what a snapshot holds."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any

PAGE = 4096
DATABASE_PAGES = 16
PEER_PORT, CLIENT_PORT = 2380, 2379


@dataclass
class Member:
    """``machine`` is the simulator's name of the machine, ``hostname`` the name that etcd shows."""

    id: int
    machine: str
    hostname: str
    address: str
    learner: bool

    @property
    def peer_urls(self) -> list[str]:
        return [f"https://{self.address}:{PEER_PORT}"]

    @property
    def client_urls(self) -> list[str]:
        return [f"https://{self.address}:{CLIENT_PORT}"]


@dataclass
class EtcdCluster:
    """One etcd cluster. ``authority`` is the certificate that its members trust; ``revision`` stands for its data."""

    id: str
    authority: str
    members: dict[int, Member] = field(default_factory=dict)
    term: int = 2
    revision: int = 1
    leader: int = 0

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> EtcdCluster:
        """The opposite of :meth:`state`."""
        members = {int(key): Member(**member) for key, member in state.pop("members").items()}
        return cls(**state, members=members)

    def state(self) -> dict[str, Any]:
        return asdict(self)

    def add(self, machine: str, hostname: str, address: str, *, learner: bool) -> Member:
        member = Member(secrets.randbits(63) | 1, machine, hostname, address, learner)
        self.members[member.id] = member
        self.revision += 1
        return member

    def remove(self, member_id: int) -> None:
        del self.members[member_id]
        self.revision += 1
        if self.leader == member_id:
            self.leader = 0

    @property
    def takes_learner(self) -> bool:
        """One machine joins at a time."""
        return not any(member.learner for member in self.members.values())

    def voters(self) -> list[int]:
        return [member.id for member in self.members.values() if not member.learner]

    def has_quorum(self, running: Collection[int]) -> bool:
        voters = self.voters()
        return len(set(voters) & set(running)) > len(voters) // 2

    def why_not_removed(self, member_id: int, running: Collection[int]) -> str:
        """What etcd says when the others would have no quorum without the member; empty when it lets the member go."""
        voters = self.voters()
        if member_id not in voters:
            return ""
        if len(voters) == 1:
            return "etcdserver: re-configuration failed due to not enough started members"
        staying = set(voters) - {member_id}
        if member_id in running and len(staying & set(running)) <= len(staying) // 2:
            return "etcdserver: unhealthy cluster"
        return ""

    def elect(self, running: Collection[int]) -> int:
        """The leader's id, 0 without quorum; a new one is elected when the last one does not run."""
        if not self.has_quorum(running):
            return 0
        if self.leader not in running or self.leader not in self.voters():
            self.leader = next(voter for voter in self.voters() if voter in running)
            self.term += 1
        return self.leader

    def pages(self) -> bytes:
        """The database, in whole pages."""
        content = json.dumps({"cluster": self.id, "revision": self.revision}).encode()
        return content.ljust(DATABASE_PAGES * PAGE, b"\0")

    def snapshot(self) -> bytes:
        """The database, then the SHA-256 of it, as etcd writes snapshots."""
        pages = self.pages()
        return pages + hashlib.sha256(pages).digest()


def read_snapshot(data: bytes, *, check_hash: bool) -> int:
    """The revision that a snapshot holds; raises ``ValueError`` for anything that is not a whole snapshot."""
    pages, digest = data[: len(data) // PAGE * PAGE], data[len(data) // PAGE * PAGE :]
    if check_hash and hashlib.sha256(pages).digest() != digest:
        raise ValueError("snapshot missing hash or hash mismatch")
    return int(json.loads(pages.rstrip(b"\0"))["revision"])
