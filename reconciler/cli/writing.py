"""Files of one result, written together: all of them, or none."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from reconciler.model.error import OperatorError


def write_all(folder: Path, files: Mapping[str, str], *, force: bool) -> None:
    """Write texts by their paths below a folder. A file that has the same text already is left alone.

    Everything is written beside its place first. When a file cannot be put into its place, those before it are taken
    back.

    Raises:
        OperatorError: PFR6713 a file is there with another text (not with `force`); PFR6714 one cannot be written.
    """
    try:
        before = {path: _content(folder / path) for path in files}
        changed = {path: text.encode() for path, text in files.items() if before[path] != text.encode()}
        in_the_way = [path for path in changed if before[path] is not None]
        if in_the_way and not force:
            raise OperatorError(
                "PFR6713",
                f"{folder} has other files of these names: {', '.join(in_the_way[:5])}"
                + (f" and {len(in_the_way) - 5} more" if len(in_the_way) > 5 else ""),  # noqa: PLR2004  # as above
                next_step="name another folder with --output, or write over them with --force; nothing was written",
            )
        _put(folder, changed, before)
    except OSError as error:
        place = error.filename or folder
        raise OperatorError(
            "PFR6714",
            f"{place} cannot be written: {error.strerror or type(error).__name__}; nothing was changed",
            next_step="check the folder and its permissions",
        ) from None


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _put(folder: Path, files: Mapping[str, bytes], before: Mapping[str, bytes | None]) -> None:
    created: list[Path] = []
    done: list[str] = []
    try:
        for place in _missing_folders(folder, files):
            place.mkdir()
            created.append(place)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".adopt-") as beside:
            for number, content in enumerate(files.values()):
                (Path(beside) / str(number)).write_bytes(content)
            for number, path in enumerate(files):
                (Path(beside) / str(number)).replace(folder / path)
                done.append(path)
    except BaseException:
        for path in done:
            _take_back(folder / path, before[path])
        for place in reversed(created):
            place.rmdir()
        raise


def _missing_folders(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """All folders that have to be made, the outer ones first."""
    wanted = {parent for path in files for parent in (folder / path).parents}
    return sorted((place for place in wanted if not place.exists()), key=lambda place: len(os.fspath(place)))


def _take_back(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
