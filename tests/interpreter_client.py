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


if __name__ == "__main__":
    ended = run(sys.argv[1], [0, 1, 2], dict(os.environ), os.getcwd(), [])  # noqa: PTH109 - pathlib is slow to import
    sys.exit(ENDED if ended is None else ended)
