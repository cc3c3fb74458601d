# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The documents of a machine configuration: a YAML stream, read and written the way Talos does it."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError

try:
    import yaml
except ImportError:  # the engine reports a missing library with its package
    yaml = None  # type: ignore[assignment]

Document = dict[str, Any]
_UNICODE_BREAKS = frozenset("\x85\u2028\u2029")  # which PyYAML takes for the end of a line
LEGACY = "v1alpha1"  # what the document without apiVersion and kind is called


class Identity(NamedTuple):
    """What makes a document the same one in two configurations."""

    api_version: str
    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".strip() or LEGACY


def identity(document: Mapping[str, Any]) -> Identity:
    """Raises :class:`InputError` if only one of apiVersion and kind is given."""
    api_version, kind = str(document.get("apiVersion") or ""), str(document.get("kind") or "")
    if bool(api_version) != bool(kind):
        raise InputError(
            f"A document of the machine configuration has {'an apiVersion' if api_version else 'a kind'} only: "
            "apiVersion and kind must be given together, or both left out for the v1alpha1 document."
        )
    return Identity(api_version, kind, str(document.get("name") or "") if kind else "")


def by_identity(documents: Iterable[Document]) -> dict[Identity, Document]:
    """The documents in their order. Raises :class:`InputError` for two of the same identity."""
    found: dict[Identity, Document] = {}
    for document in documents:
        key = identity(document)
        if key in found:
            raise InputError(f"The machine configuration holds the document {key} twice.")
        found[key] = document
    return found


def legacy_document(documents: Iterable[Document]) -> Document | None:
    """The v1alpha1 document, if there is one."""
    return next((document for document in documents if not document.get("kind")), None)


def at(value: Any, path: str) -> Any:
    """The value at a dotted path of keys, None if there is none."""
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def copied(value: Any) -> Any:
    """A deep copy of plain data in which no two places share an object, as the aliases of YAML make them do."""
    if isinstance(value, Mapping):
        return {key: copied(item) for key, item in value.items()}
    if isinstance(value, list):
        return [copied(item) for item in value]
    return value


def load(text: str, what: str = "The machine configuration") -> list[Document]:
    """The documents of a YAML stream; empty ones are left out. ``what`` names the text in an :class:`InputError`."""
    documents = [document for document in load_any(text, what) if document is not None]
    if not all(isinstance(document, dict) for document in documents):
        raise InputError(f"{what} is not a stream of YAML mappings.")
    return documents


def load_any(text: str, what: str) -> list[Any]:
    """Every value of a YAML stream. The text itself, which may hold secrets, never becomes part of an error."""
    try:
        return list(yaml.load_all(text, Loader=_loader()))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise InputError(f"{what} is not valid YAML: {error.problem}{place}.") from None
    except yaml.YAMLError as error:
        raise InputError(f"{what} is not valid YAML: {type(error).__name__}.") from None


def dump(documents: Sequence[Mapping[str, Any]]) -> str:
    """The documents as a YAML stream; the same documents always give the same text."""
    return str(
        yaml.dump_all(
            documents,
            Dumper=_dumper(),
            sort_keys=False,
            allow_unicode=True,
            default_flow_style=False,
            width=1 << 30,
            explicit_start=len(documents) > 1,
        )
    )


# Talos reads YAML 1.2, PyYAML reads 1.1, where 52:54:00:12:34:56 is a number, yes a boolean and 2026-01-01 a date.
_TAGS: tuple[tuple[str, str, str], ...] = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", "~nN"),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*|0[0-7]+|0o[0-7_]+|0x[0-9a-fA-F_]+|0b[01_]+)", "-+0123456789"),
    (
        "float",
        r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+.0123456789",
    ),
    ("merge", r"<<", "<"),
)


def _add_resolvers(dialect: Any) -> Any:
    for tag, pattern, first in _TAGS:
        characters = [*first, ""] if tag == "null" else list(first)
        dialect.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(f"^(?:{pattern})$"), characters)
    return dialect


def _integer(loader: Any, node: Any) -> int:
    text = loader.construct_scalar(node).replace("_", "")
    legacy_octal = re.fullmatch(r"([-+]?)0([0-7]+)", text)
    return int(f"{legacy_octal[1]}0o{legacy_octal[2]}" if legacy_octal else text, 0)


def _mapping(loader: Any, node: Any) -> dict[str, Any]:
    loader.flatten_mapping(node)
    result: dict[str, Any] = {}
    for key_node, value_node in node.value:
        key = str(loader.construct_object(key_node, deep=True))
        if key in result:
            raise yaml.constructor.ConstructorError(None, None, "a key is given twice", key_node.start_mark)
        result[key] = loader.construct_object(value_node, deep=True)
    return result


@functools.cache
def _loader() -> Any:
    class Loader(yaml.SafeLoader):
        yaml_implicit_resolvers: dict[str, Any] = {}

    _add_resolvers(Loader)
    Loader.add_constructor("tag:yaml.org,2002:int", _integer)
    Loader.add_constructor("tag:yaml.org,2002:map", _mapping)
    return Loader


@functools.cache
def _dumper() -> Any:
    class Dumper(yaml.SafeDumper):
        """Quotes a text that either version of YAML would take for something else."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
            super().increase_indent(flow, False)

    def text(dumper: Any, value: str) -> Any:
        style = '"' if _UNICODE_BREAKS.intersection(value) else "|" if "\n" in value else None
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    return _add_resolvers(Dumper)
