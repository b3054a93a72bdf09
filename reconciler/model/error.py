"""The exception tree, drawn by who must act.

    ReconcilerError            every error that a person sees: a code, a message, a next step
    |- ManifestError           the author of a manifest must change it            PFR1xxx
    |- OperatorError           the operator must act: credentials, files, network
    |  |- SourceError          where manifests come from                          PFR65xx
    |  |  |- SourceUnreachableError  not now: try again
    |  |  `- SourceRefusedError      it is not what was asked for: a person must act
    |  |- WireError            the cloud or the way to it                         PFR3xxx
    |  |- FirmwareError        a binary or a catalog that cannot be used          PFR4xxx
    |  `- JournalError         the record of attempts                             PFR5xxx
    `- BugError                we were wrong: please report                       PFR9xxx

A refusal or a waiting reason of a plan is a value, not an exception; their codes (PFR2xxx) live in `plan.py`.
`docs/errors.md` has a page for every code.
"""

from __future__ import annotations


class ReconcilerError(Exception):
    """An error that a person sees.

    `code` is a stable `PFRnnnn`; `message` says what is wrong and where; `next_step` says what to do about it.
    """

    def __init__(self, code: str, message: str, *, next_step: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.next_step = next_step

    def __str__(self) -> str:
        return f"{self.code} {self.message}" + (f"\n  next: {self.next_step}" if self.next_step else "")


class ManifestError(ReconcilerError):
    """The author of a manifest must change it."""


class OperatorError(ReconcilerError):
    """The operator must act."""


class SourceError(OperatorError):
    """Manifests cannot be had from where they come from; those that were taken before stand."""


class SourceUnreachableError(SourceError):
    """Not now: the network, the server, the disk. Trying again may help without anybody doing anything."""


class SourceRefusedError(SourceError):
    """What is there is not what was asked for: not signed, another server, no access. Trying again changes nothing."""


class WireError(OperatorError):
    """The cloud, or the way to it, did not do what was asked."""


class FirmwareError(OperatorError):
    """A module binary or a catalog that cannot be used."""


class JournalError(OperatorError):
    """The record of attempts cannot be read or written."""


class BugError(ReconcilerError):
    """An invariant of ours does not hold; nothing was sent because of it."""
