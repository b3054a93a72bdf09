"""Coming to an agreement: show what would be done, see whether it was approved before, ask, and keep the plan."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import click

from reconciler import __version__
from reconciler.cli.agreement_terms import Terms
from reconciler.cli.going_on import still_agreed
from reconciler.cli.inputs import Intent, text_width
from reconciler.cli.plan_check import Checked, check_saved_plan
from reconciler.cli.progress import Bars, Display, JsonLines, Lines, Silent
from reconciler.cli.saying import say
from reconciler.controller.agreement import Agreement, agreement_on
from reconciler.controller.approvals import KeptPlans, keep, note_file_approvals, noted_approvals
from reconciler.controller.report import Ending
from reconciler.controller.run import Run
from reconciler.journal.journal import Journal
from reconciler.model.action import is_within
from reconciler.model.plan import FleetPlan, Plan
from reconciler.planning.waves import waves_of
from reconciler.render.plan_json import plan_document
from reconciler.render.plan_text import plan_text
from reconciler.rollout.approval import approvals_of, covers
from reconciler.rollout.staleness import Found
from reconciler.rollout.verdict import Hold, Wait


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How the command speaks: `output` text or json, and the flags that every command takes."""

    output: str
    colour: bool
    quiet: bool
    verbose: bool

    def say(self, text: str) -> bool:
        """For people; standard output belongs to the machine when it asked for JSON. False: nobody listens."""
        return self.quiet or say(text, err=self.output == "json", nl=False)

    def display(self, agreement: Agreement, plan: Plan) -> Display:
        """What shows the progress of a run."""
        if self.output == "json":
            return JsonLines()
        if self.quiet:
            return Silent()
        if self.verbose or not sys.stderr.isatty():
            return Lines(verbose=self.verbose)
        planned = {
            fleet.fleet.name: sum(device in agreement.steps for route in fleet.routes for device in route.devices)
            for fleet in plan.fleets
        }
        return Bars({name: count for name, count in planned.items() if count}, colour=self.colour)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """What would be done now, and what it was held against. `document` is the fresh plan's."""

    plan: Plan
    document: Mapping[str, Any]
    checked: Checked | None
    intent: Intent
    kept: Journal
    terms: Terms

    @classmethod
    def of(cls, plan: Plan, intent: Intent, kept: Journal, terms: Terms) -> Self:
        """The proposal to carry out a fresh plan, or what of it a saved one names."""
        document = plan_document(plan, tool_version=__version__)
        checked = None if terms.saved is None else check_saved_plan(terms.saved.plan, plan, terms.stale)
        if checked is not None:
            document["checked"] = checked.document
        return cls(plan=plan, document=document, checked=checked, intent=intent, kept=kept, terms=terms)

    @property
    def has_left_out(self) -> bool:
        """Whether devices of the saved plan that nobody wanted to skip are left out."""
        return self.checked is not None and self.checked.has_left_out

    def agreed(self, words: Words) -> Agreement:
        """Show the plan, ask where nobody has approved it yet, and keep it. Ends the process where nobody agrees."""
        self._hold_against_expected()
        agreement = self._what_is_left(words)
        text = plan_text(self.plan, plan_id=self.document["plan_id"], width=text_width(), colour=words.colour)
        shown = words.say(text)
        plans = KeptPlans(self.kept, self.intent.catalog)
        now = self.plan.source.observed_at
        for line in note_file_approvals(self.kept, plans, self.intent.fleets, self.document, now=now):
            say(f"warning: {line}", err=True)
        agreement = self._with_earlier(words, agreement)
        due = [action for fleet in self.plan.fleets for action in fleet.due_actions if agreement.allows(action)]
        if agreement.steps or due:
            self._keep()
            if self.terms.expected is None and not self._is_approved(agreement, plans):
                self._ask(shown=shown, devices=len(agreement.steps))
        return agreement

    def say_how_to_approve(self, run: Run | None = None) -> None:
        """The exact commands that approve what waits for it; without a run, for the whole of the plan."""
        journal = "" if self.terms.journal_given is None else f" --journal {shlex.quote(str(self.terms.journal_given))}"
        for fleet in self.plan.fleets:
            name = fleet.fleet.name
            has_something = bool(fleet.routes or fleet.actions)
            waves = _waves_to_approve(run, fleet) if run is not None else {None} if has_something else set()
            for wave in sorted(waves, key=lambda each: each or ""):
                of_wave = "" if wave is None else f" --wave {shlex.quote(wave)}"
                plan_id = self.document["plan_id"] if self.terms.saved is None else self.terms.saved.plan.plan_id
                say(f"approve it with: reconciler approve {plan_id} --fleet {name}{of_wave}{journal}", err=True)

    def _keep(self) -> None:
        """Keep what is proposed, and the saved plan that it was held against."""
        keep(self.kept, self.document)
        if self.terms.saved is not None:
            keep(self.kept, self.terms.saved.document)

    def _hold_against_expected(self) -> None:
        expected, found = self.terms.expected, self.document["content_digest"]
        if expected is not None and expected != found:
            say(f"error: PFR6410 what is planned now is not what was expected: its content digest is {found}", err=True)
            say("nothing was sent; look at the new plan, and give its content digest", err=True)
            sys.exit(Ending.STALE.value)

    def _what_is_left(self, words: Words) -> Agreement:
        """All of the fresh plan, or what it has in common with the saved one, which is never widened."""
        fresh = agreement_on(self.document["plan_id"], self.plan)
        if self.checked is None:
            return fresh
        if words.output == "json":
            say(json.dumps({"event": "plan_checked", **self.checked.document}, sort_keys=True))
        for line in self.checked.lines():
            words.say(f"{line}\n")
        if self.checked.is_stale:
            drifted = self.checked.devices[Found.DRIFTED]
            say(f"the plan is stale: {len(drifted)} devices are not as they were planned on:", err=True)
            say("\n".join(f"  {device_id}" for device_id in drifted), err=True)
            say("nothing was sent; plan again, or choose --on-stale skip or replan", err=True)
            self._keep()
            sys.exit(Ending.STALE.value)
        return self.checked.agreement(fresh)

    def _with_earlier(self, words: Words, agreement: Agreement) -> Agreement:
        """With what an earlier run has under way; a saved plan is not widened by it."""
        going_on = still_agreed(self.kept, self.plan, self.intent.catalog)
        saved = self.terms.saved
        if saved is not None:
            routes = saved.plan.by_device
            going_on = {
                device: steps.intersection(routes[device].steps)
                for device, steps in going_on.items()
                if device in routes
            }
        added = {device: steps for device, steps in going_on.items() if steps}
        if added:
            noun = "device has" if len(added) == 1 else "devices have"
            words.say(f"{len(added)} waiting {noun} a step of an earlier run under way; it goes on as agreed to then\n")
        return replace(agreement, steps={**added, **agreement.steps})

    def _is_approved(self, agreement: Agreement, plans: KeptPlans) -> bool:
        """Whether everything that would be done is in plans that were approved for its fleets as a whole."""
        for fleet in self.plan.fleets:
            files = self.intent.fleets.approvals
            noted = noted_approvals(self.kept, fleet.fleet.name)
            now = self.plan.source.observed_at
            approved = approvals_of(fleet.fleet, noted, files, plans, now=now).whole
            for route in fleet.routes:
                for device_id in route.devices:
                    is_covered = any(covers(plan, fleet.fleet.name, route, device_id) for plan in approved)
                    if device_id in agreement.steps and not is_covered:
                        return False
            agreed = [action for plan in approved for action in plan.actions]
            wanted = [action for action in fleet.due_actions if agreement.allows(action)]
            if not all(any(is_within(action, each) for each in agreed) for action in wanted):
                return False
        return True

    def _ask(self, *, shown: bool, devices: int) -> None:
        if self.terms.auto_approve:
            return
        if not shown or not sys.stdin.isatty():
            say("nobody can be asked here: give --auto-approve to act without asking, or", err=True)
            self.say_how_to_approve()
            sys.exit(Ending.AWAITING_APPROVAL.value)
        noun = "device" if devices == 1 else "devices"
        if not click.confirm(f"Carry this out on {devices} {noun}?" if devices else "Carry this out?", err=True):
            say("not approved; nothing was sent", err=True)
            sys.exit(Ending.AWAITING_APPROVAL.value)


def _waves_to_approve(run: Run, fleet: FleetPlan) -> set[str | None]:
    """The waves that wait for an approval of their own, and None where the fleet as a whole waits for one."""
    rollout = run.story_of(fleet.fleet.name).rollout
    if rollout is not None and rollout.intent != fleet.fleet.desired.intent:
        rollout = None
    started = {wave.name for wave in rollout.waves} if rollout is not None else set()
    devices = fleet.summary.upgrade + fleet.summary.waiting if rollout is None else rollout.devices
    waves = waves_of(fleet.fleet.rollout, devices)
    of_their_own = {wave.name for wave in waves if wave.approval_required}
    to_come = next((wave.name for wave in waves if wave.name not in started), None)
    found: set[str | None] = {None for action in fleet.due_actions if action in run.unapproved}
    for verdict in run.verdicts.get(fleet.fleet.name, ()):
        if isinstance(verdict, Wait) and verdict.hold in (Hold.AWAITING_APPROVAL, Hold.APPROVAL_STALE):
            wave = None if rollout is None else rollout.wave_of(verdict.device_id)
            name = to_come if wave is None else wave.name
            found.add(name if name in of_their_own else None)
    return found
