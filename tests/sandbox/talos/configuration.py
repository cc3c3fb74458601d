# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""ApplyConfiguration, in maintenance and on running machines, as Talos up to 1.13 and from 1.14 on do it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from ansible_collections.dcm.platform.plugins.module_utils.talos.messages import message
from grpclib.const import Status

from tests.sandbox.talos import schema
from tests.sandbox.talos.calls import Call, procedure, refuse, single
from tests.sandbox.talos.machine import Machine
from tests.sandbox.talos.machine_config import (
    ConfigError,
    MachineConfig,
    describe_difference,
    needs_reboot,
    parse,
    validate,
)

_MODE = message("machine.ApplyConfigurationRequest").Mode
REBOOT, AUTO, NO_REBOOT, STAGED, TRY = (_MODE.Value(name) for name in ("REBOOT", "AUTO", "NO_REBOOT", "STAGED", "TRY"))

WITHOUT_REBOOT = "Applied configuration without a reboot"
WITH_REBOOT = "Applied configuration with a reboot"
STAGED_DETAILS = "Staged configuration to be applied after the next reboot"
DEFAULT_TRY_SECONDS = 60.0


@procedure("/machine.MachineService/ApplyConfiguration")
async def apply_configuration(call: Call) -> AsyncIterator[Any]:
    machine = call.machine
    if call.request.mode != TRY:
        machine.cancel_revert()  # even when the request turns out to be invalid or a dry run (talos#14343)
    if machine.apply_lock.locked():
        raise refuse(Status.FAILED_PRECONDITION, "another apply configuration is already in progress")
    async with machine.apply_lock:
        machine.world.notify()
        await asyncio.sleep(machine.world.platform.durations.apply)
        config, warnings = _checked(machine, call.request.data)
        apply = _apply_in_maintenance if machine.in_maintenance else _apply_on_running
        yield await apply(machine, config, call.request, warnings)


def _checked(machine: Machine, data: bytes) -> tuple[MachineConfig, list[str]]:
    try:
        config = parse(data, machine.minor)
    except ConfigError as error:
        old_maintenance = machine.in_maintenance and machine.minor <= 12
        code = Status.UNKNOWN if old_maintenance else Status.INVALID_ARGUMENT
        raise refuse(code, str(error)) from error
    try:
        warnings = validate(config, requires_install=machine.requires_install)
    except ConfigError as error:
        raise refuse(Status.INVALID_ARGUMENT, str(error)) from error
    # Of v1alpha1, it describes only what Talos 1.14 has left of it.
    if found := schema.problems(document for document in config.documents if "kind" in document):
        raise refuse(Status.INVALID_ARGUMENT, "error decoding document " + "; ".join(found))
    return config, warnings


async def _apply_in_maintenance(machine: Machine, config: MachineConfig, request: Any, warnings: list[str]) -> Any:
    mode = request.mode
    if machine.minor >= 13:
        mode = NO_REBOOT if mode in (REBOOT, AUTO) else mode
    elif mode not in (TRY, REBOOT, AUTO):
        text = f"apply configuration mode {_MODE.Name(mode)} is not supported in maintenance mode"
        raise refuse(Status.UNIMPLEMENTED, text)
    if request.dry_run:
        if machine.minor <= 12:
            details = "Dry run summary:\nNode is running in maintenance mode and does not have a config yet."
            return _reply(mode, details)
        return _reply(mode, _dry_run(WITHOUT_REBOOT, machine, config))
    if config.complete:
        if not machine.start("boot", machine.leave_maintenance(config)):
            raise refuse(Status.FAILED_PRECONDITION, "another apply configuration is already in progress")
    else:
        machine.store(config)
        await machine.activate(config)
    return _reply(mode, WITHOUT_REBOOT, warnings)


async def _apply_on_running(machine: Machine, config: MachineConfig, request: Any, warnings: list[str]) -> Any:
    current = machine.config
    if current is None or machine.stage == "rebooting":
        raise refuse(Status.FAILED_PRECONDITION, "configuration was already applied and node is rebooting")
    if not config.complete:
        text = "the applied machine configuration doesn't contain v1alpha1 config"
        raise refuse(Status.INVALID_ARGUMENT, f"{text}, did you mean to patch the machine config instead?")
    mode, details = _resolve(machine, current, config, request.mode)
    if request.dry_run:
        return _reply(mode, _dry_run(details.partition(":")[0], machine, config))
    if mode == TRY:
        has_timeout = request.HasField("try_mode_timeout")
        seconds = request.try_mode_timeout.ToNanoseconds() / 1e9 if has_timeout else DEFAULT_TRY_SECONDS
        machine.revert_after(seconds)
        text = f"The config is applied in 'try' mode and will be automatically reverted back in {_go_duration(seconds)}"
        details += f"\n{text}"
    else:
        machine.store(config)
    if mode in (TRY, NO_REBOOT):
        await machine.activate(config)
    if mode == REBOOT:
        machine.start("reboot", machine.reboot(), takeover=True)
        machine.stage = "rebooting"
    return _reply(mode, details, warnings)


def _resolve(machine: Machine, current: MachineConfig, config: MachineConfig, mode: int) -> tuple[int, str]:
    """The mode really used, and its details."""
    if mode == STAGED:
        return mode, STAGED_DETAILS
    if machine.minor >= 14:
        if mode == REBOOT:
            text = "the REBOOT mode is not supported, please use AUTO or NO_REBOOT modes instead"
            raise refuse(Status.UNIMPLEMENTED, text)
        return (NO_REBOOT if mode == AUTO else mode), WITHOUT_REBOOT
    problem = needs_reboot(current, config)
    if mode == REBOOT:
        return mode, WITH_REBOOT
    if not problem:
        return (NO_REBOOT if mode == AUTO else mode), WITHOUT_REBOOT
    if mode == AUTO:
        return REBOOT, f"{WITH_REBOOT}: {problem}"
    raise refuse(Status.INVALID_ARGUMENT, problem)


def _dry_run(details: str, machine: Machine, config: MachineConfig) -> str:
    return f"Dry run summary:\n{details} (skipped in dry-run).\n{describe_difference(machine.config, config)}"


def _reply(mode: int, details: str, warnings: list[str] | None = None) -> Any:
    return single("machine.ApplyConfiguration", mode=mode, mode_details=details, warnings=warnings or [])


def _go_duration(seconds: float) -> str:
    """As Go prints durations: ``1m0s``, ``1.5s``."""
    hours, rest = divmod(seconds, 3600)
    minutes, rest = divmod(rest, 60)
    text = f"{rest:.9f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours:.0f}h{minutes:.0f}m{text}"
    return f"{minutes:.0f}m{text}" if minutes else text
