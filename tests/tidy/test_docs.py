"""What is written about the code agrees with the code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "reconciler"
ROOMS = sorted(path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file())
CODE = re.compile(r"PFR\d{4}")
HEADING = re.compile(r"^### (PFR\d{4}): .+$", re.MULTILINE)
ERRORS = (ROOT / "docs" / "errors.md").read_text(encoding="utf-8")
PAGES = dict(zip(HEADING.findall(ERRORS), HEADING.split(ERRORS)[2::2], strict=True))
"""Code -> the text below its heading."""


def codes_in_the_tree() -> set[str]:
    return {code for path in PACKAGE.rglob("*.py") for code in CODE.findall(path.read_text(encoding="utf-8"))}


def test_there_are_rooms() -> None:
    assert {"model", "journal", "planning", "cli"} <= set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_says_at_its_door_what_it_is(room: str) -> None:
    docstring = ast.get_docstring(ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8"))) or ""
    assert len(docstring) > 60, f"reconciler/{room}/__init__.py needs a docstring that says what the room is"


@pytest.mark.parametrize("room", ROOMS)
def test_the_architecture_names_the_room(room: str) -> None:
    assert f"| `{room}/` |" in (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")


def test_the_architecture_names_no_room_that_is_not_there() -> None:
    rooms = re.findall(r"^\| \d \| `(\w+)/` \|", (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(rooms) == ROOMS


@pytest.mark.parametrize("document", ["ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE"])
def test_the_readme_leads_to_the_other_documents(document: str) -> None:
    assert (ROOT / document).is_file()
    assert f"]({document})" in (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_error_code_has_a_page() -> None:
    assert sorted(codes_in_the_tree() - set(PAGES)) == [], "add a heading to docs/errors.md"


def test_every_page_is_about_a_code_that_exists() -> None:
    assert sorted(set(PAGES) - codes_in_the_tree()) == [], "these codes are no longer raised"


@pytest.mark.parametrize("code", PAGES)
def test_a_page_says_what_to_do(code: str) -> None:
    _, found, step = PAGES[code].partition("Next step: ")
    assert found
    assert len(step.strip()) > 4


def test_codes_stand_in_their_order_and_once() -> None:
    codes = HEADING.findall(ERRORS)
    assert codes == sorted(set(codes))


@pytest.mark.parametrize(
    "document", sorted(ROOT.glob("*.md")) + sorted(ROOT.glob("docs/**/*.md")), ids=lambda p: p.name
)
def test_a_link_to_a_file_leads_somewhere(document: Path) -> None:
    for link in re.findall(r"\]\((?!https?:|#)([^)#]+)", document.read_text(encoding="utf-8")):
        assert (document.parent / link).exists(), f"{document.name} links to {link}"


def test_every_decision_follows_the_template() -> None:
    sections = re.findall(r"^## .+$", (ROOT / "docs/adr/0000-template.md").read_text(encoding="utf-8"), re.MULTILINE)
    decisions = sorted(path for path in (ROOT / "docs" / "adr").glob("*.md") if not path.name.startswith("0000"))
    assert [path.name[:4] for path in decisions] == [f"{number:04}" for number in range(1, len(decisions) + 1)]
    for path in decisions:
        text = path.read_text(encoding="utf-8")
        assert text.startswith(f"# {path.name[:4]}: "), path.name
        assert re.findall(r"^## .+$", text, re.MULTILINE) == sections, path.name
        assert "\nStatus: " in text, path.name
