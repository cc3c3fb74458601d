# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""ACL policies as documents: what they allow, whatever their spelling, comments and order."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError

CAPABILITIES = ("create", "read", "update", "patch", "delete", "list", "scan", "sudo", "deny", "subscribe", "recover")

_TOKEN = re.compile(
    r"""(?P<space>\s+|\#[^\n]*|//[^\n]*|/\*.*?\*/)
      | (?P<string>"(?:\\.|[^"\\])*")
      | (?P<word>[A-Za-z_][\w.-]*|-?\d[\w.]*)
      | (?P<mark>[{}\[\]=:,])""",
    re.VERBOSE | re.DOTALL,
)


class _Text:
    """The tokens of a policy in HCL or JSON, one look ahead."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._position = 0

    def peek(self) -> tuple[str, str]:
        return self._tokens[self._position] if self._position < len(self._tokens) else ("end", "")

    def take(self, mark: str = "") -> tuple[str, str]:
        kind, text = self.peek()
        if kind == "end" or (mark and text != mark):
            raise ValueError(f"{mark or 'more'} is missing at {text or 'the end'}")
        self._position += 1
        return kind, text

    def skip(self, *marks: str) -> None:
        while self.peek()[1] in marks and self.peek()[0] == "mark":
            self._position += 1


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    position = 0
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError(f"unexpected {text[position]}")
        if match.lastgroup != "space":
            yield str(match.lastgroup), match.group()
        position = match.end()


def _value(text: _Text) -> Any:
    kind, word = text.take()
    if word == "{" and kind == "mark":
        return _object(text, "}")
    if word == "[" and kind == "mark":
        items = []
        text.skip(",")
        while text.peek() != ("mark", "]"):
            items.append(_value(text))
            text.skip(",")
        text.take("]")
        return items
    if kind == "mark":
        raise ValueError(f"unexpected {word}")
    return json.loads(word) if kind == "string" or word in ("true", "false") else word


def _object(text: _Text, end: str) -> dict[str, Any]:
    """``a "b" { … }`` is ``{"a": {"b": …}}``; what is said twice is kept twice, as a list."""
    found: dict[str, Any] = {}
    while text.peek() != (("mark", end) if end else ("end", "")):
        keys = []
        while text.peek()[0] in ("string", "word"):
            keys.append(_value(text))
        if not keys:
            raise ValueError(f"unexpected {text.peek()[1] or 'end'}")
        text.skip("=", ":")
        value = _value(text)
        for key in reversed(keys[1:]):
            value = {key: value}
        _merge(found, keys[0], value)
        text.skip(",")
    if end:
        text.take(end)
    return found


def _merge(found: dict[str, Any], key: str, value: Any) -> None:
    earlier = found.get(key)
    if isinstance(earlier, dict) and isinstance(value, dict) and not set(earlier) & set(value):
        earlier.update(value)
    elif key in found:
        found[key] = [earlier, value]
    else:
        found[key] = value


def parse(text: str) -> dict[str, Any]:
    """The rules of a policy. Raises ``ValueError`` for what is neither HCL nor JSON."""
    tokens = _Text(text.strip())
    if tokens.peek() == ("mark", "{"):
        tokens.take("{")
        return _object(tokens, "}")
    return _object(tokens, "")


def canonical(text: str) -> Any:
    """What two policies that allow the same have in common. Text that cannot be read stands for itself."""
    try:
        return _unordered(parse(text))
    except ValueError:
        return " ".join(text.split())


def _unordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _unordered(item) for key, item in value.items()}
    if isinstance(value, list):
        return sorted((_unordered(item) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    return value


def same_policy(wanted: str, actual: str) -> bool:
    """Whether both say the same."""
    return bool(canonical(wanted) == canonical(actual))


def render(paths: Sequence[Mapping[str, Any]]) -> str:
    """Rules in HCL. Each has ``path``, ``capabilities`` and whatever else the server knows of a path.

    Raises :class:`InputError` for a rule without them, or with a capability that does not exist.
    """
    return "\n".join(_render(index, dict(rule)) for index, rule in enumerate(paths))


def _render(index: int, rule: dict[str, Any]) -> str:
    path, capabilities = rule.pop("path", None), rule.get("capabilities")
    if not path or not isinstance(capabilities, list) or not capabilities:
        raise InputError(f"paths[{index}] needs path and a list capabilities.")
    unknown = sorted(set(capabilities) - set(CAPABILITIES))
    if unknown:
        raise InputError(f"paths[{index}] ({path}): there is no capability {', '.join(unknown)}.")
    lines = [f"  {name} = {_hcl(value)}\n" for name, value in rule.items()]
    return f"path {_hcl(path)} {{\n{''.join(lines)}}}\n"


def _hcl(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_hcl(str(key))} = {_hcl(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(_hcl(item) for item in value) + "]"
    return json.dumps(value, ensure_ascii=False)
