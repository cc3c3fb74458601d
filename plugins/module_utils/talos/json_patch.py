# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""JSON patches (RFC 6902) on one document."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import Document, copied


def apply_operations(document: Document, operations: Sequence[Any]) -> Document:
    """The document after all operations of a JSON patch. Raises :class:`InputError` that names the operation."""
    root: dict[str, Any] = {"": copied(document)}  # one level above, so that the empty pointer is a key, too
    for number, operation in enumerate(operations, start=1):
        try:
            _operate(root, operation)
        except InputError as error:
            raise InputError(f"operation {number}: {error.message}") from error
    result = root.get("")
    if not isinstance(result, dict):
        raise InputError("the operations do not leave a mapping.")
    return result


def _operate(root: dict[str, Any], operation: Any) -> None:
    if not isinstance(operation, dict) or operation.get("op") not in _OPERATIONS:
        raise InputError(f"op must be one of {', '.join(sorted(_OPERATIONS))}.")
    missing = [key for key in _OPERATIONS[operation["op"]].needs if key not in operation]
    if missing:
        raise InputError(f"{operation['op']} needs {' and '.join(missing)}.")
    _OPERATIONS[operation["op"]].function(root, operation)


def _parts(pointer: Any) -> list[str]:
    if not isinstance(pointer, str) or (pointer and not pointer.startswith("/")):
        raise InputError(f"{pointer!r} is not a JSON pointer: it starts with a slash.")
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")]


def _position(elements: list[Any], part: str, pointer: str, *, end: bool) -> int:
    """The index that ``part`` names; the place after the last element counts if ``end``."""
    if part == "-" and end:
        return len(elements)
    if not (part == "0" or (part.isdecimal() and part.isascii() and part[0] != "0")):
        raise InputError(f"{pointer}: {part!r} is not an index.")
    if int(part) >= len(elements) + (1 if end else 0):
        raise InputError(f"{pointer}: there is no element {part}.")
    return int(part)


def _child(parent: Any, part: str, pointer: str) -> Any:
    if isinstance(parent, list):
        return parent[_position(parent, part, pointer, end=False)]
    if isinstance(parent, dict) and part in parent:
        return parent[part]
    raise InputError(f"{pointer}: there is no {part!r}.")


def _parent(root: dict[str, Any], pointer: Any) -> tuple[Any, str]:
    *parents, last = _parts(pointer)
    target: Any = root
    for part in parents:
        target = _child(target, part, pointer)
    if not isinstance(target, (dict, list)):
        raise InputError(f"{pointer}: its parent is neither a mapping nor a list.")
    return target, last


def _get(root: dict[str, Any], pointer: Any) -> Any:
    parent, last = _parent(root, pointer)
    return _child(parent, last, pointer)


def _add_at(root: dict[str, Any], pointer: Any, value: Any) -> None:
    parent, last = _parent(root, pointer)
    if isinstance(parent, list):
        parent.insert(_position(parent, last, pointer, end=True), value)
    else:
        parent[last] = value


def _remove_at(root: dict[str, Any], pointer: Any) -> Any:
    parent, last = _parent(root, pointer)
    value = _child(parent, last, pointer)
    if isinstance(parent, list):
        del parent[int(last)]
    else:
        del parent[last]
    return value


def _add(root: dict[str, Any], operation: Mapping[str, Any]) -> None:
    _add_at(root, operation["path"], operation["value"])


def _remove(root: dict[str, Any], operation: Mapping[str, Any]) -> None:
    _remove_at(root, operation["path"])


def _replace(root: dict[str, Any], operation: Mapping[str, Any]) -> None:
    parent, last = _parent(root, operation["path"])
    _child(parent, last, operation["path"])
    parent[int(last) if isinstance(parent, list) else last] = operation["value"]


def _move(root: dict[str, Any], operation: Mapping[str, Any]) -> None:
    if f"{operation['path']}/".startswith(f"{operation['from']}/") and operation["path"] != operation["from"]:
        raise InputError(f"{operation['from']} cannot be moved into itself.")
    _add_at(root, operation["path"], _remove_at(root, operation["from"]))


def _copy(root: dict[str, Any], operation: Mapping[str, Any]) -> None:
    _add_at(root, operation["path"], copied(_get(root, operation["from"])))


def _test(root: dict[str, Any], operation: Mapping[str, Any]) -> None:
    if _get(root, operation["path"]) != operation["value"]:
        raise InputError(f"{operation['path']} does not have the value that the patch tests for.")


class _Operation(NamedTuple):
    function: Callable[[dict[str, Any], Mapping[str, Any]], None]
    needs: tuple[str, ...]


_OPERATIONS: Mapping[str, _Operation] = {
    "add": _Operation(_add, ("path", "value")),
    "copy": _Operation(_copy, ("path", "from")),
    "move": _Operation(_move, ("path", "from")),
    "remove": _Operation(_remove, ("path",)),
    "replace": _Operation(_replace, ("path", "value")),
    "test": _Operation(_test, ("path", "value")),
}
