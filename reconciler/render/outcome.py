"""The report at the end of `apply`: what was planned, what came of it, and what it cost."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final

from reconciler.render.ink import Page, Style, byte_size, counted, harmless, table

FORMAT_VERSION: Final = "1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The counts of one `apply`.

    Devices: `devices_planned` had a route; of these `devices_arrived` are as desired by observation, `devices_failed`
    had a step that failed for good, `devices_waiting` were set aside for later (offline, held, halted, interrupted).
    `devices_refused` never had a route. Steps: `steps_done` were verified by an observation, `steps_failed` failed,
    `steps_open` were sent and have no known end yet; the rest was not begun. `requests` are all API calls of the run,
    `requests_writing` those that change something; `bytes_sent` is the size of all modules sent.
    Actions are uploads to and releases of products; one that is neither done nor failed waits for its time.
    """

    devices_planned: int
    devices_arrived: int
    devices_failed: int
    devices_waiting: int
    devices_refused: int
    steps_planned: int
    steps_done: int
    steps_failed: int
    steps_open: int
    requests: int
    requests_writing: int
    bytes_sent: int
    actions_planned: int = 0
    actions_done: int = 0
    actions_failed: int = 0
    halted_fleets: tuple[str, ...] = ()
    interrupted: bool = False

    @property
    def requests_per_device(self) -> float:
        """API calls per planned device; 0 without one."""
        return self.requests / self.devices_planned if self.devices_planned else 0.0

    @property
    def steps_not_begun(self) -> int:
        """Planned steps that nobody tried."""
        return max(0, self.steps_planned - self.steps_done - self.steps_failed - self.steps_open)


def outcome_document(outcome: Outcome) -> dict[str, Any]:
    """The outcome as a JSON document, with what follows from the counts."""
    return {
        "format_version": FORMAT_VERSION,
        **asdict(outcome),
        "halted_fleets": list(outcome.halted_fleets),
        "steps_not_begun": outcome.steps_not_begun,
        "requests_per_device": round(outcome.requests_per_device, 2),
    }


def outcome_text(outcome: Outcome, *, width: int = 100, colour: bool = False) -> str:
    """The outcome for people; the verdict is the last line."""
    page = Page(width=width, colour=colour)
    rows = [
        (
            "devices",
            f"{outcome.devices_planned:,} planned",
            f"{outcome.devices_arrived:,} arrived",
            f"{outcome.devices_failed:,} failed",
            f"{outcome.devices_waiting:,} waiting",
            f"{outcome.devices_refused:,} refused",
        ),
        (
            "steps",
            f"{outcome.steps_planned:,} planned",
            f"{outcome.steps_done:,} verified",
            f"{outcome.steps_failed:,} failed",
            f"{outcome.steps_open:,} open",
            f"{outcome.steps_not_begun:,} not begun",
        ),
        (
            "cost",
            counted(outcome.requests, "request"),
            f"{outcome.requests_per_device:.1f} per device",
            f"{outcome.requests_writing:,} writing",
            f"{byte_size(outcome.bytes_sent)} sent",
            "",
        ),
    ]
    if outcome.actions_planned:
        done, failed = f"{outcome.actions_done:,} verified", f"{outcome.actions_failed:,} failed"
        rows.insert(2, ("product", f"{outcome.actions_planned:,} planned", done, failed, "", ""))
    lines = table(rows, indent=2)
    for fleet in outcome.halted_fleets:
        sentence = f"Fleet {harmless(fleet)} is halted (`reconciler history` says why): nothing more is started in it."
        lines += page.wrapped(f"{sentence} Lift it with: reconciler resume {harmless(fleet)}", hanging=2)
    return "\n".join([*lines, _verdict(page, outcome), ""])


def _verdict(page: Page, outcome: Outcome) -> str:
    arrived = f"{outcome.devices_arrived:,} of {counted(outcome.devices_planned, 'device')} arrived"
    if outcome.interrupted:
        return page.ink(f"Interrupted: {arrived}. Nothing is lost; run the same command again to go on.", Style.WAITING)
    if outcome.devices_failed or (outcome.halted_fleets and outcome.devices_arrived < outcome.devices_planned):
        return page.ink(f"Not done: {arrived}, {outcome.devices_failed:,} failed.", Style.BAD)
    if outcome.devices_arrived < outcome.devices_planned:
        return page.ink(f"Done for now: {arrived}, {outcome.devices_waiting:,} wait for another run.", Style.WAITING)
    if not outcome.devices_planned:
        return page.ink("Done: there was nothing to do.", Style.GOOD)
    return page.ink(f"Done: {arrived}.", Style.GOOD)
