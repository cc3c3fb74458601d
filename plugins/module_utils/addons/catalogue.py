# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Entries of the add-on catalogue: checked against its schema, and completed for one environment."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.inventory.specification import Options, check_options

Tree = Mapping[str, Any]
Addon = dict[str, Any]  # an entry as the schema describes it

SOURCES = ("chart", "git", "manifests", "crds")
FACT = re.compile(r"<([a-z][a-z0-9_]*)>")  # a text in angle brackets stands for a key of the facts
_TYPES = {"array": "list", "boolean": "bool", "integer": "int", "object": "dict", "string": "str"}


def check_entries(entries: Iterable[Addon], schema: Tree) -> None:
    """Raises :class:`InputError` that names every wrong key of every entry."""
    options = {"addon": {"type": "dict", "options": _options(schema, schema.get("$defs", {}))}}
    problems = []
    for entry in entries:
        name = str(entry.get("name") or "an add-on without a name")
        for problem in check_options(options, {"addon": entry}):
            problems.append(f"{name}: {problem.key.removeprefix('addon.')}: {problem.message}")
        problems += [f"{name}: {message}" for message in _incomplete(entry)]
    if problems:
        raise InputError(f"The catalogue of add-ons is wrong: {'; '.join(problems)}.")


def _options(schema: Tree, defined: Tree) -> Options:
    """The part of a JSON schema that an argument specification can say; ``defined`` is what it refers to."""
    required = schema.get("required", ())
    return {name: _option(part, name in required, defined) for name, part in schema["properties"].items()}


def _option(schema: Tree, required: bool, defined: Tree) -> dict[str, Any]:
    if "$ref" in schema:
        schema = defined[schema["$ref"].rpartition("/")[2]]
    kind = schema.get("type")
    option: dict[str, Any] = {"type": _TYPES.get(kind, "raw") if isinstance(kind, str) else "raw", "required": required}
    option["description"] = schema.get("description", "it has no default")
    if "enum" in schema:
        option["choices"] = schema["enum"]
    if "properties" in schema:
        option["options"] = _options(schema, defined)
    if kind == "array":
        element = _option(schema["items"], False, defined)
        option |= {key: element[key] for key in ("choices", "options") if key in element}
        option["elements"] = element["type"]
    return option


def _incomplete(entry: Addon) -> list[str]:
    """What an entry lacks, which a schema cannot say as plainly."""
    problems = []
    if not any(entry.get(source) for source in SOURCES):
        problems.append(f"one of {', '.join(SOURCES)} is needed")
    if not is_definitions_only(entry) and not (entry.get("namespace") and entry.get("pod_security")):
        problems.append("namespace and pod_security are needed")
    if bool(entry.get("alternative_to")) != bool(entry.get("warning")):
        problems.append("alternative_to and warning belong together")
    return problems


def is_definitions_only(entry: Addon) -> bool:
    """Whether it brings definitions of custom resources and nothing else."""
    return not any(entry.get(source) for source in ("chart", "git", "manifests"))


def completed(entry: Addon, environment: str, profile: str, options: Tree, facts: Tree) -> Addon:
    """The entry with its final version and values.

    Values of the environment are merged over those of all, then those of the size profile, then the user's own.
    Raises :class:`InputError` that names every fact it needs and does not get.
    """
    values: Tree = entry.get("values", {})
    for over in (
        entry.get("environment_values", {}).get(environment),
        entry.get("profile_values", {}).get(profile),
        options.get("values"),
    ):
        values = merged(values, over or {})
    result = {**entry, "values": values}
    if options.get("version") and (source := next((key for key in ("chart", "git") if key in entry), None)):
        pin = "version" if source == "chart" else "revision"
        result[source] = {**entry[source], pin: options["version"]}
    missing = set(entry.get("requires", {}).get("facts", ()))
    missing = {fact for fact in missing if facts.get(fact) in (None, "", [])}
    for key in ("values", "manifests"):
        if key in result:
            missing |= _unknown_facts(result[key], facts)
    if "crds" in entry:
        missing |= _unknown_facts(entry["crds"], facts)
    if missing:
        names = ", ".join(sorted(missing))
        raise InputError(f"{entry['name']} needs {names}: set {names} in addons_facts.")
    return {key: filled(value, facts) if key in ("values", "manifests") else value for key, value in result.items()}


def merged(base: Tree, over: Tree) -> dict[str, Any]:
    """``over`` merged over ``base``, mappings key by key; a list or a null replaces what was there."""
    result = dict(base)
    for key, value in over.items():
        below = result.get(key)
        result[key] = merged(below, value) if isinstance(below, Mapping) and isinstance(value, Mapping) else value
    return result


def filled(value: Any, facts: Tree) -> Any:
    """``value`` with every ``<fact>`` replaced; one that is the whole text keeps the type of the fact."""
    if isinstance(value, Mapping):
        return {key: filled(item, facts) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [filled(item, facts) for item in value]
    if not isinstance(value, str):
        return value
    whole = FACT.fullmatch(value)
    return facts[whole[1]] if whole else FACT.sub(lambda match: str(facts[match[1]]), value)


def _unknown_facts(value: Any, facts: Tree) -> set[str]:
    if isinstance(value, Mapping):
        return {fact for item in value.values() for fact in _unknown_facts(item, facts)}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return {fact for item in value for fact in _unknown_facts(item, facts)}
    found = FACT.findall(value) if isinstance(value, str) else []
    return {fact for fact in found if facts.get(fact) in (None, "", [])}


def value_at(values: Tree, path: str) -> Any:
    """The value at a path such as ``server.ha.replicas``. Raises :class:`InputError` if there is none."""
    value: Any = values
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            raise InputError(f"there is no value {path}.")
        value = value[key]
    return value
