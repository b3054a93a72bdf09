"""How a fleet is rolled out, as the JSON of a plan says it: every setting by its name, whatever settings there are."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from reconciler.model.fleet import Fleet, Share


def rollout_document(fleet: Fleet) -> dict[str, Any]:
    """The settings of a fleet's rollout, with its windows and whether it waits for an approval as a whole."""
    settings: dict[str, Any] = _plain(fleet.rollout)
    return {
        **settings,
        "windows_allow": _plain(fleet.windows_allow),
        "windows_deny": _plain(fleet.windows_deny),
        "approval_required": fleet.approval_required,
    }


def _plain(value: Any) -> Any:
    if isinstance(value, Share):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, frozenset):
        return sorted(map(_plain, value))
    return [_plain(each) for each in value] if isinstance(value, tuple) else value
