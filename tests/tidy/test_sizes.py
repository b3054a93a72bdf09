"""One file, one idea, read top-down; one function, one thought."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60

MAY_BE_LONGER: frozenset[str] = frozenset()
"""Files and functions (`reconciler/room/file.py::name`) that may be longer, each with its reason. None so far."""


def sources() -> list[Path]:
    return sorted((ROOT / "reconciler").rglob("*.py"))


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Every function's name and length, from its first decorator to its last line."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
            yield node.name, (node.end_lineno or first) - first + 1


def test_a_file_holds_one_idea() -> None:
    long = {
        name: lines
        for path in sources()
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > FILE_LINES_MAX
        and (name := path.relative_to(ROOT).as_posix()) not in MAY_BE_LONGER
    }
    assert long == {}, f"at most {FILE_LINES_MAX} lines a file"


def test_a_function_holds_one_thought() -> None:
    long = {
        name: lines
        for path in sources()
        for function, lines in functions(path)
        if lines > FUNCTION_LINES_MAX
        and (name := f"{path.relative_to(ROOT).as_posix()}::{function}") not in MAY_BE_LONGER
    }
    assert long == {}, f"at most {FUNCTION_LINES_MAX} lines a function"


def test_the_measure_sees_functions_with_their_decorators(tmp_path: Path) -> None:
    path = tmp_path / "sample.py"
    path.write_text("@one\n@two\ndef outer():\n    def inner():\n        pass\n    return inner\n")
    assert sorted(functions(path)) == [("inner", 2), ("outer", 6)]
