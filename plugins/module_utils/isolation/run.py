# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The run of ``guild_isolation_check``, from its options to its result."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import HVAC, PSYCOPG2, REDIS, require
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import LISTED
from ansible_collections.dcm.platform.plugins.module_utils.guild import guild_id, guild_ids, guild_names
from ansible_collections.dcm.platform.plugins.module_utils.isolation.check import (
    NOT_TESTED,
    Finding,
    Store,
    findings_of,
    pairs_of,
    table,
)
from ansible_collections.dcm.platform.plugins.module_utils.isolation.postgres_store import PostgresStore
from ansible_collections.dcm.platform.plugins.module_utils.isolation.redis_store import RedisStore
from ansible_collections.dcm.platform.plugins.module_utils.isolation.vault_store import VaultStore
from ansible_collections.dcm.platform.plugins.module_utils.vault.arguments import VAULT_ARGUMENTS
from ansible_collections.dcm.platform.plugins.module_utils.vault.client import connect

SEEDS = 2**31  # a seed is drawn below this


def check_isolation(options: Mapping[str, Any]) -> dict[str, Any]:
    """Attack as the options say; what the module returns. Raises :class:`InputError` for what cannot be meant."""
    guilds = [guild_names(one, options["prefix"]) for one in guild_ids({"id": id} for id in options["guilds"])]
    if len(guilds) < 2 or options["pairs"] < 0 or options["workers"] < 1:
        raise InputError("At least two guilds are needed, no negative number of pairs, and a worker.")
    seed = random.randrange(SEEDS) if options["seed"] is None else options["seed"]
    pairs = pairs_of(guilds, options["pairs"], seed)
    return _report(list(findings_of(_stores_of(options), pairs, options["workers"])), len(pairs), seed)


def complaint(output: Mapping[str, Any]) -> str:
    """One sentence on the surprises of a result."""
    first = "; ".join(
        f"guild {one['attacker']} on guild {one['victim']} in {one['store']}, {one['row']}: {one['attack']}"
        f" (expected {one['expected']}, got {one['got']}{': ' if one['detail'] else ''}{one['detail']})"
        for one in output["surprises"][:3]
    )
    return f"The isolation of guilds is not what it should be, {output['counts']['surprises']} surprises: {first}."


def _credentials(text: str | None, store: str) -> dict[str, Mapping[str, str]]:
    """What the guilds log in to a store with, by id. Raises :class:`InputError`; no message holds a secret."""
    try:
        entries = json.loads(text) if text else {}
        return {guild_id(key): stores[store] for key, stores in entries.items() if stores.get(store)}
    except (ValueError, AttributeError, TypeError) as error:
        raise InputError("credentials is no JSON dictionary of guild ids to dictionaries of stores.") from error


def _stores_of(options: Mapping[str, Any]) -> list[Store]:
    """The stores that are checked, connected where they need an administrator."""
    stores: list[Store] = []
    if options["postgresql"]:
        require(PSYCOPG2)
        logins = _credentials(options["credentials"], "postgresql")
        stores.append(PostgresStore(options["postgresql"], logins, options["level"]))
    if options["redis"]:
        require(REDIS)
        stores.append(RedisStore(options["redis"], _credentials(options["credentials"], "redis"), options["prefix"]))
    if options["vault"]:
        require(HVAC)
        defaults = {name: spec.get("default") for name, spec in VAULT_ARGUMENTS.spec.items()}
        reached = {**defaults, **options["vault"]}
        stores.append(VaultStore(connect(reached), reached))
    return stores


def _report(findings: list[Finding], pairs: int, seed: int) -> dict[str, Any]:
    surprises = [one for one in findings if one.surprising]
    return {
        "attacks": table(findings),
        "surprises": [asdict(one) for one in surprises[:LISTED]],
        "counts": {
            "pairs": pairs,
            "attacks": len(findings),
            "surprises": len(surprises),
            "not_tested": sum(one.got == NOT_TESTED for one in findings),
        },
        "seed": seed,
    }
