"""A plan as it is answered: of everything, or of one fleet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from reconciler import __version__
from reconciler.model.plan import Plan
from reconciler.render.plan_json import plan_document
from reconciler.render.plan_text import plan_text

_TEXT_WIDTH: Final = 100


def shown_plan(plan: Plan | None, fleet: str | None) -> Mapping[str, Any] | None:
    """The document, of one fleet (by its name in the journal) or of all; None: there is no such plan."""
    if plan is None:
        return None
    document = plan_document(plan, tool_version=__version__)
    if fleet is None:
        return document
    of_fleet = [each for each in document["fleets"] if each["name"] == fleet]
    return {**document, "fleets": of_fleet} if of_fleet else None


def shown_plan_text(plan: Plan | None, fleet: str | None) -> str | None:
    """The same for people."""
    document = shown_plan(plan, fleet)
    if document is None or plan is None:
        return None
    shown = plan
    if fleet is not None:
        shown = replace(plan, fleets=tuple(each for each in plan.fleets if each.fleet.name == fleet))
    return plan_text(shown, plan_id=document["plan_id"], width=_TEXT_WIDTH, colour=False)
