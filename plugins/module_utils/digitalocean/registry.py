# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Container registries: the table, which images may go, and the collection of garbage."""

from __future__ import annotations

import datetime
import fnmatch
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.plan import Entry, Step
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.resource import (
    ResourceReconciler,
    Resources,
    list_all,
)
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.resource_type import (
    Call,
    ResourceType,
    Tree,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import RefusedError
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet
from ansible_collections.dcm.platform.plugins.module_utils.rest import AbsentError, RestClient


def _flat(actual: Tree) -> dict[str, Any]:
    tier = ((actual.get("subscription") or {}).get("tier") or {}).get("slug")
    return {**actual, **({"subscription_tier_slug": tier} if tier else {})}


def _subscribe(resources: Resources, entry: Entry, merged: Tree) -> None:
    """The tier is the account's, not the registry's."""
    body = {"tier_slug": merged["subscription_tier_slug"]}
    resources.client.post("/v2/registries/subscription", body, done=lambda: None)
    entry.actual = {**(entry.actual or {}), "subscription_tier_slug": merged["subscription_tier_slug"]}


REGISTRY = ResourceType(
    noun="registry",
    path="/v2/registries",
    key="registry",
    plural="registries",
    option="registries",
    id_field="name",
    immutable=("region",),
    calls=(Call(("subscription_tier_slug",), "POST", "", perform=_subscribe),),
    paged=False,
    flatten=_flat,
    replacing="deletes the registry with all its images and makes an empty one",
    mark="name",
)
REPOSITORY = ResourceType(
    noun="repository", path="/repositoriesV2", key="repository", plural="repositories", option="repositories"
)
IMAGE_TAG = ResourceType(
    noun="image tag",
    path="/repositories/{}/tags",
    key="tag",
    plural="tags",
    option="tags",
    identity=("repository", "tag"),
    id_field="tag",
    busy=(409,),  # read-only while garbage is collected
)
RUNNING = ("requested", "waiting for write JWTs to expire", "scanning manifests", "deleting unreferenced blobs")


def expired(tags: Iterable[Tree], retention: Tree, now: datetime.datetime) -> list[Tree]:
    """The tags of one repository that nothing keeps: neither a pattern, nor their age, nor being among the newest."""
    patterns = retention.get("keep") or ()
    oldest = now - datetime.timedelta(days=retention.get("older_than_days") or 0)
    candidates = [tag for tag in tags if not any(fnmatch.fnmatchcase(tag["tag"], pattern) for pattern in patterns)]
    newest_first = sorted(candidates, key=lambda tag: (_moment(tag), tag["tag"]), reverse=True)
    return [tag for tag in newest_first[retention.get("keep_newest") or 0 :] if _moment(tag) < oldest]


def _moment(tag: Tree) -> datetime.datetime:
    return datetime.datetime.fromisoformat(tag["updated_at"].replace("Z", "+00:00"))


class RegistryReconciler(ResourceReconciler):
    """Registries, the images that their retention lets go, and the garbage that these leave."""

    def __init__(self, client: RestClient, options: Mapping[str, Any]) -> None:
        super().__init__(client, REGISTRY, options)
        self._collect = options["garbage_collection"]

    def read(self) -> list[dict[str, Any]]:
        found = super().read()
        for entry in self._entries:
            retention = entry.wanted.pop("retention", None)
            if retention is not None and entry.actual is not None:
                entry.children += self._expired(entry, retention)
        return found

    def _expired(self, entry: Entry, retention: Tree) -> list[Entry]:
        now = datetime.datetime.now(datetime.UTC)
        old = []
        for repository in list_all(self._client, REPOSITORY, entry.path + REPOSITORY.path):
            kind = replace(IMAGE_TAG, path=IMAGE_TAG.path.format(quote(repository["name"], safe="")))
            tags = list_all(self._client, kind, entry.path + kind.path)
            old += [Entry(kind, {"state": "absent"}, dict(tag), entry) for tag in expired(tags, retention, now)]
        return old

    def plan(self, actual: list[dict[str, Any]]) -> list[Change]:
        changes = super().plan(actual)
        for entry in self._entries:
            if entry.present and self._leaves_garbage(entry, changes):
                step = Step(entry, "call", call=Call((), "POST", "", perform=_collect_garbage))
                changes.append(Change("run", "garbage collection", entry.name, payload=step))
        return changes

    def _leaves_garbage(self, entry: Entry, changes: Sequence[Change]) -> bool:
        if self._collect == "after_deletion":
            return any(change.kind == IMAGE_TAG.noun and change.payload.entry.parent is entry for change in changes)
        return bool(self._collect == "always" and entry.actual is not None)


def _collect_garbage(resources: Resources, entry: Entry, _merged: Tree) -> None:
    """Start it, or take the one that runs, and wait for its end: until then nothing can be pushed."""
    client, path = resources.client, f"{entry.path}/garbage-collection"

    def active() -> Tree | None:
        try:
            return dict(client.get(path))
        except AbsentError:
            return None

    started: Tree = active() or client.post(path, None, done=active)
    run = started["garbage_collection"]["uuid"]

    def ended() -> None:
        runs = {item["uuid"]: item["status"] for item in client.pages(f"{path}s", "garbage_collections")}
        if runs.get(run) in RUNNING:
            raise NotYet(f"it is {runs[run]}")
        if runs.get(run) != "succeeded":
            raise RefusedError(f"The garbage collection of {entry.title} is {runs.get(run, 'unknown')}.")

    resources.wait(f"the garbage collection of {entry.title}", ended)
