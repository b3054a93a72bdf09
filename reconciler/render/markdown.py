"""Markdown that says what it should, whoever named the things in it, and fits into a comment.

Text of strangers goes in as character references, so that it cannot end a table cell, open a tag or a code span, load a
picture, link somewhere, mention a person or refer to an issue. Sections are cut from the end, item by item, and the cut
itself is always to be seen.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from reconciler.render.ink import harmless

_SPECIAL: Final = "&<>|`*_~[]\\$^{}"
_WORD_JOINER: Final = 0x2060
_REFERENCES: Final = {ord(character): f"&#{ord(character)};" for character in _SPECIAL} | {
    # Hosts look for mentions and issue numbers after Markdown is rendered: only something in between stops them.
    ord(character): f"&#{ord(character)};&#{_WORD_JOINER};"
    for character in "@#"
}
_LINKS: Final = re.compile(r"://|(?<=www)\.", re.IGNORECASE)
_CUT_NUMBER_MARGIN: Final = 8


def safe(text: str, limit: int = 300) -> str:
    """A stranger's text as inline Markdown or HTML, on one line, that reads as the text and does nothing.

    It is for table cells and for places behind other words: at the start of a block a dash would begin a list.
    `limit` is in characters of the text; what is longer ends with an ellipsis.
    """
    line = harmless(" ".join(text.split()))
    if len(line) > limit:
        line = line[: limit - 1] + "…"
    line = line.translate(_REFERENCES)
    return _LINKS.sub(lambda match: "&#58;//" if match[0] == "://" else "&#46;", line)


def row(cells: Sequence[str]) -> str:
    """One row of a table; the cells are Markdown already."""
    return "| " + " | ".join(cells) + " |\n"


def table_head(*columns: tuple[str, bool]) -> str:
    """The head of a table: names, and whether the column holds numbers."""
    names, rule = [name for name, _ in columns], ["---:" if numbers else "---" for _, numbers in columns]
    return row(names) + row(rule)


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A part of a page whose items may be cut: `left_out(n)` is the line that stands there when only n of them fit."""

    head: str
    items: Sequence[str]
    left_out: Callable[[int], str]


def fitted(core: str, sections: Sequence[Section], bytes_max: int) -> str:
    """The core whole, then every section as far as it fits; earlier sections go before later ones.

    Raises:
        ValueError: Not even the core and the lines about the cuts fit.
    """
    sections = [section for section in sections if section.items]
    reserved = [_size(section.left_out(0)) + _CUT_NUMBER_MARGIN for section in sections]
    left = bytes_max - _size(core) - sum(reserved)
    if left < 0:
        message = f"{bytes_max} bytes are too few: {bytes_max - left} are needed"
        raise ValueError(message)
    parts = [core]
    for section, own in zip(sections, reserved, strict=True):
        text = _section(section, left + own)
        parts.append(text)
        left += own - _size(text)
    return "".join(parts)


def _section(section: Section, bytes_max: int) -> str:
    used, best = _size(section.head), -1
    if used + sum(map(_size, section.items)) <= bytes_max:
        return section.head + "".join(section.items)
    for count, item in enumerate(section.items[:-1], start=1):
        used += _size(item)
        if used + _size(section.left_out(count)) > bytes_max:
            break
        best = count
    if best < 1:
        return section.left_out(0)
    return section.head + "".join(section.items[:best]) + section.left_out(best)


def _size(text: str) -> int:
    return len(text.encode())
