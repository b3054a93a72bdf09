"""What is plugged in, as a table for people and a document for machines (`schemas/usblist.v1.schema.json`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from reconciler.render.ink import harmless

_COLUMNS: Final = ("port", "id", "name", "platform", "mode", "device_os", "application", "fleet")
_TITLES: Final = {"id": "device", "device_os": "device os"}


def listed_document(devices: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The devices, by port, under a version."""
    return {"format_version": "1.0", "devices": list(devices)}


def listed_text(devices: Sequence[Mapping[str, Any]]) -> str:
    """One line for each device, and below it what is wrong with it and what to do."""
    if not devices:
        return "nothing is plugged in\n"
    rows = [[_TITLES.get(name, name).upper() for name in _COLUMNS]]
    rows += [[harmless(str(_shown(device, name))) for name in _COLUMNS] for device in devices]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = []
    for row, device in zip(rows, (None, *devices), strict=True):
        lines.append("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
        trouble = None if device is None else device["trouble"]
        if trouble is not None:
            lines.append(f"  {trouble['code']} {harmless(trouble['message'])}")
            lines.append(f"  what to do: {trouble['next_step']}")
    return "\n".join(lines) + "\n"


def _shown(device: Mapping[str, Any], name: str) -> object:
    value = device[name]
    if name == "fleet" and value is None:
        return "not known" if device["trouble"] else "none: not touched"
    return "-" if value is None else value
