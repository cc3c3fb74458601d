# Copyright: (c) 2026, the dcm.platform authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""The errors a module may end with. Each is one sentence for a person: what happened, where, what to do next."""

from __future__ import annotations


class PlatformError(Exception):
    """Base of every foreseen failure.

    ``message`` says what happened and where, ``hint`` what to do about it. Neither may hold a secret.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}" if self.hint else self.message


class InputError(PlatformError):
    """The options contradict each other or the model; nothing was touched."""


class MissingLibraryError(PlatformError):
    """A Python library is absent or too old."""


class RefusedError(PlatformError):
    """The server understood and said no: forbidden, invalid, a failed precondition. Repeating cannot help."""


class NotFoundError(RefusedError):
    """What was asked for does not exist."""


class ConflictError(RefusedError):
    """Somebody else changed the object between our read and our write."""


class TimedOutError(PlatformError):
    """A wait ended before its condition came true."""


class TransientError(PlatformError):
    """Worth another try. ``retry_after``: seconds the server asked for. ``sent``: the request may have had effect."""

    def __init__(
        self, message: str, *, hint: str | None = None, retry_after: float | None = None, sent: bool = True
    ) -> None:
        super().__init__(message, hint=hint)
        self.retry_after = retry_after
        self.sent = sent


class UnreachableError(TransientError):
    """Nobody answered: names the service and the address, as the person knows them."""

    def __init__(self, service: str, address: str, reason: str, *, sent: bool = True) -> None:
        super().__init__(
            f"{service} at {address} is not reachable: {reason}.",
            hint="Check that it runs and that this host may connect to it, then run again: what was done is kept.",
            sent=sent,
        )
        self.service = service
        self.address = address
