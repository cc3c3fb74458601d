# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Where in an inventory's files a variable is written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

try:
    import yaml
except ImportError:  # reported by the caller's dependency guard
    yaml = None  # type: ignore[assignment]

SUFFIXES = (".yml", ".yaml", ".json", "")


@dataclass(frozen=True)
class Definition:
    """One place where a variable is set. ``line`` counts from 1; ``file`` is relative to the inventory."""

    name: str
    file: str
    line: int


def definitions(inventory: Path) -> Iterator[Definition]:
    """Every variable in ``group_vars`` and ``host_vars`` of an inventory directory, and in its hosts files.

    Only keys are read, so tags and encrypted values do not matter; a wholly encrypted file is passed over.
    """
    for folder in ("group_vars", "host_vars"):
        for path in sorted((inventory / folder).rglob("*")):
            if path.is_file() and path.suffix in SUFFIXES:
                yield from _keys(_parse(path), path.relative_to(inventory))
    for path in sorted(inventory.glob("*.y*ml")):
        yield from _nested_vars(_parse(path), path.relative_to(inventory))


def _parse(path: Path) -> yaml.Node | None:
    try:
        return yaml.compose(path.read_text(), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError):
        return None  # Ansible itself has read the file before us and reports what it cannot


def _keys(node: yaml.Node | None, file: Path) -> Iterator[Definition]:
    if isinstance(node, yaml.MappingNode):
        for key, _value in node.value:
            yield Definition(str(key.value), str(file), key.start_mark.line + 1)


def _nested_vars(node: yaml.Node | None, file: Path) -> Iterator[Definition]:
    """Keys below ``vars:`` of groups and below each host of a YAML inventory."""
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        if key.value == "vars":
            yield from _keys(value, file)
        elif key.value == "hosts" and isinstance(value, yaml.MappingNode):
            for _host, variables in value.value:
                yield from _keys(variables, file)
        else:
            yield from _nested_vars(value, file)
