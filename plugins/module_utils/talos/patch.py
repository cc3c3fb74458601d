# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Patches of a machine configuration, with the rules of Talos: strategic merge, ``$patch: delete`` and RFC 6902."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import (
    LEGACY,
    Document,
    Identity,
    by_identity,
    copied,
    identity,
    load_any,
)
from ansible_collections.dcm.platform.plugins.module_utils.talos.json_patch import apply_operations

DIRECTIVE = "$patch"

# Values that a patch replaces whole, by kind and path; every other list is appended to and every other map is merged.
_REPLACED = frozenset(
    {
        (LEGACY, "cluster.network.podSubnets"),
        (LEGACY, "cluster.network.serviceSubnets"),
        (LEGACY, "cluster.apiServer.auditPolicy"),
        ("BGPInstanceConfig", "advertise"),
        ("BGPInstanceConfig", "importRoutes"),
        ("BGPInstanceConfig", "neighbors"),
        ("CRIBaseRuntimeSpecConfig", "overrides"),
        ("KubeAuditPolicyConfig", "configuration"),
        ("KubeAuthenticationConfig", "configuration"),
        ("KubeCredentialProviderConfig", "configuration"),
        ("KubeNetworkConfig", "podSubnets"),
        ("KubeNetworkConfig", "serviceSubnets"),
        ("KubeStaticPodConfig", "pod"),
        ("NetworkRuleConfig", "ingress"),
        ("NetworkRuleConfig", "portSelector.ports"),
    }
)
# Every value of these maps is replaced whole, whatever it is.
_REPLACED_VALUES_OF = ("extraArgs",)


class _Keyed(NamedTuple):
    """A list whose elements are the same if the first of ``keys`` that the patch's element has is equal."""

    keys: tuple[str, ...]
    replaced: bool = False


_KEYED: Mapping[tuple[str, str], _Keyed] = {
    (LEGACY, "machine.network.interfaces"): _Keyed(("interface", "deviceSelector")),
    (LEGACY, "machine.network.interfaces.vlans"): _Keyed(("vlanId",)),
    (LEGACY, "cluster.apiServer.admissionControl"): _Keyed(("name",)),
    ("ExtensionServiceConfig", "configFiles"): _Keyed(("mountPath",)),
    ("ImageVerificationConfig", "rules"): _Keyed(("image",), replaced=True),
}


def apply_patches(documents: Sequence[Document], patches: Sequence[Any]) -> list[Document]:
    """The documents after every patch, in order; the arguments stay as they are.

    A patch is a YAML text, a mapping (one document) or a list (RFC 6902 operations). Raises :class:`InputError` that
    says which patch, counted from 1, and why.
    """
    result = [copied(document) for document in documents]
    for number, patch in enumerate(patches, start=1):
        try:
            result = _apply(result, _parsed(patch))
        except InputError as error:
            raise InputError(f"Patch {number} of {len(patches)}: {error.message}") from error
    by_identity(result)  # a JSON patch may have made two documents the same
    return result


def _parsed(patch: Any) -> list[Any]:
    """The values of a patch: documents, or one list of operations."""
    values = load_any(patch, "the patch") if isinstance(patch, str) else [copied(patch)]
    values = [value for value in values if value is not None]
    if len(values) == 1 and isinstance(values[0], list):
        return values
    if not all(isinstance(value, dict) for value in values):
        raise InputError("a patch is either configuration documents or one list of RFC 6902 operations.")
    by_identity(values)
    return values


def _apply(documents: list[Document], patch: list[Any]) -> list[Document]:
    if patch and isinstance(patch[0], list):
        if len(documents) != 1:
            raise InputError(
                "JSON6902 patches are not supported for multi-document machine configuration: write a document with "
                "what is to change, and $patch: delete for what is to go."
            )
        return [apply_operations(documents[0], patch[0])]
    for document in patch:
        documents = _merge_document(documents, document)
    return documents


class _Deletion(NamedTuple):
    """``path`` to a key, or to a list of which ``selector`` (key, value) names the element."""

    path: tuple[str, ...]
    selector: tuple[str, Any] | None = None


_NOTHING = object()


def _merge_document(documents: list[Document], patch: Document) -> list[Document]:
    """All deletions of a patch document come before what it merges."""
    key = identity(patch)
    existing = by_identity(documents).get(key)
    deletions: list[_Deletion] = []
    rest = _without_deletions(patch, (), deletions)
    if existing is not None:
        for deletion in deletions:
            if not deletion.path:
                return _without_document(documents, key)
            _delete(existing, deletion, key)
    if rest is _NOTHING or (deletions and set(rest) <= {"version", "apiVersion", "kind", "name"}):
        return documents
    if existing is not None:
        merged = _merge(existing, rest, key.kind or LEGACY, "")
        return [merged if document is existing else document for document in documents]
    return [*documents, rest] if key.kind else [rest, *documents]


def _without_document(documents: list[Document], key: Identity) -> list[Document]:
    if not key.kind:
        raise InputError("the root of the v1alpha1 document cannot be deleted.")
    return [document for document in documents if identity(document) != key]


def _without_deletions(node: Any, path: tuple[str, ...], found: list[_Deletion]) -> Any:
    """``node`` without its delete directives, which are added to ``found``; what they emptied is left out, too."""
    if isinstance(node, dict):
        if DIRECTIVE in node:
            if node[DIRECTIVE] != "delete":
                raise InputError(f"{_dotted(path)}: the only {DIRECTIVE} directive is delete.")
            found.append(_Deletion(path))
            return _NOTHING
        children = {key: _without_deletions(value, (*path, key), found) for key, value in node.items()}
        kept = {key: value for key, value in children.items() if value is not _NOTHING}
        return _NOTHING if node and not kept else kept
    if isinstance(node, list):
        elements = [_list_element(element, path, found) for element in node]
        remaining = [element for element in elements if element is not _NOTHING]
        return _NOTHING if node and not remaining else remaining
    return node


def _list_element(element: Any, path: tuple[str, ...], found: list[_Deletion]) -> Any:
    if isinstance(element, dict) and DIRECTIVE in element:
        selector = next(((key, value) for key, value in element.items() if key != DIRECTIVE), None)
        if selector is None or element[DIRECTIVE] != "delete":
            raise InputError(f"{_dotted(path)}: an element is deleted by {{key: value, {DIRECTIVE}: delete}}.")
        found.append(_Deletion(path, selector))
        return _NOTHING
    inner: list[_Deletion] = []
    kept = _without_deletions(element, path, inner)
    if inner:
        raise InputError(f"cannot delete an inner key in {_dotted(inner[0].path)}: it is inside an element of a list.")
    return kept


def _delete(document: Document, deletion: _Deletion, key: Identity) -> None:
    *parents, last = deletion.path
    target: Any = document
    for part in parents:
        target = target.get(part) if isinstance(target, dict) else None
    if isinstance(target, dict) and last in target:
        if deletion.selector is None:
            del target[last]
            return
        name, value = deletion.selector
        elements = target[last] if isinstance(target[last], list) else []
        for index, element in enumerate(elements):
            if isinstance(element, dict) and name in element and str(element[name]) == str(value):
                del elements[index]
                return
    raise InputError(f"patch delete: path {_dotted(deletion.path)!r} in document {key}: lookup failed.")


def _merge(left: Any, right: Any, kind: str, path: str) -> Any:
    """``right`` over ``left``; neither is changed. ``path`` has no indexes, so that rules name places in lists."""
    if right is None:
        return left
    if left is None or (kind, path) in _REPLACED:
        return right
    if path.split(".")[-2:-1] and path.split(".")[-2] in _REPLACED_VALUES_OF:
        return right
    if type(left) is not type(right) and (isinstance(left, (dict, list)) or isinstance(right, (dict, list))):
        raise InputError(f"{path}: a {_type_name(right)} cannot be merged into a {_type_name(left)}.")
    if isinstance(left, dict):
        merged = dict(left)
        for key, value in right.items():
            merged[key] = _merge(left.get(key), value, kind, f"{path}.{key}" if path else key)
        return merged
    if isinstance(left, list):
        rule = _KEYED.get((kind, path))
        return _merge_keyed(left, right, rule, kind, path) if rule else [*left, *right]
    if right in ("", 0) and not isinstance(right, bool):
        return left
    return right


def _merge_keyed(left: list[Any], right: list[Any], rule: _Keyed, kind: str, path: str) -> list[Any]:
    result = list(left)
    for element in right:
        index = _index_of(result, element, rule.keys)
        if index is None:
            result.append(element)
        elif rule.replaced:
            result[index] = element
        else:
            result[index] = _merge(result[index], element, kind, path)
    return result


def _index_of(elements: list[Any], wanted: Mapping[str, Any], keys: tuple[str, ...]) -> int | None:
    key = next((key for key in keys if wanted.get(key)), None)
    matches = (index for index, element in enumerate(elements) if key and element.get(key) == wanted[key])
    return next(matches, None)


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(path) or "the document"


def _type_name(value: Any) -> str:
    return "mapping" if isinstance(value, dict) else "list" if isinstance(value, list) else "single value"
