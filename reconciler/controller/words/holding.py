"""`halt`, `suspend` and `resume`: what keeps fleets, devices and products from going on, and what lifts it."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.controller.words.speaker import (
    Speaker,
    known_fleets,
    not_known,
    time_from_words,
    unknown_fleet,
    until_in_words,
)
from reconciler.journal.settling import settled
from reconciler.model.device import DeviceId
from reconciler.model.instant import Instant
from reconciler.model.rollout import story_of
from reconciler.model.rollout_entry import Resumed, Suspended
from reconciler.render.step_words import time_in_words
from reconciler.render.word import Told


def halt(speaker: Speaker, fleets: Sequence[str], *, reason: str, force: bool = False) -> list[Told]:
    """Start nothing more in these fleets until `resume`; what is under way ends its step.

    A name that the journal does not know is not halted without `force`: a slip of the pen must not pass for a halt.
    """
    return [_halt(speaker, fleet, reason, force=force) for fleet in dict.fromkeys(fleets)]


def halt_all(speaker: Speaker, *, reason: str) -> list[Told]:
    """The same for every fleet that the journal knows."""
    told = [_halt(speaker, fleet, reason, force=True) for fleet in known_fleets(speaker.journal)]
    return told or [Told(done=False, message="the journal knows no fleet yet, so nothing was halted")]


def _halt(speaker: Speaker, fleet: str, reason: str, *, force: bool) -> Told:
    journal = speaker.journal
    unknown = None if force else unknown_fleet(journal, fleet)
    if unknown is not None:
        return not_known(unknown, fleet, "halt")
    at = speaker.moment(fleet=fleet)
    journal.halt(fleet, reason, at, by=speaker.by)
    # What stands now, not what was asked for: it may have been halted before, by a person or by itself.
    standing = next(halt for halt in journal.halts() if halt.fleet == fleet)
    if standing.at != at:
        who = "by itself" if standing.by is None else f"by {standing.by}"
        message = f"fleet {fleet} was halted already, {who} at {time_in_words(standing.at)}: {standing.reason}"
    else:
        message = f"fleet {fleet} is halted; {speaker.hearing_in_words(fleet)}"
    return Told(done=True, fleet=fleet, message=message, next_step=f"lift it with: reconciler resume {fleet}")


def suspend(speaker: Speaker, fleet: str, *, reason: str, until: str | None = None, force: bool = False) -> Told:
    """Start nothing in the fleet until a time, in words as `time_from_words` takes them (None: until `resume`).

    It takes the place of an earlier suspension. Raises ValueError when `until` is no time or one that is over.
    """
    at = speaker.moment(fleet=fleet)
    end = None if until is None else time_from_words(until, now=at)
    if end is not None and end <= at:
        raise ValueError(f"{until} is over")
    unknown = None if force else unknown_fleet(speaker.journal, fleet)
    return not_known(unknown, fleet, "suspend") if unknown else _suspend(speaker, fleet, reason, end, at)


def _suspend(speaker: Speaker, fleet: str, reason: str, until: Instant | None, at: Instant) -> Told:
    journal = speaker.journal
    journal.note([Suspended(fleet=fleet, at=at, reason=reason, until=until, by=speaker.by)])
    entries = [noted.entry for noted in journal.entries(fleet=fleet)]
    message = f"fleet {fleet} is suspended {until_in_words(until, now=at)}; {speaker.hearing_in_words(fleet)}"
    before = story_of(fleet, entries[:-1])
    if before.suspended is not None and before.is_suspended(at):
        message += f". It was suspended {until_in_words(before.suspended.until, now=at)}: {before.suspended.reason}"
    if before.halted is not None:
        message += f". It is halted as well: {before.halted.reason}"
    return Told(done=True, fleet=fleet, message=message, next_step=f"to end it before: reconciler resume {fleet}")


def resume(
    speaker: Speaker,
    fleet: str | None,
    *,
    device_ids: Sequence[str] = (),
    latched: bool = False,
    product: int | None = None,
) -> list[Told]:
    """Lift the halt and the suspension of a fleet, let go of devices, or forget what the cloud refused in a product.

    `latched`: let go of all devices of the fleet that are held because somebody kept undoing what we did.
    """
    held = {latch.device_id: latch for latch in speaker.journal.latches().values() if not latch.lifted}
    wanted = [DeviceId(device_id.lower()) for device_id in device_ids]
    wanted += [device_id for device_id, latch in sorted(held.items()) if latched and latch.fleet == fleet]
    told = [_let_go(speaker, device_id) for device_id in dict.fromkeys(wanted)]
    if fleet is not None:
        lifted = _lift(speaker, fleet)
        # Of a fleet all of whose devices are let go, nobody said that it is halted.
        if lifted.done or not (latched and told):
            told.append(lifted)
    if product is not None:
        told.append(_forget(speaker, product))
    return told


def _forget(speaker: Speaker, product: int) -> Told:
    refusals = speaker.journal.refusals()
    if speaker.journal.forget_refusal(product):
        return Told(done=True, product_id=product, message=f"product {product} is tried again")
    known = ", ".join(str(refusal.product_id) for refusal in refusals) or "none"
    message = f"no refusal is known for product {product}; products with one: {known}"
    return Told(done=False, product_id=product, message=message)


def _let_go(speaker: Speaker, device_id: DeviceId) -> Told:
    if speaker.journal.unlatch(device_id):
        return Told(done=True, device_id=device_id, message=f"device {device_id} may go on")
    return Told(
        done=False,
        device_id=device_id,
        message=f"device {device_id} is not held because of somebody who undid what we did",
        next_step=f"if a step failed on it: reconciler retry {device_id}",
    )


def _lift(speaker: Speaker, fleet: str) -> Told:
    journal, at = speaker.journal, speaker.moment(fleet=fleet)
    story = story_of(fleet, (noted.entry for noted in journal.entries(fleet=fleet)))
    stood = []
    if story.halted is not None:
        who = "by itself" if story.halted.by is None else f"by {story.halted.by}"
        stood.append(f"halted {who} at {time_in_words(story.halted.at)}: {story.halted.reason}")
    if story.suspended is not None and story.is_suspended(at):
        who = f"by {story.suspended.by} " if story.suspended.by else ""
        stood.append(f"suspended {who}{until_in_words(story.suspended.until, now=at)}: {story.suspended.reason}")
    if not stood:
        return _nothing_to_lift(speaker, fleet)
    journal.note([Resumed(fleet=fleet, at=at, by=speaker.by, **settled(journal, fleet=fleet))])
    message = f"fleet {fleet} may go on, failures are counted anew. It was {'; and it was '.join(stood)}"
    next_step = "a controller goes on in its next pass, where none runs `apply` does; "
    next_step += f"devices that are held: reconciler retry --fleet {fleet} --all"
    return Told(done=True, fleet=fleet, message=message, next_step=next_step)


def _nothing_to_lift(speaker: Speaker, fleet: str) -> Told:
    unknown = unknown_fleet(speaker.journal, fleet)
    known = ", ".join(halt.fleet for halt in speaker.journal.halts())
    halted = f"halted are: {known}" if known else "no fleet is halted"
    if unknown is not None:
        return Told(done=False, fleet=fleet, message=f"{unknown.message}; {halted} ({unknown.code})")
    return Told(
        done=False,
        fleet=fleet,
        message=f"fleet {fleet} is neither halted nor suspended in the journal; {halted}",
        next_step=f"`reconciler status PATH` says what holds it; a suspension in its manifest is lifted in Git; "
        f"devices that somebody kept setting back: reconciler resume {fleet} --latched",
    )
