# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Which values of a machine configuration are secrets: by the names of fields, so that fields of later versions count.

Rather one too many than one too few: a masked value still takes part in every comparison.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Secret
from ansible_collections.dcm.platform.plugins.module_utils.engine.redaction import MASK, Redactor

# token, clusterSecret, secretboxEncryptionSecret, privateKey, presharedKey, passphrase, identityToken, apiToken …
_SUFFIX = re.compile(r"(?:secret|token|password|passphrase|private_?key|preshared_?key)$", re.IGNORECASE)
# key: of a certificate; auth: of a registry; apiUrl: SideroLink's join token; content(s): files and manifests.
_NAMES = frozenset({"key", "auth", "apiUrl", "content", "contents"})
# Maps and lists of which every value may be one: environment variables and HTTP headers.
_CONTAINERS = frozenset({"env", "environment", "variables", "headers", "extraManifestHeaders"})

_patterns = Redactor()


def masked(value: Any) -> Any:
    """A copy in which every secret is a :class:`Secret`."""
    return _masked(value, "", inherited=False)


def _masked(value: Any, name: str, *, inherited: bool) -> Any:
    inherited = inherited or name in _CONTAINERS
    if isinstance(value, Mapping):
        return {key: _masked(item, str(key), inherited=inherited) for key, item in value.items()}
    if isinstance(value, list):
        return [_masked(item, name, inherited=inherited) for item in value]
    return Secret(value) if _is_secret(value, name, inherited=inherited) else value


def _is_secret(value: Any, name: str, *, inherited: bool) -> bool:
    if isinstance(value, bool) or value in (None, ""):
        return False
    named = inherited or name in _NAMES or _SUFFIX.search(name) is not None
    return named or (isinstance(value, str) and _patterns.text(value) != value)


def shown(value: Any) -> Any:
    """A copy of plain data that may be shown: every secret is a mask."""
    return _shown(masked(value))


def _shown(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _shown(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_shown(item) for item in value]
    return MASK if isinstance(value, Secret) else value


def secret_texts(value: Any) -> Iterator[str]:
    """Every text of a configuration that is a secret."""
    return (
        leaf.reveal() for leaf in _leaves(masked(value)) if isinstance(leaf, Secret) and isinstance(leaf.reveal(), str)
    )


def plain_texts(value: Any) -> set[str]:
    """Every text of a configuration that may be shown."""
    return {leaf for leaf in _leaves(masked(value)) if isinstance(leaf, str)} - set(secret_texts(value))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, (Mapping, list)):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _leaves(item)
    else:
        yield value
