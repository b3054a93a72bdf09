"""The description of a pretend world: YAML in, a `World` out, every problem named at once.

The format is contracts section 6, and `schemas/world.v1.schema.json` says every field of it. Nothing is random here:
what the description leaves open (ids, who is online) follows from a seed, in `settlers.py`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from importlib import resources
from typing import Any, Final

import jsonschema
import yaml

from reconciler.emulator.device import Publishes, Sleep
from reconciler.emulator.faults import FaultOrder
from reconciler.emulator.house_rules import HouseRules, house_rules
from reconciler.emulator.world_checks import contradictions
from reconciler.model.error import OperatorError
from reconciler.model.instant import Instant, instant_from_iso
from reconciler.model.module import ModuleSlot
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.version import DeviceOsVersion

_PROBLEMS_SHOWN: Final = 12


class WorldError(OperatorError):
    """A world that cannot be built as described."""


class SystemFlash(StrEnum):
    """Whether the cloud takes a Device OS module for a product's device; it is not known which holds (facts 5.4, 8)."""

    ALLOWED = "allowed"
    DEVELOPMENT_ONLY = "development-only"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenLine:
    """Who may ask. `scopes` None: everything."""

    name: str
    token: str
    scopes: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UserLine:
    """A person who may log in. `otp`: the login code that is asked for besides the password."""

    username: str
    password: str
    otp: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientLine:
    """An OAuth client, which may have a token without a person."""

    id: str
    secret: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareLine:
    """One application version of a product. `file` is relative to the world file; `size` in bytes."""

    version: int
    device_os: DeviceOsVersion
    file: str | None = None
    size: int | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductLine:
    """One product. `default` and `releases` are application versions released to all, and to groups."""

    id: int
    slug: str
    name: str
    platform: Platform
    groups: tuple[str, ...] = ()
    firmware: tuple[FirmwareLine, ...] = ()
    default: int | None = None
    releases: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLine:
    """One line of devices, `count` of them. `online` is the share of them that is there; `sleep`: at times.

    - `claimed`: a device of a product that the token's owner has claimed for itself, too.
    - `quarantined`: it reports the product's id and is not one of the product's devices.
    """

    count: int
    platform: Platform
    device_os: DeviceOsVersion
    product_id: int | None = None
    id: str | None = None
    names: tuple[str, ...] = ()
    application: int | None = None
    groups: tuple[str, ...] = ()
    online: float = 1.0
    sleep: Sleep | None = None
    publishes: Publishes | None = None
    crashing: bool = False
    development: bool = False
    locked: int | None = None
    updates_enabled: bool = True
    updates_forced: bool = False
    healer: bool = True
    reported: bool = True
    protected: bool = False
    claimed: bool = False
    quarantined: bool = False
    modules: Mapping[ModuleSlot, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """At most so many requests in so many virtual seconds; among them so many about tokens, and openings of streams.

    `tokens` counts asking for, listing and deleting them one by one; `streams` may be open at once.
    """

    requests: int
    seconds: float
    tokens: int = 100
    stream_openings: int = 100
    streams: int = 100


DEFAULT_TOKEN: Final = TokenLine(name="operator", token="1" * 40)
DEFAULT_USER: Final = UserLine(username="operator@example.com", password="operator")  # noqa: S106  # of a pretend world
DEFAULT_ORGANISATION: Final = "emulated"


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """A whole pretend cloud at its beginning. `start` None: whenever it is started."""

    tokens: tuple[TokenLine, ...]
    products: tuple[ProductLine, ...]
    devices: tuple[DeviceLine, ...]
    faults: tuple[FaultOrder, ...] = ()
    rate_limit: RateLimit | None = None
    start: Instant | None = None
    direct_system_flash: SystemFlash = SystemFlash.ALLOWED
    rules: HouseRules = HouseRules()  # noqa: RUF009  # it is frozen
    users: tuple[UserLine, ...] = (DEFAULT_USER,)
    clients: tuple[ClientLine, ...] = ()
    organisation: str = DEFAULT_ORGANISATION


def load_world(text: str, *, name: str = "world") -> World:
    """Read a world from YAML.

    Raises:
        WorldError: PFR6201 it is no YAML; PFR6202 it breaks the schema; PFR6203 it names what does not exist, or one
            thing twice. `name` is how messages call the text.
    """
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise WorldError("PFR6201", f"{name} is not YAML: {error}", next_step="Correct the world file.") from error
    problems = sorted(f"{_place(problem)}: {_words(problem)}" for problem in _validator().iter_errors(document))
    if problems:
        raise _error("PFR6202", name, problems, "Compare the world file with schemas/world.v1.schema.json.")
    problems = list(contradictions(document))
    if problems:
        raise _error("PFR6203", name, problems, "Correct the named lines of the world file.")
    return _world(document)


def load_rules(document: object, *, name: str = "rules") -> HouseRules:
    """Read house rules by themselves, as a world has them.

    Raises:
        WorldError: PFR6202 they break the schema; PFR6203 a time is none.
    """
    world = {"devices": [], "rules": document}
    problems = sorted(f"{_place(problem)}: {_words(problem)}" for problem in _validator().iter_errors(world))
    if problems:
        raise _error("PFR6202", name, problems, "Compare the rules with schemas/world.v1.schema.json.")
    problems = list(contradictions(world))
    if problems:
        raise _error("PFR6203", name, problems, "Correct the named rules.")
    return _world(world).rules


def demo_world() -> World:
    """The world that the package carries: 300 devices of ten products, of different platforms and years."""
    text = resources.files(__package__).joinpath("demo_world.yaml").read_text(encoding="utf-8")
    return load_world(text, name="demo_world.yaml")


def _error(code: str, name: str, problems: list[str], next_step: str) -> WorldError:
    shown = problems[:_PROBLEMS_SHOWN]
    if len(problems) > len(shown):
        shown.append(f"... and {len(problems) - len(shown)} more")
    return WorldError(code, "\n  ".join([f"{name} cannot be used:", *shown]), next_step=next_step)


@cache
def _validator() -> jsonschema.Draft202012Validator:
    package = resources.files("reconciler")
    # A wheel carries the schemas inside the package, a checkout beside it.
    for place in (package.joinpath("schemas"), package.joinpath("..", "schemas")):
        schema = place.joinpath("world.v1.schema.json")
        if schema.is_file():
            return jsonschema.Draft202012Validator(json.loads(schema.read_text(encoding="utf-8")))
    raise WorldError("PFR9201", "the schema of worlds is not part of this installation", next_step="Install again.")


def _place(problem: jsonschema.ValidationError) -> str:
    text = ""
    for part in problem.absolute_path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".") or "the whole file"


def _words(problem: jsonschema.ValidationError) -> str:
    if (
        problem.validator == "type"
        and isinstance(problem.instance, float | int)
        and problem.validator_value == "string"
    ):
        return f"{problem.instance!r} must be text: put it in quotes"
    return problem.message if len(problem.message) < 300 else problem.message[:300] + " ..."  # noqa: PLR2004  # one line


def _world(document: dict[str, Any]) -> World:
    products = tuple(map(_product, document.get("products", [])))
    ids = {key: product.id for product in products for key in (product.id, product.slug)}
    numbers: dict[str, int] = {}
    limit = document.get("rateLimit")
    return World(
        tokens=tuple(
            TokenLine(
                name=line["name"],
                token=line["token"],
                scopes=frozenset(line["scopes"]) if "scopes" in line else None,
            )
            for line in document.get("tokens", [])
        )
        or (DEFAULT_TOKEN,),
        products=products,
        devices=tuple(_device(line, ids, numbers) for line in document["devices"]),
        faults=tuple(FaultOrder(**line) for line in document.get("faults", [])),
        rate_limit=_rate_limit(limit) if limit else None,
        start=instant_from_iso(document["start"]) if "start" in document else None,
        direct_system_flash=SystemFlash(document.get("directSystemFlash", SystemFlash.ALLOWED)),
        rules=house_rules(document.get("rules", {})),
        users=tuple(UserLine(**line) for line in document.get("users", [])) or (DEFAULT_USER,),
        clients=tuple(ClientLine(**line) for line in document.get("clients", [])),
        organisation=document.get("organisation", DEFAULT_ORGANISATION),
    )


def _rate_limit(line: dict[str, Any]) -> RateLimit:
    named = {"streamOpenings": "stream_openings"}
    return RateLimit(**{named.get(key, key): value for key, value in line.items()})


def _platform(name: str) -> Platform:
    platform = platform_by_name(name)
    assert platform is not None, name
    return platform


def _product(line: dict[str, Any]) -> ProductLine:
    return ProductLine(
        id=line["id"],
        slug=line["slug"],
        name=line.get("name", line["slug"]),
        platform=_platform(line["platform"]),
        groups=tuple(line.get("groups", ())),
        firmware=tuple(
            FirmwareLine(
                version=firmware["version"],
                device_os=DeviceOsVersion(firmware["deviceOS"]),
                file=firmware.get("file"),
                size=firmware.get("size"),
                title=firmware.get("title"),
            )
            for firmware in line.get("firmware", ())
        ),
        default=line.get("default"),
        releases=dict(line.get("releases", {})),
    )


def _names(line: dict[str, Any], numbers: dict[str, int]) -> tuple[str, ...]:
    """The names of a line. `numbers` is how far each pattern has been counted by earlier lines."""
    names = line.get("names", [line["name"]] if "name" in line else [])
    if isinstance(names, str):
        first = numbers.get(names, 0) + 1
        numbers[names] = first + int(line.get("count", 1)) - 1
        return tuple(names.replace("{n}", str(number)) for number in range(first, numbers[names] + 1))
    return tuple(names)


def _presence(line: dict[str, Any]) -> tuple[float, Sleep | None]:
    """The share of devices that is there, and how they sleep."""
    online = line.get("online", True)
    if not isinstance(online, dict):
        return float(online), None
    if "everySeconds" not in online:
        return float(online.get("share", 1.0)), None
    sleep = Sleep(
        every_seconds=float(online["everySeconds"]),
        for_seconds=float(online["forSeconds"]),
        resumes=online.get("wakes", "resume") == "resume",
    )
    return float(online.get("share", 1.0)), sleep


def _publishes(line: dict[str, Any]) -> Publishes | None:
    said = line.get("publishes")
    return None if said is None else Publishes(event=said["event"], every_seconds=float(said["everySeconds"]))


def _device(line: dict[str, Any], product_ids: Mapping[int | str, int], numbers: dict[str, int]) -> DeviceLine:
    online, sleep = _presence(line)
    return DeviceLine(
        count=line.get("count", 1),
        platform=_platform(line["platform"]),
        device_os=DeviceOsVersion(line["deviceOS"]),
        product_id=product_ids[line["product"]] if "product" in line else None,
        id=line.get("id"),
        names=_names(line, numbers),
        application=line.get("application"),
        groups=tuple(line.get("groups", ())),
        online=online,
        sleep=sleep,
        publishes=_publishes(line),
        crashing=line.get("status") == "safe_mode",
        development=line.get("development", False),
        locked=line.get("locked"),
        updates_enabled=line.get("updates_enabled", True),
        updates_forced=line.get("updates_forced", False),
        healer=line.get("healer", True),
        reported=line.get("reported", True),
        protected=line.get("protected", False),
        claimed=line.get("claimed", False),
        quarantined=line.get("quarantined", False),
        modules={ModuleSlot.parse(slot): version for slot, version in line.get("modules", {}).items()},
    )
