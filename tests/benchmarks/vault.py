# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Secrets in bulk: one call of vault_secret, the community module in a loop, and bare concurrent HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import requests

from tests.benchmarks import Bench, Comparison, far_away, timed

DELAY = 20  # milliseconds
MANY, LOOPED = 1000, 20  # the loop is measured on fewer and scaled: it costs the same for each


def measure(bench: Bench) -> Iterator[Comparison]:
    """First and unchanged run of a thousand secrets."""
    vault = bench.settings("vault")
    connection = {"url": vault["url"], "token": vault["token"]}
    secrets = [{"path": f"bench/ours/{n}", "data": {"value": f"value-number-{n}"}} for n in range(MANY)]
    ours = {"name": "Ours", "dcm.platform.vault_secret": {**connection, "mount": vault["mount"], "secrets": secrets}}
    loop = {
        "name": "Loop",
        "community.hashi_vault.vault_kv2_write": {
            **connection,
            "engine_mount_point": vault["mount"],
            "path": "bench/loop/{{ item }}",
            "data": {"value": "value-number-{{ item }}"},
            "read_before_write": True,
        },
        "loop": list(range(LOOPED)),
    }
    empty = bench.empty_module()
    bare_write = timed(lambda: _bare(vault, "POST")) + empty
    first, looped_first = bench.play([ours]), _scaled(bench, loop, empty)
    yield Comparison(
        f"{MANY} secrets, first run", first, {"bare HTTP + empty module": bare_write, "community loop": looped_first}
    )
    bare_read = timed(lambda: _bare(vault, "GET")) + empty
    second, looped_second = bench.play([ours]), _scaled(bench, loop, empty)
    yield Comparison(
        f"{MANY} secrets, unchanged", second, {"bare HTTP + empty module": bare_read, "community loop": looped_second}
    )

    port = urlsplit(vault["url"]).port or 8200
    with far_away(port, DELAY) as far:
        for state in ("first run", "unchanged"):
            at_once, one_by_one = (
                bench.play([_behind(ours, far, f"bench/far-{workers}", workers)]) for workers in (None, 1)
            )
            subject = f"{MANY} secrets {DELAY} ms away, {state}"
            # Beyond an empty module, which both need and no distance changes.
            yield Comparison(
                subject, at_once - empty, {"one request at a time, both without the start": one_by_one - empty}
            )


def _behind(task: dict[str, Any], port: int, prefix: str, workers: int | None) -> dict[str, Any]:
    """The task through the proxy, below a prefix of its own."""
    options = dict(task["dcm.platform.vault_secret"])
    secrets = [{**secret, "path": secret["path"].replace("bench/ours", prefix)} for secret in options["secrets"]]
    options |= {"url": f"http://127.0.0.1:{port}", "secrets": secrets}
    return {**task, "dcm.platform.vault_secret": {**options, **({"workers": workers} if workers else {})}}


def _scaled(bench: Bench, loop: dict[str, Any], empty: float) -> float:
    return empty + (bench.play([loop]) - empty) * MANY / LOOPED


def _bare(vault: dict[str, Any], method: str) -> None:
    session = requests.Session()
    session.headers["X-Vault-Token"] = vault["token"]

    def one(number: int) -> None:
        url = f"{vault['url']}/v1/{vault['mount']}/data/bench/bare/{number}"
        body = {"data": {"value": f"value-number-{number}"}} if method == "POST" else None
        session.request(method, url, json=body, timeout=10).raise_for_status()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(one, range(MANY)))
