"""The catalog in its published format (contracts section 3): read strictly, every problem named with its place.

Writing is `Catalog.document()`; reading what it wrote gives an equal catalog. `published` may be left out by whoever
writes a catalog by hand, and then is true: a release is put there to be used.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from reconciler.firmware.catalog import FORMAT_VERSION, Catalog
from reconciler.model.error import FirmwareError
from reconciler.model.module import Dependency, Module, ModuleFunction, ModuleSlot
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.release import LowerBound, Release, ReleaseModule, Span, Station, Unreachable
from reconciler.model.version import DeviceOsVersion, is_known_version

FUNCTION_LABELS: Final = (
    "bootloader",
    "system_part",
    "user_part",
    "radio_stack",
    "ncp_firmware",
    "mono_firmware",
    "asset",
)
"""The module functions of the format, by name."""

VIAS: Final = ("cloud", "usb")
_POLICIES: Final = ("stations", "unreachable", "lower_bounds")
_U8: Final = 0xFF
_U16: Final = 0xFFFF
_SIZE_MAX: Final = 0xFFFFFFFF
_DEPENDENCIES_MAX: Final = 2
_PROBLEMS_SHOWN: Final = 20
_FORMAT: Final = re.compile(r"1\.\d+", re.ASCII)
_SHA256: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)

_Item = TypeVar("_Item")


class _Problem(Exception):  # noqa: N818  # it never leaves this file
    def __init__(self, place: str, text: str) -> None:
        super().__init__(f"{place}: {text}")


def catalog_from_document(document: object) -> Catalog:
    """Read a catalog document.

    Raises:
        FirmwareError: PFR4100 when it is no catalog of a format that we know; PFR4101 with every place that is wrong,
            the first of each release.
    """
    if not isinstance(document, dict) or not isinstance(document.get("format_version"), str):
        raise FirmwareError(
            "PFR4100",
            "this is no release catalog: it is no JSON object with a text format_version",
            next_step='A catalog begins with {"format_version": "1.0", "releases": […]}; `catalog build` writes one.',
        )
    if not _FORMAT.fullmatch(document["format_version"]):
        raise FirmwareError(
            "PFR4100",
            f"format_version is {document['format_version']!r}, and this program reads {FORMAT_VERSION}",
            next_step="Build the catalog again with this version of the program, or update the program.",
        )
    problems: list[str] = []
    fields = _gathered(
        problems, [document], lambda item, _: _fields(item, "catalog", ("format_version", "releases"), _POLICIES)
    )
    if not fields:
        raise _problems(problems)
    releases = _gathered(problems, _gathered_list(problems, document["releases"], "releases"), _release)
    stations = _gathered(problems, _policies(problems, document, "stations"), _station)
    unreachable = _gathered(problems, _policies(problems, document, "unreachable"), _unreachable)
    lower_bounds = _gathered(problems, _policies(problems, document, "lower_bounds"), _lower_bound)
    seen: dict[tuple[int, DeviceOsVersion], str] = {}
    for index, release in releases.items():
        place = f"releases[{index}]"
        earlier = seen.setdefault((release.platform_id, release.version), place)
        if earlier != place:
            problems.append(f"{place}: the same platform and device_os as {earlier}")
    if problems:
        raise _problems(problems)
    return Catalog(
        releases.values(),
        stations.values(),
        unreachable=unreachable.values(),
        lower_bounds=lower_bounds.values(),
    )


def _problems(problems: list[str]) -> FirmwareError:
    shown = problems[:_PROBLEMS_SHOWN]
    if len(problems) > len(shown):
        shown.append(f"and {len(problems) - len(shown)} more")
    return FirmwareError(
        "PFR4101",
        "the catalog cannot be used:" + "".join(f"\n  {line}" for line in shown),
        next_step="Correct these places; schemas/catalog.v1.schema.json describes the format.",
    )


def _gathered(problems: list[str], items: Iterable[Any], read: Callable[[Any, int], _Item]) -> dict[int, _Item]:
    found = {}
    for index, item in enumerate(items):
        try:
            found[index] = read(item, index)
        except _Problem as problem:
            problems.append(str(problem))
    return found


def _gathered_list(problems: list[str], value: Any, place: str) -> list[Any]:
    try:
        return _list(value, place)
    except _Problem as problem:
        problems.append(str(problem))
        return []


def _policies(problems: list[str], document: dict[str, Any], name: str) -> list[Any]:
    return _gathered_list(problems, document.get(name, []), name)


def _release(item: Any, index: int) -> Release:
    place = f"releases[{index}]"
    fields = _fields(item, place, ("device_os", "platform", "modules"), ("prerelease", "published"))
    version = _version(fields["device_os"], f"{place}.device_os")
    platform = _platform(fields["platform"], f"{place}.platform")
    if _truth(fields.get("prerelease", version.prerelease), f"{place}.prerelease") != version.prerelease:
        what = "a prerelease" if version.prerelease else "no prerelease"
        raise _Problem(f"{place}.prerelease", f"{version} is {what}")
    modules: dict[ModuleSlot, ReleaseModule] = {}
    for number, entry in enumerate(_list(fields["modules"], f"{place}.modules")):
        shipped = _module(entry, f"{place}.modules[{number}]")
        slot = shipped.module.slot
        if slot not in platform.bounds:
            raise _Problem(f"{place}.modules[{number}]", f"{platform} has no {slot}")
        if slot in modules:
            raise _Problem(f"{place}.modules[{number}]", f"{slot} stands here twice")
        modules[slot] = shipped
    return Release(
        version=version,
        platform_id=platform.id,
        published=_truth(fields.get("published", True), f"{place}.published"),
        modules=tuple(modules[slot] for slot in sorted(modules)),
    )


def _module(item: Any, place: str) -> ReleaseModule:
    fields = _fields(item, place, ("function", "index", "version", "dependencies"), ("size", "sha256", "file"))
    needs = [
        _dependency(entry, f"{place}.dependencies[{number}]")
        for number, entry in enumerate(_list(fields["dependencies"], f"{place}.dependencies"))
    ]
    if len(needs) > _DEPENDENCIES_MAX:
        raise _Problem(f"{place}.dependencies", f"a module has at most {_DEPENDENCIES_MAX}, here are {len(needs)}")
    sha256 = _optional(fields, "sha256", place, _text)
    if sha256 is not None and not _SHA256.fullmatch(sha256):
        raise _Problem(f"{place}.sha256", f"{sha256!r} is not 64 hexadecimal digits in lower case")
    return ReleaseModule(
        module=Module(
            slot=_slot(fields, place),
            version=_number(fields["version"], f"{place}.version", 0, _U16),
            first_dependency=needs[0] if needs else None,
            second_dependency=needs[1] if len(needs) > 1 else None,
        ),
        size=_optional(fields, "size", place, lambda value, where: _number(value, where, 1, _SIZE_MAX)),
        sha256=sha256,
        file=_optional(fields, "file", place, _text),
    )


def _dependency(item: Any, place: str) -> Dependency:
    fields = _fields(item, place, ("function", "index", "version"))
    return Dependency(_slot(fields, place), _number(fields["version"], f"{place}.version", 0, _U16))


def _slot(fields: dict[str, Any], place: str) -> ModuleSlot:
    label = fields["function"]
    if label not in FUNCTION_LABELS:
        raise _Problem(f"{place}.function", f"{_shown(label)} is none of {', '.join(FUNCTION_LABELS)}")
    return ModuleSlot(ModuleFunction.from_label(label), _number(fields["index"], f"{place}.index", 0, _U8))


def _station(item: Any, index: int) -> Station:
    place = f"stations[{index}]"
    fields = _fields(item, place, ("platforms", "via", "device_os", "reason", "source"))
    vias = tuple(_texts(fields["via"], f"{place}.via"))
    for number, via in enumerate(vias):
        if via not in VIAS:
            raise _Problem(f"{place}.via[{number}]", f"{via!r} is none of {', '.join(VIAS)}")
    return Station(
        platforms=_platforms(fields, place),
        via=vias,
        versions=tuple(
            _version(text, f"{place}.device_os[{number}]")
            for number, text in enumerate(_texts(fields["device_os"], f"{place}.device_os"))
        ),
        reason=_text(fields["reason"], f"{place}.reason"),
        source=_text(fields["source"], f"{place}.source"),
    )


def _unreachable(item: Any, index: int) -> Unreachable:
    place = f"unreachable[{index}]"
    fields = _fields(item, place, ("platforms", "from", "to", "reason", "source"))
    return Unreachable(
        platforms=_platforms(fields, place),
        start=_span(fields["from"], f"{place}.from"),
        desired=_span(fields["to"], f"{place}.to"),
        reason=_text(fields["reason"], f"{place}.reason"),
        source=_text(fields["source"], f"{place}.source"),
    )


def _span(item: Any, place: str) -> Span:
    fields = _fields(item, place, ("first",), ("last",))
    return Span(first=_version(fields["first"], f"{place}.first"), last=_optional(fields, "last", place, _version))


def _lower_bound(item: Any, index: int) -> LowerBound:
    place = f"lower_bounds[{index}]"
    fields = _fields(item, place, ("platforms", "function", "index", "version", "reason", "source"))
    return LowerBound(
        platforms=_platforms(fields, place),
        slot=_slot(fields, place),
        version=_number(fields["version"], f"{place}.version", 0, _U16),
        reason=_text(fields["reason"], f"{place}.reason"),
        source=_text(fields["source"], f"{place}.source"),
    )


def _platforms(fields: dict[str, Any], place: str) -> tuple[str, ...]:
    names = _texts(fields["platforms"], f"{place}.platforms")
    return tuple(_platform(name, f"{place}.platforms[{number}]").name for number, name in enumerate(names))


def _fields(item: Any, place: str, required: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise _Problem(place, f"{_shown(item)} is no object")
    for name in required:
        if name not in item:
            raise _Problem(place, f"{name} is missing")
    for name in item:
        if name not in required and name not in optional:
            raise _Problem(f"{place}.{name}", f"there is no such field; known are {', '.join((*required, *optional))}")
    return item


def _optional(fields: dict[str, Any], name: str, place: str, read: Callable[[Any, str], _Item]) -> _Item | None:
    return read(fields[name], f"{place}.{name}") if name in fields else None


def _version(value: Any, place: str) -> DeviceOsVersion:
    text = _text(value, place)
    version = DeviceOsVersion(text)
    if not is_known_version(version) and version.pep440 is None:
        raise _Problem(place, f"{text!r} is no Device OS version such as 6.3.4 or 5.6.0-rc.1")
    return version


def _platform(value: Any, place: str) -> Platform:
    name = _text(value, place)
    platform = platform_by_name(name)
    if platform is None or platform.name != name:
        hint = f"; its name is {platform.name}" if platform else ""
        raise _Problem(place, f"{name!r} is no platform{hint}")
    return platform


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise _Problem(place, f"{_shown(value)} is no list")
    return value


def _texts(value: Any, place: str) -> list[str]:
    found = [_text(item, f"{place}[{number}]") for number, item in enumerate(_list(value, place))]
    if not found:
        raise _Problem(place, "the list is empty")
    return found


def _text(value: Any, place: str) -> str:
    if not isinstance(value, str) or not value:
        raise _Problem(place, f"{_shown(value)} is no text")
    return value


def _truth(value: Any, place: str) -> bool:
    if not isinstance(value, bool):
        raise _Problem(place, f"{_shown(value)} is neither true nor false")
    return value


def _number(value: Any, place: str, lowest: int, highest: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= highest:
        raise _Problem(place, f"{_shown(value)} is no whole number from {lowest} to {highest}")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "…"  # noqa: PLR2004  # enough to recognise it on one line
