# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The secrets bundle of a cluster, as ``secrets.yaml`` holds it: made once, then only ever read."""

from __future__ import annotations

import datetime
import re
import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError
from ansible_collections.dcm.platform.plugins.module_utils.talos import pki
from ansible_collections.dcm.platform.plugins.module_utils.talos.contract import Contract
from ansible_collections.dcm.platform.plugins.module_utils.talos.documents import at, dump, load

AUTHORITIES = ("etcd", "k8s", "k8saggregator", "os")
SERVICE_ACCOUNT = "k8sserviceaccount"  # has a key only
_TOKEN = re.compile(r"[a-z0-9]{6}\.[a-z0-9]{16}")
_ENCRYPTION_KEYS = ("secretboxencryptionsecret", "aescbcencryptionsecret")

Tree = dict[str, Any]


@dataclass(frozen=True, repr=False)
class Bundle:
    """A valid bundle. ``tree`` is what ``secrets.yaml`` holds; every value in it is a secret."""

    tree: Tree

    @property
    def cluster(self) -> Mapping[str, str]:
        """``id`` and ``secret``."""
        return self._part("cluster")

    @property
    def certs(self) -> Mapping[str, Mapping[str, str]]:
        """``crt`` and ``key`` by authority, as base64 of PEM; ``k8sserviceaccount`` has a key only."""
        certs: Mapping[str, Mapping[str, str]] = self.tree["certs"]
        return certs

    @property
    def bootstrap_token(self) -> str:
        return self._part("secrets")["bootstraptoken"]

    @property
    def trustd_token(self) -> str:
        return self._part("trustdinfo")["token"]

    @property
    def encryption_key(self) -> tuple[str, str]:
        """The provider (``secretbox`` or ``aescbc``) that encrypts Kubernetes secrets in etcd, and its key."""
        part = self._part("secrets")
        name = next(name for name in _ENCRYPTION_KEYS if part.get(name))
        return name.removesuffix("encryptionsecret"), part[name]

    def _part(self, name: str) -> Mapping[str, str]:
        part: Mapping[str, str] = self.tree[name]
        return part

    def authority(self, name: str) -> pki.KeyPair:
        """The certificate and key of one of :data:`AUTHORITIES`, as PEM."""
        pair = self.certs[name]
        return pki.KeyPair(*(pki.from_base64(pair[key], f"certs.{name}.{key}") for key in ("crt", "key")))

    def expiries(self) -> dict[str, datetime.datetime]:
        """When each authority ends, in UTC."""
        return {name: pki.expiry(self.authority(name).certificate, name) for name in AUTHORITIES}

    def text(self) -> str:
        """The content of ``secrets.yaml``."""
        return dump([self.tree])


def generate(contract: Contract, certs: Mapping[str, Any] | None = None) -> Bundle:
    """A new bundle for a cluster of that version contract.

    ``certs``: authorities that exist already, as :func:`given_certs` returns them; only the others are made.
    """
    given = certs or {}
    makers: Mapping[str, Callable[[], dict[str, str]]] = {
        "etcd": lambda: _authority(pki.p256_key(), "etcd"),
        "k8s": lambda: _authority(pki.p256_key(), "kubernetes"),
        "k8saggregator": lambda: _authority(pki.p256_key(), None),
        SERVICE_ACCOUNT: lambda: {"key": pki.to_base64(pki.key_to_pem(pki.rsa_key()))},
        "os": lambda: _authority(pki.ed25519_key(), "talos"),
    }
    return Bundle(
        {
            "cluster": {"id": contract.encode_cluster_id(secrets.token_bytes(32)), "secret": _random_key()},
            "secrets": {"bootstraptoken": _random_token(), "secretboxencryptionsecret": _random_key()},
            "trustdinfo": {"token": _random_token()},
            "certs": {name: dict(given[name]) if name in given else make() for name, make in makers.items()},
        }
    )


def given_certs(certs: Mapping[str, Any]) -> dict[str, dict[str, str]]:
    """Authorities by their names in a bundle, checked; ``crt`` and ``key`` are PEM, or base64 of PEM.

    Raises :class:`InputError` that names the place of the first problem.
    """
    return {name: _given(name, pair) for name, pair in certs.items()}


def _given(name: str, pair: Any) -> dict[str, str]:
    parts = ("key",) if name == SERVICE_ACCOUNT else ("crt", "key")
    if name not in (*AUTHORITIES, SERVICE_ACCOUNT):
        raise InputError(f"certs has no {name!r}, only {', '.join((*AUTHORITIES, SERVICE_ACCOUNT))}.")
    if not isinstance(pair, Mapping) or set(pair) != set(parts):
        raise InputError(f"certs.{name} must have {' and '.join(parts)}, and nothing else.")
    pems = {part: pki.pem_of(pair[part], f"certs.{name}.{part}") for part in parts}
    if name == SERVICE_ACCOUNT:
        pki.load_key(pems["key"], f"certs.{name}.key")
    else:
        pki.check_pair(pki.KeyPair(pems["crt"], pems["key"]), f"certs.{name}")
    return {part: pki.to_base64(pem) for part, pem in pems.items()}


def _random_key() -> str:
    return pki.to_base64(secrets.token_bytes(32))


def _random_token() -> str:
    characters = string.ascii_lowercase + string.digits
    first, second = ("".join(secrets.SystemRandom().choices(characters, k=length)) for length in (6, 16))
    return f"{first}.{second}"


def _authority(key: Any, organization: str | None) -> dict[str, str]:
    pair = pki.authority(key, organization)
    return {"crt": pki.to_base64(pair.certificate), "key": pki.to_base64(pair.key)}


def parse(value: Any, what: str = "The secrets bundle") -> Bundle:
    """The bundle of a YAML text or a mapping, checked whole.

    Raises :class:`InputError` that lists every problem by its place, never by its value.
    """
    if isinstance(value, str):
        documents = load(value, what)
        value = documents[0] if len(documents) == 1 else None
    if not isinstance(value, Mapping):
        raise InputError(f"{what} is not one YAML mapping with cluster, secrets, trustdinfo and certs.")
    problems = [problem for place, check in _CHECKS.items() if (problem := _problem(value, place, check))]
    keys = [name for name in _ENCRYPTION_KEYS if at(value, f"secrets.{name}")]
    if len(keys) != 1:
        problems.append(f"secrets must have exactly one of {' and '.join(_ENCRYPTION_KEYS)}")
    if not problems:
        bundle = Bundle({name: dict(value[name]) for name in ("cluster", "secrets", "trustdinfo", "certs")})
        problems = [problem for name in AUTHORITIES if (problem := _pair_problem(bundle, name))]
    if problems:
        raise InputError(f"{what} is not valid: {'; '.join(problems)}.", hint="Talos calls this file secrets.yaml.")
    return bundle


def _problem(value: Any, place: str, check: Callable[[str, str], None]) -> str | None:
    found = at(value, place)
    if found is None and place.rpartition(".")[2] in _ENCRYPTION_KEYS:
        return None
    if not isinstance(found, str) or not found:
        return f"{place} is missing"
    try:
        check(found, place)
    except InputError as error:
        return error.message.rstrip(".")
    return None


def _pair_problem(bundle: Bundle, name: str) -> str | None:
    try:
        pki.check_pair(bundle.authority(name), f"certs.{name}")
    except InputError as error:
        return error.message.rstrip(".")
    return None


def _check_text(text: str, place: str) -> None:
    """Any text will do."""


def _check_token(text: str, place: str) -> None:
    if not _TOKEN.fullmatch(text):
        raise InputError(f"{place} is not of the form abcdef.0123456789abcdef.")


def _check_key(text: str, place: str) -> None:
    if len(pki.from_base64(text, place)) != 32:
        raise InputError(f"{place} is not base64 of 32 bytes.")


def _check_certificate(text: str, place: str) -> None:
    pki.load_certificates(pki.from_base64(text, place), place)


def _check_private_key(text: str, place: str) -> None:
    pki.load_key(pki.from_base64(text, place), place)


_CHECKS: Mapping[str, Callable[[str, str], None]] = {
    "cluster.id": _check_text,
    "cluster.secret": _check_key,
    "secrets.bootstraptoken": _check_token,
    "secrets.secretboxencryptionsecret": _check_key,
    "secrets.aescbcencryptionsecret": _check_key,
    "trustdinfo.token": _check_token,
    **{f"certs.{name}.crt": _check_certificate for name in AUTHORITIES},
    **{f"certs.{name}.key": _check_private_key for name in AUTHORITIES},
    f"certs.{SERVICE_ACCOUNT}.key": _check_private_key,
}
