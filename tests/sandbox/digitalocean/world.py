# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The account: its objects, its clock, what belongs to what, and what every call has in common."""

from __future__ import annotations

import heapq
import itertools
import random
import re
import time
import uuid
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

Object = dict[str, Any]
Answer = tuple[int, Any]
SLUGS = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    409: "conflict",
    412: "precondition_failed",
    415: "unsupported_media_type",
    422: "unprocessable_entity",
    429: "too_many_requests",
    500: "server_error",
}
REGIONS = ("nyc1", "nyc3", "sfo3", "ams3", "fra1", "lon1", "sgp1", "tor1", "blr1", "syd1")


class Refusal(Exception):
    """An answer that is an error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Call:
    """One request as a handler sees it: the variable parts of its path, its query, its body."""

    arguments: tuple[str, ...]
    query: Mapping[str, str]
    body: Any


Handler = Callable[["World", Call], Answer]
ROUTES: list[tuple[str, re.Pattern[str], Handler]] = []


def route(method: str, template: str) -> Callable[[Handler], Handler]:
    """Register a handler; ``{}`` in the template is a variable part of the path."""

    def register(handler: Handler) -> Handler:
        pattern = re.compile("^" + template.replace("{}", "([^/]+)") + "$")
        ROUTES.append((method, pattern, handler))
        return handler

    return register


def find_route(method: str, path: str) -> tuple[Handler, tuple[str, ...]]:
    """The handler of a call; literal paths come before templated ones. Raises :class:`Refusal`."""
    found = [
        (len(match.groups()), handler, match.groups())
        for verb, pattern, handler in ROUTES
        if verb == method and (match := pattern.match(path))
    ]
    if not found:
        raise Refusal(404, "The resource you were accessing could not be found.")
    return min(found, key=lambda item: item[0])[1:]


@dataclass
class Limits:
    """Requests a minute and an hour, as sliding windows; ``burst`` is refused with ``retry-after``."""

    minute: int = 250
    hour: int = 5000
    burst: int = 0  # requests a second; 0: no such limit
    sent: deque[float] = field(default_factory=deque)

    def refuse(self, now: float) -> dict[str, str] | None:
        """Headers of a 429, or None: the request counts."""
        while self.sent and self.sent[0] <= now - 3600:
            self.sent.popleft()
        last_minute = [moment for moment in self.sent if moment > now - 60]
        if self.burst and sum(moment > now - 1 for moment in last_minute) >= self.burst:
            return {**self.headers(now), "retry-after": "1"}
        if len(last_minute) >= self.minute or len(self.sent) >= self.hour:
            return self.headers(now)
        self.sent.append(now)
        return None

    def headers(self, now: float) -> dict[str, str]:
        last_minute = [moment for moment in self.sent if moment > now - 60]
        left = min(self.minute - len(last_minute), self.hour - len(self.sent))
        oldest = last_minute[0] + 60 if len(last_minute) >= self.minute else (self.sent or [now])[0] + 3600
        return {
            "ratelimit-limit": str(self.hour),
            "ratelimit-remaining": str(max(0, left)),
            "ratelimit-reset": str(int(oldest) + 1),
        }


class World:
    """Everything an account holds. Not safe for threads: the server takes turns."""

    def __init__(
        self,
        token: str = "token",
        *,
        now: Callable[[], float] = time.time,
        delay: float = 0.05,
        page: int = 20,
        seed: int | None = None,
    ) -> None:
        """``delay``: seconds that provisioning takes. ``page``: the largest page (the real API's is 200)."""
        self.token = token
        self.now = now
        self.delay = delay
        self.page = page
        self.limits = Limits()
        self.objects: dict[str, dict[str, Object]] = {}
        self.projects: dict[str, str] = {}  # URN → project id
        self.tags: dict[str, str] = {}  # lower case → the first spelling
        self.members: dict[str, dict[str, str]] = {}  # VPC id → URN → name
        self._random = random.Random(seed)
        self._numbers = itertools.count(3164000)
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self.add_project("Default", is_default=True)

    # -- time --------------------------------------------------------------------------------------------------

    def later(self, delay: float, event: Callable[[], None]) -> None:
        """Let something happen after so many seconds."""
        heapq.heappush(self._events, (self.now() + delay, next(self._order), event))

    def advance(self) -> None:
        """Let happen what is due."""
        while self._events and self._events[0][0] <= self.now():
            heapq.heappop(self._events)[2]()

    def timestamp(self) -> str:
        return datetime.fromtimestamp(self.now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    # -- objects -----------------------------------------------------------------------------------------------

    def table(self, kind: str) -> dict[str, Object]:
        """All objects of a kind by id."""
        return self.objects.setdefault(kind, {})

    def get(self, kind: str, identifier: str) -> Object:
        """An object. Raises :class:`Refusal` 404."""
        try:
            return self.table(kind)[identifier]
        except KeyError:
            raise Refusal(404, f"The resource you requested could not be found: {kind} {identifier}") from None

    def new_id(self) -> str:
        return str(uuid.UUID(int=self._random.getrandbits(128), version=4))

    def new_number(self) -> int:
        return next(self._numbers)

    def secret(self) -> str:
        return f"{self._random.getrandbits(160):040x}"

    def unique(self, kind: str, name: str, status: int = 409) -> None:
        """Refuse a second object of the name."""
        if any(item.get("name") == name for item in self.table(kind).values()):
            raise Refusal(status, f"a {kind} with the name {name} already exists")

    def listing(self, key: str, items: list[Any], call: Call, path: str) -> Answer:
        """One page of a list, with the links to the others."""
        page = max(1, int(call.query.get("page", 1)))
        size = max(1, min(self.page, int(call.query.get("per_page", 20))))
        last = max(1, -(-len(items) // size))
        links: Object = {}
        if last > 1:

            def link(number: int) -> str:
                return f"https://api.digitalocean.com{path}?page={number}&per_page={size}"

            pages: dict[str, str] = {}
            if page > 1:
                pages |= {"first": link(1), "prev": link(page - 1)}
            if page < last:
                pages |= {"next": link(page + 1), "last": link(last)}
            links = {"pages": pages}
        shown = items[(page - 1) * size : page * size]
        return 200, {key: shown, "links": links, "meta": {"total": len(items)}}

    # -- relations ---------------------------------------------------------------------------------------------

    def add_project(self, name: str, *, is_default: bool = False, **fields: Any) -> Object:
        project = {
            "id": self.new_id(),
            "owner_uuid": self.new_id(),
            "owner_id": 258992,
            "name": name,
            "description": fields.get("description", ""),
            "purpose": fields.get("purpose", "Web Application"),
            "environment": fields.get("environment", "Development"),
            "created_at": self.timestamp(),
            "updated_at": self.timestamp(),
            "is_default": is_default,
        }
        self.table("project")[project["id"]] = project
        return project

    @property
    def default_project(self) -> str:
        return next(identifier for identifier, item in self.table("project").items() if item["is_default"])

    def assign(self, urn: str, project: str | None = None) -> None:
        """Put a resource into a project, by default the default one."""
        if project is not None:
            self.get("project", project)
        self.projects[urn] = project or self.default_project

    def use_tags(self, tags: Any) -> list[str]:
        """The canonical spellings; tags that do not exist are made."""
        return [self.tags.setdefault(str(tag).lower(), str(tag)) for tag in tags or ()]

    def require_tags(self, tags: Any) -> list[str]:
        """The canonical spellings. Raises :class:`Refusal` for a tag that does not exist."""
        for tag in tags or ():
            if str(tag).lower() not in self.tags:
                raise Refusal(422, f"tag {tag} does not exist")
        return [self.tags[str(tag).lower()] for tag in tags or ()]

    def join(self, vpc: str | None, region: str, urn: str, name: str) -> str:
        """Make a resource a member of a VPC, by default the region's default one."""
        if vpc is None:
            vpc = next((key for key, item in self.table("vpc").items() if item["region"] == region), None)
            if vpc is None:
                vpc = self.add_vpc(f"default-{region}", region, None, "")["id"]
        if vpc not in self.table("vpc"):
            raise Refusal(422, f"VPC {vpc} does not exist")
        if self.table("vpc")[vpc]["region"] != region:
            raise Refusal(422, f"VPC {vpc} is in another region")
        self.members.setdefault(vpc, {})[urn] = name
        return vpc

    def leave(self, urn: str) -> None:
        """Give up every relation; a VPC notices late."""
        self.projects.pop(urn, None)

        def released() -> None:
            for members in self.members.values():
                members.pop(urn, None)

        self.later(self.delay * 2, released)

    def add_vpc(self, name: str, region: str, ip_range: str | None, description: str) -> Object:
        first = not any(item["region"] == region for item in self.table("vpc").values())
        identifier = self.new_id()
        vpc = {
            "id": identifier,
            "urn": f"do:vpc:{identifier}",
            "name": name,
            "region": region,
            "description": description,
            "ip_range": ip_range or f"10.{200 + len(self.table('vpc')) % 50}.{len(self.table('vpc')) // 50 * 16}.0/20",
            "default": first,
            "created_at": self.timestamp(),
        }
        self.table("vpc")[identifier] = vpc
        return vpc


def region_object(slug: str) -> Object:
    """A region as it is shown inside other objects."""
    return {"name": slug.upper(), "slug": slug, "features": [], "available": True, "sizes": []}


def check_region(slug: Any) -> str:
    if slug not in REGIONS:
        raise Refusal(422, f"region {slug} is not available")
    return str(slug)
