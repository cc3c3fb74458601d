# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a type of DigitalOcean resource is: a table that the one reconcile path reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.plan import Entry

Tree = Mapping[str, Any]
Operations = Any  # resource.Resources, which mypy would see under two names here


@dataclass(frozen=True)
class Call:
    """Fields that have a request of their own.

    ``body`` makes the request's body of the object as it should be and of the fields that are given. ``read`` is where
    the fields stand when they are not part of the object: a path below it, and a key. ``in_create``: creating the
    object sets them, too. ``perform`` takes the place of the one request where it takes several.
    """

    fields: tuple[str, ...]
    method: Literal["PUT", "PATCH", "POST"]
    suffix: str
    body: Callable[[Tree, Tree], Tree] = lambda merged, _given: merged
    read: tuple[str, str] | None = None
    paged: bool = False  # what is read is a list with pages
    in_create: bool = True
    perform: Callable[[Operations, Entry, Tree], None] | None = None


@dataclass(frozen=True)
class ResourceType:
    """A type of resource: how it is found, which fields may change and how, when it is ready.

    Fields that are in no tuple are the server's and never compared. Fields that are not given are never compared,
    either.
    """

    noun: str  # for a person: "VPC"
    path: str
    key: str  # one object's key in an answer
    plural: str  # a list's key in an answer
    option: str  # name of the module's option, and of its result
    identity: tuple[str, ...] = ("name",)
    label: tuple[str, ...] = ()  # what people call it, where that is not the identity
    id_field: str = "id"  # of the object, in its path
    immutable: tuple[str, ...] = ()
    updatable: tuple[str, ...] = ()
    exclusive: tuple[tuple[str, ...], ...] = ()  # groups of fields of which an object has one
    fresh: bool = False  # read again just before an update, because others change it all the time
    answer_only: tuple[str, ...] = ()  # what only the answer to the creation holds: without it the object is useless
    update_only: tuple[str, ...] = ()  # of the updatable ones, those that cannot be set when it is made
    create_only: tuple[str, ...] = ()  # sent once, and not readable or not comparable afterwards
    secret: tuple[str, ...] = ()  # never shown
    calls: tuple[Call, ...] = ()
    children: tuple[ResourceType, ...] = ()
    children_in_create: tuple[str, ...] = ()
    paged: bool = True
    # "patch" and "put" send what differs and ``always_sent``; "replace" sends the whole object as it should be.
    update: Literal["patch", "put", "replace"] = "patch"
    always_sent: tuple[str, ...] = ()
    match_on: Callable[[Tree], tuple[str, ...]] | None = None  # in place of ``identity``, by what is given
    canonical: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)
    matches: Mapping[str, Callable[[Any, Any], bool]] = field(default_factory=dict)
    flatten: Callable[[Tree], Tree] = dict  # an answer in the words of the options
    adapt: Callable[[Tree, Tree | None], Tree] = lambda wanted, _actual: wanted
    refusal: Callable[[Tree, Tree], str | None] = lambda _wanted, _actual: None  # why a change must not be
    keep: Callable[[Tree], str | None] = lambda _actual: None  # why an object cannot be deleted
    delete: Callable[[Operations, Entry], None] | None = None
    # A replaced object is renamed with this suffix, so that its successor is there before it goes.
    retired: str | None = None
    replacing: str = "deletes it and makes a new one"
    status: Callable[[Tree], str] = lambda _actual: ""
    ready: tuple[str, ...] = ("",)
    failed: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()  # states that mean: deleted
    busy: tuple[int, ...] = ()  # statuses of a DELETE that pass with time
    mark: Literal["tags", "description", "name"] | None = None  # where the owner is written

    @property
    def compared(self) -> tuple[str, ...]:
        """The fields that may be updated by the object's own request, or not at all."""
        return (*self.immutable, *self.updatable)


def given(value: Any) -> Any:
    """Options without those that were not given, at every depth."""
    if isinstance(value, Mapping):
        return {key: given(item) for key, item in value.items() if item is not None}
    if isinstance(value, (list, tuple)):
        return [given(item) for item in value]
    return value


def unordered(items: Any) -> Any:
    """A list whose order and empty parts mean nothing, in one order."""
    return sorted((_filled(item) for item in items or ()), key=lambda item: json.dumps(item, sort_keys=True))


def _filled(item: Any) -> Any:
    if isinstance(item, Mapping):
        return {key: _filled(part) for key, part in item.items() if part not in (None, "", False, [], {})}
    return unordered(item) if isinstance(item, (list, tuple)) else item


def tag_set(tags: Any) -> list[str]:
    """Tags as they are compared: in any order and case, without those that DOKS adds."""
    lowered = {str(tag).lower() for tag in tags or ()}
    return sorted(tag for tag in lowered if tag != "k8s" and not tag.startswith(("k8s:", "k8s-")))


def contains(wanted: Any, actual: Any) -> bool:
    """Whether what is wanted is so. Of dictionaries, only the keys that are wanted count."""
    if isinstance(wanted, Mapping):
        return isinstance(actual, Mapping) and all(contains(item, actual.get(key)) for key, item in wanted.items())
    return bool(wanted == actual)


def without(*names: str) -> Callable[[Tree], Tree]:
    """A function that leaves out some keys."""
    return lambda actual: {key: item for key, item in actual.items() if key not in names}


def region_slug(actual: Tree) -> dict[str, Any]:
    """An answer whose region is an object, with its slug instead."""
    region = actual.get("region")
    return {**actual, "region": region["slug"]} if isinstance(region, Mapping) else dict(actual)
