"""Calls about compiling (facts 5.10): build targets, sources in, binaries out."""

from __future__ import annotations

from typing import Any

from reconciler.emulator.compiler import CompileError, compile_sources, is_source
from reconciler.emulator.message import Answer, ApiError, as_bool, as_int, json_answer
from reconciler.emulator.state import Call
from reconciler.model.instant import iso_from_instant
from reconciler.model.platform import PLATFORMS, platform_by_id
from reconciler.model.release import Release
from reconciler.model.version import DeviceOsVersion


def list_build_targets(call: Call) -> Answer:
    """GET /v1/build_targets[?featured=true]: for which platforms which release can be compiled for.

    Featured are the newest stable release of each platform and what is newer than it; it is also the default.
    """
    by_version: dict[DeviceOsVersion, list[int]] = {}
    defaults: dict[int, Release] = {}
    featured_only = as_bool(call.request.query.get("featured", False))
    for platform in PLATFORMS:
        published = [one for one in call.state.binaries.catalog.releases(platform) if one.published]
        stable = [release for release in published if not release.prerelease]
        if stable:
            defaults[platform.id] = stable[-1]
        for release in published:
            if not featured_only or not stable or release.version >= stable[-1].version:
                by_version.setdefault(release.version, []).append(platform.id)
    targets = [
        {
            "platforms": platforms,
            "prereleases": platforms if version.prerelease else [],
            "firmware_vendor": "Particle",
            "version": version.text,
        }
        for version, platforms in sorted(by_version.items(), reverse=True)
    ]
    names = {str(platform).capitalize(): platform.id for platform in PLATFORMS if platform.id in defaults}
    default_versions = {str(platform_id): release.version.text for platform_id, release in defaults.items()}
    return json_answer({"targets": targets, "platforms": names, "default_versions": default_versions})


def compile_code(call: Call) -> Answer:
    """POST /v1/binaries: sources of a form for `platform_id`, for a while to be had as a binary."""
    body = call.body
    if not is_source(body):
        raise ApiError(400, "invalid_request", "There is no source to compile")
    platform = platform_by_id(as_int(body.fields.get("platform_id")))
    if platform is None:
        raise ApiError(400, "invalid_request", "platform_id is no platform")
    try:
        compiled = compile_sources(call.state.binaries, platform, body, call.now)
    except CompileError as error:
        return compile_failure(error)
    kept = {one.id: one for one in call.state.compiled.values() if one.expires_at > call.now}
    call.state.compiled = kept | {compiled.id: compiled}
    document: dict[str, Any] = {
        "ok": True,
        "binary_id": compiled.id,
        "binary_url": f"/v1/binaries/{compiled.id}",
        "build_target_version": compiled.release.version.text,
        "expires_at": iso_from_instant(compiled.expires_at),
        "sizeInfo": compiled.size_info,
    }
    return json_answer(document)


def get_compiled(call: Call) -> Answer:
    """GET /v1/binaries/:id."""
    compiled = call.state.compiled.get(call.parameters["binary"])
    if compiled is None or compiled.expires_at <= call.now:
        raise ApiError(404, "Not Found", "No such binary, or not any more")
    return Answer(status=200, body=compiled.binary, content_type="application/octet-stream")


def compile_failure(error: CompileError) -> Answer:
    """Errors of the sources: an answer with 200, which the vendor's tools know by its `output`."""
    return json_answer({"ok": False, "output": "Compiler timed out or encountered an error", "errors": error.errors})
