# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""A copy of the collection where Ansible's tools want it: ``…/ansible_collections/dcm/platform``, outside the checkout.

``ansible-test`` follows no symlink and asks git which files belong to the collection; so it gets a copy of what git
knows or would add, in a repository of its own.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def tracked_files() -> list[Path]:
    """The files of the checkout that git tracks or would add, relative to its root."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    return [Path(name) for name in listed.split("\0") if name and (ROOT / name).is_file()]


def stage(collections: Path) -> Path:
    """Copy the collection below ``collections`` and return its directory there."""
    target = collections / "ansible_collections" / "dcm" / "platform"
    for name in tracked_files():
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, target / name)
    for command in (["init", "--quiet"], ["add", "--all"]):
        subprocess.run(["git", *command], cwd=target, check=True)
    return target
