"""Reading binaries and catalogs from disk, for the commands that take them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from reconciler.firmware.catalog import Catalog
from reconciler.firmware.known import known_catalog
from reconciler.model.error import FirmwareError, OperatorError

BINARY_SIZE_MAX: Final = 16 * 1024 * 1024
"""Bytes. Ten times the largest module of any platform."""
CATALOG_SIZE_MAX: Final = 64 * 1024 * 1024
"""Bytes. Thirty times the catalog of everything known."""


def read_binary(path: Path) -> bytes:
    """The bytes of a module file.

    Raises:
        OperatorError: PFR6601 when it cannot be read, PFR6602 when it is larger than any module.
    """
    return _read(path, BINARY_SIZE_MAX, "a module binary")


def read_catalog(path: Path | None) -> Catalog:
    """The known catalog, with the one in this file on top of it (`--catalog FILE`).

    Raises:
        OperatorError: PFR6601 or PFR6602 for a file that cannot be read, PFR6603 for one that is not JSON.
        FirmwareError: PFR4100 or PFR4101 for one that is no catalog, PFR4111 for one that differs from the known facts.
    """
    if path is None:
        return known_catalog()
    # Imported here, as below: most plans need the known catalog alone.
    from reconciler.firmware.assembly import extended

    added = read_catalog_alone(path)
    try:
        return extended(known_catalog(), added)
    except FirmwareError as error:
        raise FirmwareError(error.code, f"{path}: {error.message}", next_step=error.next_step) from None


def read_catalog_alone(path: Path) -> Catalog:
    """The catalog in this file and nothing else: not the known one, and not held against it.

    Raises:
        OperatorError: PFR6601 or PFR6602 for a file that cannot be read, PFR6603 for one that is not JSON.
        FirmwareError: PFR4100 or PFR4101 for one that is no catalog.
    """
    from reconciler.firmware.document import catalog_from_document

    try:
        document = json.loads(_read(path, CATALOG_SIZE_MAX, "a catalog"))
    except (ValueError, RecursionError) as error:
        raise OperatorError(
            "PFR6603", f"{path} is not JSON: {error}", next_step="`reconciler catalog build` writes such a file."
        ) from None
    try:
        return catalog_from_document(document)
    except FirmwareError as error:
        raise FirmwareError(error.code, f"{path}: {error.message}", next_step=error.next_step) from None


def binaries_below(folder: Path) -> Iterator[Path]:
    """Every `.bin` file in a folder and the folders in it, by name; hidden ones and links to folders are passed over.

    Raises:
        OperatorError: PFR6601 when a folder cannot be read.
    """

    def refuse(error: OSError) -> None:
        raise _unreadable(Path(error.filename or folder), error)

    for here, folders, files in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if name.endswith(".bin") and not name.startswith("."):
                yield Path(here, name)


def _read(path: Path, size_max: int, what: str) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(size_max + 1)
    except OSError as error:
        raise _unreadable(path, error) from None
    if len(data) > size_max:
        message = f"{path} has more than {size_max} bytes, which is too many for {what}"
        raise OperatorError("PFR6602", message, next_step="Check what the file is.")
    return data


def _unreadable(path: Path, error: OSError) -> OperatorError:
    words = error.strerror or str(error)
    return OperatorError("PFR6601", f"{path} cannot be read: {words}", next_step="Check the path and its permissions.")
