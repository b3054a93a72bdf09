"""`reconciler retry DEVICE…|--fleet FLEET --all`: try devices again, whatever failed on them before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from reconciler.cli.display_options import output_options
from reconciler.cli.found_device import find_device
from reconciler.cli.journal_options import by_option, journal_option
from reconciler.cli.word import journal_of_runs, moment, tell, unknown_fleet, word_output_option
from reconciler.journal.journal import Journal
from reconciler.journal.location import JournalPlace
from reconciler.journal.settling import settled
from reconciler.model.attempt import Attempt
from reconciler.model.device import DeviceId, is_device_id
from reconciler.model.failure import CONSEQUENCES
from reconciler.model.rollout import FleetStory, story_of
from reconciler.model.rollout_entry import Retried
from reconciler.render.ink import counted
from reconciler.render.step_words import duration_in_words, step_in_words
from reconciler.render.word import Told
from reconciler.rollout.retry import last_failure


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A device, the fleet that the journal knows it in (None: none), and what is wrong with it (empty: nothing)."""

    device_id: DeviceId
    fleet: str | None
    wrong: str
    under_way: bool = False


@click.command("retry")
@click.argument("devices", metavar="DEVICE…", nargs=-1)
@click.option("--fleet", metavar="FLEET", help="With --all: the fleet.")
@click.option("--all", "everything", is_flag=True, help="Every device of the fleet on which something failed.")
@click.option(
    "--observed",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A snapshot that knows the devices' names; the journal knows their ids alone.",
)
@by_option
@journal_option
@word_output_option
@output_options("quiet")
def command(
    devices: tuple[str, ...],
    fleet: str | None,
    everything: bool,
    observed: Path | None,
    by: str,
    journal: JournalPlace | None,
    output: str,
    quiet: bool,
) -> None:
    """Try DEVICE (its id, or its name with --observed) again in the next pass, and forget what failed on it so far.

    What is forgotten does not count against the rollout either, and no longer holds the device. It lifts neither the
    halt of a fleet (`resume FLEET`) nor the hold of a device that somebody kept setting back (`resume --device ID`),
    and says where one is.

    Exit codes: 0 done, 1 a device had nothing that failed, 2 usage.
    """
    if bool(devices) == everything or (fleet is not None) != everything:
        raise click.UsageError("name one DEVICE or more, or give --fleet FLEET --all")
    wanted = _ids(devices, observed)
    with journal_of_runs(journal) as kept:
        at = moment(kept)
        cases = [_case(kept, device_id) for device_id in wanted] if fleet is None else _cases_of(kept, fleet)
        again = [case for case in cases if case.wrong and case.fleet is not None]
        kept.note(
            [
                Retried(
                    fleet=case.fleet or "",
                    at=moment(kept, device_id=case.device_id),
                    device_id=case.device_id,
                    by=by,
                    **settled(kept, device_id=case.device_id),
                )
                for case in again
            ]
        )
        told = [_told(case, needed) for case, needed in zip(cases, _also_needed(kept, cases), strict=True)]
        if fleet is not None and not cases:
            told = [_none_failed(kept, fleet)]
        tell("retry", told, at=at, by=by, output=output, quiet=quiet)


def _ids(devices: Sequence[str], observed: Path | None) -> tuple[DeviceId, ...]:
    if observed is not None:
        # Imported here: only names need the machinery of planning.
        from reconciler.cli.inputs import read_snapshot

        observation = read_snapshot(observed)
        return tuple(dict.fromkeys(find_device(observation, name).id for name in devices))
    names = [name for name in devices if not is_device_id(name.lower())]
    if names:
        message = f"the journal knows devices by their ids, 24 hexadecimal digits: {names[0]!r} is none"
        raise click.BadParameter(f"{message}; with --observed FILE a snapshot tells their names", param_hint="DEVICE")
    return tuple(dict.fromkeys(DeviceId(name.lower()) for name in devices))


def _case(kept: Journal, device_id: DeviceId) -> _Case:
    attempts = kept.attempts(device_id=device_id)
    if not attempts:
        state = kept.console_states().get(device_id)
        fleet = None if state is None else state.fleet
        return _Case(device_id=device_id, fleet=fleet, wrong=_wrong(_story(kept, fleet), device_id, ()))
    fleet = attempts[0].fleet
    return _of_attempts(_story(kept, fleet), device_id, attempts)


def _cases_of(kept: Journal, fleet: str) -> list[_Case]:
    """The devices of the fleet of which something failed that a person has not settled yet."""
    story = _story(kept, fleet)
    attempts: dict[DeviceId, list[Attempt]] = {}
    for attempt in kept.attempts(fleet=fleet):
        attempts.setdefault(attempt.device_id, []).append(attempt)
    devices = sorted({*attempts, *story.unwell})
    cases = (_of_attempts(story, device_id, attempts.get(device_id, ())) for device_id in devices)
    return [case for case in cases if case.wrong]


def _of_attempts(story: FleetStory, device_id: DeviceId, attempts: Sequence[Attempt]) -> _Case:
    return _Case(
        device_id=device_id,
        fleet=story.fleet,
        wrong=_wrong(story, device_id, attempts),
        under_way=any(attempt.is_open for attempt in attempts),
    )


def _story(kept: Journal, fleet: str | None) -> FleetStory:
    return story_of(fleet or "", () if fleet is None else (noted.entry for noted in kept.entries(fleet=fleet)))


def _wrong(story: FleetStory, device_id: DeviceId, attempts: Sequence[Attempt]) -> str:
    """What failed on the device in this rollout and was not tried again by a person's word; empty: nothing."""
    ended = [attempt for attempt in attempts if not attempt.is_open and story.uses_up_tries(attempt)]
    last = last_failure(ended)
    found = []
    if last is not None and last.failure is not None:
        tries = counted(sum(attempt.failure is not None for attempt in ended), "try", "tries")
        took = duration_in_words((last.ended_at or last.intended_at) - last.intended_at)
        detail = f": {last.detail}" if last.detail else ""
        why = f"({last.failure}, {tries}){detail}; who must act: {CONSEQUENCES[last.failure].must_act.value}"
        found.append(f"{step_in_words(last.step)} failed after {took} {why}")
    if device_id in story.unwell:
        found.append(f"it was unwell, {story.unwell[device_id].check}: {story.unwell[device_id].why}")
    return "; ".join(found)


def _told(case: _Case, needed: str) -> Told:
    """`needed` is the word of a person that is needed as well."""
    device_id, fleet = case.device_id, case.fleet
    if not case.wrong:
        why = "the journal knows no such device" if fleet is None else "nothing has failed on it that would hold it"
        waiting = "; a step of it is under way" if case.under_way else ""
        message = f"device {device_id}: {why}{waiting}"
    else:
        message = f"device {device_id} of {fleet} is tried again in the next pass. What was wrong: {case.wrong}"
    return Told(done=bool(case.wrong), device_id=device_id, fleet=fleet, message=message, next_step=needed)


def _also_needed(kept: Journal, cases: Sequence[_Case]) -> list[str]:
    """For every device what else holds it, and the word that ends that; empty where nothing does."""
    latched = {device_id for device_id, latch in kept.latches().items() if not latch.lifted}
    halted = {halt.fleet for halt in kept.halts()}
    return [
        "; ".join(
            [f"somebody kept setting it back; let go of it: reconciler resume --device {case.device_id}"]
            * (case.device_id in latched)
            + [f"its fleet is halted; lift that: reconciler resume {case.fleet}"] * (case.fleet in halted)
        )
        for case in cases
    ]


def _none_failed(kept: Journal, fleet: str) -> Told:
    unknown = unknown_fleet(kept, fleet)
    message = f"no device of fleet {fleet} has failed" if unknown is None else f"{unknown.message} ({unknown.code})"
    return Told(done=False, fleet=fleet, message=message)
