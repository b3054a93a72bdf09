"""Events as lines for people."""

from __future__ import annotations

from reconciler.model.attempt import AttemptState
from reconciler.model.event import (
    AttemptMoved,
    ConsoleChanged,
    ControllerEvent,
    DeviceArrived,
    DeviceLatched,
    DeviceSetAside,
    Event,
    Finding,
    FleetEvent,
    IntentRefused,
    IntentRestored,
    IntentTaken,
    PassEnded,
    PlanOffered,
    ProductAttemptMoved,
    Recovered,
    RolloutMoved,
    Troubled,
)
from reconciler.render.console_text import console_change_in_words
from reconciler.render.ink import counted
from reconciler.render.plan_text import action_in_words
from reconciler.render.revision_words import refused_in_words, taken_in_words
from reconciler.render.rollout_words import entry_in_words
from reconciler.render.step_words import step_in_words


def event_line(event: Event, *, verbose: bool) -> str:
    """An event as one line for people; empty: nothing that they need to read (`verbose`: every step, every finding)."""
    if isinstance(event, ControllerEvent):
        return _of_controller(event, verbose=verbose)
    return _of_fleet(event, verbose=verbose)


def _of_fleet(event: FleetEvent, *, verbose: bool) -> str:
    match event:
        case DeviceArrived(device_id=device_id, fleet=fleet):
            return f"{device_id} of {fleet} has arrived"
        case DeviceSetAside(device_id=device_id, fleet=fleet, message=message):
            return f"{device_id} of {fleet} is left alone: {message}"
        case RolloutMoved(entry=entry):
            return f"{entry.fleet}: {entry_in_words(entry)}"
        case ProductAttemptMoved(attempt=on_product) if verbose or not on_product.is_open:
            detail = f": {on_product.detail}" if on_product.detail else ""
            return f"{on_product.fleet}: {action_in_words(on_product.action)}: {on_product.state.value}{detail}"
        case AttemptMoved(attempt=attempt) if verbose or attempt.state is AttemptState.FAILED:
            detail = f": {attempt.detail}" if attempt.detail else ""
            return f"{attempt.device_id} {step_in_words(attempt.step)} {attempt.state.value}{detail}"
        case ConsoleChanged(change=change) if verbose or change.concerns_git:
            return f"{change.device_id} of {change.fleet}: {console_change_in_words(change)}"
        case DeviceLatched(latch=latch):
            return f"{latch.device_id} of {latch.fleet} is held: {latch.why}"
        case Finding(message=message, device_id=device_id) if verbose:
            return f"{device_id or 'finding'}: {message}"
        case _:
            return ""


def _of_controller(event: ControllerEvent, *, verbose: bool) -> str:
    match event:
        case PlanOffered(fleet=fleet, plan_id=plan_id, devices=devices):
            waiting = f"{counted(devices, 'device')} {'waits' if devices == 1 else 'wait'} for an approval"
            return f"{fleet}: {waiting}: reconciler approve {plan_id}"
        case IntentTaken(intent=intent):
            return taken_in_words(intent.revision.text, intent)
        case IntentRestored(intent=intent):
            return f"the source has {intent.revision.text} again, which is what is desired"
        case IntentRefused(revision=revision, code=code, message=message, next_step=next_step):
            what = "the source" if revision is None else revision.text
            return refused_in_words(what, message, code) + (f"; {next_step}" if next_step else "")
        case Troubled(what=what, code=code, message=message):
            return f"{what} is in trouble: {message} ({code})"
        case Recovered(what=what):
            return f"{what} is well again"
        case PassEnded(product=product, seconds=seconds, code=str(code)) if verbose:
            return f"{product or 'own devices'}: the pass ended after {seconds:.1f} s by {code}"
        case PassEnded(product=product, seconds=seconds, devices=devices) if verbose:
            return f"{product or 'own devices'}: {devices:,} devices looked at in {seconds:.1f} s"
        case _:
            return ""
