# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The run of every DigitalOcean module: one list of a type, the changes by its table, the wait for what is slow."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar

from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.client import LARGEST_PAGE
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.plan import (
    Entry,
    Step,
    differing,
    fields_of,
    marked,
    matching,
    owned,
    plan_entries,
    retired,
)
from ansible_collections.dcm.platform.plugins.module_utils.digitalocean.resource_type import (
    Call,
    ResourceType,
    Tree,
    given,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome
from ansible_collections.dcm.platform.plugins.module_utils.engine.concurrent import map_concurrently
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    InputError,
    NotFoundError,
    PlatformError,
    RefusedError,
)
from ansible_collections.dcm.platform.plugins.module_utils.engine.reconcile import Reconciler
from ansible_collections.dcm.platform.plugins.module_utils.engine.wait import NotYet, wait_for
from ansible_collections.dcm.platform.plugins.module_utils.rest import AnsweredError, RestClient

T = TypeVar("T")
SLOWEST_POLL = 10.0  # seconds between two looks at something that takes minutes


def list_all(client: RestClient, kind: ResourceType, collection: str | None = None) -> list[dict[str, Any]]:
    """Every object of a type, in the words of the options."""
    query = {"per_page": LARGEST_PAGE} if kind.paged else None
    return [dict(kind.flatten(item)) for item in client.pages(collection or kind.path, kind.plural, query)]


class Resources:
    """Reads, writes and waits for single objects. What :class:`ResourceReconciler` and the types' own steps share."""

    def __init__(self, client: RestClient, timeout: float, *, wait: bool = True) -> None:
        """``timeout``: seconds for one wait. ``wait``: whether what was deleted must be gone."""
        self.client = client
        self._timeout = timeout
        self._wait = wait

    def refresh(self, entry: Entry) -> None:
        """Read the object again. Raises :class:`NotFoundError` when it is gone."""
        document = self.client.get(entry.path)
        self._set(entry, document[entry.type.key])

    def create(self, entry: Entry) -> None:
        """Make the object, once: a lost answer is followed by a look for what it made."""
        kind = entry.type

        def made() -> bool | None:
            found = matching(kind, entry.wanted, list_all(self.client, kind, entry.collection))
            if found is None:
                return None
            if kind.answer_only:
                self.client.delete(f"{entry.collection}/{found[kind.id_field]}")
                return None
            entry.actual = found
            return True

        answer = self.client.post(entry.collection, creation_body(entry), done=made)
        if answer is not True:
            self._set(entry, answer[kind.key])
        later = [name for name in differing(entry) if name in kind.update_only]
        if later:
            self.update(entry, later)

    def update(self, entry: Entry, fields: Sequence[str]) -> None:
        """Send what differs, or the whole object where the API wants it."""
        kind = entry.type
        if kind.fresh:
            self.refresh(entry)
        merged = entry.merged()
        if kind.update == "replace":
            sent = {name: merged[name] for name in (*kind.identity, *kind.compared) if merged.get(name) is not None}
        else:
            sent = {name: merged[name] for name in (*kind.always_sent, *fields) if merged.get(name) is not None}
        method = self.client.patch if kind.update == "patch" else self.client.put
        document = method(entry.path, sent)
        if isinstance(document.get(kind.key), Mapping):
            self._set(entry, document[kind.key])
        else:
            entry.actual = merged

    def call(self, entry: Entry, call: Call) -> None:
        """Send fields that have a request of their own, to an object that is ready for it."""
        merged = entry.merged()
        if call.perform is not None:
            call.perform(self, entry, merged)
            return
        body = call.body(merged, fields_of(entry))
        if call.method == "POST":
            self.client.post(entry.path + call.suffix, body, done=lambda: None)
        else:
            method = self.client.put if call.method == "PUT" else self.client.patch
            method(entry.path + call.suffix, body)
        if entry.type.ready != ("",):  # what the call set going must be over before the next one
            self.refresh(entry)
            if call.read is None:
                return
        entry.actual = {**(entry.actual or {}), **{name: merged[name] for name in call.fields if name in merged}}

    def delete(self, entry: Entry) -> None:
        """Remove the object and wait until it is gone; what still uses it is waited for, too."""
        kind, path = entry.type, entry.path

        def removed() -> None:
            try:
                if kind.delete is not None:
                    kind.delete(self, entry)
                else:
                    self.client.delete(path)
            except AnsweredError as error:
                if error.status not in kind.busy or not self._wait:
                    raise
                raise NotYet(str(error)) from error

        self.wait(f"{entry.title} to be released by what uses it", removed)
        if self._wait:
            self.wait(f"{entry.title} to be gone", lambda: self._gone(entry))
        entry.actual = None

    def _gone(self, entry: Entry) -> None:
        kind = entry.type
        if kind.status(entry.actual or {}) == "" and not kind.gone:
            return  # of a type that is gone when DELETE answers
        try:
            self.refresh(entry)
        except NotFoundError:
            return
        state = kind.status(entry.actual or {})
        if state not in kind.gone:
            raise NotYet(f"it is {state or 'still there'}")

    def await_ready(self, entry: Entry) -> None:
        """Wait until the object is ready. Raises :class:`RefusedError` when it failed."""
        if _is_ready(entry):
            return

        def ready() -> None:
            self.refresh(entry)
            state = entry.type.status(entry.actual or {})
            if state in entry.type.failed:
                raise RefusedError(f"{entry.title} is {state}.", hint="Look at it in the control panel.")
            if state not in entry.type.ready:
                raise NotYet(f"it is {state}")

        self.wait(f"{entry.title} to be {' or '.join(entry.type.ready)}", ready)

    def wait(self, what: str, probe: Any) -> None:
        wait_for(what, probe, timeout=self._timeout, interval=SLOWEST_POLL, clock=self.client.clock)

    def _set(self, entry: Entry, document: Tree) -> None:
        """Keep what is known from other requests: the object's own answer does not hold it."""
        kind = entry.type
        kept = {name for call in kind.calls if call.read for name in call.fields}
        known = {name: item for name, item in (entry.actual or {}).items() if name in kept}
        entry.actual = {**known, **kind.flatten(document)}


def creation_body(entry: Entry) -> dict[str, Any]:
    """The body of the request that makes an object."""
    kind, wanted = entry.type, fields_of(entry)
    names = [*kind.identity, *kind.compared, *kind.create_only]
    names += [name for call in kind.calls if call.in_create for name in call.fields]
    body = {name: wanted[name] for name in dict.fromkeys(names) if name in wanted and name not in kind.update_only}
    for child in kind.children:
        if child.option in kind.children_in_create:
            body[child.option] = [creation_body(item) for item in entry.children if item.type is child and item.present]
    return body


def _is_ready(entry: Entry) -> bool:
    return entry.actual is not None and entry.type.status(entry.actual) in entry.type.ready


def _is_unready(entry: Entry) -> bool:
    """Whether there is something to wait for."""
    return entry.present and entry.actual is not None and not _is_ready(entry)


def _has_details(entry: Entry) -> bool:
    """Whether anything is asked for that the list does not tell."""
    calls = (name for call in entry.type.calls if call.read for name in call.fields)
    return any(name in entry.wanted for name in (*calls, *(child.option for child in entry.type.children)))


class ResourceReconciler(Reconciler[list[dict[str, Any]]]):
    """Makes a list of objects of one type as they are wanted."""

    def __init__(self, client: RestClient, kind: ResourceType, options: Mapping[str, Any]) -> None:
        """``options``: those of :func:`.arguments.resource_arguments`."""
        self._client = client
        self._kind = kind
        self._wanted: list[dict[str, Any]] = given(options[kind.option])
        self._workers = options["workers"]
        self._wait = options["wait"]
        self._owner = options.get("owner")
        self._purge = bool(options.get("purge"))
        self._resources = Resources(client, options["wait_timeout"], wait=self._wait)
        self._entries: list[Entry] = []
        self._surplus: list[Entry] = []
        if self._purge and not self._owner:
            raise InputError("purge needs owner: only what carries the owner's mark is ever removed by it.")
        _refuse_duplicates(kind, self._wanted)

    # -- reading -----------------------------------------------------------------------------------------------

    def read(self) -> list[dict[str, Any]]:
        found = list_all(self._client, self._kind)
        self._entries = [self._entry(self._kind, wanted, found, self._owner) for wanted in self._wanted]
        meant = {entry.actual[self._kind.id_field] for entry in self._entries if entry.actual}
        if self._purge and self._owner:
            self._surplus = [
                Entry(self._kind, {"state": "absent"}, item)
                for item in found
                if item[self._kind.id_field] not in meant and owned(self._kind, item, self._owner)
            ]
        asked = [entry for entry in self._entries if entry.present and _has_details(entry)]
        map_concurrently(self._read_details, asked, self._workers)
        return found

    def _entry(
        self,
        kind: ResourceType,
        wanted: dict[str, Any],
        found: Sequence[Tree],
        owner: str | None,
        parent: Entry | None = None,
    ) -> Entry:
        own = [item for item in found if owned(kind, item, owner)] if owner else []
        actual = matching(kind, wanted, own) or matching(kind, wanted, found)  # names need not be unique
        adapted = dict(kind.adapt(marked(kind, wanted, actual, owner), actual))
        return Entry(kind, adapted, actual, parent)

    def _read_details(self, entry: Entry) -> None:
        """What the list does not tell of an object, if it is asked for: fields of calls, and children."""
        for call in entry.type.calls if entry.actual is not None else ():
            if call.read and any(name in entry.wanted for name in call.fields):
                entry.actual = {**(entry.actual or {}), call.fields[0]: self._read_part(entry, call, *call.read)}
        for child in entry.type.children:
            if child.option in entry.wanted:
                self._read_children(entry, child)

    def _read_part(self, entry: Entry, call: Call, suffix: str, key: str) -> Any:
        if call.paged:
            return self._client.pages(entry.path + suffix, key, {"per_page": LARGEST_PAGE})
        return self._client.get(entry.path + suffix).get(key)

    def _read_children(self, entry: Entry, kind: ResourceType) -> None:
        found: Sequence[Tree] = []
        if entry.actual is not None:
            inline = entry.actual.get(kind.option)
            found = (
                [kind.flatten(item) for item in inline]
                if kind.option in entry.type.children_in_create and inline is not None
                else list_all(self._client, kind, entry.path + kind.path)
            )
        wanted = [dict(item) for item in entry.wanted[kind.option]]
        _refuse_duplicates(kind, wanted)
        children = [self._entry(kind, item, found, None, entry) for item in wanted]
        children += [old for child in children if (old := self._predecessor(child, found))]
        if entry.wanted.get(f"purge_{kind.option}"):
            meant = [child.actual[kind.id_field] for child in children if child.actual]
            children += [
                Entry(kind, {"state": "absent"}, dict(item), entry)
                for item in found
                if item[kind.id_field] not in meant and kind.keep(item) is None
            ]
        entry.children += children

    def _predecessor(self, child: Entry, found: Sequence[Tree]) -> Entry | None:
        """What an interrupted replacement left behind."""
        wanted = child.wanted
        if child.type.retired is None or not wanted.get("replace") or wanted.get("keep_retired"):
            return None
        old = retired(child)
        old.actual = matching(child.type, old.wanted, found)
        return old if old.actual else None

    # -- planning ----------------------------------------------------------------------------------------------

    def plan(self, actual: list[dict[str, Any]]) -> list[Change]:
        surplus = [entry for entry in self._surplus if entry.type.keep(entry.actual or {}) is None]
        return plan_entries([*self._entries, *surplus], self._owner)

    # -- applying ----------------------------------------------------------------------------------------------

    def apply(self, changes: Sequence[Change]) -> Iterator[Outcome]:
        """Objects at the same time, the changes of one object in their order; what is removed comes last."""
        groups: dict[int, list[Change]] = {}
        for change in changes:
            root: Entry = change.payload.entry
            while root.parent is not None:
                root = root.parent
            groups.setdefault(id(root), []).append(change)
        waves = (
            [group for group in groups.values() if not _only_removes(group)],
            [group for group in groups.values() if _only_removes(group)],
        )
        for wave in waves:
            failed = False
            for outcomes in map_concurrently(self._apply_group, wave, self._workers):
                yield from outcomes
                failed = failed or any(outcome.error for outcome in outcomes)
            if failed:
                return  # nothing is removed after a failure

    def _apply_group(self, changes: Sequence[Change]) -> list[Outcome]:
        outcomes: list[Outcome] = []
        for change in changes:
            try:
                self._apply(change.payload)
            except PlatformError as error:
                return [*outcomes, Outcome(change, error)]
            outcomes.append(Outcome(change))
        return outcomes

    def _apply(self, step: Step) -> None:
        entry, resources = step.entry, self._resources
        if entry.parent is not None:
            resources.await_ready(entry.parent)
        if step.verb == "create":
            resources.create(entry)
            if entry.parent is not None:
                resources.await_ready(entry)
        elif step.verb == "delete":
            resources.delete(entry)
        else:
            resources.await_ready(entry)
            if step.verb == "update":
                resources.update(entry, step.fields)
            elif step.call is not None:
                resources.call(entry, step.call)
        if entry.parent is not None:
            self._parent_changed(entry.parent)

    def _parent_changed(self, parent: Entry) -> None:
        """A change of a child sets a slow parent to work again; its state is asked for anew."""
        if parent.type.ready != ("",):
            self._resources.refresh(parent)

    def settle(self) -> None:
        if self._wait:
            unready = [entry for entry in self._entries if any(map(_is_unready, (entry, *entry.children)))]
            map_concurrently(self._settle, unready, self._workers)

    def _settle(self, entry: Entry) -> None:
        for one in filter(_is_unready, (entry, *entry.children)):
            self._resources.await_ready(one)

    # -- result ------------------------------------------------------------------------------------------------

    def result(self, actual: list[dict[str, Any]], changes: Sequence[Change]) -> dict[str, Any]:
        return {self._kind.option: [self._describe(entry) for entry in self._entries]}

    def _describe(self, entry: Entry) -> dict[str, Any]:
        if not entry.present:
            return {**{name: entry.wanted.get(name) for name in entry.type.identity}, "state": "absent"}
        shown = entry.merged() if entry.actual is None else dict(entry.actual)
        return {**public(entry.type, shown), "state": "present"}


def public(kind: ResourceType, tree: Tree) -> dict[str, Any]:
    """An object without its secrets."""
    return {name: _public(item) for name, item in tree.items() if name not in kind.secret}


def _public(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _public(item) for name, item in value.items() if name not in SECRET_KEYS}
    return [_public(item) for item in value] if isinstance(value, (list, tuple)) else value


SECRET_KEYS = frozenset(
    {"password", "uri", "access_key", "access_cert", "secret_key", "token", "client_key_data", "auth"}
)


def _only_removes(changes: Sequence[Change]) -> bool:
    return all(change.action == "delete" for change in changes) and all(
        change.payload.entry.parent is None for change in changes
    )


def _refuse_duplicates(kind: ResourceType, wanted: Sequence[Tree]) -> None:
    seen = set()
    for item in wanted:
        identity = tuple(str(item.get(name)).lower() for name in kind.identity)
        if identity in seen:
            raise InputError(f"{kind.noun} {' '.join(identity)} is declared twice in {kind.option}.")
        seen.add(identity)
