# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Read → plan → apply → result, once for every module."""

from __future__ import annotations

import abc
import itertools
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.dcm.platform.plugins.module_utils.engine.change import Change, Outcome, render_diff
from ansible_collections.dcm.platform.plugins.module_utils.engine.errors import PlatformError
from ansible_collections.dcm.platform.plugins.module_utils.engine.libraries import Library, require
from ansible_collections.dcm.platform.plugins.module_utils.engine.redaction import Redactor

Actual = TypeVar("Actual")
LISTED = 100  # items listed by name in a result; the counts are always complete
REPORTED = 1000  # changes listed by name in a failure, where people must know which were made


class Reconciler(abc.ABC, Generic[Actual]):
    """One call of a state module: its desired state and the client it talks through.

    ``read`` and ``plan`` run in check mode too and must have no effect; ``plan`` does no I/O at all.
    """

    @abc.abstractmethod
    def read(self) -> Actual:
        """The actual state of everything the call is about, in a constant number of requests or pages."""

    @abc.abstractmethod
    def plan(self, actual: Actual) -> Sequence[Change]:
        """What to change, in the order to do it. Empty: nothing differs."""

    @abc.abstractmethod
    def apply(self, changes: Sequence[Change]) -> Iterable[Outcome]:
        """Do it, yielding an outcome for each change as soon as it is known.

        A raised :class:`PlatformError` ends the run: changes without an outcome are reported as not tried.
        """

    def settle(self) -> None:
        """Wait until the system is what was asked for. Runs after ``apply``, also when nothing changed."""

    def result(self, actual: Actual, changes: Sequence[Change]) -> dict[str, Any]:
        """What the module returns beside ``changed`` and ``diff``; in check mode, what it would return.

        What ``warnings`` lists is shown as such.
        """
        return {}


@dataclass
class _Run:
    """What one run has done so far, for the report of a failure."""

    changes: list[Change] = field(default_factory=list)
    applied: list[Change] = field(default_factory=list)
    failed: list[Outcome] = field(default_factory=list)

    def report(self) -> dict[str, Any]:
        """The part of a failure's result that says what was done and what was not. Empty before the first write."""
        if not (self.applied or self.failed):
            return {}
        known = {id(change) for change in self.applied} | {id(outcome.change) for outcome in self.failed}
        return {
            "changed": bool(self.applied),
            "applied": _listed(self.applied),
            "failed_changes": [{**o.change.summary(), "reason": str(o.error)} for o in self.failed[:REPORTED]],
            "not_tried": _listed(change for change in self.changes if id(change) not in known),
        }

    def counts(self) -> str:
        """One sentence with the figures of :meth:`report`."""
        not_tried = len(self.changes) - len(self.applied) - len(self.failed)
        return (
            f"{len(self.applied)} of {len(self.changes)} changes were made, "
            f"{len(self.failed)} failed, {not_tried} not tried."
        )


def _listed(changes: Iterable[Change]) -> list[dict[str, str]]:
    return [change.summary() for change in itertools.islice(changes, REPORTED)]


@contextmanager
def boundary(module: AnsibleModule, redactor: Redactor, run: _Run | None = None) -> Iterator[None]:
    """The one place where an error becomes ``fail_json``: a clear message, without traceback or secret."""
    report: dict[str, Any] = {}
    try:
        yield
    except PlatformError as error:
        message = str(error)
    except Exception as error:  # noqa: BLE001 - what was not foreseen must still not be a traceback
        message = (
            f"Unexpected {type(error).__name__} in {module._name}: {error}. "
            "This is a fault of the module: run again with -vvv and report the traceback."
        )
        if module._verbosity >= 3:
            report["exception"] = traceback.format_exc()
    else:
        return
    if run is not None and run.report():
        message = f"{message} {run.counts()}"
        report.update(run.report())
    module.fail_json(**redactor.tree({"msg": message, **report}))


def _apply(reconciler: Reconciler[Actual], run: _Run) -> None:
    for outcome in reconciler.apply(run.changes):
        if outcome.error is None:
            run.applied.append(outcome.change)
        else:
            run.failed.append(outcome)
    if run.failed and run.failed[0].error is not None:
        raise run.failed[0].error


def reconcile(
    module: AnsibleModule, make: Callable[[], Reconciler[Actual]], *, libraries: Sequence[Library] = ()
) -> None:
    """Run a state module to its ``exit_json`` or ``fail_json``.

    ``make`` builds the reconciler from the module's options and may connect; ``libraries`` are checked before it.
    """
    run = _Run()
    with boundary(module, Redactor(module.no_log_values), run):
        require(*libraries)
        reconciler = make()
        actual = reconciler.read()
        run.changes = list(reconciler.plan(actual))
        if not module.check_mode:
            _apply(reconciler, run)
            reconciler.settle()
        output: dict[str, Any] = {"changed": bool(run.changes), **reconciler.result(actual, run.changes)}
        for warning in output.pop("warnings", ()):
            module.warn(warning)
        if module._diff:
            output["diff"] = render_diff(run.changes)
        module.exit_json(**output)
