# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What to change about secrets, decided without a server: wanted + stored → changes."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ansible.module_utils.common.validation import check_type_dict
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Secret
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    ConflictError,
    InputError,
    RefusedError,
)
from ansible_collections.dcm.platform.plugins.module_utils.vault.documents import as_json
from ansible_collections.dcm.platform.plugins.module_utils.vault.documents import same as same_value
from ansible_collections.dcm.platform.plugins.module_utils.vault.generate import (
    TYPES,
    Generator,
    Recipe,
    generate,
    recipe_for,
)
from ansible_collections.dcm.platform.plugins.module_utils.vault.key_value import Data, Stored

State = Literal["present", "absent", "destroyed", "undeleted"]

OWNER = "dcm_owner"  # custom metadata: whose secret it is
FINGERPRINT = "dcm_fingerprint"  # custom metadata: what was asked for, keyed, and the version that fulfils it
METADATA = ("max_versions", "delete_version_after", "cas_required")


@dataclass(frozen=True)
class Wanted:
    """One secret as it should be. The fields are the options of the module."""

    path: str
    state: State = "present"
    data: Data = field(default_factory=dict, repr=False)
    generate: Mapping[str, Recipe] = field(default_factory=dict)
    replace: bool = True
    overwrite: bool = True
    metadata: Mapping[str, Any] = field(default_factory=dict)
    custom: Mapping[str, str] = field(default_factory=dict)

    @property
    def needs_metadata(self) -> bool:
        """Whether reading the data is not enough to know what differs."""
        return bool(self.metadata)


@dataclass(frozen=True)
class Write:
    """What a change of data sends: the whole secret, on top of the version it was planned from."""

    data: Data = field(repr=False)
    stored: Stored
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Mark:
    """A change of metadata alone."""

    metadata: Mapping[str, Any]
    stored: Stored


class Fingerprints:
    """Tells by a secret's metadata whether a version holds what is asked for. Without the key it tells nothing."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()

    def of(self, wanted: Wanted, version: int) -> str:
        """The mark for a version that was made from ``wanted``, or found to be as wanted."""
        wish = as_json([wanted.path, wanted.data, sorted(wanted.generate), wanted.replace])
        return f"{version}:{hmac.new(self._key, wish.encode(), hashlib.sha256).hexdigest()}"

    def fulfilled(self, wanted: Wanted, stored: Stored) -> bool:
        """Whether the latest version is known to be as wanted."""
        mark = stored.custom.get(FINGERPRINT, "")
        return stored.live and hmac.compare_digest(mark, self.of(wanted, stored.version))


def wanted_secrets(items: Sequence[Mapping[str, Any]], owner: str | None = None) -> list[Wanted]:
    """The module's list ``secrets``, checked, each marked as the ``owner``'s.

    Raises :class:`InputError` that names the item by index and path.
    """
    wanted: list[Wanted] = []
    first_use: dict[str, int] = {}
    for index, item in enumerate(items):
        try:
            secret = _wanted(item, owner)
        except InputError as error:
            raise InputError(f"secrets[{index}] ({item['path']}): {error}") from error
        first = first_use.setdefault(secret.path, index)
        if first != index:
            raise InputError(f"secrets[{index}] and secrets[{first}] have the same path {secret.path}.")
        wanted.append(secret)
    return wanted


def _wanted(item: Mapping[str, Any], owner: str | None) -> Wanted:
    data, recipes = _data(item["data"]), item["generate"]
    if item["state"] != "present" and (data or recipes):
        raise InputError(f"data and generate mean nothing with state {item['state']}.")
    if item["state"] == "present" and data is None and not recipes:
        raise InputError("state present needs data, generate or both.")
    made = {f"{key}{part}" for key in recipes or {} for part in ("", *_parts(key, recipes[key]))}
    twice = sorted(set(data or {}) & made)
    if twice:
        raise InputError(f"{', '.join(twice)}: given in data and in generate.")
    metadata = {key: value for key, value in (item.get("metadata") or {}).items() if value is not None}
    if item["state"] in ("absent", "destroyed") and metadata:
        raise InputError(f"metadata mean nothing with state {item['state']}.")
    custom = {key: str(value) for key, value in metadata.pop("custom_metadata", {}).items()}
    return Wanted(
        path=checked_path(item["path"]),
        state=item["state"],
        data=data or {},
        generate={key: recipe_for(key, recipe) for key, recipe in (recipes or {}).items()},
        replace=item["replace"],
        overwrite=item["overwrite"],
        metadata=metadata,
        custom={**custom, **({OWNER: owner} if owner and item["state"] == "present" else {})},
    )


def _parts(key: str, options: Any) -> tuple[str, ...]:
    """What is appended to the key's name for the values beside the secret one."""
    return TYPES[recipe_for(key, options).type].parts


def _data(value: Any) -> Data | None:
    """A dictionary, or one written as text, as for every option that takes a dictionary."""
    if value is None:
        return None
    try:
        data: Data = check_type_dict(value)
    except (TypeError, ValueError):
        raise InputError("data must be a dictionary.") from None  # what it is must not be quoted
    return data


def checked_path(path: str) -> str:
    """Without the slashes that the server ignores, so that one secret has one spelling."""
    segments = [segment for segment in path.strip().split("/") if segment]
    if not segments or {".", ".."} & set(segments):
        raise InputError("path must name a secret below the mount, without . and .. segments.")
    return "/".join(segments)


def plan_secret(
    wanted: Wanted, stored: Stored, generator: Generator = generate, fingerprints: Fingerprints | None = None
) -> Change | None:
    """The change that makes ``stored`` into ``wanted``, or None.

    Raises :class:`RefusedError` where that would replace something that must never be replaced.
    """
    if wanted.state == "present":
        return _plan_present(wanted, stored, generator, fingerprints)
    if wanted.state == "undeleted":
        return _plan_undeleted(wanted, stored)
    if wanted.state == "destroyed":
        before = {"latest_version": stored.version}
        return Change("delete", "secret", wanted.path, before) if stored.exists else None
    if not stored.live:
        return None
    before = {"latest_version": stored.version}
    return Change("delete", "secret", wanted.path, before if stored.data is None else _hidden(stored.data))


def _plan_undeleted(wanted: Wanted, stored: Stored) -> Change | None:
    if stored.live:
        return None
    if not stored.version or stored.destroyed:
        reason = f"version {stored.version} of it is destroyed" if stored.version else "there is none"
        raise RefusedError(f"Secret {wanted.path} cannot be undeleted: {reason}.")
    deleted = {"version": stored.version, "deleted": True}
    return Change("update", "secret", wanted.path, deleted, {**deleted, "deleted": False}, stored.version)


def _plan_present(
    wanted: Wanted, stored: Stored, generator: Generator, fingerprints: Fingerprints | None
) -> Change | None:
    if not wanted.overwrite and not stored.live and stored.exists and stored.version:
        raise RefusedError(
            f"Secret {wanted.path} is not to be overwritten, and version {stored.version} of it is deleted.",
            hint="Undelete that version to keep it, or ask for state destroyed first to begin anew.",
        )
    kept = stored.live and (not wanted.overwrite or stored.data is None)  # without data: its fingerprint is right
    data = {} if kept else _target(wanted, stored.data or {}, generator)
    as_wanted = kept or (stored.data is not None and same(data, stored.data))
    metadata = _metadata(wanted, stored, fingerprints if wanted.overwrite else None, stored.version + (not as_wanted))
    if as_wanted:
        if not metadata:
            return None
        before = {key: _known(stored).get(key) for key in metadata}
        return Change("update", "metadata", wanted.path, before, metadata, Mark(metadata, stored))
    write = Write(data, stored, metadata)
    if stored.data is None:
        return Change("create", "secret", wanted.path, None, _hidden(data), write)
    return Change("update", "secret", wanted.path, _hidden(stored.data), _hidden(data), write)


def _known(stored: Stored) -> dict[str, Any]:
    return {**(stored.metadata or {}), "custom_metadata": dict(stored.custom)}


def _metadata(wanted: Wanted, stored: Stored, fingerprints: Fingerprints | None, version: int) -> dict[str, Any]:
    """The metadata that differ. ``version``: the one that is as wanted, by then."""
    custom = dict(wanted.custom)
    if fingerprints is not None:
        custom[FINGERPRINT] = fingerprints.of(wanted, version)
    known = _known(stored)
    differ = {key: value for key, value in wanted.metadata.items() if not same_value(key, value, known.get(key))}
    custom = {key: value for key, value in custom.items() if stored.custom.get(key) != value}
    return {**differ, **({"custom_metadata": custom} if custom else {})}


def _target(wanted: Wanted, current: Data, generator: Generator) -> Data:
    kept = {} if wanted.replace else dict(current)
    generated: dict[str, Any] = {}
    for key, recipe in wanted.generate.items():
        if key in current:  # what belongs to it, too: half a pair cannot be made anew
            names = (f"{key}{part}" for part in ("", *TYPES[recipe.type].parts))
            generated.update({name: current[name] for name in names if name in current})
        else:
            generated.update({f"{key}{part}": value for part, value in generator(recipe).items()})
    return {**kept, **generated, **wanted.data}


def plan_again(
    wanted: Wanted,
    write: Write,
    stored: Stored,
    generator: Generator = generate,
    fingerprints: Fingerprints | None = None,
) -> Change | None:
    """The change after somebody else wrote between our read and our write. ``stored``: what is there now.

    None if what is there now will do. Raises :class:`ConflictError` if our data would undo what the other one did.
    """
    change = plan_secret(wanted, stored, generator, fingerprints)
    if same(stored.data, write.data) or change is None or isinstance(change.payload, Mark):
        return change
    deleted = stored.data is None and write.stored.data is not None
    if deleted or _undoes(change.payload.data, write.stored.data or {}, stored.data or {}):
        raise changed_meanwhile(wanted.path)
    return change


def changed_meanwhile(path: str) -> ConflictError:
    """Somebody else writes the same secret, and wants it otherwise."""
    return ConflictError(
        f"Secret {path} was changed by somebody else between the read and the write.",
        hint="Their change was kept. Find out who else writes it, or run again to replace what they wrote.",
    )


def _undoes(target: Data, before: Data, now: Data) -> bool:
    """Whether ``target`` differs from ``now`` in a key that changed since ``before``."""
    touched = (key for key in {**before, **now} if not _same_key(before, now, key))
    return any(not _same_key(target, now, key) for key in touched)


def _same_key(one: Data, other: Data, key: str) -> bool:
    if (key in one) != (key in other):
        return False
    return key not in one or same(one[key], other[key])


def same(one: Any, other: Any) -> bool:
    """Equal as JSON, which is what the server stores: 1 and true are not."""
    return as_json(one) == as_json(other)


def _hidden(data: Data) -> dict[str, Secret]:
    return {key: Secret(value) for key, value in data.items()}
