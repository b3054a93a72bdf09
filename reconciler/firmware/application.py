"""Application files: what an application says of itself before anybody sends it.

A file is one application module, or a bundle: a zip file with the application at its top level and its assets in
folders (facts 1.7). Anything else is refused: system parts, combined modules, bundles without an application or with
two. A bundle is read within fixed limits, whatever it claims of itself.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from typing import Final

from reconciler.firmware.binary import NO_PRODUCT, ParsedModule, parse_file
from reconciler.model.error import FirmwareError
from reconciler.model.fleet import BuiltApplication
from reconciler.model.module import ModuleFunction

APPLICATION_BYTES_MAX: Final = 16 * 1024 * 1024
"""Far above the largest application slot, 1.5 MiB (facts 3.2)."""

_ZIP_BEGINS: Final = (b"PK\x03\x04", b"PK\x05\x06")
_ENTRIES_MAX: Final = 1000
_UNREADABLE: Final = (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, ValueError, NotImplementedError)
"""All that the zip reader raises for files that are damaged, encrypted, or compressed in another way."""


def read_application(data: bytes) -> BuiltApplication:
    """What the file of an application says of itself.

    Raises:
        FirmwareError: PFR4011 when the file holds no application, more than one module, or is no usable bundle; PFR4001
            to PFR4010 when its module cannot be read.
    """
    is_bundle = data.startswith(_ZIP_BEGINS)
    content, assets_size = _unbundled(data) if is_bundle else (data, 0)
    parsed = _only_application(content)
    return BuiltApplication(
        platform_id=parsed.platform_id,
        module=parsed.module,
        size=parsed.size + assets_size,
        module_size=parsed.size if parsed.compression is None else parsed.compression.uncompressed_size,
        product_id=_given(parsed.product_id, none=(0, NO_PRODUCT)),
        product_version=_given(parsed.product_version, none=(NO_PRODUCT,)),
        sha256=hashlib.sha256(data).hexdigest(),
        bundle=is_bundle,
    )


def _only_application(content: bytes) -> ParsedModule:
    modules = parse_file(content)
    if len(modules) > 1:
        names = ", ".join(str(parsed.module) for parsed in modules)
        raise _no_application(f"the file holds {len(modules)} modules ({names}) and not one application")
    if modules[0].module.slot.function is not ModuleFunction.USER_PART:
        raise _no_application(f"the file is no application but {modules[0].module}")
    return modules[0]


def _unbundled(data: bytes) -> tuple[bytes, int]:
    """The application of a bundle, and about how many bytes its assets have on the way: they travel compressed."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as bundle:
            entries = [entry for entry in bundle.infolist() if not entry.is_dir()]
            if len(entries) > _ENTRIES_MAX:
                raise _no_application(f"the bundle has {len(entries)} files; {_ENTRIES_MAX} is the limit")
            applications = [e for e in entries if "/" not in e.filename and e.filename.lower().endswith(".bin")]
            if len(applications) != 1:
                names = ", ".join(sorted(repr(entry.filename[:60]) for entry in applications[:5])) or "none"
                raise _no_application(f"a bundle has one .bin file at its top level; this one has: {names}")
            with bundle.open(applications[0]) as file:
                content = file.read(APPLICATION_BYTES_MAX + 1)
    except _UNREADABLE as error:
        raise _no_application(f"the bundle cannot be read: {error}") from None
    if len(content) > APPLICATION_BYTES_MAX:
        raise _no_application(f"the application of the bundle is larger than {APPLICATION_BYTES_MAX} bytes")
    assets = (entry for entry in entries if entry.filename.startswith("assets/"))
    return content, sum(min(entry.compress_size, len(data)) for entry in assets)


def _given(value: int | None, *, none: tuple[int, ...]) -> int | None:
    return None if value is None or value in none else value


def _no_application(message: str) -> FirmwareError:
    return FirmwareError("PFR4011", message, next_step="name the file that the build of the application made")
