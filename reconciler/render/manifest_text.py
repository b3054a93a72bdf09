"""An adoption as files: manifests, rosters, and the list of the devices that are in no fleet.

Every text of a stranger (names of devices and groups) is quoted in YAML and made harmless in comments. The same
adoption gives the same bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from reconciler.manifests.schema import API_VERSION, SCHEMA_FILES, load_schema
from reconciler.model.device import DeviceId, ObservedDevice
from reconciler.model.fleet import Fleet, Selector
from reconciler.model.instant import iso_from_instant
from reconciler.model.platform import platform_by_id
from reconciler.planning.adoption import AdoptedFleet, Adoption, LeftOut
from reconciler.render.ink import Page, counted, device_sample, harmless, table

_PLAIN: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*", re.ASCII)
_WORDS_OF_YAML: Final = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
_COMMENT_MAX: Final = 240


def adoption_files(adoption: Adoption) -> Mapping[str, str]:
    """The text of every file by its path, with `/`, relative to the folder of the manifests."""
    files: dict[str, str] = {}
    if adoption.application is not None:
        files[f"{adoption.application}.yaml"] = _application_text(adoption)
        files |= _schema("ApplicationRelease")
    if adoption.fleets:
        files |= _schema("DeviceFleet")
    reasons = {each.device.id: _why(each) for each in adoption.left_out}
    for adopted in adoption.fleets:
        files[f"{adopted.fleet.name}.yaml"] = _fleet_text(adoption, adopted, reasons)
        if adopted.fleet.select.roster is not None:
            head = f"# The devices of the fleet {adopted.fleet.name}. {_observed(adoption)}"
            files[_roster(adopted.fleet)] = _device_lines(head, adopted.devices, {})
        if adopted.fleet.exclude is not None and adopted.fleet.exclude.roster is not None:
            head = f"# Devices that the fleet {adopted.fleet.name} leaves out. {_observed(adoption)}"
            files[_roster(adopted.fleet, "-except")] = _device_lines(head, adopted.excluded, reasons)
    if adoption.left_out:
        files[_left_out_file(adoption)] = _left_out_text(adoption)
    return dict(sorted(files.items()))


def adoption_text(adoption: Adoption, *, width: int) -> str:
    """What was adopted and what not, for the person who asked."""
    page = Page(width=width)
    adopted = sum(len(each.devices) for each in adoption.fleets)
    total = adopted + len(adoption.left_out)
    lines = page.wrapped(
        f"{counted(adopted, 'device')} of {total:,} of {_whose(adoption)} in {counted(len(adoption.fleets), 'fleet')}, "
        f"as observed {iso_from_instant(adoption.observed_at)}"
    )
    rows = [
        (each.fleet.name, f"{len(each.devices):,}", _desired_in_words(each.fleet), _selection_in_words(each))
        for each in adoption.fleets
    ]
    lines += table(rows, indent=2, right=frozenset({1}))
    if adoption.left_out:
        lines += ["", f"In no fleet: {counted(len(adoption.left_out), 'device')}, see {_left_out_file(adoption)}"]
        for why, devices in _by_reason(adoption.left_out).items():
            lines += page.wrapped(f"{len(devices):,} {why}", indent=2, hanging=2)
            lines += page.wrapped(device_sample(device.id for device in devices), indent=6)
    return "\n".join([*lines, ""])


def _fleet_text(adoption: Adoption, adopted: AdoptedFleet, reasons: Mapping[DeviceId, str]) -> str:
    fleet = adopted.fleet
    place = "" if adopted.group is None else f" in the group {_comment(adopted.group)}"
    lines = [
        _schema_line("DeviceFleet"),
        f"# {counted(len(adopted.devices), 'device')} of {_whose(adoption)}{place}, as they are. {_observed(adoption)}",
    ]
    if adoption.left_out:
        lines.append(f"# Devices of {_whose(adoption)} that are in no fleet, and why: {_left_out_file(adoption)}")
    lines += [f"apiVersion: {API_VERSION}", "kind: DeviceFleet", "metadata:", f"  name: {quoted(fleet.name)}", "spec:"]
    if fleet.product is not None:
        lines.append(f"  product: {_product(fleet.product)}")
    lines += ["  select:", *_selector(fleet.select, _roster(fleet), adopted.devices, {}, indent=4)]
    if fleet.exclude is not None:
        lines += ["    exclude:"]
        lines += _selector(fleet.exclude, _roster(fleet, "-except"), adopted.excluded, reasons, indent=6)
    lines.append("  desired:")
    if fleet.desired.device_os is not None:
        lines.append(f"    deviceOS: {quoted(fleet.desired.device_os.text)}")
    application = fleet.desired.application
    if application is not None:
        release = quoted(application.release)
        lines.append(f"    application: {{release: {release}, version: {application.version}}}")
    deadline = f"{fleet.rollout.step_deadline_seconds / 60:g}m"
    lines += [
        "  rollout:  # careful on purpose: loosen it when the first rollout went well",
        f"    maxConcurrent: {fleet.rollout.concurrent_max}  # devices under way at once",
        f"    maxFailures: {fleet.rollout.failures_max}  # so many failed devices halt the fleet",
        f"    stepDeadline: {deadline}  # how long one step may take on a device that is online",
    ]
    return "\n".join([*lines, ""])


def _selector(
    selector: Selector, roster: str, devices: Sequence[ObservedDevice], reasons: Mapping[DeviceId, str], *, indent: int
) -> list[str]:
    space = " " * indent
    lines = []
    if selector.groups is not None:
        lines.append(f"{space}groups: [{', '.join(quoted(group) for group in sorted(selector.groups))}]")
    if selector.platforms is not None:
        lines.append(f"{space}platforms: [{', '.join(sorted(selector.platforms))}]")
    if selector.devices is not None:
        lines.append(f"{space}devices:")
        lines += [f'{space}  - "{device.id}"  # {_what(device, reasons)}' for device in devices]
    if selector.roster is not None:
        lines.append(f"{space}roster: {roster}  # {counted(len(devices), 'device')}")
    return lines


def _application_text(adoption: Adoption) -> str:
    lines = [
        _schema_line("ApplicationRelease"),
        f"# The application of {_whose(adoption)}: the versions that run. {_observed(adoption)}",
        "# The product in the cloud holds their binaries.",
        f"apiVersion: {API_VERSION}",
        "kind: ApplicationRelease",
        "metadata:",
        f"  name: {quoted(adoption.application or '')}",
        "spec:",
    ]
    if adoption.product is not None:
        lines.append(f"  product: {_product(adoption.product)}")
    lines.append("  versions:")
    for version, platforms in adoption.versions.items():
        lines += [f"    - version: {version}", "      binaries:"]
        lines += [f"        - {{platform: {platform}, source: product}}" for platform in platforms]
    return "\n".join([*lines, ""])


def _left_out_text(adoption: Adoption) -> str:
    head = f"# Devices of {_whose(adoption)} that are in no fleet, and why. {_observed(adoption)}"
    lines = [head, "# Nothing reads this file."]
    for why, devices in _by_reason(adoption.left_out).items():
        lines += ["#", f"# {_comment(why)}:"]
        lines += [f"#   {device.id}  {_what(device, {})}" for device in devices]
    return "\n".join([*lines, ""])


def _by_reason(left_out: Iterable[LeftOut]) -> Mapping[str, list[ObservedDevice]]:
    found: dict[str, list[ObservedDevice]] = {}
    for each in left_out:
        found.setdefault(_why(each), []).append(each.device)
    return dict(sorted(found.items(), key=lambda entry: (-len(entry[1]), entry[0])))


def _why(left_out: LeftOut) -> str:
    return f"{left_out.reason} ({left_out.code})" if left_out.code else left_out.reason


def _device_lines(head: str, devices: Sequence[ObservedDevice], reasons: Mapping[DeviceId, str]) -> str:
    lines = (f"{device.id}  # {_what(device, reasons)}" for device in devices)
    return "\n".join([head, "# One device id a line; what follows a # is a comment.", *lines, ""])


def _what(device: ObservedDevice, reasons: Mapping[DeviceId, str]) -> str:
    """A device in a few words: its name, what it is and runs, and why it is left out."""
    platform = None if device.platform_id is None else platform_by_id(device.platform_id)
    words = [device.name or "without a name", platform.name if platform else f"platform {device.platform_id}"]
    if device.device_os is not None:
        words.append(f"Device OS {device.device_os}")
    if device.application is not None:
        words.append(f"application {device.application}")
    reason = reasons.get(device.id)
    return _comment(", ".join(words) + (f": {reason}" if reason else ""))


def _observed(adoption: Adoption) -> str:
    return f"Observed {iso_from_instant(adoption.observed_at)}, written by `reconciler adopt`."


def _whose(adoption: Adoption) -> str:
    return "the token's owner" if adoption.product is None else f"the product {adoption.product}"


def _desired_in_words(fleet: Fleet) -> str:
    application = fleet.desired.application
    return f"Device OS {fleet.desired.device_os}" + (f", application {application.version}" if application else "")


def _selection_in_words(adopted: AdoptedFleet) -> str:
    select, exclude = adopted.fleet.select, adopted.fleet.exclude
    words = [_comment(f"group {group}") for group in sorted(select.groups or ())] + sorted(select.platforms or ())
    if select.devices is not None or select.roster is not None:
        words.append("one by one" if select.devices is not None else "roster")
    if exclude is not None:
        groups = ", ".join(_comment(group) for group in sorted(exclude.groups or ()))
        words.append(f"without {groups}" if groups else f"without {counted(len(adopted.excluded), 'device')}")
    return ", ".join(words)


def _roster(fleet: Fleet, ending: str = "") -> str:
    return f"rosters/{fleet.name}{ending}.txt"


def _left_out_file(adoption: Adoption) -> str:
    return f"{adoption.name}-left-out.txt"


def _schema(kind: str) -> dict[str, str]:
    """The schema beside the manifests, so that an editor finds it wherever they lie."""
    return {f"schemas/{SCHEMA_FILES[kind]}": json.dumps(load_schema(kind), indent=2, ensure_ascii=False) + "\n"}


def _schema_line(kind: str) -> str:
    return f"# yaml-language-server: $schema=schemas/{SCHEMA_FILES[kind]}"


def _product(word: str) -> str:
    return word if word.isdecimal() else quoted(word)


def _comment(text: str) -> str:
    line = harmless(text)
    return line if len(line) <= _COMMENT_MAX else line[: _COMMENT_MAX - 1] + "…"


def quoted(text: str) -> str:
    """A text as a YAML scalar that means exactly this text: plain where nothing else could be meant."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS_OF_YAML:
        return text
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character in '"\\':
        return "\\" + character
    return character if character.isascii() and character.isprintable() else f"\\U{ord(character):08x}"
