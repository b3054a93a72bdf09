"""Why there is no route: the needs that forbid the desired release, followed to where they end.

The chain starts at what the desired release's system parts need, and follows each unmet need to the module of the same
release that would meet it, until a need closes a circle or nothing can meet it.
"""

from __future__ import annotations

from reconciler.model.module import Dependency, Module, ModuleSlot
from reconciler.model.platform import Platform
from reconciler.model.release import Release
from reconciler.model.step import enforced_on_transfer
from reconciler.planning.hop import Hops, Unmet, Versions


def explain_no_route(platform: Platform, hops: Hops, versions: Versions, unmet: Unmet, goal: Release) -> str:
    """One sentence with the needs that no legal order meets."""
    shipped = {s.module.slot: s.module for s in goal.modules if not platform.bounds[s.module.slot].encrypted}
    beyond = [
        f"the installed {owner} needs {need}, {goal.version} brings {shipped[need.slot].version}"
        for owner, need in sorted(unmet)
        if need.slot in shipped and shipped[need.slot].version < need.version
    ]
    if beyond:
        return "; ".join(beyond)
    links: list[str] = []
    seen: set[ModuleSlot] = set()
    parts = [shipped[slot] for slot in platform.system_parts if slot in shipped]
    waiting = [part for part in parts if hops.installed(versions, part.slot) < part.version]
    while waiting:
        module = waiting.pop(0)
        if module.slot in seen:
            continue
        seen.add(module.slot)
        for need in _enforced_and_unmet(module, hops, versions):
            links.append(f"{module} needs {need} (installed: {hops.installed(versions, need.slot) or 'none'})")
            if need.slot in shipped:
                waiting.append(shipped[need.slot])
    if links:
        return f"{'; '.join(links)}; and no release on the way meets it"
    return f"no release on the way to {goal.version} may be passed or skipped: stations lie between"


def _enforced_and_unmet(module: Module, hops: Hops, versions: Versions) -> list[Dependency]:
    return [need for need in enforced_on_transfer(module) if not hops.holds(versions, need)]
