"""Applications that only a product holds, had for a bench: each once, checked, and left alone where they do not fit."""

from __future__ import annotations

import hashlib
from dataclasses import replace

import pytest

from reconciler.firmware.builder import build_application
from reconciler.model.fleet import ApplicationBinary, DesiredApplication, FleetSet
from reconciler.model.platform import Platform, platform_by_name
from reconciler.model.version import ApplicationVersion
from reconciler.particle.error import NoAnswerError
from reconciler.sources.product_applications import held_by_products, with_product_applications
from tests.fleet_samples import fleet, own_binary


def named(name: str) -> Platform:
    platform = platform_by_name(name)
    assert platform is not None
    return platform


def logger(platform: str = "boron") -> bytes:
    return build_application(named(platform), system_version=6305, product=(12345, 44))


HELD = FleetSet(fleets=(fleet(application=own_binary("boron")), replace(fleet(), name="same-product")))


def binary_of(fleets: FleetSet) -> ApplicationBinary:
    application = fleets.fleets[0].desired.application
    assert isinstance(application, DesiredApplication)
    return application.binaries[0]


def test_what_a_product_holds_is_had_once_and_is_a_file_from_then_on() -> None:
    asked: list[tuple[str, ApplicationVersion]] = []

    def fetch(product: str, version: ApplicationVersion) -> bytes:
        asked.append((product, version))
        return logger()

    twice = FleetSet(fleets=(HELD.fleets[0], replace(HELD.fleets[0], name="another")))
    had = with_product_applications(twice, fetch)
    assert asked == [("cold-chain", 44)]
    assert had.contents == {"applications/cold-chain/44.bin": logger()}
    assert had.findings == ()
    binary = binary_of(had.fleets)
    assert binary.file == "applications/cold-chain/44.bin"
    assert binary.built is not None
    assert binary.built.sha256 == hashlib.sha256(logger()).hexdigest()
    assert not held_by_products(had.fleets)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "the product holds none such"),
        (b"not a module", "it cannot be read: PFR40"),
        (logger("argon"), "it is for platform 12, not for boron"),
    ],
)
def test_what_does_not_fit_is_left_to_the_planner_with_a_finding(content: bytes | None, words: str) -> None:
    had = with_product_applications(HELD, lambda _product, _version: content)
    assert had.fleets == HELD
    assert had.contents == {}
    (finding,) = had.findings
    assert finding.startswith("application 44 of product cold-chain: ")
    assert words in finding


def test_other_bytes_than_the_manifest_names_are_not_taken() -> None:
    fleets = FleetSet(fleets=(fleet(application=own_binary("boron", sha256="ab" * 32)),))
    had = with_product_applications(fleets, lambda _product, _version: logger())
    assert had.fleets == fleets
    assert "SHA-256" in had.findings[0]


def test_a_cloud_that_does_not_answer_is_a_finding_and_no_end() -> None:
    def fetch(product: str, version: ApplicationVersion) -> bytes:
        raise NoAnswerError(f"{product} {version}: no answer")

    had = with_product_applications(HELD, fetch)
    assert had.fleets == HELD
    assert "it cannot be had: PFR30" in had.findings[0]


def test_nobody_is_asked_for_what_manifests_name_as_a_file() -> None:
    fleets = FleetSet(fleets=(fleet(application=own_binary("boron", file="logger.bin")),))
    assert not held_by_products(fleets)

    def fetch(product: str, version: ApplicationVersion) -> bytes:
        raise AssertionError(product, version)

    assert with_product_applications(fleets, fetch).fleets == fleets
