"""Application releases, and what fleets and overrides desire of Device OS and application.

Where the set has an ApplicationRelease for a product, its fleets ask for a release and version that is listed. Where it
has none for the product, the cloud's own copy is meant, and there is nothing to check here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.manifests.document import Document, Node
from reconciler.manifests.problem import ProblemCode, did_you_mean, listed
from reconciler.manifests.scope import Scope, section, text_of
from reconciler.model.fleet import ApplicationBinary, Completeness, Desired, DesiredApplication
from reconciler.model.platform import platform_by_name
from reconciler.model.version import ApplicationVersion, DeviceOsVersion, is_known_version, published_versions


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """An ApplicationRelease, compiled. `product` None: devices of the token's owner."""

    name: str
    product: str | None
    versions: Mapping[int, tuple[ApplicationBinary, ...]]


def application_release_of(scope: Scope, document: Document, root: Node) -> Release:
    """Compile an ApplicationRelease."""
    spec = section(root, "spec")
    versions: dict[int, tuple[ApplicationBinary, ...]] = {}
    for item in section(spec, "versions").items:
        version = item.members.get("version")
        binaries = _binaries(scope, document, section(item, "binaries"))
        if version is None or not isinstance(version.value, int):
            continue
        if version.value in versions:
            scope.report(document, version, ProblemCode.DUPLICATE_ENTRY, f"version {version.value} is listed twice")
        versions.setdefault(version.value, binaries)
    return Release(
        name=text_of(section(root, "metadata"), "name") or "", product=text_of(spec, "product"), versions=versions
    )


def _binaries(scope: Scope, document: Document, node: Node) -> tuple[ApplicationBinary, ...]:
    found: dict[str, ApplicationBinary] = {}
    for item in node.items:
        platform = item.members.get("platform")
        if platform is None:
            continue
        name = platform_name(str(platform.value))
        if name in found:
            message = f"a second binary for {name}; a version has one for each platform"
            scope.report(document, platform, ProblemCode.DUPLICATE_ENTRY, message)
        file, size = item.members.get("file"), item.members.get("size")
        found.setdefault(
            name,
            ApplicationBinary(
                platform=name,
                file=None if file is None else scope.beside(document, file),
                url=text_of(item, "url"),
                sha256=text_of(item, "sha256"),
                size=size.value if size is not None and isinstance(size.value, int) else None,
                place=document.place(item if file is None else file),
            ),
        )
    return tuple(found.values())


def platform_name(name: str) -> str:
    """The platform's own name for a name or alias that the schema knows."""
    platform = platform_by_name(name)
    return name if platform is None else platform.name


def desired_of(
    scope: Scope,
    document: Document,
    node: Node,
    *,
    product: str | None,
    any_product: bool,
    releases: Mapping[str, Release],
) -> Desired:
    """Compile a `desired`.

    Args:
        scope: The compilation.
        document: Where the node stands.
        node: The `desired` mapping; an empty one yields a Desired that desires nothing.
        product: The product whose application is meant.
        any_product: The application is found by its name alone (an override without a product).
        releases: Every ApplicationRelease of the set, by name.
    """
    allow = section(node, "allowPrerelease").value is True
    return Desired(
        device_os=_device_os(scope, document, node.members.get("deviceOS"), allow_prerelease=allow),
        application=_application(
            scope,
            document,
            node.members.get("application"),
            product=product,
            any_product=any_product,
            releases=releases,
        ),
        completeness=Completeness(text_of(node, "completeness") or Completeness.REQUIRED),
        allow_prerelease=allow,
    )


def _device_os(
    scope: Scope, document: Document, node: Node | None, *, allow_prerelease: bool
) -> DeviceOsVersion | None:
    if node is None:
        return None
    version = DeviceOsVersion(str(node.value))
    # Build metadata (`5.4.0+ledger`) is not a release of its own (contracts section 4, point 7).
    if (not is_known_version(version) or "+" in version.text) and version.text not in scope.also_known:
        known = [*(known.text for known in published_versions() if "+" not in known.text), *scope.also_known]
        message = f"there is no Device OS release {version.text!r}"
        scope.report(document, node, ProblemCode.UNKNOWN_RELEASE, message, _similar_release(version.text, known))
    elif version.prerelease and not allow_prerelease:
        message = f"Device OS {version} is a prerelease"
        scope.report(document, node, ProblemCode.PRERELEASE, message, "add `allowPrerelease: true` beside deviceOS")
    return version


def _similar_release(text: str, known: list[str]) -> str:
    released = re.match(r"[0-9]+\.[0-9]+\.[0-9]+", text, re.ASCII)
    if released is not None and released[0] != text and released[0] in known:
        return f"did you mean {released[0]!r}?"
    return did_you_mean(text, known) or "`reconciler catalog show` lists the known releases"


def _application(
    scope: Scope,
    document: Document,
    node: Node | None,
    *,
    product: str | None,
    any_product: bool,
    releases: Mapping[str, Release],
) -> DesiredApplication | None:
    if node is None or "release" not in node.members or "version" not in node.members:
        return None
    name, number = str(node.members["release"].value), node.members["version"].value
    assert isinstance(number, int)
    version = ApplicationVersion(number)
    release = releases.get(name)
    if release is None:
        meant = [other.name for other in releases.values() if any_product or other.product == product]
        if meant and scope.all_readable:
            message = f"no ApplicationRelease {name!r} for {_product(product) if not any_product else 'any product'}"
            suggestion = did_you_mean(name, meant) or f"there is: {listed(sorted(meant))}"
            scope.report(document, node.members["release"], ProblemCode.UNKNOWN_APPLICATION, message, suggestion)
        return DesiredApplication(release=name, version=version)
    if not any_product and release.product != product:
        message = f"the ApplicationRelease {name!r} is for {_product(release.product)}, this is for {_product(product)}"
        suggestion = "write the product in the same way in both"
        scope.report(document, node.members["release"], ProblemCode.UNKNOWN_APPLICATION, message, suggestion)
    elif number not in release.versions and release.versions:
        message = f"the ApplicationRelease {name!r} has no version {number}"
        suggestion = f"it has: {listed(str(version) for version in sorted(release.versions)[-12:])}"
        scope.report(document, node.members["version"], ProblemCode.UNKNOWN_APPLICATION_VERSION, message, suggestion)
    return DesiredApplication(release=name, version=version, binaries=release.versions.get(number, ()))


def _product(product: str | None) -> str:
    return "devices without a product" if product is None else f"the product {product!r}"
