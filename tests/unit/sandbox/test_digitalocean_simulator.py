# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The simulator refuses what DigitalOcean refuses, and notices what DigitalOcean's description does not know."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import requests

from tests.sandbox.digitalocean.description import UNCHECKED, load
from tests.sandbox.digitalocean.server import Api, simulating
from tests.sandbox.digitalocean.world import World

TOKEN = "token"


class Caller:
    """Calls by method and path, with the token."""

    def __init__(self, api: Api, url: str) -> None:
        self.api = api
        self._url = url
        self._session = requests.Session()
        self._session.headers["Authorization"] = f"Bearer {TOKEN}"

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> requests.Response:
        return self._session.request(method, self._url + path, json=body, headers=headers, timeout=10)


@pytest.fixture
def call() -> Iterator[Caller]:
    with simulating(World(TOKEN, delay=0.0)) as (api, url):
        yield Caller(api, url)


@pytest.fixture
def checked(call: Caller) -> Caller:
    if load() is None:
        pytest.skip(UNCHECKED)
    return call


VPC = {"name": "one", "region": "nyc3", "ip_range": "10.100.0.0/16"}


def test_refusals_of_networks(call: Caller) -> None:
    first = call("POST", "/v2/vpcs", VPC).json()["vpc"]
    assert call("DELETE", f"/v2/vpcs/{first['id']}").status_code == 403  # the region's default
    assert call("POST", "/v2/vpcs", {**VPC, "name": "two"}).status_code == 422  # overlap
    assert call("POST", "/v2/vpcs", {**VPC, "name": "two", "ip_range": "10.0.0.0/8"}).status_code == 422
    second = call("POST", "/v2/vpcs", {**VPC, "name": "two", "ip_range": "10.101.0.0/16"}).json()["vpc"]
    droplet = {"name": "d", "region": "nyc3", "size": "s-1vcpu-1gb", "image": "debian-12-x64", "vpc_uuid": second["id"]}
    assert call("POST", "/v2/droplets", droplet).status_code == 202
    assert call("DELETE", f"/v2/vpcs/{second['id']}").status_code == 403
    assert call("GET", f"/v2/vpcs/{second['id']}/members").json()["members"][0]["name"] == "d"


def test_a_project_with_resources_and_a_delete_without_a_type_are_refused(call: Caller) -> None:
    project = call("POST", "/v2/projects", {"name": "p", "purpose": "x"}).json()["project"]
    path = f"/v2/projects/{project['id']}"
    call("POST", "/v2/domains", {"name": "example.com"})
    assigned = call("POST", f"{path}/resources", {"resources": ["do:domain:example.com", "do:droplet:1"]}).json()
    assert [item["status"] for item in assigned["resources"]] == ["assigned", "not_found"]
    assert call("DELETE", path).status_code == 415
    json_type = {"Content-Type": "application/json"}
    assert call("DELETE", path, **json_type).status_code == 412
    call("DELETE", "/v2/domains/example.com")
    assert call("DELETE", path, **json_type).status_code == 204


def test_lists_have_pages_of_twenty(call: Caller) -> None:
    for number in range(45):
        call("POST", "/v2/tags", {"name": f"tag-{number}"})
    first = call("GET", "/v2/tags").json()
    assert (len(first["tags"]), first["meta"]["total"]) == (20, 45)
    assert "page=2" in first["links"]["pages"]["next"]
    last = call("GET", "/v2/tags?page=3").json()
    assert len(last["tags"]) == 5
    assert "next" not in last["links"]["pages"]


def test_a_wrong_token_and_too_many_requests(call: Caller) -> None:
    assert call("GET", "/v2/tags", Authorization="Bearer other").status_code == 401
    call.api.world.limits.minute = 3
    answers = [call("GET", "/v2/tags") for _unused in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[2].headers["ratelimit-remaining"] == "0"


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v2/vpcs", {**VPC, "default": True}),  # not in a creation
        ("POST", "/v2/vpcs", {"name": "one"}),  # region is missing
        ("POST", "/v2/vpcs", {**VPC, "regoin": "nyc3"}),
        ("POST", "/v2/tags", {"name": "no blanks"}),
        ("POST", "/v2/firewalls", {"name": "one", "inbound_rules": [{"protocol": "tcp", "port": "22"}]}),
        ("GET", "/v2/vpcs?pages=2", None),
        ("GET", "/v2/networks", None),
    ],
)
def test_a_request_that_is_not_as_described_is_refused_and_noted(
    method: str, path: str, body: Any, checked: Caller
) -> None:
    assert checked(method, path, body).status_code == 400
    assert checked.api.mismatches


def test_an_answer_that_is_not_as_described_is_noted(checked: Caller) -> None:
    vpc = checked("POST", "/v2/vpcs", VPC).json()["vpc"]
    checked.api.world.get("vpc", vpc["id"])["invented"] = 1
    checked("GET", "/v2/vpcs")
    assert "unknown field invented" in checked.api.mismatches[0]


def test_literal_paths_come_before_templated_ones() -> None:
    description = load()
    if description is None:
        pytest.skip(UNCHECKED)
    assert not list(description.check_request("POST", "/v2/vpcs", VPC, {}))
    assert description.operation("GET", "/v2/projects/default") is not description.operation("GET", "/v2/projects/x")
