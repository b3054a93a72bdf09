"""A bundle: all that a bench needs, in one file that a person carries to where there is no network.

A zip file with `bundle.json` (every other file by its path, with size and SHA-256), `manifests/`, `firmware/<platform>/
<Device OS>/`, and where given `catalog.json` and `observed.json`. Its digest is that of `bundle.json`, and so of
everything: who says the digest over the telephone signs the bundle.

The rules: nothing is used that the index does not have, and nothing that is not what the index says; no name leads out
of the folder that it is unpacked into.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reconciler.model.error import OperatorError

INDEX: Final = "bundle.json"
FORMAT_VERSION: Final = "1.0"
BUNDLE_BYTES_MAX: Final = 2 * 1024**3
_FILES_MAX: Final = 100_000
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._+@ -]*(/[A-Za-z0-9_][A-Za-z0-9._+@ -]*)*", re.ASCII)
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
"""The date of every entry: the same content gives the same file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bundle:
    """What a bundle holds, checked. `missing` are releases on the way that could not be had."""

    files: Mapping[str, bytes]
    digest: str
    created_at: str
    missing: tuple[str, ...] = ()

    @property
    def releases(self) -> frozenset[tuple[str, str]]:
        """The releases whose modules it has, as names of platform and release."""
        parts = (name.split("/") for name in self.files if name.startswith("firmware/"))
        return frozenset((platform, release) for _, platform, release, *_ in parts)

    def unpack(self, folder: Path) -> None:
        """Write all files below a folder."""
        for name, content in self.files.items():
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)


def packed(files: Mapping[str, bytes], *, created_at: str, tool_version: str, missing: tuple[str, ...]) -> bytes:
    """The bytes of a bundle. Raises OperatorError PFR6845 for a name that it could not carry."""
    for name in files:
        if _NAME.fullmatch(name) is None or name == INDEX:
            next_step = "give files and folders names of plain letters, digits, - . _ + @ and spaces"
            raise OperatorError("PFR6845", f"a bundle cannot carry a file named {name!r}", next_step=next_step)
    index = {
        "format_version": FORMAT_VERSION,
        "tool_version": tool_version,
        "created_at": created_at,
        "missing": list(missing),
        "files": {name: {"size": len(content), "sha256": _sha256(content)} for name, content in sorted(files.items())},
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        _put(archive, INDEX, json.dumps(index, indent=1, sort_keys=True).encode())
        for name, content in sorted(files.items()):
            _put(archive, name, content)
    return buffer.getvalue()


def read_bundle(path: Path, *, expected: str | None = None) -> Bundle:
    """Read a bundle and check all of it. `expected` is the digest that it must have.

    Raises OperatorError: PFR6842 it cannot be read, or is none; PFR6843 it is not what it, or `expected`, says.
    """
    try:
        if path.stat().st_size > BUNDLE_BYTES_MAX:
            raise _unreadable(path, "it is too large")
        with zipfile.ZipFile(path) as archive:
            index = archive.read(INDEX)
            listed = _listed(path, index)
            names = archive.namelist()
            if sorted(names) != sorted([INDEX, *listed["files"]]):
                raise _changed(path, "it has other files than its index says")
            files = {name: _read(path, archive, name, entry) for name, entry in listed["files"].items()}
    except OSError as error:
        raise _unreadable(path, (error.strerror or str(error)).lower()) from None
    except (zipfile.BadZipFile, KeyError, NotImplementedError, EOFError, ValueError) as error:
        raise _unreadable(path, str(error) or type(error).__name__) from None
    digest = f"sha256:{_sha256(index)}"
    if expected is not None and expected != digest:
        raise _changed(path, f"its digest is {digest}, not {expected}")
    missing = tuple(map(str, listed.get("missing", ())))
    return Bundle(files=files, digest=digest, created_at=str(listed.get("created_at", "")), missing=missing)


def _listed(path: Path, index: bytes) -> dict[str, Any]:
    listed = json.loads(index)
    if not isinstance(listed, dict) or str(listed.get("format_version", "")).partition(".")[0] != "1":
        raise _unreadable(path, "its format is of another version")
    files = listed.get("files")
    if not isinstance(files, dict) or len(files) > _FILES_MAX:
        raise _unreadable(path, "its index lists no files")
    if any(_NAME.fullmatch(name) is None or not isinstance(entry, dict) for name, entry in files.items()):
        raise _unreadable(path, "its index has a name that leads elsewhere")
    return listed


def _read(path: Path, archive: zipfile.ZipFile, name: str, entry: Mapping[str, Any]) -> bytes:
    if archive.getinfo(name).file_size != entry.get("size"):
        raise _changed(path, f"{name} has another size than its index says")
    content = archive.read(name)
    if _sha256(content) != entry.get("sha256"):
        raise _changed(path, f"{name} is not what its index says")
    return content


def _put(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    archive.writestr(entry, content)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _unreadable(path: Path, why: str) -> OperatorError:
    next_step = "make one with `reconciler bundle create`, or copy it again"
    return OperatorError("PFR6842", f"{path} is no bundle that can be read: {why}", next_step=next_step)


def _changed(path: Path, why: str) -> OperatorError:
    return OperatorError("PFR6843", f"{path}: {why}", next_step="nothing of it was used; copy it again from its source")
