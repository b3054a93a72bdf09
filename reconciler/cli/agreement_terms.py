"""The options of `apply` that say beforehand what is agreed to, as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, Final

import click

from reconciler.cli.plan_check import StalePolicy
from reconciler.cli.saved_plan import PlanFile
from reconciler.journal.location import JournalPlace
from reconciler.manifests.quantity import share_of
from reconciler.model.fleet import Share


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What a person said beforehand.

    - `stale`: what to do where a saved plan is stale; `expected`: the content digest that the plan must have.
    - `beside`: manifests that a saved plan must have been made from. `saved` is that plan file, once it is read.
    - `journal_given`: the journal's file where one was named, for commands that are shown.
    """

    auto_approve: bool
    stale: StalePolicy
    expected: str | None
    beside: tuple[str, ...]
    saved: PlanFile | None = None
    journal_given: JournalPlace | None = None


class _ShareOption(click.ParamType[Share]):
    """A number of devices, as a count or as a percentage."""

    name = "share"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Share:
        if isinstance(value, Share):
            return value
        try:
            return share_of(int(value) if str(value).isdecimal() else str(value))
        except ValueError:
            self.fail(f"{value!r} is neither a count such as 5 nor a percentage such as 10%", param, ctx)


SHARE: Final = _ShareOption()


def agreement_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds them; the command gets `terms`."""

    @click.option("--auto-approve", is_flag=True, help="Do not ask before acting.")
    @click.option(
        "--on-stale",
        type=click.Choice(["fail", "skip", "replan"]),
        default="fail",
        show_default=True,
        help="What to do when a device of a saved plan is not as it was planned on.",
    )
    @click.option(
        "--stale-max",
        type=SHARE,
        default="10%",
        show_default=True,
        metavar="COUNT|PERCENT",
        help="With --on-stale fail: up to so many such devices are left out; with more of them nothing is done.",
    )
    @click.option(
        "--manifests",
        "beside",
        metavar="PATH",
        multiple=True,
        help="With PLANFILE: refuse it unless it was made from these manifests. Approvals among them count.",
    )
    @click.option(
        "--expect-plan-digest",
        "expected",
        metavar="sha256:…",
        help="Refuse unless what is planned now has this content digest, and then do not ask.",
    )
    @wraps(command)
    def with_terms(
        *,
        auto_approve: bool,
        on_stale: str,
        stale_max: Share,
        beside: tuple[str, ...],
        expected: str | None,
        **options: Any,
    ) -> Any:
        stale = StalePolicy(on_stale=on_stale, drifted_max=stale_max)
        terms = Terms(auto_approve=auto_approve, stale=stale, expected=expected, beside=beside)
        return command(terms=terms, **options)

    return with_terms
