# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Values that are made once: random text, key pairs, self-signed certificates."""

from __future__ import annotations

import datetime
import secrets
import string
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import InputError

try:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
except ImportError:  # the engine reports a missing library with its package
    x509 = None  # type: ignore[assignment]

ALPHABETS: Mapping[str, str] = {
    "alphanumeric": string.ascii_letters + string.digits,
    "hex": "0123456789abcdef",
    "urlsafe": string.ascii_letters + string.digits + "-_",
}
LONGEST = 4096  # characters of a generated value


def _new_key(algorithm: str) -> Any:
    if algorithm == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=3072)
    return ed25519.Ed25519PrivateKey.generate() if algorithm == "ed25519" else ec.generate_private_key(ec.SECP256R1())


@dataclass(frozen=True)
class Recipe:
    """How to make a value. The fields are those of the module's option ``generate``."""

    type: str = "random"
    length: int = 32
    alphabet: str = "alphanumeric"
    algorithm: str = "ecdsa"
    common_name: str | None = None
    dns_names: tuple[str, ...] = ()
    usage: str = "server"
    days: int = 825


Generator = Callable[[Recipe], Mapping[str, str]]


def generate(recipe: Recipe) -> dict[str, str]:
    """The values by what is appended to the key's name; the first, which is the secret one, to the name itself."""
    return TYPES[recipe.type].make(recipe)


def _random(recipe: Recipe) -> dict[str, str]:
    """From the operating system's source of randomness."""
    return {"": "".join(secrets.choice(ALPHABETS[recipe.alphabet]) for _position in range(recipe.length))}


def _key_pair(recipe: Recipe) -> dict[str, str]:
    key = _new_key(recipe.algorithm)
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {"": _private(key, serialization.PrivateFormat.PKCS8), "_public": public.decode()}


def _ssh_key_pair(recipe: Recipe) -> dict[str, str]:
    key = _new_key(recipe.algorithm)
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)
    return {"": _private(key, serialization.PrivateFormat.OpenSSH), "_public": public.decode()}


def _certificate(recipe: Recipe) -> dict[str, str]:
    key = _new_key(recipe.algorithm)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, recipe.common_name or "")])
    now = datetime.datetime.now(datetime.UTC)
    authority = recipe.usage == "authority"
    builder = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))  # clocks differ
        .not_valid_after(now + datetime.timedelta(days=recipe.days))
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
    )
    if recipe.dns_names:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.DNSName(dns_name) for dns_name in recipe.dns_names]), critical=False
        )
    if not authority:
        purposes = {
            "server": x509.oid.ExtendedKeyUsageOID.SERVER_AUTH,
            "client": x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH,
        }
        builder = builder.add_extension(x509.ExtendedKeyUsage([purposes[recipe.usage]]), critical=False)
    certificate = builder.sign(key, None if recipe.algorithm == "ed25519" else hashes.SHA256())
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    return {"": _private(key, serialization.PrivateFormat.PKCS8), "_certificate": pem}


def _private(key: Any, form: Any) -> str:
    pem: bytes = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return pem.decode()


@dataclass(frozen=True)
class RecipeType:
    """``parts``: what is appended to the key's name for the values beside the secret one."""

    make: Callable[[Recipe], dict[str, str]]
    parts: tuple[str, ...] = ()


TYPES: Mapping[str, RecipeType] = {
    "random": RecipeType(_random),
    "key_pair": RecipeType(_key_pair, ("_public",)),
    "ssh_key_pair": RecipeType(_ssh_key_pair, ("_public",)),
    "certificate": RecipeType(_certificate, ("_certificate",)),
}
RECIPE_SPEC: Mapping[str, Any] = {
    "type": {"type": "str", "default": "random", "choices": list(TYPES)},
    "length": {"type": "int", "default": 32},
    "alphabet": {"type": "str", "default": "alphanumeric", "choices": list(ALPHABETS)},
    "algorithm": {"type": "str", "default": "ecdsa", "choices": ["ecdsa", "ed25519", "rsa"]},
    "common_name": {"type": "str"},
    "dns_names": {"type": "list", "elements": "str", "default": []},
    "usage": {"type": "str", "default": "server", "choices": ["server", "client", "authority"]},
    "days": {"type": "int", "default": 825},
}


def recipe_for(key: str, options: Any) -> Recipe:
    """The recipe in the module's option ``generate``. Raises :class:`InputError` that names the key."""
    if not isinstance(options or {}, Mapping):
        raise InputError(f"generate.{key} must be a dictionary of length and alphabet.")
    checked = ArgumentSpecValidator(RECIPE_SPEC).validate(dict(options or {}))
    if checked.error_messages:
        raise InputError(f"generate.{key}: {'; '.join(checked.error_messages)}.")
    values = checked.validated_parameters
    recipe = Recipe(**{**values, "dns_names": tuple(values["dns_names"])})
    if not 1 <= recipe.length <= LONGEST:
        raise InputError(f"generate.{key}: length must be 1 to {LONGEST} characters, not {recipe.length}.")
    if recipe.type == "certificate" and not recipe.common_name:
        raise InputError(f"generate.{key}: a certificate needs common_name.")
    return recipe
