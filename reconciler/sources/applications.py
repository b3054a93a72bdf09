"""The files of applications that manifests name: read once, checked against `sha256`, kept as what they say.

Reading needs no network and sends nothing, so that every plan, also one on a snapshot, knows what an application needs.
A file that is not there, is no application, or is not the one that `sha256` names is a problem of the manifest that
names it; all problems are told in one run. Only files that a fleet or an override desires are read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from reconciler.manifests import ManifestErrors, Problem, ProblemCode
from reconciler.model.error import FirmwareError, ManifestError, OperatorError
from reconciler.model.fleet import ApplicationBinary, BuiltApplication, Desired, FleetSet, Place
from reconciler.sources.manifest_set import ManifestSet

_MISSING = "PFR6004"


def with_applications(fleets: FleetSet, manifests: ManifestSet) -> FleetSet:
    """The fleets with what the files of their applications say.

    Raises:
        ManifestErrors: All problems of these files, each at the place that names the file.
        OperatorError: A file is there and cannot be read.
    """
    read: dict[str, BuiltApplication | Problem] = {}
    problems: list[Problem] = []

    def built(binary: ApplicationBinary) -> BuiltApplication | None:
        if binary.file is None:
            return None
        if binary.file not in read:
            read[binary.file] = _read(manifests, binary, binary.file)
        found = read[binary.file]
        if isinstance(found, Problem):
            problems.append(replace(found, place=_place(binary), line=_line(manifests, binary)))
            return None
        if binary.sha256 is not None and binary.sha256.lower() != found.sha256:
            message = f"{binary.file} has the SHA-256 {found.sha256}, not {binary.sha256}"
            suggestion = "find out which of the two is wrong before anything is sent"
            problems.append(_problem(manifests, binary, ProblemCode.INTEGRITY, message, suggestion))
        return found

    complete = with_built(fleets, built)
    if problems:
        raise ManifestErrors(problems)
    return complete


def with_built(fleets: FleetSet, built: Callable[[ApplicationBinary], BuiltApplication | None]) -> FleetSet:
    """The fleets with what is known of every application file that they or their overrides desire."""

    def filled(desired: Desired) -> Desired:
        if desired.application is None or not desired.application.binaries:
            return desired
        binaries = tuple(replace(binary, built=built(binary)) for binary in desired.application.binaries)
        return replace(desired, application=replace(desired.application, binaries=binaries))

    return replace(
        fleets,
        fleets=tuple(replace(fleet, desired=filled(fleet.desired)) for fleet in fleets.fleets),
        overrides=tuple(
            override if override.pin is None else replace(override, pin=filled(override.pin))
            for override in fleets.overrides
        ),
    )


def built_applications(fleets: FleetSet) -> Iterator[ApplicationBinary]:
    """Every desired binary whose file was read."""
    pins = [override.pin for override in fleets.overrides if override.pin is not None]
    for desired in (*(fleet.desired for fleet in fleets.fleets), *pins):
        if desired.application is not None:
            yield from (binary for binary in desired.application.binaries if binary.built is not None)


def _read(manifests: ManifestSet, binary: ApplicationBinary, path: str) -> BuiltApplication | Problem:
    from reconciler.firmware.application import read_application  # noqa: PLC0415  # large, and few manifests name a file

    try:
        return read_application(manifests.binary(path))
    except ManifestError as error:
        return _problem(manifests, binary, ProblemCode(error.code), error.message, error.next_step)
    except FirmwareError as error:
        message = f"{path} is no application that can be used: {error.code} {error.message}"
        return _problem(manifests, binary, ProblemCode.BINARY, message, error.next_step)
    except OperatorError as error:
        if error.code != _MISSING:
            raise
        return _problem(manifests, binary, ProblemCode.BINARY, error.message, error.next_step)


def _problem(
    manifests: ManifestSet, binary: ApplicationBinary, code: ProblemCode, message: str, suggestion: str
) -> Problem:
    line = _line(manifests, binary)
    return Problem(place=_place(binary), code=code, message=message, line=line, suggestion=suggestion)


def _place(binary: ApplicationBinary) -> Place:
    """The place in the manifest; the file itself for a binary that no manifest named."""
    return binary.place or Place(binary.file or "", 1, 1)


def _line(manifests: ManifestSet, binary: ApplicationBinary) -> str:
    place = _place(binary)
    lines = manifests.texts.get(place.file, "").splitlines()
    return lines[place.line - 1][:200] if place.line <= len(lines) else ""
