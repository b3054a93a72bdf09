"""The promise of every place where people are told, and how it says no."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, runtime_checkable

from reconciler.model.error import OperatorError
from reconciler.telemetry.news import News


class DeliveryError(OperatorError):
    """It was not delivered, or nobody knows: it is tried again. No secret and no address is in its words."""

    def __init__(self, why: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(
            "PFR6905",
            f"people could not be told: {why}",
            next_step="none: it is kept, and tried again until it is told",
        )
        self.why = why
        self.retry_after_seconds = retry_after_seconds


class ChannelError(OperatorError):
    """PFR6904: the settings of a channel, or a file that they name, cannot be used."""

    def __init__(self, channel: str, what: str) -> None:
        super().__init__(
            "PFR6904", f"channel {channel}: {what}", next_step="see the channels in the settings, and their files"
        )


class CommitState(StrEnum):
    """What a commit status says: on its way, all there, or not without a person."""

    PENDING = "pending"
    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommitStatus:
    """What a forge is to show beside a commit, which is hexadecimal digits alone."""

    commit: str
    state: CommitState
    description: str


@runtime_checkable
class MessageChannel(Protocol):
    """A place that takes messages, one after the other; one thread at a time."""

    def deliver(self, news: News, *, timeout_seconds: float) -> None:
        """Tell people. When it returns they have been told. Raises DeliveryError."""


class StatusChannel(Protocol):
    """A forge that shows one state for each commit; one thread at a time."""

    def post(self, status: CommitStatus, *, timeout_seconds: float) -> None:
        """Show it in the place of the one before. Raises DeliveryError."""
