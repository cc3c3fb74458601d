# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Checks requests and answers against the vendor's OpenAPI description, when it is at hand."""

from __future__ import annotations

import functools
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]
import referencing
import referencing.jsonschema

from tests.sandbox.processes import ROOT

VARIABLE = "DCM_DIGITALOCEAN_OPENAPI"
DEFAULT = ROOT.parent / "shared" / "data" / "digitalocean-openapi.json"
BASE = "urn:digitalocean"
UNCHECKED = "unchecked: the OpenAPI description is not at hand"
Schema = Mapping[str, Any]


def description_file() -> Path | None:
    """The description: ``DCM_DIGITALOCEAN_OPENAPI``, or beside the checkout."""
    path = Path(os.environ.get(VARIABLE) or DEFAULT)
    return path if path.is_file() else None


class Description:
    """The paths and schemas of the API, as JSON Schema draft 4."""

    def __init__(self, path: Path) -> None:
        document = json.loads(path.read_text())
        self._schemas = {name: _converted(schema) for name, schema in document["components"]["schemas"].items()}
        self._paths = [
            (re.compile("^" + re.sub(r"\{[^}]+\}", "[^/]+", template) + "$"), template.count("{"), operations)
            for template, operations in document["paths"].items()
        ]
        contents = {"components": {"schemas": self._schemas}}
        resource = referencing.jsonschema.DRAFT4.create_resource(contents)
        self._registry: Any = referencing.Registry().with_resource(BASE, resource)
        self._converted: dict[int, tuple[Any, Schema]] = {}  # by identity, with the schema so that it stays alive

    def operation(self, method: str, path: str) -> Mapping[str, Any] | None:
        """The description of a call; literal paths come before templated ones."""
        found = [(count, operations) for pattern, count, operations in self._paths if pattern.match(path)]
        found = [(count, operations) for count, operations in found if method.lower() in operations]
        return min(found, key=lambda item: item[0])[1][method.lower()] if found else None

    def check_request(self, method: str, path: str, body: Any, query: Mapping[str, str]) -> Iterator[str]:
        """Every way in which a request is not as described."""
        operation = self.operation(method, path)
        if operation is None:
            yield f"{method} {path}: no such call"
            return
        known = {parameter.get("name") for parameter in operation.get("parameters", ())}
        yield from (f"{method} {path}: unknown query {name}" for name in query if name not in known)
        schema = _json_schema(operation.get("requestBody", {}))
        if body is not None and schema is not None:
            yield from (f"{method} {path}: {problem}" for problem in self._problems(schema, body))
        elif body is None and operation.get("requestBody", {}).get("required"):
            yield f"{method} {path}: the body is missing"

    def check_answer(self, method: str, path: str, status: int, document: Any) -> Iterator[str]:
        """Every way in which an answer of the simulator is not as described."""
        operation = self.operation(method, path)
        if operation is None:
            return
        if str(status) not in operation["responses"]:
            if status < 400:
                yield f"{method} {path}: answers {status}, which is not described"
            return
        schema = _json_schema(operation["responses"][str(status)])
        if schema is not None:
            yield from (f"answer {status} to {method} {path}: {item}" for item in self._problems(schema, document))

    def _problems(self, schema: Schema, document: Any) -> Iterator[str]:
        if id(schema) not in self._converted:
            self._converted[id(schema)] = (schema, _converted(schema))
        schema = self._converted[id(schema)][1]
        validator = jsonschema.Draft4Validator(schema, registry=self._registry)
        for error in validator.iter_errors(document):
            yield f"{error.json_path}: {error.message[:200]}"
        yield from self._unknown(schema, document, "$")

    def _unknown(self, schema: Schema, document: Any, path: str) -> Iterator[str]:
        """Names that no part of the schema knows, at every depth: a misspelt key passes plain validation."""
        if isinstance(document, list):
            items = self._items(schema)
            for index, item in enumerate(document) if items else ():
                yield from self._unknown(items or {}, item, f"{path}[{index}]")
        if not isinstance(document, Mapping):
            return
        known, is_open = self._properties(schema)
        for name, item in document.items():
            if name in known:
                yield from self._unknown(known[name], item, f"{path}.{name}")
            elif known and not is_open:
                yield f"{path}: unknown field {name}"

    def _resolve(self, schema: Schema) -> Schema:
        while "$ref" in schema:
            schema = self._schemas[schema["$ref"].rpartition("/")[2]]
        return schema

    def _parts(self, schema: Schema) -> Iterator[Schema]:
        schema = self._resolve(schema)
        yield schema
        for keyword in ("allOf", "oneOf", "anyOf"):
            for part in schema.get(keyword, ()):
                yield from self._parts(part)

    def _properties(self, schema: Schema) -> tuple[dict[str, Schema], bool]:
        known: dict[str, Schema] = {}
        is_open = False
        for part in self._parts(schema):
            for name, item in part.get("properties", {}).items():
                known[name] = {"anyOf": [known[name], item]} if name in known else item
            is_open = is_open or bool(part.get("additionalProperties"))
        return known, is_open

    def _items(self, schema: Schema) -> Schema | None:
        found = [part["items"] for part in self._parts(schema) if "items" in part]
        return {"anyOf": found} if found else None


def _json_schema(part: Mapping[str, Any]) -> Schema | None:
    content = part.get("content", {}).get("application/json")
    return content["schema"] if content else None


def _converted(schema: Any) -> Any:
    """OpenAPI 3.0 as JSON Schema: ``nullable`` is a choice, examples and discriminators mean nothing."""
    if isinstance(schema, list):
        return [_converted(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    plain = {name: _converted(item) for name, item in schema.items() if name not in ("example", "discriminator")}
    plain.pop("nullable", None)
    if isinstance(schema.get("properties"), Mapping):  # there, names are names of fields
        plain["properties"] = {name: _converted(item) for name, item in schema["properties"].items()}
    if "$ref" in plain:
        return {"$ref": BASE + plain["$ref"]}
    return {"anyOf": [plain, {"type": "null"}]} if schema.get("nullable") is True else plain


@functools.cache
def load() -> Description | None:
    """The description, read once in a process, or None."""
    path = description_file()
    return Description(path) if path else None
