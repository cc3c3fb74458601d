# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Python libraries a module needs, checked before anything else happens."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import sys
from dataclasses import dataclass

from ansible.module_utils.compat.version import LooseVersion
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import MissingLibraryError


@dataclass(frozen=True)
class Library:
    """``name`` is imported; ``packages`` are the pip packages that bring it, the one to recommend first."""

    name: str
    packages: tuple[str, ...]
    minimum: str


BOTO3 = Library("boto3", ("boto3",), "1.28")
CRYPTOGRAPHY = Library("cryptography", ("cryptography",), "41.0")
GRPCLIB = Library("grpclib", ("grpclib",), "0.4.7")
HVAC = Library("hvac", ("hvac",), "2.0.0")
KUBERNETES = Library("kubernetes", ("kubernetes",), "28.1.0")
PROTOBUF = Library("google.protobuf", ("protobuf",), "4.25")
PSYCOPG2 = Library("psycopg2", ("psycopg2-binary", "psycopg2"), "2.9")
PYYAML = Library("yaml", ("PyYAML",), "6.0")
REDIS = Library("redis", ("redis",), "5.0")
REQUESTS = Library("requests", ("requests",), "2.31")


def _installed_version(library: Library) -> str | None:
    try:
        importlib.import_module(library.name)
    except ImportError:
        return None
    for package in library.packages:
        try:
            return importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return library.minimum  # imported from a source without metadata: nothing to compare


def require(*libraries: Library) -> None:
    """Raise :class:`MissingLibraryError` that names every absent or too old library and the pip command for all."""
    problems, wanted = [], []
    for library in libraries:
        version = _installed_version(library)
        if version is not None and LooseVersion(version) >= LooseVersion(library.minimum):
            continue
        state = "is not installed" if version is None else f"is {version}"
        problems.append(f"{library.packages[0]} {state}, {library.minimum} or newer is needed")
        wanted.append(f"'{library.packages[0]}>={library.minimum}'")
    if problems:
        raise MissingLibraryError(
            f"Python libraries are missing for {sys.executable} on {platform.node()}: {'; '.join(problems)}.",
            hint=f"Install them there with: {sys.executable} -m pip install {' '.join(wanted)}",
        )
