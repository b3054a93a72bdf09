"""Names and remarks that this codebase does without."""

from __future__ import annotations

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BANNED_NAMES = {"utils", "util", "helpers", "helper", "common", "manager", "managers", "base", "misc"}
LATER = re.compile(r"\b(?:T[O]DO|F[I]XME|X[X]X|H[A]CK)\b")  # brackets, so that this line is none of them
# A directive, then at least one code, then a reason behind a second #.
EXEMPTION = re.compile(r"#\s*(?:noqa|type:\s*ignore)\b.*")
JUSTIFIED = re.compile(
    r"#\s*(?:noqa: [A-Z]+[0-9]+(?:, ?[A-Z]+[0-9]+)*|type: ignore\[[a-z-]+(?:, ?[a-z-]+)*\])\s+# \S.{4,}"
)
MACHINE_PATH = re.compile(r"(?<![\w.}/])/(?:home|Users|root|work|tmp|mnt|private)/[\w.-]+")
TEXTS = {".py", ".md", ".toml", ".yaml", ".yml", ".json", ".csv", ".txt", ""}
OURS = ("reconciler", "tests", "docs", "schemas", "fleet-manifests", "deploy", ".ci")


def python_files() -> list[Path]:
    return sorted(path for folder in ("reconciler", "tests") for path in (ROOT / folder).rglob("*.py"))


def texts() -> Iterator[Path]:
    yield from (path for path in sorted(ROOT.iterdir()) if path.is_file() and path.suffix in TEXTS)
    for folder in OURS:
        for path in sorted((ROOT / folder).rglob("*")):
            if path.is_file() and path.suffix in TEXTS and "__pycache__" not in path.parts:
                yield path


def comments(path: Path) -> list[tuple[int, str]]:
    tokens = tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
    return [(token.start[0], token.string) for token in tokens if token.type == tokenize.COMMENT]


def unjustified(comment: str) -> bool:
    return EXEMPTION.search(comment) is not None and JUSTIFIED.search(comment) is None


def test_no_file_is_named_after_nothing() -> None:
    named = [
        path.relative_to(ROOT) for path in python_files() if {path.stem, *path.relative_to(ROOT).parts} & BANNED_NAMES
    ]
    assert named == []


def test_nothing_is_left_for_later_in_a_remark() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in python_files()
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if LATER.search(line)
    ]
    assert found == []


def test_every_exemption_has_its_code_and_its_reason() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{number}: {comment}"
        for path in python_files()
        for number, comment in comments(path)
        if unjustified(comment)
    ]
    assert found == []


@pytest.mark.parametrize(
    ("comment", "wrong"),
    [
        ("# noqa: PLR2004  # a thousand", False),
        ("# type: ignore[arg-type]  # mypy cannot type it", False),
        ("# noqa: ARG002", True),
        ("# noqa", True),
        ("# type: ignore", True),
        ("# type: ignore  # because", True),
        ("# about the type of a noble quality", False),
    ],
)
def test_the_measure_of_exemptions_is_right(comment: str, wrong: bool) -> None:
    assert unjustified(comment) is wrong


def test_nothing_names_a_place_on_somebodys_machine() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {match.group()}"
        for path in texts()
        for match in MACHINE_PATH.finditer(path.read_text(encoding="utf-8", errors="replace"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("see /{}/ann/notes", True),
        ("(/{}/ann)", True),
        ("https://example.org/{}/x", False),
        ("a/{}/b", False),
        ("/v1/{}", False),
    ],
)
def test_the_measure_of_places_is_right(text: str, wrong: bool) -> None:
    assert (MACHINE_PATH.search(text.format("home")) is not None) is wrong
