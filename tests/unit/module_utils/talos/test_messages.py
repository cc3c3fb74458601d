# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The message table against bytes worked out by hand from Talos's own definitions."""

from __future__ import annotations

import importlib.util
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest
from ansible_collections.dcm.platform.plugins.module_utils.talos import messages
from ansible_collections.dcm.platform.plugins.module_utils.talos.messages import METHODS, message
from google.protobuf import descriptor_pool


@pytest.mark.parametrize(
    ("name", "fields", "wire"),
    [
        (
            "machine.ApplyConfigurationRequest",
            {"data": b"x", "mode": "TRY", "dry_run": True, "try_mode_timeout": {"seconds": 3}},
            "0a0178 2004 2801 32020803",
        ),
        ("machine.BootstrapRequest", {"recover_etcd": True}, "0801"),
        (
            "machine.ResetRequest",
            {"graceful": True, "system_partitions_to_wipe": [{"label": "A", "wipe": True}], "mode": "USER_DISKS"},
            "0801 1a050a01411001 2802",
        ),
        ("machine.EtcdMember", {"id": 5, "hostname": "a", "is_learner": True}, "1005 1a0161 3001"),
        ("machine.EtcdMemberStatus", {"leader": 1, "member_id": 2, "storage_version": "3"}, "2001 5002 5a0133"),
        ("machine.LifecycleServiceInstallProgress", {"exit_code": 0}, "1000"),
        ("machine.ImageServicePullRequest", {"containerd": {"driver": "CRI"}, "image_ref": "i"}, "0a020801 1a0169"),
        ("cosi.resource.WatchRequest", {"type": "T", "id": "", "api_version": 1}, "120154 1a00 2801"),
        ("cosi.resource.Metadata", {"labels": {"k": "v"}}, "52060a016b120176"),
        ("cosi.resource.LabelTerm", {"key": "k", "op": "IN", "value": ["a", "b"]}, "0a016b 1003 1a0161 1a0162"),
        ("storage.Disk", {"size": 1, "type": "NVME", "readonly": True}, "0801 4803 6801"),
        ("common.Metadata", {"status": {"code": 14, "message": "m"}}, "1a05080e12016d"),
    ],
)
def test_wire_format(name: str, fields: dict[str, Any], wire: str) -> None:
    expected = bytes.fromhex(wire)
    assert message(name)(**fields).SerializeToString(deterministic=True) == expected
    assert message(name).FromString(expected) == message(name)(**fields)


def test_every_method_has_its_messages() -> None:
    for path, method in METHODS.items():
        for name in (method.request, method.reply):
            assert message(name).DESCRIPTOR.full_name == name, path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/machine.MachineService/Version", ("google.protobuf.Empty", "machine.VersionResponse", False, False)),
        ("/machine.MachineService/Kubeconfig", ("google.protobuf.Empty", "common.Data", False, True)),
        ("/machine.MachineService/EtcdRecover", ("common.Data", "machine.EtcdRecoverResponse", True, False)),
        ("/cosi.resource.State/List", ("cosi.resource.ListRequest", "cosi.resource.ListResponse", False, True)),
    ],
)
def test_methods(path: str, expected: tuple[str, str, bool, bool]) -> None:
    assert METHODS[path] == expected


def test_unary_replies_of_machines_list_messages_with_metadata() -> None:
    for path, method in METHODS.items():
        if path.startswith("/machine.MachineService/") and not method.server_streaming:
            entry = message(method.reply)().messages.add()
            assert entry.metadata.hostname == "", path


def test_absent_and_zero_are_told_apart_where_the_protocol_does() -> None:
    progress = message("machine.LifecycleServiceInstallProgress")
    assert progress(exit_code=0).WhichOneof("response") == "exit_code"
    assert progress().WhichOneof("response") is None
    watch = message("cosi.resource.WatchRequest")
    assert (watch(id="").HasField("id"), watch().HasField("id")) == (True, False)


def test_nested_enumerations_are_attributes() -> None:
    request = message("machine.ApplyConfigurationRequest")
    assert request.Mode.Value("STAGED") == request.STAGED == 3


def test_unknown_message() -> None:
    with pytest.raises(KeyError):
        message("machine.Unheard")


def _load_again() -> ModuleType:
    specification = importlib.util.spec_from_file_location("messages_again", messages.__file__)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_table_can_be_loaded_twice_and_stays_out_of_the_default_pool() -> None:
    again = _load_again().message("machine.Bootstrap")
    assert again is not message("machine.Bootstrap")
    with pytest.raises(KeyError):
        descriptor_pool.Default().FindMessageTypeByName("machine.Bootstrap")


def test_import_works_without_protobuf(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "google.protobuf", None)
    module = _load_again()
    assert module.METHODS == METHODS
    with pytest.raises(ImportError):
        module.message("machine.Bootstrap")


@pytest.fixture
def eager_switching() -> Iterator[None]:
    """Threads give way after every few instructions, so that they do meet inside the building."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.usefixtures("eager_switching")
def test_threads_get_the_same_classes() -> None:
    names = [name for method in METHODS.values() for name in (method.request, method.reply)]
    for _round in range(5):
        module = _load_again()
        start = threading.Barrier(8)

        def ask(module: ModuleType = module, start: threading.Barrier = start) -> list[type]:
            start.wait()
            return [module.message(name) for name in names]

        with ThreadPoolExecutor(8) as pool:
            answers = [future.result() for future in [pool.submit(ask) for _thread in range(8)]]
        assert all(answer == answers[0] for answer in answers)
