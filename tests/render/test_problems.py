"""Problems as text, JSON, workflow commands, SARIF and JUnit."""

from __future__ import annotations

import json
from xml.etree import ElementTree as ET

from reconciler.manifests import Problem, ProblemCode
from reconciler.model.fleet import Place
from reconciler.render.problems import (
    problems_as_github,
    problems_as_json,
    problems_as_junit,
    problems_as_sarif,
    problems_as_text,
)

PLAIN = Problem(
    place=Place("fleets/a b.yaml", 3, 5),
    code=ProblemCode.UNKNOWN_FIELD,
    message="unknown field 'selekt'",
    line="    selekt: {}",
    suggestion="did you mean 'select'?",
)
BARE = Problem(place=Place("z.yaml", 1, 1), code=ProblemCode.NO_MANIFEST, message="the file holds no manifest")
HOSTILE = Problem(
    place=Place("a,b:c.yaml", 1, 3),
    code=ProblemCode.NOT_TEXT,
    message="100% of\r\n::error::<b> & \x1b[31m",
    line="\t\x00\x1b]0;title\x07 <&>",
)


def test_text_is_place_code_message_line_caret_and_suggestion() -> None:
    assert problems_as_text([PLAIN, BARE]).splitlines() == [
        "fleets/a b.yaml:3:5: PFR1102 unknown field 'selekt'",
        "        selekt: {}",
        "        ^",
        "    did you mean 'select'?",
        "z.yaml:1:1: PFR1008 the file holds no manifest",
    ]


def test_text_lets_no_manifest_forge_lines_or_steer_the_terminal() -> None:
    lines = problems_as_text([HOSTILE]).split("\n")
    assert len(lines) == 3
    assert not any(ord(character) < 32 and character != "\t" for line in lines for character in line)


def test_the_caret_stands_below_its_column_after_tabs() -> None:
    _, line, caret = problems_as_text([HOSTILE]).split("\n")
    assert caret == "    \t ^"
    assert line[4] == "\t"


def test_a_long_line_is_cut_around_the_caret() -> None:
    written = "x" * 5000 + "HERE" + "y" * 5000
    problem = Problem(place=Place("f", 1, 5001), code=ProblemCode.SYNTAX, message="m", line=written)
    _, line, caret = problems_as_text([problem]).splitlines()
    assert len(line) < 200
    assert line[caret.index("^") :].startswith("HERE")


def test_json_has_every_part_and_says_whether_all_is_valid() -> None:
    document = json.loads(problems_as_json([PLAIN], ["fleets/a b.yaml", "b.yaml"]))
    assert document == {
        "format_version": "1.0",
        "valid": False,
        "files": ["fleets/a b.yaml", "b.yaml"],
        "problems": [
            {
                "file": "fleets/a b.yaml",
                "line": 3,
                "column": 5,
                "code": "PFR1102",
                "message": "unknown field 'selekt'",
                "suggestion": "did you mean 'select'?",
                "text": "    selekt: {}",
            }
        ],
    }
    assert json.loads(problems_as_json([], ["b.yaml"]))["valid"] is True


def test_a_workflow_command_is_one_escaped_line() -> None:
    lines = problems_as_github([PLAIN, HOSTILE]).split("\n")
    assert lines[0] == (
        "::error file=fleets/a b.yaml,line=3,col=5,title=PFR1102::unknown field 'selekt' (did you mean 'select'?)"
    )
    assert lines[1].startswith("::error file=a%2Cb%3Ac.yaml,line=1,col=3,title=PFR1002::100%25 of%0D%0A::error::")
    assert len(lines) == 2


def test_no_problem_is_no_workflow_command() -> None:
    assert problems_as_github([]) == ""


def test_sarif_has_what_the_standard_requires() -> None:
    log = json.loads(problems_as_sarif([PLAIN, BARE, PLAIN], version="0.1.0"))
    assert log["version"] == "2.1.0"
    (run,) = log["runs"]
    driver = run["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("reconciler", "0.1.0")
    assert [rule["id"] for rule in driver["rules"]] == ["PFR1008", "PFR1102"]
    assert all(rule["shortDescription"]["text"] for rule in driver["rules"])
    for result, problem in zip(run["results"], [PLAIN, BARE, PLAIN], strict=True):
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == problem.code
        assert result["level"] == "error"
        assert problem.message in result["message"]["text"]
        (location,) = result["locations"]
        region = location["physicalLocation"]["region"]
        assert (region["startLine"], region["startColumn"]) == (problem.place.line, problem.place.column)


def test_sarif_places_are_uris() -> None:
    log = json.loads(problems_as_sarif([PLAIN], version="0"))
    location = log["runs"][0]["results"][0]["locations"][0]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "fleets/a%20b.yaml"


def test_sarif_without_problems_is_a_run_without_results() -> None:
    assert json.loads(problems_as_sarif([], version="0"))["runs"][0]["results"] == []


def test_junit_has_a_test_case_for_every_file_and_counts_right() -> None:
    root = ET.fromstring(problems_as_junit([PLAIN, PLAIN, BARE], ["fleets/a b.yaml", "good.yaml"]))
    suite = root.find("testsuite")
    assert suite is not None
    assert root.tag == "testsuites"
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "2", "0")
    cases = {case.get("name"): case.findall("failure") for case in suite.findall("testcase")}
    assert {name: len(failures) for name, failures in cases.items()} == {
        "fleets/a b.yaml": 1,
        "good.yaml": 0,
        "z.yaml": 1,
    }
    failure = cases["fleets/a b.yaml"][0]
    assert failure.get("type") == "PFR1102"
    assert (failure.text or "").count("PFR1102 unknown field") == 2


def test_junit_is_well_formed_whatever_a_manifest_holds() -> None:
    root = ET.fromstring(problems_as_junit([HOSTILE], []))
    assert root.find("testsuite/testcase/failure") is not None
