# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Hands a program to the process of ``tests.interpreter``; imports little, for it starts once for every task."""

from __future__ import annotations

import marshal
import os
import socket
import sys

KILL = 9  # the module signal is slow to import
ENDED = 128 + KILL  # exit status of a program that was killed


def run(
    address: str,
    handles: list[int],
    environment: dict[str, str],
    cwd: str,
    argv: list[str],
    timeout: float | None = None,
) -> int | None:
    """Run what Python would run with these arguments; its exit status, None if it was ended.

    ``handles``: the file descriptors of standard input, output and error. Raises TimeoutError after ``timeout``
    seconds; the process is ended then.
    """
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(timeout)
        connection.connect(address)
        socket.send_fds(connection, [b"."], handles)
        connection.sendall(marshal.dumps((environment, cwd, argv)))
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            pid = int(answer.readline())
            try:
                status = answer.read(1)
            except TimeoutError:
                os.kill(pid, KILL)
                raise
    return status[0] if status else None


def ask(address: str, kind: str, environment: dict[str, str], cwd: str) -> list[str]:
    """Where an interpreter of a kind listens, and what comes before a program's arguments there."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(address)
        connection.sendall(marshal.dumps((kind, environment, cwd)))
        connection.shutdown(socket.SHUT_WR)
        with connection.makefile("rb") as answer:
            told: list[str] = marshal.loads(answer.read())
    return told


def main() -> int:
    environment, cwd = dict(os.environ), os.getcwd()  # noqa: PTH109 - pathlib is slow to import
    address, *argv = sys.argv[1:]
    if address == "--ask":
        address, *argv = [*ask(argv[0], argv[1], environment, cwd), *argv[2:]]
    ended = run(address, [0, 1, 2], environment, cwd, argv)
    return ENDED if ended is None else ended


if __name__ == "__main__":
    sys.exit(main())
