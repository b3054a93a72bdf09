"""Colour as an argument, numbers and units as a person says them, and text of strangers made harmless."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from reconciler.model.device import DeviceId

_SAMPLE: Final = 3
"""How many device ids stand for all of them."""


class Style(StrEnum):
    """What a word means to the reader, by its terminal code. Nothing is said by colour alone."""

    TITLE = "1"
    GOOD = "32"
    CHANGE = "36"
    WAITING = "33"
    BAD = "31"
    FAINT = "2"


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """How wide the text may be (columns) and whether it may carry colours."""

    width: int = 100
    colour: bool = False

    def ink(self, text: str, style: Style) -> str:
        """The text in a style, or as it is on a page without colour."""
        return f"\x1b[{style.value}m{text}\x1b[0m" if self.colour and text else text

    def wrapped(self, text: str, *, indent: int = 0, hanging: int = 0) -> list[str]:
        """The text in lines of the page's width; lines after the first go in by `hanging` more."""
        return textwrap.wrap(
            harmless(text),
            width=max(self.width, indent + hanging + 20),
            initial_indent=" " * indent,
            subsequent_indent=" " * (indent + hanging),
            break_long_words=False,
            break_on_hyphens=False,
        )


def harmless(text: str) -> str:
    """The text without control characters: names and messages of others may not move the cursor."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def counted(number: int, noun: str, plural: str = "") -> str:
    """`1 device`, `1,200 devices`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def byte_size(number: int) -> str:
    """`812 bytes`, `597 KB`, `1.4 MB`; a thousand bytes are one KB."""
    for unit, name in ((1_000_000_000, "GB"), (1_000_000, "MB")):
        if number >= unit:
            return f"{number / unit:.1f} {name}"
    return f"{round(number / 1000)} KB" if number >= 1000 else counted(number, "byte")  # noqa: PLR2004  # a thousand


def transfer_size(known: int, unknown: int) -> str:
    """The size of several modules of which some are unknown."""
    if not unknown:
        return byte_size(known)
    rest = f"{counted(unknown, 'file')} of unknown size"
    return f"{byte_size(known)} and {rest}" if known else rest


def duration(minutes: float) -> str:
    """`6 min`, `2.5 h`, `3.1 days`, rounded as an estimate deserves."""
    hour, day = 60.0, 1440.0
    if minutes < 2 * hour:
        return f"{max(1, round(minutes))} min"
    if minutes < 2 * day:
        return f"{minutes / hour:.1f} h".replace(".0 ", " ")
    return f"{minutes / day:.1f} days".replace(".0 ", " ")


def device_sample(devices: Iterable[DeviceId]) -> str:
    """The first few ids in order, and how many more there are."""
    ordered = sorted(devices)
    shown = ", ".join(ordered[:_SAMPLE])
    rest = len(ordered) - _SAMPLE
    return f"{shown} and {rest:,} more" if rest > 0 else shown


def table(rows: Sequence[Sequence[str]], *, indent: int, right: frozenset[int] = frozenset()) -> list[str]:
    """Rows in columns two spaces apart; the columns in `right` end at one edge."""
    if not rows:
        return []
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        (
            " " * indent
            + "  ".join(
                cell.rjust(width) if column in right else cell.ljust(width)
                for column, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
        ).rstrip()
        for row in rows
    ]
