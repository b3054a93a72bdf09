"""Entries of the lives of rollouts as JSON text, and back. The rules are those of `encoding.py`. Pure.

`fleet`, `at` and the kind have columns of their own; the text holds the rest, field by field.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from reconciler.journal.encoding import unreadable
from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant
from reconciler.model.rollout_entry import (
    Approved,
    DeviceUnwell,
    Halted,
    Resumed,
    Retried,
    RolloutBegan,
    RolloutCompleted,
    RolloutEntry,
    RolloutSuperseded,
    Suspended,
    WaveCompleted,
    WaveGrew,
    WaveSoaking,
    WaveStarted,
    entry_kind,
)

_Field = tuple[str, Callable[[Any], Any]]


def _word(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _optional_word(value: Any) -> str | None:
    return None if value is None else _word(value)


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"{value!r} is no whole number")
    return value


def _optional_instant(value: Any) -> Instant | None:
    if value is None:
        return None
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no time")
    return Instant(float(value))


def _device(value: Any) -> DeviceId:
    return DeviceId(_word(value))


def _devices(value: Any) -> frozenset[DeviceId]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list of devices")
    return frozenset(map(_device, value))


def _optional_devices(value: Any) -> frozenset[DeviceId] | None:
    return None if value is None else _devices(value)


def _attempts(value: Any) -> frozenset[str]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} is no list of attempts")
    return frozenset(map(_word, value))


def _optional_count(value: Any) -> int | None:
    return None if value is None else _count(value)


_LATEST_ATTEMPT: Final[_Field] = ("latest_attempt", _optional_count)
_SETTLED: Final[tuple[_Field, ...]] = (
    ("settled_before", _optional_instant),
    _LATEST_ATTEMPT,
    ("under_way", _attempts),
)

_FORMS: Final[Mapping[str, tuple[type[RolloutEntry], tuple[_Field, ...]]]] = {
    "rollout_began": (
        RolloutBegan,
        (("rollout_id", _word), ("intent", _word), ("plan_id", _word), ("devices", _count), _LATEST_ATTEMPT),
    ),
    "wave_started": (WaveStarted, (("wave", _word), ("devices", _count), ("members", _optional_devices))),
    "wave_grew": (WaveGrew, (("wave", _word), ("members", _devices))),
    "wave_soaking": (WaveSoaking, (("wave", _word),)),
    "wave_completed": (
        WaveCompleted,
        (("wave", _word), ("verified", _count), ("failed", _count), ("not_reached", _count)),
    ),
    "rollout_completed": (RolloutCompleted, ()),
    "rollout_superseded": (RolloutSuperseded, (("intent", _word),)),
    "device_unwell": (DeviceUnwell, (("device_id", _device), ("check", _word), ("why", _word))),
    "halted": (Halted, (("reason", _word), ("by", _optional_word), ("overdue", _attempts))),
    "resumed": (Resumed, (("by", _word), *_SETTLED)),
    "suspended": (Suspended, (("reason", _word), ("until", _optional_instant), ("by", _word))),
    "retried": (Retried, (("device_id", _device), ("by", _word), *_SETTLED)),
    "approved": (
        Approved,
        (
            ("plan_id", _word),
            ("digest", _word),
            ("wave", _optional_word),
            ("by", _word),
            ("source", _word),
            ("expires", _optional_instant),
        ),
    ),
}
"""Every kind of entry: its class, and its fields beside `fleet` and `at` with how each is read."""

_LATER: Final = frozenset({"settled_before", "latest_attempt", "under_way", "overdue"})
"""Fields that entries of an earlier version do not have."""

HALTING_KINDS: Final = ("halted", "resumed")
"""The entries that say whether a fleet is halted."""


def encode_entry(entry: RolloutEntry) -> str:
    """An entry as one line of JSON, but for its fleet, its time and its kind."""
    _, fields = _FORMS[entry_kind(entry)]
    document = {name: getattr(entry, name) for name, _ in fields}
    return json.dumps(document, sort_keys=True, separators=(",", ":"), default=sorted)  # sets of devices, in order


def decode_entry(kind: str, text: str, *, fleet: str, at: Instant) -> RolloutEntry:
    """The entry that `encode_entry` wrote. Raises JournalError PFR5011."""
    try:
        form, fields = _FORMS[kind]
        document = json.loads(text)
        there = (field for field in fields if field[0] in document or field[0] not in _LATER)
        return form(fleet=fleet, at=at, **{name: read(document[name]) for name, read in there})
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise unreadable(f"an entry {kind}", text, error) from error
