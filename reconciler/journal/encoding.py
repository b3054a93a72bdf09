"""Steps and modules as JSON text, and back. Explicit, field by field: what is on disk outlives the classes. Pure.

The rules:
- A step is an object with a `kind`; modules, dependencies and slots are written as in the release catalog's format, but
  with `first` and `second` dependency by name, because the device treats them differently.
- Reading is strict: a missing field, an unknown kind or a wrong type raises `JournalError` PFR5011. Nothing is guessed.
- The same value gives the same text.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar, assert_never

from reconciler.model.action import ProductAction, ReleaseApplication, UploadApplication
from reconciler.model.device import DeviceMode
from reconciler.model.error import JournalError
from reconciler.model.external_write import Facts
from reconciler.model.fleet import Via
from reconciler.model.module import Dependency, Module, ModuleSlot
from reconciler.model.step import FlashApplication, FlashModule, LockApplication, Step
from reconciler.model.version import ApplicationVersion, DeviceOsVersion

FLASH_MODULE: Final = "flash_module"
LOCK_APPLICATION: Final = "lock_application"
FLASH_APPLICATION: Final = "flash_application"
UPLOAD_APPLICATION: Final = "upload_application"
RELEASE_APPLICATION: Final = "release_application"

_Document = dict[str, Any]
_T = TypeVar("_T")


def step_kind(step: Step) -> str:
    """The word for this kind of step, as it stands in the journal."""
    match step:
        case FlashModule():
            return FLASH_MODULE
        case LockApplication():
            return LOCK_APPLICATION
        case FlashApplication():
            return FLASH_APPLICATION
        case _:
            assert_never(step)


def encode_step(step: Step) -> str:
    """A step as one line of JSON."""
    document: _Document = {
        "kind": step_kind(step),
        "via": step.via.value,
        "boots_into": step.boots_into.value,
        "size": step.size,
    }
    match step:
        case FlashModule():
            document |= {
                "module": _module_document(step.module),
                "device_os": step.device_os.text,
                "sha256": step.sha256,
            }
        case LockApplication():
            document |= {"application": step.application}
        case FlashApplication():
            document |= {"application": step.application, "sha256": step.sha256}
        case _:
            assert_never(step)
    return _text(document)


@lru_cache(maxsize=4096)
def decode_step(text: str) -> Step:
    """The step that `encode_step` wrote. A fleet shares few different steps, so they are remembered.

    Raises JournalError PFR5011.
    """
    return _read(text, "a step", _step)


def encode_action(action: ProductAction) -> str:
    """An action on a product as one line of JSON."""
    document: _Document = {"product": action.product, "application": action.application}
    match action:
        case UploadApplication():
            document |= {
                "kind": UPLOAD_APPLICATION,
                "platform": action.platform,
                "sha256": action.sha256,
                "size": action.size,
                "bundle": action.bundle,
            }
        case ReleaseApplication():
            document |= {
                "kind": RELEASE_APPLICATION,
                "groups": list(action.groups),
                "product_default": action.product_default,
            }
        case _:
            assert_never(action)
    return _text(document)


def decode_action(text: str) -> ProductAction:
    """The action that `encode_action` wrote. Raises JournalError PFR5011."""
    return _read(text, "an action", _action)


def encode_facts(facts: Facts) -> str:
    """What an observation showed, as one line of JSON."""
    return _text(dict(facts))


def decode_facts(text: str) -> Facts:
    """The facts that `encode_facts` wrote. Raises JournalError PFR5011."""
    return _read(text, "facts", lambda document: {name: _fact(value) for name, value in _object(document).items()})


def encode_modules(modules: tuple[Module, ...]) -> str:
    """Modules as one line of JSON, in their order."""
    return _text([_module_document(module) for module in modules])


@lru_cache(maxsize=4096)
def decode_modules(text: str) -> tuple[Module, ...]:
    """The modules that `encode_modules` wrote. Raises JournalError PFR5011."""
    return _read(text, "modules", lambda document: tuple(_module(_object(entry)) for entry in _list(document)))


def unreadable(what: str, text: str, reason: object) -> JournalError:
    """PFR5011: an entry of the journal that this version cannot read."""
    return JournalError(
        "PFR5011",
        f"the journal has {what} that cannot be read ({reason}): {text[:200]!r}",
        next_step="the file was altered from outside: keep it, and use a copy from before or a new file",
    )


def _read(text: str, what: str, build: Callable[[Any], _T]) -> _T:
    try:
        return build(json.loads(text))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise unreadable(what, text, error) from error


def _text(document: object) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"))


def _step(document: Any) -> Step:
    fields = _object(document)
    kind = fields["kind"]
    via, boots_into = Via(fields["via"]), DeviceMode(fields["boots_into"])
    size = _optional_number(fields["size"])
    if kind == FLASH_MODULE:
        return FlashModule(
            module=_module(_object(fields["module"])),
            device_os=DeviceOsVersion(_word(fields["device_os"])),
            boots_into=boots_into,
            size=size,
            sha256=_optional_word(fields["sha256"]),
            via=via,
        )
    application = ApplicationVersion(_number(fields["application"]))
    if kind == LOCK_APPLICATION:
        return LockApplication(application=application, size=size, boots_into=boots_into, via=via)
    if kind == FLASH_APPLICATION:
        return FlashApplication(
            application=application, size=size, sha256=_optional_word(fields["sha256"]), boots_into=boots_into, via=via
        )
    message = f"unknown kind {kind!r}"
    raise ValueError(message)


def _action(document: Any) -> ProductAction:
    fields = _object(document)
    product, application = _word(fields["product"]), ApplicationVersion(_number(fields["application"]))
    if fields["kind"] == UPLOAD_APPLICATION:
        return UploadApplication(
            product=product,
            application=application,
            platform=_word(fields["platform"]),
            sha256=_word(fields["sha256"]),
            size=_optional_number(fields["size"]),
            bundle=_of_type(fields["bundle"], bool),
        )
    if fields["kind"] == RELEASE_APPLICATION:
        return ReleaseApplication(
            product=product,
            application=application,
            groups=tuple(map(_word, _list(fields["groups"]))),
            product_default=_of_type(fields["product_default"], bool),
        )
    message = f"unknown kind {fields['kind']!r}"
    raise ValueError(message)


def _module_document(module: Module) -> _Document:
    return {
        "slot": str(module.slot),
        "version": module.version,
        "first": _dependency_document(module.first_dependency),
        "second": _dependency_document(module.second_dependency),
    }


def _module(fields: Mapping[str, Any]) -> Module:
    return Module(
        slot=ModuleSlot.parse(_word(fields["slot"])),
        version=_number(fields["version"]),
        first_dependency=_dependency(fields["first"]),
        second_dependency=_dependency(fields["second"]),
    )


def _dependency_document(dependency: Dependency | None) -> _Document | None:
    return None if dependency is None else {"slot": str(dependency.slot), "version": dependency.version}


def _dependency(document: Any) -> Dependency | None:
    if document is None:
        return None
    fields = _object(document)
    return Dependency(ModuleSlot.parse(_word(fields["slot"])), _number(fields["version"]))


def _object(document: Any) -> Mapping[str, Any]:
    return _of_type(document, dict)


def _fact(document: Any) -> str | float | None:
    if document is not None and not isinstance(document, str | int | float):
        message = f"{document!r} is no fact"
        raise TypeError(message)
    return document


def _list(document: Any) -> list[Any]:
    return _of_type(document, list)


def _word(document: Any) -> str:
    return _of_type(document, str)


def _optional_word(document: Any) -> str | None:
    return None if document is None else _word(document)


def _number(document: Any) -> int:
    if isinstance(document, bool):
        message = f"{document!r} is no number"
        raise TypeError(message)
    return _of_type(document, int)


def _optional_number(document: Any) -> int | None:
    return None if document is None else _number(document)


def _of_type(document: Any, wanted: type[_T]) -> _T:
    if not isinstance(document, wanted):
        message = f"{document!r} is no {wanted.__name__}"
        raise TypeError(message)
    return document
