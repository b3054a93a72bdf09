from pathlib import Path

from reconciler.journal.location import journal_location


def test_what_a_person_names_comes_first() -> None:
    assert journal_location(Path("mine.sqlite"), {"RECONCILER_JOURNAL": "other.sqlite"}) == Path("mine.sqlite")


def test_then_the_environment() -> None:
    assert journal_location(None, {"RECONCILER_JOURNAL": "other.sqlite"}) == Path("other.sqlite")


def test_an_empty_variable_names_nothing() -> None:
    assert journal_location(None, {"RECONCILER_JOURNAL": ""}) == Path(".reconciler/journal.sqlite")


def test_else_it_is_beside_the_manifests() -> None:
    assert journal_location(None, {}) == Path(".reconciler/journal.sqlite")
