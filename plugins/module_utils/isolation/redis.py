# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Attacks of one guild's login on another guild in Redis, and their outcome. Data only.

``naive`` is a user as it is usually made, every command on the keys of its prefix; ``model`` is what ``redis_guild``
makes. No command does harm where it succeeds: what would, has an argument that the server refuses after it has looked
at the user's rights. An attack is denied when the server refuses any of its commands for want of rights (``NOPERM``,
``NOAUTH``, ``WRONGPASS``), or lets nobody use one; every other answer means that it was allowed, ``MOVED`` among them.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from ansible_collections.dcm.platform.plugins.module_utils.guild import PREFIX, guild_key_prefix, guild_names

Outcome = Literal["deny", "allow"]
Words = tuple[str, ...]

# In the errors of commands that nobody may use, in small letters.
FOR_NOBODY = ("unknown command", "command not allowed")

# What runs the attacks puts a text with this key's name in <other>, looks for it in all answers, and removes it and
# whatever an attack may have written: everything below these marks, which are never a guild's own data.
MARK = "dcm-check:"
CANARY = "canary"


@dataclass(frozen=True)
class Attack:
    """``commands`` run in order on one fresh connection.

    In them ``<own>`` and ``<other>`` stand for the two guilds' keys under the mark, ``<own_user>`` and
    ``<other_user>`` for their users, and ``<own_tag>`` for the attacker's hash tag. ``since`` is the first version of
    Redis that knows the command. ``naive`` None: it depends on the version.
    """

    row: str
    commands: tuple[str, ...]
    model: Outcome
    naive: Outcome | None
    since: tuple[int, int] = (6, 2)
    cluster_only: bool = False

    @property
    def name(self) -> str:
        """The row and the commands, for a person."""
        return f"{self.row} {'; '.join(self.commands)}"

    def words(self, own: object, other: object, prefix: str = PREFIX) -> tuple[Words, ...]:
        """The commands of the guild ``own`` against the guild ``other``, each as its words."""
        values = {
            "<own>": f"{guild_key_prefix(own, prefix)}{MARK}",
            "<other>": f"{guild_key_prefix(other, prefix)}{MARK}",
            "<own_user>": guild_names(own, prefix).schema,
            "<other_user>": guild_names(other, prefix).schema,
            "<own_tag>": guild_key_prefix(own, prefix).rstrip(":"),
        }
        return tuple(tuple(_filled(word, values) for word in shlex.split(command)) for command in self.commands)


def _filled(word: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        word = word.replace(name, value)
    return word


def _attacks(
    row: str,
    commands: Iterable[str | Sequence[str]],
    *,
    model: Outcome = "deny",
    naive: Outcome | None,
    since: tuple[int, int] = (6, 2),
    cluster_only: bool = False,
) -> list[Attack]:
    """An attack for each command, or for each sequence of commands."""
    steps = [(one,) if isinstance(one, str) else tuple(one) for one in commands]
    return [Attack(row, step, model, naive, since, cluster_only) for step in steps]


READS = (
    "GET <other>canary",
    "STRLEN <other>canary",
    "GETRANGE <other>canary 0 -1",
    "MGET <own>a <other>canary",
    "EXISTS <other>canary",
    "TYPE <other>canary",
    "TTL <other>canary",
    "TOUCH <other>canary",
    "DUMP <other>canary",
    "OBJECT ENCODING <other>canary",
    "BITCOUNT <other>canary",
    "HGETALL <other>canary",
    "LRANGE <other>canary 0 -1",
    "SMEMBERS <other>canary",
    "SSCAN <other>canary 0",
    "ZRANGE <other>canary 0 -1",
    "XRANGE <other>canary - +",
    "XREAD COUNT 1 STREAMS <own>stream <other>canary 0 0",
    "XINFO STREAM <other>canary",
    "GEOPOS <other>canary x",
    "PFCOUNT <other>canary",
    "WATCH <other>canary",
)
WRITES = (
    "SET <other>new x",
    "APPEND <other>new x",
    "SETRANGE <other>new 0 x",
    "INCR <other>new",
    "MSET <own>a 1 <other>new 1",
    "GETDEL <other>new",
    "GETEX <other>new PERSIST",
    "DEL <other>new",
    "UNLINK <other>new",
    "EXPIRE <other>new 1000",
    "PERSIST <other>new",
    "HSET <other>new f x",
    "LPUSH <other>new x",
    "SADD <other>new x",
    "ZADD <other>new 1 x",
    "XADD <other>new * f x",
    "XGROUP CREATE <other>new g $ MKSTREAM",
    "PFADD <other>new x",
    "SETBIT <other>new 0 1",
    "GEOADD <other>new 1 1 x",
    "BLPOP <own>a <other>new 1",
)
MOVES = (
    "COPY <other>canary <own>a",
    "COPY <own>a <other>new",
    "RENAME <own>a <other>new",
    "RENAME <other>new <own>a",
    "LMOVE <other>new <own>list LEFT LEFT",
    "RPOPLPUSH <own>list <other>new",
    "SMOVE <other>new <own>set x",
    "SUNIONSTORE <own>set <other>new",
    "ZUNIONSTORE <own>sorted 1 <other>new",
    "ZRANGESTORE <other>new <own>sorted 0 -1",
    "BITOP OR <own>bits <other>canary",
    "PFMERGE <own>log <other>new",
    "GEORADIUS <own>geo 0 0 1 m STORE <other>new",
    "GEOSEARCHSTORE <other>new <own>geo FROMLONLAT 0 0 BYRADIUS 1 m",
    "STRALGO LCS KEYS <own>a <other>canary",
)
# Keys that look like the attacker's own and are not: beside the prefix, before it, without its colon.
LOOKALIKES = (
    "SET <own_tag> x",
    "SET <own_tag>a x",
    "SET x<own>a x",
    "SET {}<own>a x",
    "SET ' <own>a' x",
    "GET <own_tag><other>canary",
)
SORTS = (
    "SORT <own>list BY nosort GET <other>*",
    "SORT <own>list BY <other>*",
)
ENUMERATIONS = (
    "KEYS *",
    "KEYS <other>*",
    "KEYS <own>*",
    "SCAN 0",
    "SCAN 0 MATCH <other>* COUNT 1000",
    "RANDOMKEY",
    "DBSIZE",
    "PUBSUB CHANNELS *",
    "PUBSUB NUMPAT",
    "CLIENT LIST",
    "CLIENT TRACKING ON BCAST PREFIX <other>",
    "INFO",
    "MONITOR",
    "SLOWLOG GET 1",
    "MEMORY STATS",
    "LATENCY DOCTOR",
    "ROLE",
)
CHANNELS = (
    "SUBSCRIBE <other>news",
    "SUBSCRIBE <own>news <other>news",
    "PSUBSCRIBE *",
    "PSUBSCRIBE <other>*",
    "PSUBSCRIBE {?_*",
    "SUBSCRIBE __keyevent@0__:set",
    "PSUBSCRIBE __keyspace@*__:*",
    "PUBLISH <other>news x",
    "PUBLISH news x",
)
SCRIPTS = (
    "EVAL 'return 1' 0",
    "EVAL 'return redis.call(\"GET\", KEYS[1])' 1 <own>a",
    "EVALSHA 0000000000000000000000000000000000000000 0",
    "SCRIPT EXISTS 0000000000000000000000000000000000000000",
    "SCRIPT LOAD 'return 1'",
)
SCRIPTS_ON_OTHERS = (
    "EVAL 'return redis.call(\"GET\", KEYS[1])' 1 <other>canary",
    "EVAL 'return redis.call(\"MGET\", KEYS[1], KEYS[2])' 2 <own>a <other>canary",
)
TRANSACTIONS_ON_OTHERS = (
    ("MULTI", "GET <other>canary", "EXEC"),
    ("MULTI", "SET <own>a x", "SET <other>new x", "EXEC"),
    ("WATCH <own>a", "MULTI", "DEL <other>new", "EXEC"),
)
TRANSACTIONS_WITH_FORBIDDEN_COMMANDS = (
    ("MULTI", "KEYS *", "EXEC"),
    ("MULTI", "EVAL 'return 1' 0", "EXEC"),
    ("MULTI", "PUBLISH <other>news x", "EXEC"),
)
ADMINISTRATION = (
    "CONFIG GET requirepass",
    "CONFIG SET no-such-parameter x",
    "ACL LIST",
    "ACL USERS",
    "ACL GETUSER <other_user>",
    "ACL SETUSER <own_user> no-such-rule",
    "ACL SETUSER <other_user> no-such-rule",
    "ACL DELUSER dcm-no-such-user",
    "ACL LOG",
    "MODULE LIST",
    "SHUTDOWN no-such-mode",
    "BGSAVE no-such-mode",
    "LASTSAVE",
    "FLUSHALL no-such-mode",
    "FLUSHDB no-such-mode",
    "SELECT 1",
    "SWAPDB x y",
    "MOVE <own>missing 1",
    "MIGRATE 127.0.0.1 1 <own>a no-such-database 1",
    "RESTORE <own>missing 0 no-such-dump",
    "REPLICAOF no-such-host no-such-port",
    "CLIENT KILL ID 0",
    "CLIENT PAUSE no-such-time",
    "CLIENT UNBLOCK 0",
    "LATENCY RESET no-such-event",
    "FAILOVER ABORT",
    "SORT <own>list",
)
# Newer servers keep these from everybody unless they are configured otherwise.
DEBUGGING = ("DEBUG no-such-subcommand", "MODULE LOAD /no/such/file")
CLUSTER = (
    "CLUSTER RESET no-such-mode",
    "CLUSTER FORGET 0000000000000000000000000000000000000000",
    "CLUSTER ADDSLOTS no-such-slot",
    "CLUSTER GETKEYSINSLOT 0 10",
    "CLUSTER COUNTKEYSINSLOT 0",
    "CLUSTER FAILOVER no-such-mode",
)
IDENTITIES = (
    "AUTH <other_user> no-such-password",
    "AUTH default ''",
    "AUTH no-such-password",
    "HELLO 2 AUTH <other_user> no-such-password",
    ("RESET", "GET <other>canary"),
)
# The model must not be a prison: this is a guild's ordinary work.
WORK = (
    "PING",
    "HELLO 2",
    "CLIENT SETNAME worker",
    "CLIENT ID",
    "COMMAND COUNT",
    "SET <own>a 1 EX 100",
    "GET <own>a",
    "MSET <own>a 1 <own>b 2",
    "MGET <own>a <own>b",
    "INCR <own>number",
    "HSET <own>hash f x",
    "RPUSH <own>list x y",
    "SADD <own>set x y",
    "ZADD <own>sorted 1 x",
    "XADD <own>stream * f x",
    "PFADD <own>log x",
    "GEOADD <own>geo 1 1 x",
    "SETBIT <own>bits 0 1",
    "RENAME <own>b <own>c",
    "EXPIRE <own>c 100",
    "UNLINK <own>c",
    "HSCAN <own>hash 0",
    "SUBSCRIBE <own>news",
    "PUBLISH <own>news x",
    ("WATCH <own>a", "MULTI", "SET <own>a 2", "INCR <own>number", "EXEC"),
)

ATTACKS: tuple[Attack, ...] = (
    *_attacks("K1", READS, naive="deny"),
    *_attacks("K1", ("LCS <own>a <other>canary", "SORT_RO <other>new"), naive="deny", since=(7, 0)),
    *_attacks("K2", WRITES, naive="deny"),
    *_attacks("K3", MOVES, naive="deny"),
    *_attacks("K4", LOOKALIKES, naive="deny"),
    *_attacks("K5", SORTS, naive=None),
    *_attacks("E1", ENUMERATIONS, naive="allow"),
    *_attacks("P1", CHANNELS, naive="allow"),
    *_attacks("P1", ("SSUBSCRIBE <other>news", "SPUBLISH <other>news x"), naive="allow", since=(7, 0)),
    *_attacks("S1", SCRIPTS, naive="allow"),
    *_attacks("S1", ("FUNCTION LIST", "FCALL no_such_function 0", "EVAL_RO 'return 1' 0"), naive="allow", since=(7, 0)),
    *_attacks("S2", SCRIPTS_ON_OTHERS, naive="deny"),
    *_attacks("T1", TRANSACTIONS_ON_OTHERS, naive="deny"),
    *_attacks("T2", TRANSACTIONS_WITH_FORBIDDEN_COMMANDS, naive="allow"),
    *_attacks("A1", ADMINISTRATION, naive="allow"),
    *_attacks("A1", DEBUGGING, naive=None),
    *_attacks("C1", CLUSTER, naive="allow", cluster_only=True),
    *_attacks(
        "C2", (("READONLY", "GET <other>canary"), ("ASKING", "GET <other>canary")), naive="deny", cluster_only=True
    ),
    *_attacks("I1", IDENTITIES, naive="deny"),
    *_attacks("W1", WORK, model="allow", naive="allow"),
    *_attacks("W1", ("CLUSTER SLOTS", "CLUSTER NODES"), model="allow", naive="allow", cluster_only=True),
)
