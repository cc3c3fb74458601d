# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What to change about secrets, decided without a server: wanted + stored → changes."""

from __future__ import annotations

import json
import secrets
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.validation import check_type_dict
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Secret
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import (
    ConflictError,
    InputError,
    RefusedError,
)
from ansible_collections.dcm.platform.plugins.module_utils.vault.key_value import Data, Stored

State = Literal["present", "absent", "destroyed"]

ALPHABETS: Mapping[str, str] = {
    "alphanumeric": string.ascii_letters + string.digits,
    "hex": "0123456789abcdef",
    "urlsafe": string.ascii_letters + string.digits + "-_",
}
RECIPE_SPEC: Mapping[str, Any] = {
    "length": {"type": "int", "default": 32},
    "alphabet": {"type": "str", "default": "alphanumeric", "choices": list(ALPHABETS)},
}
LONGEST = 4096  # characters of a generated value


@dataclass(frozen=True)
class Recipe:
    """How to make a value: that many characters of an alphabet of :data:`ALPHABETS`."""

    length: int = 32
    alphabet: str = "alphanumeric"


Generator = Callable[[Recipe], str]


def generate(recipe: Recipe) -> str:
    """A random value from the operating system's source of randomness."""
    return "".join(secrets.choice(ALPHABETS[recipe.alphabet]) for _position in range(recipe.length))


@dataclass(frozen=True)
class Wanted:
    """One secret as it should be. The fields are the options of the module."""

    path: str
    state: State = "present"
    data: Data = field(default_factory=dict, repr=False)
    generate: Mapping[str, Recipe] = field(default_factory=dict)
    replace: bool = True
    overwrite: bool = True


@dataclass(frozen=True)
class Write:
    """What a change of data sends: the whole secret, on top of the version it was planned from."""

    data: Data = field(repr=False)
    stored: Stored


def wanted_secrets(items: Sequence[Mapping[str, Any]]) -> list[Wanted]:
    """The module's list ``secrets``, checked. Raises :class:`InputError` that names the item by index and path."""
    wanted: list[Wanted] = []
    first_use: dict[str, int] = {}
    for index, item in enumerate(items):
        try:
            secret = _wanted(item)
        except InputError as error:
            raise InputError(f"secrets[{index}] ({item['path']}): {error}") from error
        first = first_use.setdefault(secret.path, index)
        if first != index:
            raise InputError(f"secrets[{index}] and secrets[{first}] have the same path {secret.path}.")
        wanted.append(secret)
    return wanted


def _wanted(item: Mapping[str, Any]) -> Wanted:
    data, recipes = _data(item["data"]), item["generate"]
    if item["state"] != "present" and (data or recipes):
        raise InputError(f"data and generate mean nothing with state {item['state']}.")
    if item["state"] == "present" and data is None and not recipes:
        raise InputError("state present needs data, generate or both.")
    twice = sorted(set(data or {}) & set(recipes or {}))
    if twice:
        raise InputError(f"{', '.join(twice)}: given in data and in generate.")
    return Wanted(
        path=_path(item["path"]),
        state=item["state"],
        data=data or {},
        generate={key: _recipe(key, recipe) for key, recipe in (recipes or {}).items()},
        replace=item["replace"],
        overwrite=item["overwrite"],
    )


def _data(value: Any) -> Data | None:
    """A dictionary, or one written as text, as for every option that takes a dictionary."""
    if value is None:
        return None
    try:
        data: Data = check_type_dict(value)
    except (TypeError, ValueError):
        raise InputError("data must be a dictionary.") from None  # what it is must not be quoted
    return data


def _path(path: str) -> str:
    """Without the slashes that the server ignores, so that one secret has one spelling."""
    segments = [segment for segment in path.strip().split("/") if segment]
    if not segments or {".", ".."} & set(segments):
        raise InputError("path must name a secret below the mount, without . and .. segments.")
    return "/".join(segments)


def _recipe(key: str, options: Any) -> Recipe:
    if not isinstance(options or {}, Mapping):
        raise InputError(f"generate.{key} must be a dictionary of length and alphabet.")
    checked = ArgumentSpecValidator(RECIPE_SPEC).validate(dict(options or {}))
    if checked.error_messages:
        raise InputError(f"generate.{key}: {'; '.join(checked.error_messages)}.")
    recipe = Recipe(**checked.validated_parameters)
    if not 1 <= recipe.length <= LONGEST:
        raise InputError(f"generate.{key}: length must be 1 to {LONGEST} characters, not {recipe.length}.")
    return recipe


def plan_secret(wanted: Wanted, stored: Stored, generator: Generator = generate) -> Change | None:
    """The change that makes ``stored`` into ``wanted``, or None.

    Raises :class:`RefusedError` where that would replace something that must never be replaced.
    """
    if wanted.state == "present":
        return _plan_present(wanted, stored, generator)
    if wanted.state == "destroyed":
        before = {"latest_version": stored.version}
        return Change("delete", "secret", wanted.path, before) if stored.exists else None
    return None if stored.data is None else Change("delete", "secret", wanted.path, _hidden(stored.data))


def _plan_present(wanted: Wanted, stored: Stored, generator: Generator) -> Change | None:
    if not wanted.overwrite and stored.data is not None:
        return None
    if not wanted.overwrite and stored.exists:
        raise RefusedError(
            f"Secret {wanted.path} is not to be overwritten, and version {stored.version} of it is deleted.",
            hint="Undelete that version to keep it, or ask for state destroyed first to begin anew.",
        )
    data = _target(wanted, stored.data or {}, generator)
    if stored.data is None:
        return Change("create", "secret", wanted.path, None, _hidden(data), Write(data, stored))
    if same(data, stored.data):
        return None
    return Change("update", "secret", wanted.path, _hidden(stored.data), _hidden(data), Write(data, stored))


def _target(wanted: Wanted, current: Data, generator: Generator) -> Data:
    kept = {} if wanted.replace else dict(current)
    generated = {key: current[key] if key in current else generator(recipe) for key, recipe in wanted.generate.items()}
    return {**kept, **generated, **wanted.data}


def plan_again(wanted: Wanted, write: Write, stored: Stored, generator: Generator = generate) -> Change | None:
    """The change after somebody else wrote between our read and our write. ``stored``: what is there now.

    None if what is there now will do. Raises :class:`ConflictError` if our data would undo what the other one did.
    """
    if same(stored.data, write.data):
        return None
    change = plan_secret(wanted, stored, generator)
    deleted = stored.data is None and write.stored.data is not None
    if deleted or (change and _undoes(change.payload.data, write.stored.data or {}, stored.data or {})):
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
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _hidden(data: Data) -> dict[str, Secret]:
    return {key: Secret(value) for key, value in data.items()}
