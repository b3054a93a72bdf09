"""Durations as people write them, in manifests and on the command line."""

from __future__ import annotations

import re
from typing import Final

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def seconds_of(text: str) -> float:
    """`1h30m` -> 5400.0; ValueError for anything else than numbers with s, m, h, d or w."""
    if not re.fullmatch(r"([0-9]{1,6}[smhdw])+", text, re.ASCII):
        raise ValueError(text)
    return float(sum(int(number) * _SECONDS[unit] for number, unit in re.findall(r"([0-9]+)([smhdw])", text)))
