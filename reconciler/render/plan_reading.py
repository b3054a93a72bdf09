"""A saved plan, read back for `apply PLANFILE`: what was approved, device by device, and nothing else.

A plan file comes from a disk and may be old, cut off or edited: format, digest and expiry are checked before any field
is used, and every field is read strictly. The digest finds damage, it is no signature. Its times stand outside the
digest, so they are held against the time of the observation, which stands inside. The document names modules by number;
what they need is taken from the catalog, so that the guard can check every condition again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NoReturn, TypeVar

from packaging.version import InvalidVersion, Version

from reconciler import __version__
from reconciler.firmware.catalog import Catalog
from reconciler.model.action import ProductAction, ReleaseApplication, UploadApplication
from reconciler.model.device import DeviceId, DeviceMode
from reconciler.model.error import OperatorError
from reconciler.model.fleet import Completeness, Desired, DesiredApplication, Via
from reconciler.model.instant import Instant, instant_from_iso, iso_from_instant
from reconciler.model.module import Module, ModuleFunction, ModuleSlot
from reconciler.model.plan import PlanSource
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.saved_plan import SavedPlan, SavedRoute
from reconciler.model.step import FlashApplication, FlashModule, LockApplication, Step
from reconciler.model.version import ApplicationVersion, DeviceOsVersion
from reconciler.planning.planner import PLAN_VALID_SECONDS
from reconciler.render.plan_json import FORMAT_VERSION, content_digest_of, digest_of, plan_id_of

_Choice = TypeVar("_Choice")

_ROUNDED_SECONDS: Final = 0.002
"""Both times are written in whole milliseconds."""

_PLAN_AGAIN: Final = "make a new plan with: reconciler plan MANIFESTS --out FILE"


class PlanExpiredError(OperatorError):
    """A plan that is too old to be carried out. PFR6404."""


def read_plan(text: str, catalog: Catalog, *, now: Instant) -> SavedPlan:
    """Read the text of a plan file. Raises as `plan_from_document` does."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise OperatorError("PFR6401", f"the plan file is not JSON: {error}", next_step=_PLAN_AGAIN) from None
    return plan_from_document(document, catalog, now=now)


def plan_from_document(document: Any, catalog: Catalog, *, now: Instant) -> SavedPlan:
    """The saved plan in a document. `now` decides whether it has expired.

    Raises:
        PlanExpiredError: PFR6404 it was good once.
        OperatorError: PFR6401 to PFR6408 it cannot be used.
    """
    plan = whole_plan_from_document(document, catalog)
    check_in_force(plan, now)
    return plan


def check_in_force(plan: SavedPlan, now: Instant) -> None:
    """Raises PlanExpiredError PFR6404 where the plan has expired."""
    if now >= plan.expires_at:
        message = f"the plan {plan.plan_id} expired at {iso_from_instant(plan.expires_at)}"
        raise PlanExpiredError("PFR6404", message, next_step=_PLAN_AGAIN)


def whole_plan_from_document(document: Any, catalog: Catalog) -> SavedPlan:
    """The saved plan in a document, expired or not. Raises OperatorError PFR6401 to PFR6408."""
    reader = _Reader(document, "plan")
    _check_versions(reader)
    _check_digests(reader)
    source = _source(reader.member("source"))
    created_at, expires_at = reader.instant("created_at"), reader.instant("expires_at")
    granted = expires_at - created_at
    if created_at != source.observed_at or abs(granted - PLAN_VALID_SECONDS) > _ROUNDED_SECONDS:
        message = "the plan file is not what was planned: its times do not fit the observation that it was made on"
        raise OperatorError("PFR6403", message, next_step=_PLAN_AGAIN)
    fleets = reader.objects("fleets")
    routes = tuple(route for fleet in fleets for route in _routes(fleet, catalog))
    devices = [device for route in routes for device in route.devices]
    if len(devices) != len(set(devices)):
        reader.fail("names a device twice")
    return SavedPlan(
        plan_id=reader.text("plan_id"),
        digest=reader.text("digest"),
        content_digest=content_digest_of(reader.members),
        source=source,
        created_at=created_at,
        expires_at=expires_at,
        complete=reader.boolean("complete"),
        intents={fleet.text("name"): _desired(fleet.member("desired")).intent for fleet in fleets},
        waves={fleet.text("name"): _waves(fleet) for fleet in fleets},
        routes=routes,
        actions=frozenset(action for fleet in fleets for action in _actions(fleet)),
    )


def _check_versions(reader: _Reader) -> None:
    version, maker = reader.text("format_version"), reader.text("tool_version")
    if version.partition(".")[0] != FORMAT_VERSION.partition(".")[0]:
        message = f"the plan file has format {version}, this program reads {FORMAT_VERSION}"
        raise OperatorError("PFR6402", message, next_step="use the version of this program that made the plan")
    try:
        is_later = Version(maker).release[:2] > Version(__version__).release[:2]
    except InvalidVersion:
        reader.fail(f"was made by no version of this program: {maker!r}")
    if is_later:
        message = f"the plan file was made by version {maker}, this is {__version__}"
        raise OperatorError("PFR6408", message, next_step="use the version that made the plan, or plan again with this")


def _check_digests(reader: _Reader) -> None:
    reader.objects("fleets")
    digest, revision = reader.text("digest"), reader.member("source").optional_text("revision")
    is_as_planned = digest_of(reader.members) == digest and plan_id_of(revision, digest) == reader.text("plan_id")
    content = reader.optional_text("content_digest")  # a plan of an earlier version has none
    if not is_as_planned or content not in (None, content_digest_of(reader.members)):
        message = "the plan file is not what was planned: its digest does not fit its content"
        raise OperatorError("PFR6403", message, next_step=_PLAN_AGAIN)


def _desired(desired: _Reader) -> Desired:
    device_os, application = desired.optional_text("device_os"), None
    if desired.members.get("application") is not None:
        named = desired.member("application")
        version = ApplicationVersion(named.number("version"))
        application = DesiredApplication(release=named.text("release"), version=version)
    return Desired(
        device_os=None if device_os is None else DeviceOsVersion(device_os),
        application=application,
        completeness=desired.choice("completeness", {each.value: each for each in Completeness}),
    )


def _waves(fleet: _Reader) -> tuple[str, ...]:
    """The names of the waves that the manifest asks for, then of those that follow without being asked for."""
    asked = fleet.member("rollout").objects("waves") if "rollout" in fleet.members else []
    planned = fleet.objects("waves") if "waves" in fleet.members else []
    return tuple(dict.fromkeys(wave.text("name") for wave in (*asked, *planned)))


def _actions(fleet: _Reader) -> Iterator[ProductAction]:
    if "preparation" in fleet.members:
        yield from map(_action, fleet.objects("preparation"))
    if "conclusion" in fleet.members:
        yield _action(fleet.member("conclusion"))


def _action(action: _Reader) -> ProductAction:
    product, application = action.text("product"), ApplicationVersion(action.number("application"))
    match action.text("action"):
        case "upload_application":
            return UploadApplication(
                product=product,
                application=application,
                platform=action.text("platform"),
                sha256=action.text("sha256"),
                size=action.optional_number("bytes"),
                bundle="bundle" in action.members and action.boolean("bundle"),
            )
        case "release_application":
            return ReleaseApplication(
                product=product,
                application=application,
                groups=tuple(action.texts("groups")),
                product_default=action.boolean("product_default"),
            )
        case other:
            return action.fail(f"has the unknown action {other!r}")


def _source(source: _Reader) -> PlanSource:
    return PlanSource(
        revision=source.optional_text("revision"),
        manifest_digest=source.text("manifest_digest"),
        catalog_digest=source.text("catalog_digest"),
        observed_at=source.instant("observed_at"),
        observed_digest=source.text("observed_digest"),
    )


def _routes(fleet: _Reader, catalog: Catalog) -> list[SavedRoute]:
    name = fleet.text("name")
    found = []
    for route in fleet.objects("routes"):
        situation = route.member("situation")
        platform = platform_by_name(situation.text("platform"))
        if platform is None:
            situation.fail(f"names an unknown platform {situation.text('platform')!r}")
        steps = tuple(_step(step, platform, catalog) for step in route.objects("steps"))
        devices = tuple(map(DeviceId, route.texts("devices")))
        state_hash = route.optional_text("state_hash")
        found.append(SavedRoute(fleet=name, steps=steps, devices=devices, state_hash=state_hash))
    return found


def _step(step: _Reader, platform: Platform, catalog: Catalog) -> Step:
    via = step.choice("via", {each.value: each for each in Via})
    boots_into = step.choice("boots_into", {each.value: each for each in DeviceMode})
    size = step.optional_number("bytes")
    match step.text("action"):
        case "flash":
            device_os = DeviceOsVersion(step.text("device_os"))
            return FlashModule(
                module=_module(step, platform, device_os, catalog),
                device_os=device_os,
                boots_into=boots_into,
                size=size,
                sha256=step.optional_text("sha256"),
                via=via,
            )
        case "lock_application":
            application = ApplicationVersion(step.number("application"))
            return LockApplication(application=application, size=size, boots_into=boots_into, via=via)
        case "flash_application":
            return FlashApplication(
                application=ApplicationVersion(step.number("application")),
                size=size,
                sha256=step.optional_text("sha256"),
                boots_into=boots_into,
                via=via,
            )
        case action:
            message = f"{step.where} asks for the action {action!r}, which this program does not know"
            raise OperatorError("PFR6406", message, next_step="use the version of this program that made the plan")


def _module(step: _Reader, platform: Platform, device_os: DeviceOsVersion, catalog: Catalog) -> Module:
    named = step.member("module")
    function = named.choice("function", {each.label: each for each in ModuleFunction})
    slot, version = ModuleSlot(function, named.number("index")), named.number("version")
    release = catalog.release(platform, device_os)
    for shipped in release.modules if release is not None else ():
        if shipped.module.slot == slot and shipped.module.version == version:
            return shipped.module
    message = f"{step.where}: the catalog has no {slot} {version} of Device OS {device_os} for {platform}"
    raise OperatorError("PFR6405", message, next_step="give the catalog that the plan was made with: --catalog FILE")


class _Reader:
    """An object of the document and where it stands, so that an error can say what is wrong and where."""

    def __init__(self, value: Any, where: str) -> None:
        self.where = where
        if not isinstance(value, dict):
            self.fail("is not an object")
        self.members: dict[str, Any] = value

    def fail(self, what: str) -> NoReturn:
        message = f"the plan file cannot be used: {self.where} {what}"
        raise OperatorError("PFR6401", message, next_step=_PLAN_AGAIN)

    def text(self, name: str) -> str:
        value = self.members.get(name)
        return value if isinstance(value, str) else self.fail(f"has no text {name!r}")

    def optional_text(self, name: str) -> str | None:
        return None if self.members.get(name) is None else self.text(name)

    def number(self, name: str) -> int:
        value = self.members.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
        return self.fail(f"has no number {name!r}")

    def optional_number(self, name: str) -> int | None:
        return None if self.members.get(name) is None else self.number(name)

    def boolean(self, name: str) -> bool:
        value = self.members.get(name)
        return value if isinstance(value, bool) else self.fail(f"has no true or false {name!r}")

    def instant(self, name: str) -> Instant:
        text = self.text(name)
        try:
            return instant_from_iso(text)
        except (ValueError, OverflowError):
            self.fail(f"has a {name!r} that is no time: {text!r}")

    def choice(self, name: str, choices: Mapping[str, _Choice]) -> _Choice:
        text = self.text(name)
        return choices[text] if text in choices else self.fail(f"has an unknown {name} {text!r}")

    def member(self, name: str) -> _Reader:
        return _Reader(self.members.get(name), f"{self.where}.{name}")

    def objects(self, name: str) -> list[_Reader]:
        return [_Reader(value, f"{self.where}.{name}[{index}]") for index, value in enumerate(self._items(name))]

    def texts(self, name: str) -> list[str]:
        items = self._items(name)
        return items if all(isinstance(item, str) for item in items) else self.fail(f"has no texts in {name!r}")

    def _items(self, name: str) -> list[Any]:
        value = self.members.get(name)
        return value if isinstance(value, list) else self.fail(f"has no list {name!r}")
