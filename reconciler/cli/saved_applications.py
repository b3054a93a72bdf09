"""What the files of applications said when a plan was made, kept in the plan file.

A plan file may be applied where those files are not: with what they said, the plan is made again with the same steps.
It stands outside the plan's digest like the manifests do; steps that differ because of it are not the agreed ones, and
before a file is sent its SHA-256 is compared with the one that was agreed to.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from reconciler.model.error import OperatorError
from reconciler.model.fleet import BuiltApplication, FleetSet
from reconciler.model.module import Dependency, Module, ModuleSlot
from reconciler.sources.applications import built_applications, with_built

_PLAN_AGAIN: Final = "make a new plan with: reconciler plan MANIFESTS --out FILE"


class _Need(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    slot: str
    version: int


class _Application(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One file. `needs` are the first and the second dependency of the module, null where it has none."""

    platform_id: int
    slot: str
    version: int
    needs: tuple[_Need | None, _Need | None]
    size: int
    module_size: int
    product_id: int | None
    product_version: int | None
    sha256: str
    bundle: bool


def applications_document(fleets: FleetSet) -> dict[str, Any]:
    """What every desired application file said, by its path."""
    return {
        binary.file: msgspec.to_builtins(_record(binary.built))
        for binary in built_applications(fleets)
        if binary.file is not None and binary.built is not None
    }


def with_saved_applications(fleets: FleetSet, document: Any) -> FleetSet:
    """The fleets with what a plan file says of their applications' files.

    Raises:
        OperatorError: PFR6401, it cannot be read.
    """
    try:
        records = msgspec.convert(document, dict[str, _Application])
        built = {path: _built(record) for path, record in records.items()}
    except ValueError as error:  # of msgspec, and of slots that are none
        message = f"the plan file's applications cannot be read: {error}"
        raise OperatorError("PFR6401", message, next_step=_PLAN_AGAIN) from None
    return with_built(fleets, lambda binary: None if binary.file is None else built.get(binary.file))


def _record(built: BuiltApplication) -> _Application:
    module = built.module
    return _Application(
        platform_id=built.platform_id,
        slot=str(module.slot),
        version=module.version,
        needs=(_need(module.first_dependency), _need(module.second_dependency)),
        size=built.size,
        module_size=built.module_size,
        product_id=built.product_id,
        product_version=built.product_version,
        sha256=built.sha256,
        bundle=built.bundle,
    )


def _need(dependency: Dependency | None) -> _Need | None:
    return None if dependency is None else _Need(str(dependency.slot), dependency.version)


def _built(record: _Application) -> BuiltApplication:
    first, second = (
        None if need is None else Dependency(ModuleSlot.parse(need.slot), need.version) for need in record.needs
    )
    return BuiltApplication(
        platform_id=record.platform_id,
        module=Module(
            slot=ModuleSlot.parse(record.slot),
            version=record.version,
            first_dependency=first,
            second_dependency=second,
        ),
        size=record.size,
        module_size=record.module_size,
        product_id=record.product_id,
        product_version=record.product_version,
        sha256=record.sha256,
        bundle=record.bundle,
    )
