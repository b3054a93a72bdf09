"""Settings of channels into channels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import assert_never

from reconciler.settings.settings import ChannelKind, ChannelSettings
from reconciler.telemetry.channel import ChannelError, MessageChannel, StatusChannel
from reconciler.telemetry.chat import ChatChannel
from reconciler.telemetry.forge import ForgeChannel
from reconciler.telemetry.mail import MailChannel
from reconciler.telemetry.posting import Poster
from reconciler.telemetry.webhook import WebhookChannel


def open_channels(
    settings: Iterable[ChannelSettings],
    *,
    proxies: Mapping[str, str] | None = None,
    trust: str | None = None,
    now: Callable[[], float] = time.time,
) -> list[tuple[ChannelSettings, MessageChannel | StatusChannel]]:
    """Every channel, with its files looked at; for `proxies` and `trust` see `new_session`.

    Raises ChannelError PFR6904 for the first that cannot be used.
    """
    opened = []
    names: set[str] = set()
    for each in settings:
        if each.name in names:
            raise ChannelError(each.name, "there are two of this name")
        names.add(each.name)
        opened.append((each, _open(each, Poster(proxies=proxies, trust=trust), now)))
    return opened


def _open(settings: ChannelSettings, poster: Poster, now: Callable[[], float]) -> MessageChannel | StatusChannel:
    match settings.kind:
        case ChannelKind.SLACK | ChannelKind.TEAMS:
            return ChatChannel(settings, poster)
        case ChannelKind.WEBHOOK:
            return WebhookChannel(settings, poster, now)
        case ChannelKind.EMAIL:
            return MailChannel(settings)
        case ChannelKind.GITHUB | ChannelKind.GITLAB:
            return ForgeChannel(settings, poster)
        case _:
            assert_never(settings.kind)
