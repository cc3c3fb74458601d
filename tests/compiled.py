# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Python compiles a source from an archive, and Ansible one of a collection, anew in every process; here only once."""

import builtins
import hashlib
import marshal
import os
import sys
from pathlib import Path
from typing import Any

_compile = builtins.compile


def remember(directory: Path) -> None:
    """Keep in ``directory`` what importers compile from now on in this process and in its forks.

    Only they compile without what the caller has imported from the future. In tracebacks a module of an archive then
    bears the path that it had when it was compiled.
    """
    directory = directory / str(sys.implementation.cache_tag)
    directory.mkdir(parents=True, exist_ok=True)

    def compile_once(
        source: Any,
        filename: Any,
        mode: str,
        flags: int = 0,
        dont_inherit: bool = False,
        optimize: int = -1,
        **more: int,
    ) -> Any:
        if not (dont_inherit and isinstance(source, (str, bytes)) and mode == "exec" and not flags and not more):
            return _compile(source, filename, mode, flags, dont_inherit, optimize, **more)
        content = source.encode() if isinstance(source, str) else source
        kept = directory / hashlib.sha256(b"%d %b" % (optimize, content)).hexdigest()
        try:
            return marshal.loads(kept.read_bytes())
        except FileNotFoundError:
            code = _compile(source, filename, mode, flags, dont_inherit, optimize)
        new = kept.with_suffix(f".{os.getpid()}")
        new.write_bytes(marshal.dumps(code))
        new.replace(kept)
        return code

    builtins.compile = compile_once
