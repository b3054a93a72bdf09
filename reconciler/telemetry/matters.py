"""What is wrong now and stands nowhere else in the journal: one bookmark a matter, until all have been told of its end.

A matter is the source that cannot be reached, a refused commit, an upload that fails, a device that is left alone, a
plan that waits for an approval. The
loop tells such things anew after every start, so each is opened once and ended once, whatever dies in between; and
every change has a number, by which a channel knows what it has not told yet.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, assert_never

from reconciler.journal.encoding import unreadable
from reconciler.journal.journal import Journal
from reconciler.model.attempt import AttemptState
from reconciler.model.event import (
    AttemptMoved,
    DeviceArrived,
    DeviceSetAside,
    IntentRefused,
    IntentRestored,
    IntentTaken,
    PlanOffered,
    ProductAttemptMoved,
    Recovered,
    RolloutMoved,
    Troubled,
)
from reconciler.model.instant import Instant
from reconciler.model.rollout_entry import Approved
from reconciler.render.event_text import event_line
from reconciler.render.plan_text import action_in_words

PREFIX: Final = "telling/matter/"

TroubleEvent = (
    Troubled
    | Recovered
    | IntentRefused
    | IntentTaken
    | IntentRestored
    | ProductAttemptMoved
    | AttemptMoved
    | DeviceSetAside
    | DeviceArrived
)
MatterEvent = TroubleEvent | PlanOffered | RolloutMoved
"""The events that open and end matters."""

MANIFESTS: Final = "the manifests"

OFFERED: Final = "PlanOffered"
"""The reason of a matter that is no trouble: a plan waits for somebody who approves it."""

_OFFER: Final = "offer/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Matter:
    """One thing that is wrong since `since`, or was until `ended`.

    `number` is that of its last change, `opened` that of its beginning. `about` is what tells this from an earlier
    trouble with the same: a code, a revision. `what`: in words.
    """

    key: str
    number: int
    opened: int
    reason: str
    what: str
    about: str
    message: str
    since: Instant
    ended: Instant | None = None
    fleet: str | None = None
    revision: str | None = None


class Matters:
    """All matters of a journal. One thread writes; what `all` gives may be read by any."""

    def __init__(self, journal: Journal, *, number: int) -> None:
        """`number` is the highest that any channel has been told."""
        self._journal = journal
        found = map(_read, journal.bookmarks(PREFIX).values())
        self._matters: Mapping[str, Matter] = {each.key: each for each in found}
        self._number = max([number, *(each.number for each in self._matters.values())])

    def all(self) -> Iterable[Matter]:
        """As they are now, in the order of their last changes."""
        return sorted(self._matters.values(), key=lambda each: each.number)

    def open(self, key: str) -> Matter | None:
        """The matter of this key that has not ended."""
        found = self._matters.get(key)
        return None if found is None or found.ended is not None else found

    def note(self, events: Iterable[MatterEvent]) -> bool:
        """Write down what has changed by these events, all in one; False: nothing has. Raises JournalError."""
        number, now = self._number, dict(self._matters)
        for event in events:
            for changed in _changes(now, event, number + 1):
                if changed is not None:
                    number += 1
                    now[changed.key] = replace(changed, number=number)
        new = {key: matter for key, matter in now.items() if self._matters.get(key) is not matter}
        if new:
            self._journal.set_bookmarks({f"{PREFIX}{key}": _written(matter) for key, matter in new.items()})
        self._matters, self._number = now, number
        return bool(new)

    def forget(self, told: int) -> None:
        """Forget what has ended and every channel has told, up to this number. Raises JournalError."""
        over = {key for key, each in self._matters.items() if each.ended is not None and each.number <= told}
        if over:
            self._journal.set_bookmarks(dict.fromkeys((f"{PREFIX}{key}" for key in over), None))
            self._matters = {key: each for key, each in self._matters.items() if key not in over}


def open_matters(journal: Journal) -> frozenset[str]:
    """What the people still believe to be in trouble, by the words of `Troubled.what`."""
    found = map(_read, journal.bookmarks(f"{PREFIX}trouble/").values())
    return frozenset(each.what for each in found if each.ended is None)


def is_refusal_open(journal: Journal, tenant: str = "") -> bool:
    """Whether people still believe that a revision is refused."""
    kept = journal.bookmark(f"{PREFIX}{_refused_key(tenant)}")
    return kept is not None and _read(kept).ended is None


def _changes(now: Mapping[str, Matter], event: MatterEvent, number: int) -> list[Matter | None]:
    """The matters that an event opens, alters or ends. Waiting for an approval ends with it, or with the fleet."""
    match event:
        case PlanOffered(at=at, fleet=fleet, plan_id=plan_id):
            words = event_line(event, verbose=False)
            opened = _opened(now, f"{_OFFER}{fleet}", number, at, OFFERED, fleet, plan_id, words)
            return [opened and replace(opened, fleet=fleet)]
        case RolloutMoved(at=at, entry=Approved(fleet=fleet)):
            return [_ended(now, f"{_OFFER}{fleet}", number, at)]
        case RolloutMoved():
            return []
        case IntentTaken(at=at, intent=intent):
            mine = f"{_OFFER}{intent.revision.tenant}/" if intent.revision.tenant else _OFFER
            offers = [each for key, each in now.items() if key.startswith(mine) and each.fleet not in intent.fleets]
            return [_changed(now, event, number), *(_ended(now, each.key, number, at) for each in offers)]
        case _:
            return [_changed(now, event, number)]


def _changed(now: Mapping[str, Matter], event: TroubleEvent, number: int) -> Matter | None:
    """The matter that an event opens, alters or ends; None: it is known, or there is nothing to end."""
    match event:
        case Troubled(at=at, what=what, code=code, message=message):
            words = f"{what} is in trouble: {message} ({code})"
            return _opened(now, f"trouble/{what}", number, at, "Troubled", what, code, words)
        case Recovered(at=at, what=what):
            return _ended(now, f"trouble/{what}", number, at)
        case IntentRefused(at=at, revision=revision, code=code, message=message, next_step=step):
            name = MANIFESTS if revision is None else revision.text
            words = f"{name} is not taken, what was desired before stands: {message} ({code})"
            words += f"\nNext: {step}" if step else ""
            tenant = "" if revision is None else revision.tenant
            about, what = f"{name} {code}", f"{MANIFESTS} of {tenant}" if tenant else MANIFESTS
            opened = _opened(now, _refused_key(tenant), number, at, "IntentRefused", what, about, words)
            return opened and replace(opened, revision=None if revision is None else revision.commit)
        case IntentTaken(at=at, intent=intent) | IntentRestored(at=at, intent=intent):
            key = _refused_key(intent.revision.tenant)
            known = now.get(key)
            return None if known is None or known.since > at else _ended(now, key, number, at)
        case ProductAttemptMoved(at=at, attempt=attempt):
            what = f"{action_in_words(attempt.action)} for product {attempt.product}"
            key = f"product/{attempt.fleet}/{what}"
            if attempt.state is AttemptState.FAILED:
                words = f"{what} failed ({attempt.failure or 'unknown'}): {attempt.detail}"
                about = f"{attempt.failure} {attempt.detail}"
                opened = _opened(now, key, number, at, "ProductActionFailed", what, about, words)
                return opened and replace(opened, fleet=attempt.fleet)
            return _ended(now, key, number, at) if attempt.state is AttemptState.VERIFIED else None
        case DeviceSetAside(at=at, fleet=fleet, device_id=device_id, reason=reason, message=message):
            key = f"device/{fleet}/{device_id}"
            opened = _opened(now, key, number, at, "DevicesSetAside", device_id, f"{reason} {message}", message)
            return opened and replace(opened, fleet=fleet)
        case AttemptMoved(at=at, attempt=tried):
            # Whoever is tried again is not left alone any more; if that fails, it is told again.
            is_tried = tried.state is AttemptState.INTENDED
            return _ended(now, f"device/{tried.fleet}/{tried.device_id}", number, at) if is_tried else None
        case DeviceArrived(at=at, fleet=fleet, device_id=device_id):
            return _ended(now, f"device/{fleet}/{device_id}", number, at)
        case _:
            assert_never(event)


def _refused_key(tenant: str) -> str:
    """Several tenants on one journal have a refusal each; another source than before has the one of that before."""
    return f"refused/{tenant}" if tenant else "refused"


def _opened(
    now: Mapping[str, Matter], key: str, number: int, at: Instant, reason: str, what: str, about: str, message: str
) -> Matter | None:
    known = now.get(key)
    if known is not None and known.ended is None and known.about == about:
        return None
    return Matter(
        key=key, number=number, opened=number, reason=reason, what=what, about=about, message=message, since=at
    )


def _ended(now: Mapping[str, Matter], key: str, number: int, at: Instant) -> Matter | None:
    known = now.get(key)
    return None if known is None or known.ended is not None else replace(known, number=number, ended=at)


def _written(matter: Matter) -> str:
    return json.dumps({name: getattr(matter, name) for name in Matter.__slots__}, sort_keys=True)


def _read(text: str) -> Matter:
    try:
        return Matter(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise unreadable("a matter", text, error) from error
