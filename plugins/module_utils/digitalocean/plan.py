# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What is wanted against what is, for every type alike. Pure: no requests."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.resource_type import (
    Call,
    ResourceType,
    Tree,
    contains,
    tag_set,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Secret
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError, RefusedError

MARK = "dcm:"
CONTROL = ("state", "replace", "keep_retired")  # options of an object that are not fields of it


@dataclass(eq=False)
class Entry:
    """One object of a call: what is wanted of it, and what is known of it (None: it does not exist)."""

    type: ResourceType
    wanted: dict[str, Any]
    actual: dict[str, Any] | None = None
    parent: Entry | None = None
    children: list[Entry] = field(default_factory=list)

    @property
    def collection(self) -> str:
        """Path of the collection that the object belongs to."""
        return (self.parent.path if self.parent else "") + self.type.path

    @property
    def path(self) -> str:
        """Path of the object. Raises :class:`RefusedError` if it does not exist."""
        if self.actual is None:
            raise RefusedError(f"{self.title} does not exist.")
        return f"{self.collection}/{self.actual[self.type.id_field]}"

    @property
    def name(self) -> str:
        """What tells the object from others of its type, for a person."""
        known = {**(self.actual or {}), **self.wanted}
        names = self.type.label or self.type.identity
        own = " ".join(str(known[name]) for name in names if known.get(name) is not None)
        return f"{self.parent.name}/{own}" if self.parent else own

    @property
    def title(self) -> str:
        return f"{self.type.noun} {self.name}"

    @property
    def present(self) -> bool:
        return bool(self.wanted.get("state", "present") == "present")

    def merged(self) -> dict[str, Any]:
        """The object as it should be: what is, with what is wanted over it."""
        wanted, actual = fields_of(self), dict(self.actual or {})
        for group in self.type.exclusive:
            if any(name in wanted for name in group):
                actual = {name: item for name, item in actual.items() if name not in group}
        return merge(actual, wanted)


@dataclass(frozen=True)
class Step:
    """What applying a change does. ``fields``: those that differ."""

    entry: Entry
    verb: Literal["create", "update", "call", "delete"]
    fields: tuple[str, ...] = ()
    call: Call | None = None


def merge(actual: Tree, wanted: Tree) -> dict[str, Any]:
    """Dictionaries are merged key by key, anything else is replaced."""
    merged = dict(actual)
    for key, item in wanted.items():
        old = merged.get(key)
        merged[key] = merge(old, item) if isinstance(item, Mapping) and isinstance(old, Mapping) else item
    return merged


def fields_of(entry: Entry) -> dict[str, Any]:
    """The fields of the object that are given."""
    nested = {child.option for child in entry.type.children}
    return {
        name: item
        for name, item in entry.wanted.items()
        if name not in CONTROL and name not in nested and not name.startswith(("purge_", "allow_", "delete_"))
    }


def same(kind: ResourceType, name: str, wanted: Any, actual: Any) -> bool:
    """Whether a field is as it is wanted, by the rules of its type."""
    if name in kind.matches:
        return kind.matches[name](wanted, actual)
    canonical: Callable[[Any], Any] = kind.canonical.get(name, tag_set if name == "tags" else _as_it_is)
    return contains(canonical(wanted), canonical(actual))


def _as_it_is(value: Any) -> Any:
    return value


def matching(kind: ResourceType, wanted: Tree, actual: Sequence[Tree]) -> dict[str, Any] | None:
    """The one object that is meant. Raises :class:`RefusedError` if there are several."""
    names = kind.match_on(wanted) if kind.match_on else kind.identity
    found = [item for item in actual if all(same(kind, name, wanted.get(name), item.get(name)) for name in names)]
    if len(found) > 1:
        name = " ".join(str(wanted.get(part)) for part in names)
        ids = " and ".join(str(item.get(kind.id_field)) for item in found)
        raise RefusedError(
            f"{len(found)} objects are {kind.noun} {name}: {ids}.",
            hint="Rename or remove all but one: which of them is meant cannot be told.",
        )
    return dict(found[0]) if found else None


# -- ownership --------------------------------------------------------------------------------------------------


def owned(kind: ResourceType, actual: Tree, owner: str) -> bool:
    """Whether the object carries the mark of the owner."""
    if kind.mark == "tags":
        return owner_tag(owner).lower() in tag_set(actual.get("tags"))
    if kind.mark == "description":
        return owner_tag(owner) in str(actual.get("description") or "").split()
    return kind.mark == "name" and str(actual.get("name") or "").startswith(name_prefix(owner))


def owner_tag(owner: str) -> str:
    """The owner as a tag, and as the last word of a description."""
    return f"{MARK}{owner}"


def name_prefix(owner: str) -> str:
    """How names begin of what has neither tags nor a description."""
    return owner.lower().replace("_", "-") + "-"


def marked(kind: ResourceType, wanted: dict[str, Any], actual: Tree | None, owner: str | None) -> dict[str, Any]:
    """What is wanted with the owner's mark. Raises :class:`InputError` for a name that does not show its owner."""
    if not owner or wanted.get("state") == "absent":
        return wanted
    mark = owner_tag(owner)
    if kind.mark == "tags":
        tags: list[str] = list((wanted if "tags" in wanted else actual or {}).get("tags") or ())
        return {**wanted, "tags": tags if mark.lower() in tag_set(tags) else [*tags, mark]}
    if kind.mark == "description":
        words = str(wanted.get("description", (actual or {}).get("description") or ""))
        return {**wanted, "description": words if mark in words.split() else f"{words} {mark}".strip()}
    if kind.mark == "name" and not wanted["name"].startswith(name_prefix(owner)):
        raise InputError(
            f"The name of {kind.noun} {wanted['name']} must begin with {name_prefix(owner)}: "
            f"it can carry no other mark of its owner {owner}."
        )
    return wanted


# -- planning ---------------------------------------------------------------------------------------------------


def plan_entries(entries: Sequence[Entry], owner: str | None) -> list[Change]:
    """The changes of all objects: what is made and changed in the order given, then what is removed, last first."""
    changes = [change for entry in entries if entry.present for change in plan_entry(entry, owner)]
    return changes + [change for entry in reversed(entries) if not entry.present for change in plan_entry(entry, owner)]


def plan_entry(entry: Entry, owner: str | None) -> Iterator[Change]:
    """The changes of one object, its own requests and its children. Raises :class:`RefusedError`."""
    if not entry.present:
        yield from _removal(entry, owner)
        return
    if entry.actual is None:
        yield _creation(entry)
    else:
        different = differing(entry)
        fixed = [name for name in different if name in entry.type.immutable]
        if fixed:
            yield from _replacement(entry, fixed, owner)
            return
        if reason := entry.type.refusal(entry.merged(), entry.actual):
            raise RefusedError(f"{entry.title}: {reason}")
        own = tuple(name for name in different if name in entry.type.updatable)
        if own:
            yield _update(entry, "update", own)
    yield from _calls(entry)
    for child in sorted(entry.children, key=lambda child: not child.present):  # new ones before old ones go
        if entry.actual is not None or child.type.option not in entry.type.children_in_create:
            yield from plan_entry(child, None)


def differing(entry: Entry) -> list[str]:
    """The given fields that are not as wanted, but for those of calls."""
    actual = entry.actual or {}
    fields = fields_of(entry)
    return [
        name
        for name in entry.type.compared
        if name in fields and not same(entry.type, name, fields[name], actual.get(name))
    ]


def _removal(entry: Entry, owner: str | None) -> Iterator[Change]:
    if entry.actual is None:
        return
    _refuse_foreign(entry, owner)
    if reason := entry.type.keep(entry.actual):
        raise RefusedError(f"{entry.title} cannot be deleted: {reason}")
    yield Change("delete", entry.type.noun, entry.name, _shown(entry, entry.actual), None, Step(entry, "delete"))


def _refuse_foreign(entry: Entry, owner: str | None) -> None:
    if owner and entry.type.mark and entry.actual and not owned(entry.type, entry.actual, owner):
        raise RefusedError(
            f"{entry.title} ({entry.actual[entry.type.id_field]}) does not belong to {owner} and is not deleted.",
            hint="Delete it without owner if you are sure that nobody needs it.",
        )


def _creation(entry: Entry) -> Change:
    return Change("create", entry.type.noun, entry.name, None, _shown(entry, entry.wanted), Step(entry, "create"))


def _replacement(entry: Entry, fixed: Sequence[str], owner: str | None) -> Iterator[Change]:
    actual = entry.actual or {}
    details = ", ".join(f"{name} is {actual.get(name)!r}, wanted is {entry.wanted[name]!r}" for name in fixed)
    if not entry.wanted.get("replace"):
        raise RefusedError(
            f"{entry.title} differs in what cannot be changed: {details}.",
            hint=f"Correct the declaration, or set replace, which {entry.type.replacing}.",
        )
    _refuse_foreign(entry, owner)
    if reason := entry.type.keep(actual):
        raise RefusedError(f"{entry.title} cannot be replaced: {reason}")
    carry_over(entry)
    before, after = _shown(entry, actual), _shown(entry, entry.wanted)
    if entry.type.retired is not None:
        yield from _succession(entry, before, after)
        return
    yield Change("delete", entry.type.noun, entry.name, before, None, Step(entry, "delete"))
    yield Change("create", entry.type.noun, entry.name, None, after, Step(entry, "create"))
    yield from _calls(Entry(entry.type, entry.wanted, None, entry.parent), entry)
    for child in entry.children:
        if child.present and child.type.option not in entry.type.children_in_create:
            child.actual = None
            yield from plan_entry(child, None)


def carry_over(entry: Entry) -> None:
    """Give a successor what is not declared as it is now: replacing must not reset it."""
    kind, merged = entry.type, entry.merged()
    names = (*kind.compared, *(name for call in kind.calls if call.in_create for name in call.fields))
    known = {name: merged[name] for name in names if merged.get(name) is not None}
    entry.wanted = {**known, **entry.wanted}
    for child in entry.children:
        if child.present and child.actual is not None:
            carry_over(child)


def _succession(entry: Entry, before: Tree, after: Tree) -> Iterator[Change]:
    """Rename, make the successor, remove: an interrupted run goes on where it stopped."""
    old = retired(entry)
    old.actual, old.wanted["state"] = entry.actual, "present"
    name = {"name": entry.wanted["name"]}
    yield Change("update", entry.type.noun, entry.name, name, {"name": old.name}, Step(old, "update", ("name",)))
    yield Change("create", entry.type.noun, entry.name, None, after, Step(entry, "create"))
    if not entry.wanted.get("keep_retired"):
        yield Change("delete", entry.type.noun, old.name, before, None, Step(old, "delete"))


def retired(entry: Entry) -> Entry:
    """The object that the entry's object replaces, by the name that it gets."""
    return Entry(
        entry.type, {"name": f"{entry.wanted['name']}{entry.type.retired}", "state": "absent"}, None, entry.parent
    )


def _calls(entry: Entry, target: Entry | None = None) -> Iterator[Change]:
    """A change for each request of its own that has something to do."""
    fields = fields_of(entry)
    for call in entry.type.calls:
        if entry.actual is None and call.in_create:
            continue
        actual = entry.actual or {}
        different = tuple(
            name
            for name in call.fields
            if name in fields and not same(entry.type, name, fields[name], actual.get(name))
        )
        if different:
            yield _update(target or entry, "call", different, call)


def _update(entry: Entry, verb: Literal["update", "call"], fields: tuple[str, ...], call: Call | None = None) -> Change:
    before = _hidden(entry, {name: (entry.actual or {}).get(name) for name in fields})
    after = _hidden(entry, {name: entry.wanted[name] for name in fields})
    return Change("update", entry.type.noun, entry.name, before, after, Step(entry, verb, fields, call))


def _shown(entry: Entry, tree: Tree) -> dict[str, Any]:
    """The part of an object that a diff shows when it comes or goes."""
    kind = entry.type
    names = (*kind.identity, *kind.compared, *kind.create_only, *(name for call in kind.calls for name in call.fields))
    nested = {child.type.option for child in entry.children} & set(kind.children_in_create)
    known = {name: tree[name] for name in dict.fromkeys((*names, *sorted(nested))) if tree.get(name) is not None}
    return _hidden(entry, known)


def _hidden(entry: Entry, tree: Tree) -> dict[str, Any]:
    return {name: Secret(item) if name in entry.type.secret else item for name, item in tree.items()}
