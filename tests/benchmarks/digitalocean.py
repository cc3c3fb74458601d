# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""An unchanged run over a hundred DigitalOcean resources against the bare list calls by requests, in one process."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import requests
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.client import connect
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.droplet import DROPLET
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.resource import ResourceReconciler
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.resource_type import ResourceType
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.types import DOMAIN, FIREWALL, TAG, VPC

from tests.benchmarks import Bench, Comparison, timed

EACH = 20  # of five types
ROUNDS = 5
RULE = {"protocol": "tcp", "ports": "443", "sources": {"addresses": ["198.51.100.0/24"]}}
Wanted = list[tuple[ResourceType, list[dict[str, Any]]]]


def measure(bench: Bench) -> Iterator[Comparison]:
    """Reading and planning, without the start of Ansible, which both ways would pay."""
    cloud = bench.settings("digitalocean")
    wanted = _resources()
    _run(cloud, wanted)
    ours = min(timed(lambda: _run(cloud, wanted)) for _unused in range(ROUNDS))
    bare = min(timed(lambda: _bare(cloud, wanted)) for _unused in range(ROUNDS))
    yield Comparison(f"{EACH * len(wanted)} cloud resources, unchanged", ours, {"bare list calls (requests)": bare})


def _resources() -> Wanted:
    numbers = range(EACH)
    droplet = {"region": "nyc3", "size": "s-1vcpu-1gb", "image": "debian-12-x64"}
    return [
        (VPC, [{"name": f"bench-{n}", "region": "nyc3", "ip_range": f"10.{n}.0.0/16"} for n in numbers]),
        (TAG, [{"name": f"bench-{n}"} for n in numbers]),
        (DOMAIN, [{"name": f"bench-{n}.example.com"} for n in numbers]),
        (FIREWALL, [{"name": f"bench-{n}", "inbound_rules": [RULE]} for n in numbers]),
        (DROPLET, [{"name": f"bench-{n}", **droplet} for n in numbers]),
    ]


def _run(cloud: dict[str, Any], wanted: Wanted) -> None:
    options = {"api_token": cloud["token"], "api_url": cloud["url"], "ca_cert": None, "timeout": 30, "retries": 9}
    options |= {"workers": 8, "wait": True, "wait_timeout": 60}
    for kind, items in wanted:
        reconciler = ResourceReconciler(connect(options), kind, {**options, kind.option: items})
        changes = reconciler.plan(reconciler.read())
        for outcome in reconciler.apply(changes):
            if outcome.error is not None:
                raise outcome.error
        reconciler.settle()


def _bare(cloud: dict[str, Any], wanted: Wanted) -> None:
    for kind, _items in wanted:
        session = requests.Session()
        session.headers["Authorization"] = f"Bearer {cloud['token']}"
        page = 1
        while True:
            answer = session.get(f"{cloud['url']}{kind.path}", params={"page": page, "per_page": 200}, timeout=30)
            answer.raise_for_status()
            if "next" not in answer.json()["links"].get("pages", {}):
                break
            page += 1
