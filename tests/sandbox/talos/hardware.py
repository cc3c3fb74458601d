# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""What a simulated machine is made of: platform, disks, what is installed on them, and what tests break."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from tests.sandbox.talos.machine_config import ConfigError, size_matches

GIB = 2**30


@dataclass(frozen=True)
class Durations:
    """How long things take, in seconds; real machines take minutes."""

    apply: float = 0.02
    install: float = 0.15
    reboot: float = 0.1
    boot: float = 0.15
    etcd: float = 0.1
    shutdown: float = 0.05


@dataclass(frozen=True)
class Platform:
    """What all machines have in common. ``mode``: ``metal``, ``cloud`` or ``container``.

    ``network_plugin`` stands for the one that users install themselves, where Talos is told not to.
    """

    version: str = "v1.13.9"
    platform: str = "metal"
    mode: str = "metal"
    port: int = 50000
    network_plugin: bool = False
    durations: Durations = field(default_factory=Durations)


@dataclass(frozen=True)
class Disk:
    """A disk of a machine, ``size`` in bytes; ``type`` as in disk selectors."""

    name: str
    size: int
    type: str = "ssd"
    model: str = "SIMULATED"
    readonly: bool = False

    @property
    def path(self) -> str:
        return f"/dev/{self.name}"

    @property
    def serial(self) -> str:
        return f"SIM-{self.name.upper()}"

    @property
    def wwid(self) -> str:
        return f"naa.{hashlib.sha256(self.serial.encode()).hexdigest()[:16]}"

    @property
    def bus_path(self) -> str:
        return f"/pci0000:00/{self.name}"

    def matches(self, selector: Mapping[str, Any]) -> bool:
        """Raises :class:`ConfigError` for a selector that is not understood."""
        if "match" in selector:
            expression = re.fullmatch(r"""\s*disk\.dev_path\s*==\s*["']([^"']+)["']\s*""", str(selector["match"]))
            if expression is None:
                raise ConfigError(f"disk selector is not understood: {selector['match']}")
            return self.path == expression[1]
        texts = {"name": self.name, "model": self.model, "serial": self.serial, "type": self.type, "wwid": self.wwid}
        return all(
            size_matches(str(wanted), self.size) if key == "size" else fnmatchcase(texts.get(key, ""), str(wanted))
            for key, wanted in selector.items()
        )


@dataclass(frozen=True)
class Hardware:
    """A machine as it comes from the factory.

    ``boot_media``: it boots Talos from somewhere else when its disk is empty. ``installed``: its disk already holds
    Talos, as cloud images do.
    """

    name: str
    address: str
    memory_mib: int = 4096
    disks: tuple[Disk, ...] = (Disk("sda", 32 * GIB), Disk("sdb", 64 * GIB, "hdd"))
    boot_media: bool = True
    installed: bool = False


@dataclass
class Slot:
    """An installed Talos. ``schematic`` is empty for images that do not come from the image factory."""

    version: str
    image: str
    schematic: str = ""


@dataclass
class SystemDisk:
    """What survives power loss."""

    path: str = ""
    installed: Slot | None = None
    fallback: Slot | None = None
    pending: Slot | None = None
    config: bytes | None = None
    etcd_cluster: str = ""
    etcd_member: int = 0
    recovery_snapshot: bytes | None = None
    meta: dict[str, str] = field(default_factory=dict)
    images: list[str] = field(default_factory=list)

    def state(self) -> dict[str, Any]:
        """Plain JSON."""
        state = asdict(self)
        for name in ("config", "recovery_snapshot"):
            state[name] = base64.b64encode(state[name]).decode() if state[name] is not None else None
        return state

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> SystemDisk:
        """The opposite of :meth:`state`."""
        for name in ("config", "recovery_snapshot"):
            state[name] = base64.b64decode(state[name]) if state[name] is not None else None
        for name in ("installed", "fallback", "pending"):
            state[name] = Slot(**state[name]) if state[name] else None
        return cls(**state)


@dataclass
class Faults:
    """What tests make go wrong.

    ``unreachable``: ``refuse`` connections or let them ``hang``. ``boot_seconds`` is added to every boot,
    ``install_seconds`` to every installation. ``boot_fails`` is of upgrades: the boot loader takes the last system.
    ``certificate_expired`` is of the API's own.
    ``half_open``: connections outlive a reboot and are silent then. ``pods_fail``: static pods
    of this version never become ready.
    ``lost_replies`` is how many replies to calls that change the machine get lost with their connection.
    ``etcd_alarm`` is ``NOSPACE`` or ``CORRUPT``, until somebody disarms it.
    """

    unreachable: str = ""
    install_fails: bool = False
    boot_fails: bool = False
    boot_seconds: float = 0.0
    install_seconds: float = 0.0
    half_open: bool = False
    certificate_expired: bool = False
    pods_fail: str = ""
    time_unsynchronised: bool = False
    lost_replies: int = 0
    etcd_alarm: str = ""


def image_slot(image: str) -> Slot:
    """What an installer image installs; raises ``ValueError`` for a reference that no registry could have."""
    match = re.search(r":(v\d+\.\d+\.\d+[\w.-]*)(@sha256:[0-9a-f]{64})?$", image)
    if match is None:
        raise ValueError(f'failed to pull image "{image}": not found')
    schematic = re.search(r"/([0-9a-f]{64}):", image)
    return Slot(match[1], image, schematic[1] if schematic else "")


def minor_version(version: str) -> int:
    return int(version.split(".")[1])
