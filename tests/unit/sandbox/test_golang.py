# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the lab's Go programs are built: once, by one builder at a time, with the reason when it fails."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.sandbox import golang
from tests.sandbox.service import LabError

# Stands for Go: notes that it built, and "compiles" by writing a program.
FAKE_GO = """\
#!/bin/sh
case "$1" in
env) echo go1.24.5 ;;
list) echo fmt; echo example.invalid/program ;;
build)
    echo "$@" >> "{builds}"
    [ "$GOTOOLCHAIN" = local ] || exit 3
    if grep -q broken main.go; then echo "main.go:1: undefined: broken" >&2; exit 1; fi
    while [ "$1" != -o ]; do shift; done
    echo built > "$2"
    ;;
esac
"""


@pytest.fixture
def builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file with a line for each build; Go on PATH is the one above, the cache is empty."""
    file = tmp_path / "builds"
    file.touch()
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text(FAKE_GO.format(builds=file))
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(go.parent), prepend=":")
    monkeypatch.setenv("DCM_CACHE_DIR", str(tmp_path / "cache"))
    return file


@pytest.fixture
def module(tmp_path: Path) -> Path:
    directory = tmp_path / "module"
    directory.mkdir()
    (directory / "go.mod").write_text("module example.invalid/program\n\ngo 1.24.0\n")
    (directory / "main.go").write_text("package main\n")
    return directory


def count(builds: Path) -> int:
    return len(builds.read_text().splitlines())


def test_the_same_sources_are_built_once(module: Path, builds: Path) -> None:
    said: list[str] = []
    first = golang.build(module, "program", said.append)
    assert first.read_text() == "built\n"
    assert any("building program with go1.24.5" in line for line in said)
    said.clear()
    assert golang.build(module, "program", said.append) == first
    assert count(builds) == 1
    assert said == []


def test_other_sources_and_other_variables_are_other_programs(module: Path, builds: Path) -> None:
    plain = golang.build(module, "program", print)
    named = golang.build(module, "program", print, {"main.version": "1"})
    (module / "go.sum").write_text("example.invalid/dependency v1.0.0 h1:x\n")
    locked = golang.build(module, "program", print)
    assert len({plain, named, locked}) == 3
    assert "-X main.version=1" in builds.read_text().splitlines()[1]


def test_two_labs_at_once_build_once(module: Path, builds: Path) -> None:
    built: list[Path] = []
    threads = [
        threading.Thread(target=lambda: built.append(golang.build(module, "program", print))) for _lab in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 4
    assert count(builds) == 1


def test_a_failed_build_says_why_and_leaves_nothing_that_looks_built(module: Path, builds: Path) -> None:
    (module / "main.go").write_text("broken\n")
    with pytest.raises(LabError, match=r"main\.go:1: undefined: broken"):
        golang.build(module, "program", print)
    assert not [file for file in golang.cache_directory().iterdir() if file.name.startswith(("program-", "."))]
    (module / "main.go").write_text("package main\n")
    assert golang.build(module, "program", print).exists()


def test_a_tool_of_the_module_is_found_before_and_after_it_is_built(module: Path, builds: Path) -> None:
    expected = golang.executable(module, "tool")
    assert not expected.exists()
    assert golang.build(module, "tool", print, package="example.invalid/other/cmd/tool") == expected
    assert expected.exists()
    assert builds.read_text().split()[-1] == "example.invalid/other/cmd/tool"


def test_a_go_that_is_too_old_is_not_used(
    module: Path, builds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (module / "go.mod").write_text("module example.invalid/program\n\ngo 1.25.0\n")
    packaged = tmp_path / "packaged"
    packaged.write_text((tmp_path / "bin" / "go").read_text().replace("1.24.5", "1.26.6"))
    packaged.chmod(0o755)
    monkeypatch.setattr(golang, "_packaged_go", lambda cache, progress: packaged)
    said: list[str] = []
    golang.build(module, "program", said.append)
    assert any("with go1.26.6" in line for line in said)


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("go1.26.8", (1, 26)),
        ("go1.27rc1", (1, 27)),
        ("// go 1.1\nmodule a/go 1.2\n\ngo 1.25.0\n", (1, 25)),
        ("", ()),
    ],
)
def test_version(text: str, version: tuple[int, ...]) -> None:
    assert golang._version(text) == version
