# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""How the lab tells whether a process lives."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from tests.sandbox.processes import Supervised
from tests.waiting import eventually

# The first thread ends and the other stays, as for a moment in a killed process.
SURVIVED = """
import ctypes, signal, threading
threading.Thread(target=signal.pause).start()
ctypes.CDLL(None).pthread_exit(None)
"""


def test_a_process_is_there_as_long_as_any_of_its_threads(tmp_path: Path) -> None:
    process = Supervised(tmp_path, "process")
    process.start([sys.executable, "-c", SURVIVED], {}, tmp_path)
    pid = process.pid()
    assert pid is not None
    try:
        eventually(lambda: ") Z " in Path(f"/proc/{pid}/stat").read_text(), "the first thread has ended")
        assert process.pid() == pid
    finally:
        os.kill(pid, signal.SIGKILL)
    eventually(lambda: process.pid() is None, "the process has ended")
