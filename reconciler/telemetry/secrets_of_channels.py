"""Addresses and secrets of channels: read when they are used, because files rotate while a controller runs."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from reconciler.settings.settings import ChannelSettings
from reconciler.telemetry.channel import ChannelError

_FILE_MAX: Final = 65_536


def address_of(settings: ChannelSettings, default: str | None = None) -> str:
    """The channel's address. Raises ChannelError."""
    if settings.url_file is not None:
        return _content(settings, settings.url_file, "url_file")
    address = settings.url or default
    if address is None:
        raise ChannelError(settings.name, f"a channel of kind {settings.kind} needs url_file or url")
    return address


def secret_of(settings: ChannelSettings) -> str:
    """What is in the channel's `secret_file`. Raises ChannelError."""
    if settings.secret_file is None:
        raise ChannelError(settings.name, f"a channel of kind {settings.kind} needs secret_file")
    return _content(settings, settings.secret_file, "secret_file")


def _content(settings: ChannelSettings, file: str, what: str) -> str:
    try:
        with Path(file).open("rb") as opened:
            text = opened.read(_FILE_MAX).decode("utf-8").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise ChannelError(settings.name, f"its {what} {file} cannot be read: {reason}") from None
    if not text:
        raise ChannelError(settings.name, f"its {what} {file} is empty")
    return text
