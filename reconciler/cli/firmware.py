"""`reconciler firmware`: look into module binaries."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
from pathlib import Path
from typing import Any, Final

import click

from reconciler.cli.catalog_file import read_binary
from reconciler.firmware.binary import ParsedModule, parse_file, uncompressed
from reconciler.firmware.compression import CompressionHeader
from reconciler.firmware.extension import (
    AssetDependency,
    DependencyExtension,
    Extension,
    HashExtension,
    NameExtension,
    SecurityMode,
    UnknownExtension,
)
from reconciler.firmware.known import known_catalog
from reconciler.firmware.prefix import ModuleFlags
from reconciler.model.error import FirmwareError, OperatorError
from reconciler.model.module import Dependency, ModuleFunction
from reconciler.model.platform import Platform, platform_by_id

FORMAT_VERSION: Final = "1.0"
_LABEL_WIDTH: Final = 14
_RELEASES_SHOWN: Final = 4
_OUTPUT = click.option(
    "--output", type=click.Choice(["text", "json"]), default="text", show_default=True, help="How to print it."
)


@click.group("firmware")
def command() -> None:
    """Look into module binaries."""


@command.command("inspect")
@click.argument("files", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@_OUTPUT
def inspect(files: tuple[Path, ...], output: str) -> None:
    """Say what each FILE is, by its bytes and not by its name.

    Ends with 1 when a file is no valid module; all such files are told.
    """
    known_files: list[tuple[Path, bytes, tuple[ParsedModule, ...]]] = []
    errors: list[tuple[Path, OperatorError]] = []
    for path in files:
        try:
            data = read_binary(path)
            modules = parse_file(data)
            for parsed in modules:
                if parsed.compression is not None:
                    uncompressed(parsed, data)
        except FirmwareError as error:
            errors.append((path, FirmwareError(error.code, f"{path}: {error.message}", next_step=error.next_step)))
        except OperatorError as error:
            errors.append((path, error))
        else:
            known_files.append((path, data, modules))
    if output == "json":
        _print_json(known_files, errors)
    else:
        click.echo("\n\n".join(_file_text(*known) for known in known_files), nl=bool(known_files))
    for _, problem in errors:
        click.echo(f"error: {problem}", err=True)
    if errors:
        sys.exit(1)


def _print_json(
    known: list[tuple[Path, bytes, tuple[ParsedModule, ...]]], errors: list[tuple[Path, OperatorError]]
) -> None:
    document = {
        "format_version": FORMAT_VERSION,
        "files": [
            {
                "file": str(path),
                "size": len(data),
                "sha256": hashlib.sha256(data).hexdigest(),
                "modules": [_module_document(parsed) for parsed in modules],
            }
            for path, data, modules in known
        ],
        "errors": [
            {"file": str(path), "code": error.code, "message": error.message, "next_step": error.next_step}
            for path, error in errors
        ],
    }
    click.echo(json.dumps(document, indent=2, ensure_ascii=False))


def _module_document(parsed: ParsedModule) -> dict[str, Any]:
    platform = _platform(parsed)
    product = parsed.product
    slot = parsed.module.slot
    return {
        "platform": platform.name if platform else None,
        "platform_id": parsed.platform_id,
        "function": slot.function.label,
        "index": slot.index,
        "version": parsed.module.version,
        "dependencies": [
            {"function": need.slot.function.label, "index": need.slot.index, "version": need.version}
            for need in parsed.module.dependencies
        ],
        "device_os": _shipped_with(parsed),
        "offset": parsed.offset,
        "size": parsed.size,
        "start_address": parsed.prefix.start_address,
        "end_address": parsed.prefix.end_address,
        "prefix_offset": parsed.prefix_offset,
        "prefix_size": parsed.prefix_size,
        "mcu": parsed.prefix.mcu,
        "flags": [flag.name.lower() for flag in ModuleFlags if flag in parsed.flags and flag.name],
        "product": None if product is None else {"id": product[0], "version": product[1]},
        "suffix_size": parsed.suffix_size,
        "prefix_extensions": [_extension_document(extension) for extension in parsed.prefix_extensions],
        "suffix_extensions": [_extension_document(extension) for extension in parsed.suffix_extensions],
        "uncompressed_size": None if parsed.compression is None else parsed.compression.uncompressed_size,
        "stored_sha256": parsed.sha256,
        "crc32": f"{parsed.crc:08x}",
    }


def _extension_document(extension: Extension) -> dict[str, Any]:
    document: dict[str, Any] = {"type": extension.type, "name": _extension_name(extension)}
    for field in dataclasses.fields(extension):
        value = getattr(extension, field.name)
        if isinstance(value, Dependency):
            value = {"function": value.slot.function.label, "index": value.slot.index, "version": value.version}
        # A name and a type of its own would hide what kind of extension this is.
        key = {"name": "text", "type": "type"}.get(field.name, field.name)
        document[key] = value.hex() if isinstance(value, bytes) else value
    return document


def _file_text(path: Path, data: bytes, modules: tuple[ParsedModule, ...]) -> str:
    lines = [click.style(str(path), bold=True)]
    for number, parsed in enumerate(modules, start=1):
        if len(modules) > 1:
            lines.append(f"  module {number} of {len(modules)}, at offset {parsed.offset:#x}")
        lines += [f"  {label:<{_LABEL_WIDTH}}{words}" for label, words in _facts(parsed)]
    lines.append(f"  {'file sha256':<{_LABEL_WIDTH}}{hashlib.sha256(data).hexdigest()}")
    return "\n".join(lines)


def _facts(parsed: ParsedModule) -> list[tuple[str, str]]:
    platform = _platform(parsed)
    found = [("module", f"{parsed.module} for {platform.name if platform else 'any platform'}")]
    found.append(("needs", " and ".join(map(_need_text, parsed.module.dependencies)) or "nothing"))
    if words := _device_os_text(parsed, platform):
        found.append(("Device OS", words))
    if parsed.product is not None:
        found.append(("product", f"{parsed.product[0]}, version {parsed.product[1]}"))
    found.append(("size", f"{parsed.size:,} bytes{_compressed_text(parsed.compression)}"))
    start, end = parsed.prefix.start_address, parsed.prefix.end_address
    found.append(("flash", f"{start:#010x} to {end:#010x}, prefix at {parsed.prefix_offset:#x}"))
    if parsed.flags:
        found.append(
            ("flags", ", ".join(flag.name.lower() for flag in ModuleFlags if flag in parsed.flags and flag.name))
        )
    for place, extensions in (("prefix", parsed.prefix_extensions), ("suffix", parsed.suffix_extensions)):
        found += [(place, words) for words in filter(None, map(_extension_text, extensions))]
    found.append(("checked", _checked_text(parsed)))
    return found


def _need_text(need: Dependency) -> str:
    return f"{need.slot} {need.version} or later"


def _device_os_text(parsed: ParsedModule, platform: Platform | None) -> str:
    if parsed.module.slot.function is ModuleFunction.USER_PART:
        needed = next((need for need in parsed.module.dependencies), None)
        releases = known_catalog().releases_of_system(platform, needed.version) if platform and needed else ()
        return f"built for {releases[0].version}; runs there and on later ones" if releases else ""
    versions = _shipped_with(parsed)
    if not versions:
        return ""
    more = f" and {len(versions) - _RELEASES_SHOWN} more" if len(versions) > _RELEASES_SHOWN else ""
    return f"shipped with {', '.join(versions[:_RELEASES_SHOWN])}{more}"


def _shipped_with(parsed: ParsedModule) -> list[str]:
    platform = _platform(parsed)
    if platform is None:
        return []
    return [
        release.version.text
        for release in known_catalog().releases(platform)
        if release.published and any(shipped.module == parsed.module for shipped in release.modules)
    ]


def _compressed_text(header: CompressionHeader | None) -> str:
    return "" if header is None else f", uncompressed {header.uncompressed_size:,}"


def _extension_text(extension: Extension) -> str:
    match extension:
        case AssetDependency():
            return f"needs the asset {extension.name!r}, SHA-256 {extension.digest.hex()}"
        case NameExtension():
            return f"is the asset {extension.name!r}"
        case HashExtension():
            return f"SHA-256 of its content {extension.digest.hex()}"
        case SecurityMode():
            certificate = f" with a certificate of {len(extension.certificate)} bytes" if extension.certificate else ""
            return f"security mode {extension.mode}{certificate}"
        case DependencyExtension():
            return f"needs {_need_text(extension.dependency)}"
        case UnknownExtension():
            return f"unknown extension {extension.type:#06x} of {len(extension.body)} bytes"
    return ""


def _extension_name(extension: Extension) -> str:
    return type(extension).__name__.removesuffix("Extension")


def _checked_text(parsed: ParsedModule) -> str:
    checked = f"CRC {parsed.crc:08x} is right"
    if parsed.module.slot.function in (ModuleFunction.RADIO_STACK, ModuleFunction.NCP_FIRMWARE):
        return f"{checked}; the SHA-256 inside is a placeholder in modules of this kind"
    if parsed.module.slot.function is ModuleFunction.ASSET:
        return checked
    return f"{checked}, SHA-256 {parsed.sha256[:16]}… too"


def _platform(parsed: ParsedModule) -> Platform | None:
    """The platform, or None for an asset, whose id 0 means any."""
    return None if parsed.module.slot.function is ModuleFunction.ASSET else platform_by_id(parsed.platform_id)
