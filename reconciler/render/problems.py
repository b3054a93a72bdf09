"""Problems of manifests as text for people and in the formats that CI systems read.

- text: `FILE:LINE:COLUMN: CODE message`, the offending line with a caret, the suggestion.
- json: our own document. github: workflow commands, which become annotations.
- sarif: SARIF 2.1.0 for code scanning. junit: one test case a file, for test reports.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote
from xml.etree import ElementTree as ET

from reconciler.manifests.problem import Problem, ProblemCode

FORMAT_VERSION: Final = "1.0"

_LINE_MAX: Final = 160
"""Longest part of an offending line that is shown, in characters."""

_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def problems_as_text(problems: Sequence[Problem]) -> str:
    """One paragraph a problem."""
    return "\n".join(_paragraph(problem) for problem in problems)


def _paragraph(problem: Problem) -> str:
    lines = [f"{problem.place}: {problem.code} {_one_line(problem.message)}"]
    if problem.line.strip():
        lines.extend(_pointed(problem.line, problem.place.column))
    if problem.suggestion:
        lines.append(f"    {_one_line(problem.suggestion)}")
    return "\n".join(lines)


def _pointed(line: str, column: int) -> tuple[str, str]:
    """The line and a caret below the column; a long line is cut around it. Tabs stay, for the caret's sake."""
    shown = "".join(
        character if character.isprintable() or character == "\t" else "\N{REPLACEMENT CHARACTER}" for character in line
    )
    start = max(0, column - 1 - _LINE_MAX // 2) if len(shown) > _LINE_MAX else 0
    part = shown[start : start + _LINE_MAX]
    padding = "".join("\t" if character == "\t" else " " for character in part[: column - 1 - start])
    return f"    {part}", f"    {padding}^"


def problems_as_json(problems: Sequence[Problem], files: Sequence[str]) -> str:
    """`{"format_version", "valid", "files", "problems": [{file, line, column, code, message, suggestion, text}]}`."""
    document = {
        "format_version": FORMAT_VERSION,
        "valid": not problems,
        "files": list(files),
        "problems": [
            {
                "file": problem.place.file,
                "line": problem.place.line,
                "column": problem.place.column,
                "code": str(problem.code),
                "message": problem.message,
                "suggestion": problem.suggestion,
                "text": problem.line,
            }
            for problem in problems
        ],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def problems_as_github(problems: Sequence[Problem]) -> str:
    """One `::error` workflow command a problem; nothing when there is none."""
    return "\n".join(
        f"::error file={_property(problem.place.file)},line={problem.place.line},col={problem.place.column},"
        f"title={_property(str(problem.code))}::{_data(_with_suggestion(problem))}"
        for problem in problems
    )


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def problems_as_sarif(problems: Sequence[Problem], *, version: str) -> str:
    """A SARIF 2.1.0 log with one run; `version` is that of this program."""
    rules = sorted({problem.code for problem in problems})
    log = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {"name": "reconciler", "version": version, "rules": [_rule(code) for code in rules]}
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(problem, rules.index(problem.code)) for problem in problems],
            }
        ],
    }
    return json.dumps(log, indent=2, ensure_ascii=False)


def _rule(code: ProblemCode) -> dict[str, Any]:
    return {
        "id": str(code),
        "name": code.name.title().replace("_", ""),
        "shortDescription": {"text": code.headline},
        "defaultConfiguration": {"level": "error"},
    }


def _result(problem: Problem, rule_index: int) -> dict[str, Any]:
    region: dict[str, Any] = {"startLine": problem.place.line, "startColumn": problem.place.column}
    if problem.line:
        region["snippet"] = {"text": problem.line}
    return {
        "ruleId": str(problem.code),
        "ruleIndex": rule_index,
        "level": "error",
        "message": {"text": _with_suggestion(problem)},
        "locations": [
            {"physicalLocation": {"artifactLocation": {"uri": quote(problem.place.file)}, "region": region}},
        ],
    }


def problems_as_junit(problems: Sequence[Problem], files: Sequence[str]) -> str:
    """A JUnit report: one test case a file, and a failure in it that tells all of its problems."""
    names = tuple(dict.fromkeys((*files, *(problem.place.file for problem in problems))))
    failed = {problem.place.file for problem in problems}
    counts = {"tests": str(len(names)), "failures": str(len(failed)), "errors": "0", "time": "0"}
    root = ET.Element("testsuites", counts)
    suite = ET.SubElement(root, "testsuite", {"name": "manifests", "skipped": "0", **counts})
    for name in names:
        case = ET.SubElement(
            suite, "testcase", {"name": _xml(name), "classname": "manifests", "file": _xml(name), "time": "0"}
        )
        own = [problem for problem in problems if problem.place.file == name]
        if own:
            attributes = {"message": _xml(f"{own[0].code} {own[0].message}"), "type": str(own[0].code)}
            ET.SubElement(case, "failure", attributes).text = _xml(problems_as_text(own))
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode")


def _with_suggestion(problem: Problem) -> str:
    return f"{problem.message} ({problem.suggestion})" if problem.suggestion else problem.message


def _one_line(text: str) -> str:
    """No line break or control character of a manifest forges a line of ours."""
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _xml(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
