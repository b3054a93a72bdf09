"""Look again and again: on a terminal the screen is drawn anew, elsewhere only what changed is told. Ctrl-C ends it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from reconciler.controller.pace import LOOKING_SHARE
from reconciler.model.allowance import REQUESTS
from reconciler.render.status import Status
from reconciler.render.status_json import status_document

INTERVAL_SECONDS: Final = 15.0
JOURNAL_INTERVAL_SECONDS: Final = 2.0
"""Where only the journal is looked at, which costs nobody anything."""

_HOME_AND_CLEAR: Final = "\x1b[H\x1b[J"
_PASSING: Final = ("at", "observed_at", "budget")
"""What changes from look to look without anything having happened."""


def watch(
    look: Callable[[], Status],
    shown: Callable[[Status], str],
    *,
    interval_seconds: float,
    sleep: Callable[[float], None],
    on_terminal: bool,
) -> None:
    """Look and show until Ctrl-C. Raises what `look` raises."""
    before: Mapping[str, Any] | None = None
    try:
        while True:
            status = look()
            if on_terminal:
                click.echo(_HOME_AND_CLEAR + _cut(shown(status)), nl=False, color=True)
            elif (now := _essence(status)) != before:
                # A blank line between two blocks; machines get one document a line.
                text = shown(status)
                click.echo(("\n" if before is not None and text.count("\n") > 1 else "") + text, nl=False)
                before = now
            sleep(pause_seconds(status.budget.requests_of_this_command, interval_seconds))
    except KeyboardInterrupt:
        if on_terminal:
            click.echo()


def pause_seconds(requests_a_look: int, interval_seconds: float) -> float:
    """Seconds until the next look: as was asked for, and so long that looking takes a twentieth of the API budget."""
    worth = requests_a_look * REQUESTS.window_seconds / REQUESTS.requests / LOOKING_SHARE
    return max(interval_seconds, worth)


def _essence(status: Status) -> Mapping[str, Any]:
    document = status_document(status, tool_version="")
    return {name: value for name, value in document.items() if name not in _PASSING}


def _cut(text: str) -> str:
    """As much as the screen has room for: the worst stands at the top, and must not scroll away."""
    room = max(5, shutil.get_terminal_size().lines - 2)
    lines = text.splitlines()
    if len(lines) <= room:
        return text
    return "\n".join([*lines[:room], f"… and {len(lines) - room:,} lines more; a larger window shows them", ""])
