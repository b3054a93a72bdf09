"""One device explained: what is known of it and how, what would be done to it by which rule, or why nothing is.

The rules are those of facts 4.3: on a transfer the device checks a module's first dependency always and the second one
unless it names a bootloader; at boot nothing is skipped, and an unmet need means safe mode.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.firmware.catalog import Catalog
from reconciler.model.console import ConsoleChange
from reconciler.model.device import DeviceMode, ObservedDevice
from reconciler.model.fleet import Fleet
from reconciler.model.instant import iso_from_instant
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.plan import Knowledge, Refused, Route, Situation, Waiting
from reconciler.model.step import (
    FlashApplication,
    FlashModule,
    LockApplication,
    Step,
    enforced_on_transfer,
    goes_in_dfu_mode,
)
from reconciler.planning.situation import situation_of
from reconciler.render.console_text import console_change_in_words
from reconciler.render.device_progress import DeviceProgress, device_progress_lines
from reconciler.render.ink import Page, Style, byte_size, counted, duration, harmless, transfer_size
from reconciler.render.pace import OVER
from reconciler.render.plan_text import change_in_words, desired_in_words

Installed = dict[ModuleSlot, Module]


def explain_text(
    device: ObservedDevice,
    fleet: Fleet | None,
    placed: Route | Refused | Waiting | None,
    catalog: Catalog,
    changes: Sequence[ConsoleChange] = (),
    progress: DeviceProgress | None = None,
    *,
    width: int = 100,
    colour: bool = False,
) -> str:
    """Why a device is where it is in the plan. `placed` None: as desired; `fleet` None: no fleet claims it.

    `changes` are what others changed of it in the console; `progress` is its place in the rollout, None: nobody knows.
    """
    page = Page(width=width, colour=colour)
    name = f" ({harmless(device.name)})" if device.name else ""
    lines = [page.ink(f"Device {device.id}{name}", Style.TITLE), *_observed(page, device)]
    situation = placed.situation if isinstance(placed, Route) else situation_of(device, catalog)
    if isinstance(situation, Situation):
        lines += _situation(page, device, situation)
    lines += _changes(page, changes)
    if fleet is None:
        return "\n".join([*lines, "", "No fleet of the manifests claims it: it is never touched.", ""])
    sentence = f"Fleet {harmless(fleet.name)} ({fleet.place}) desires {desired_in_words(fleet.desired)}."
    lines += ["", *page.wrapped(sentence, hanging=2)]
    match placed:
        case None:
            lines += [page.ink("It is as desired: nothing is to be done.", Style.GOOD)]
        case Refused():
            lines += _set_aside(page, "Refused", Style.BAD, placed)
        case Waiting():
            lines += _set_aside(page, "Waiting", Style.WAITING, placed)
        case Route():
            lines += _route(page, placed)
            lines += _console(page, device, placed)
    if progress is not None:
        lines += ["", *device_progress_lines(page, progress, device.observed_at)]
    return "\n".join([*lines, ""])


def _observed(page: Page, device: ObservedDevice) -> list[str]:
    mode = {None: "in a status that is not known", DeviceMode.NORMAL: "normal", DeviceMode.SAFE_MODE: "in safe mode"}
    heard = "never" if device.last_heard_at is None else iso_from_instant(device.last_heard_at)
    sentence = (
        f"Observed {iso_from_instant(device.observed_at)}: {'online' if device.online else 'offline'}, "
        f"{mode[device.mode]}, last heard {heard}, Device OS {device.device_os or 'not reported'}, "
        f"application {'not reported' if device.application is None else device.application}"
    )
    marks = [
        word
        for word, is_so in (("development device", device.development), ("quarantined", device.quarantined))
        if is_so
    ]
    return page.wrapped(", ".join([sentence, *marks]) + ".", hanging=2)


def _changes(page: Page, changes: Sequence[ConsoleChange]) -> list[str]:
    lines = ["", "Changed in the console:"] if changes else []
    for change in changes:
        lines += page.wrapped(console_change_in_words(change), indent=2, hanging=4)
    return lines


def _situation(page: Page, device: ObservedDevice, situation: Situation) -> list[str]:
    lines = ["", f"Modules ({situation.platform}, Device OS {situation.device_os or 'incomplete'}):"]
    for module in situation.modules:
        lines += page.wrapped(f"{module}: {_how_known(device, situation, module)}", indent=2, hanging=4)
    if situation.user_part is not None:
        needs = ", ".join(map(str, situation.user_part.dependencies)) or "nothing"
        lines += page.wrapped(f"application module: reported, needs {needs}", indent=2, hanging=4)
    return lines


def _how_known(device: ObservedDevice, situation: Situation, module: Module) -> str:
    if any(learnt.slot == module.slot and learnt.version == module.version for learnt in device.learnt):
        return "learnt, a step of ours put it there and was verified"
    if situation.knowledge is Knowledge.REPORTED:
        return "reported by the device itself"
    if module.slot.function is ModuleFunction.SYSTEM_PART:
        return f"inferred, it is what Device OS {situation.device_os} ships"
    needing = [
        f"{other} needs {dependency}"
        for other in situation.modules
        for dependency in other.dependencies
        if dependency == (module.slot, module.version) and other.slot != module.slot
    ]
    because = f", because {' and '.join(needing)}" if needing else ""
    return f"inferred, at least this version{because} and the device runs in normal mode"


def _set_aside(page: Page, word: str, style: Style, entry: Refused | Waiting) -> list[str]:
    head = f"{word}, {entry.reason.reason} ({entry.reason.code}): {entry.message}."
    return [page.ink(line, style) for line in page.wrapped(head, hanging=2)]


def _route(page: Page, route: Route) -> list[str]:
    lines = [page.ink(f"Route: {change_in_words(route)}", Style.CHANGE)]
    lines += page.wrapped(
        f"{counted(len(route.steps), 'step')}, {transfer_size(route.bytes_known, route.bytes_unknown)}, "
        f"about {duration(route.minutes)}, {counted(route.restarts, 'restart')}",
        indent=2,
    )
    installed: Installed = {module.slot: module for module in route.situation.modules}
    if route.situation.user_part is not None:
        installed[route.situation.user_part.slot] = route.situation.user_part
    for number, step in enumerate(route.steps, start=1):
        size = "size unknown" if step.size is None else byte_size(step.size)
        lines += page.wrapped(f"{number}. {_step(step)}, {size}, {OVER[step.via]}", indent=2, hanging=3)
        for sentence in _rules(step, installed):
            lines += page.wrapped(f"- {sentence}", indent=5, hanging=2)
        if isinstance(step, FlashModule):
            installed[step.module.slot] = step.module
    if route.healed_by_cloud:
        healed = ", then ".join(str(step.module) for step in route.healed_by_cloud)
        sentence = f"The rest is the cloud's: its safe mode healer is expected to send {healed}"
        lines += page.wrapped(f"{sentence}, one a session; the application runs when it is done.", indent=2)
    return lines


def _console(page: Page, device: ObservedDevice, route: Route) -> list[str]:
    """A release in the console that wants another application: a lock beats it (facts 6.3)."""
    released = device.targeted_application
    locks = [step.application for step in route.steps if isinstance(step, LockApplication)]
    if device.desired_application is not None or released is None or not locks or released == locks[-1]:
        return []
    sentence = f"A release in the console asks for application {released}; the lock to {locks[-1]} beats it."
    return page.wrapped(sentence, indent=2)


def _step(step: Step) -> str:
    match step:
        case FlashModule():
            return f"flash {step.module} of Device OS {step.device_os}"
        case LockApplication():
            return f"lock the device to application {step.application}; the cloud delivers it"
        case FlashApplication():
            return f"flash application {step.application}"


def _rules(step: Step, installed: Installed) -> list[str]:
    """What the device checks when the step arrives, and what it does after its restart."""
    if not isinstance(step, FlashModule):
        return ["what an application needs is checked at boot only: needing a later Device OS, it would not run"]
    in_dfu_mode = goes_in_dfu_mode(step.module.slot.function, step.via)
    enforced = () if in_dfu_mode else enforced_on_transfer(step.module)
    nothing = "in DFU mode" if in_dfu_mode else "at the transfer"
    sentences = [
        f"at the transfer the device checks that {dependency}: it has {_version(installed, dependency)}"
        for dependency in enforced
    ] or [f"{nothing} the device checks no dependency of this module"]
    sentences += [
        f"{dependency} is checked at boot only: it has {_version(installed, dependency)}"
        for dependency in step.module.dependencies
        if dependency not in enforced
    ]
    after = {**installed, step.module.slot: step.module}
    return [*sentences, _boot(step, _unmet(after))]


def _boot(step: Step, unmet: list[str]) -> str:
    if step.boots_into is DeviceMode.SAFE_MODE:
        because = f", because {'; '.join(unmet)}" if unmet else ""
        return f"it restarts into safe mode{because}; the application does not run until a later step"
    return "it restarts and runs its application, every need is met"


def _unmet(installed: Installed) -> list[str]:
    return [
        f"{module} needs {dependency} and it has {_version(installed, dependency)}"
        for module in installed.values()
        for dependency in module.dependencies
        if dependency.slot not in installed or installed[dependency.slot].version < dependency.version
    ]


def _version(installed: Installed, dependency: Dependency) -> str:
    module = installed.get(dependency.slot)
    return "none" if module is None else str(module.version)
