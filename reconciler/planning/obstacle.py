"""Why there is no route: how far the device gets, and which needs forbid the next release after that.

The sentence names only needs that nothing on the way can meet: a module of the same release that could be sent first
does not stand in it. Each unmet need is followed to the module that would meet it, until the chain ends or closes.
"""

from __future__ import annotations

from collections.abc import Iterable

from reconciler.model.module import Dependency, Module, ModuleSlot
from reconciler.model.platform import Platform
from reconciler.model.release import Release
from reconciler.planning.hop import Hops, Unmet, Versions


def beyond_the_goal(unmet: Unmet, goal: Release) -> str | None:
    """What an installed module needs and the desired release does not bring; None: nothing."""
    shipped = {s.module.slot: s.module for s in goal.modules}
    beyond = [
        f"the installed {owner} needs {need}, {goal.version} brings {shipped[need.slot].version}"
        for owner, need in sorted(unmet)
        if need.slot in shipped and shipped[need.slot].version < need.version
    ]
    return "; ".join(beyond) or None


def forbidding_needs(platform: Platform, hops: Hops, furthest: Versions, release: Release) -> str:
    """The needs that keep a device with these versions from this release, in the order in which they lead on."""
    shipped = {s.module.slot: s.module for s in release.modules if not platform.bounds[s.module.slot].encrypted}
    versions = _with_all_that_can_be_sent(hops, furthest, shipped.values())
    links: list[str] = []
    seen: set[ModuleSlot] = set()
    waiting = [shipped[slot] for slot in platform.system_parts if slot in shipped]
    while waiting:
        module = waiting.pop(0)
        if module.slot in seen or hops.installed(versions, module.slot) >= module.version:
            continue
        seen.add(module.slot)
        for need in _unmet(hops, versions, module):
            links.append(f"{module} needs {need} (installed: {hops.installed(versions, need.slot) or 'none'})")
            if need.slot in shipped:
                waiting.append(shipped[need.slot])
    return "; ".join(links)


def _with_all_that_can_be_sent(hops: Hops, versions: Versions, modules: Iterable[Module]) -> Versions:
    waiting = list(modules)
    progress = True
    while progress:
        progress = False
        for module in list(waiting):
            if all(hops.holds(versions, need) for need in hops.enforced(module)):
                waiting.remove(module)
                versions = hops.raised(versions, module)
                progress = True
    return versions


def _unmet(hops: Hops, versions: Versions, module: Module) -> list[Dependency]:
    """What keeps the module away; where nothing is checked before it is written, what keeps it from running."""
    needs = module.dependencies if hops.writes_unchecked(module) else hops.enforced(module)
    return [need for need in needs if not hops.holds(versions, need)]
