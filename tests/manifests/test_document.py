"""YAML text to nodes with positions; the traps of YAML; limits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.manifests.document import BYTES_MAX, DEPTH_MAX, NODES_MAX, Document, read_documents
from reconciler.manifests.problem import Problem, ProblemCode


def only(text: str) -> Document:
    documents, problems = read_documents("f.yaml", text)
    assert not problems
    (document,) = documents
    return document


def problem_of(text: str) -> Problem:
    (problem,) = read_documents("f.yaml", text)[1]
    return problem


@pytest.mark.parametrize(
    "written",
    [
        "1.10",
        "1e5",
        "no",
        "yes",
        "on",
        "True",
        "12:30",
        "0755",
        "2026-12-20",
        "~",
        "0x1f",
        "1_000",
        "+5",
        ".5",
        "10%",
        "12345678901234567",
        "1234e5678901234567890123",
        ".inf",
        "=",
        "6.3.4",
    ],
)
def test_an_unquoted_scalar_stays_the_text_that_was_written(written: str) -> None:
    assert only(f"a: {written}").root.value == {"a": written}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("true", True),
        ("false", False),
        ("null", None),
        ("", None),
        ("0", 0),
        ("-7", -7),
        ("9999999999999999", 10**16 - 1),
    ],
)
def test_only_three_words_and_whole_numbers_are_more_than_text(written: str, value: object) -> None:
    assert only(f"a: {written}").root.value == {"a": value}


@pytest.mark.parametrize("quoted", ['"true"', "'5'", '"null"', '""'])
def test_a_quoted_scalar_is_text(quoted: str) -> None:
    assert only(f"a: {quoted}").root.value == {"a": quoted[1:-1]}


def test_every_value_and_key_knows_its_line_and_column() -> None:
    document = only("a:\n  - b: é x\n    cé: [1, 2]\n")
    item = document.root.at(("a", 0))
    assert item is not None
    number = item.at(("cé", 1))
    assert number is not None
    assert (number.line, number.column) == (3, 13)
    assert document.key_place(("a", 0, "cé")).column == 5
    assert str(document.key_place(("a",))) == "f.yaml:1:1"


def test_a_key_that_is_missing_is_placed_at_the_value_above() -> None:
    document = only("a:\n  b: 1\n")
    assert str(document.key_place(("a", "missing"))) == "f.yaml:2:3"


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_lines_are_counted_whatever_ends_them(line_end: str) -> None:
    document = only(f"a: 1{line_end}b: 2")
    node = document.root.at(("b",))
    assert node is not None
    assert (node.line, document.lines[1]) == (2, "b: 2")


def test_a_duplicate_key_names_both_places_and_the_first_value_stays() -> None:
    documents, (problem,) = read_documents("f.yaml", "os: 1\nx: 2\nos: 3\n")
    assert problem.code is ProblemCode.DUPLICATE_KEY
    assert str(problem.place) == "f.yaml:3:1"
    assert "line 1, column 1" in problem.message
    assert documents[0].root.value == {"os": 1, "x": 2}


@pytest.mark.parametrize(
    ("text", "code", "place"),
    [
        ("<<: {a: 1}", ProblemCode.FORBIDDEN_YAML, "f.yaml:1:1"),
        ("a: !!str 5", ProblemCode.FORBIDDEN_YAML, "f.yaml:1:4"),
        ("a: !custom {b: 1}", ProblemCode.FORBIDDEN_YAML, "f.yaml:1:4"),
        ("1: a", ProblemCode.FORBIDDEN_YAML, "f.yaml:1:1"),
        ("true: a", ProblemCode.FORBIDDEN_YAML, "f.yaml:1:1"),
        ("? [a, b]\n: c", ProblemCode.FORBIDDEN_YAML, "f.yaml:1:3"),
        ("a: &x [1, *x]", ProblemCode.FORBIDDEN_YAML, "f.yaml:1:11"),
        ("a: *nowhere", ProblemCode.FORBIDDEN_YAML, "f.yaml:1:4"),
        ("a:\n\tb: 1", ProblemCode.TAB, "f.yaml:2:1"),
        ("a:\n  b: 1\n  \tc: 2", ProblemCode.TAB, "f.yaml:3:3"),
        ("a: [1\nb: 2\n", ProblemCode.SYNTAX, "f.yaml:2:2"),
        ("a: @b", ProblemCode.SYNTAX, "f.yaml:1:4"),
        ("%YAML 3.0\n---\na: 1", ProblemCode.SYNTAX, "f.yaml:1:1"),
        ("\ufeffa: 1", ProblemCode.NOT_TEXT, "f.yaml:1:1"),
        ("a: 1\nb: \x00", ProblemCode.NOT_TEXT, "f.yaml:2:4"),
        ("a: \ud800", ProblemCode.NOT_TEXT, "f.yaml:1:4"),
        ("a: \x1b[31m", ProblemCode.NOT_TEXT, "f.yaml:1:4"),
        ("", ProblemCode.NO_MANIFEST, "f.yaml:1:1"),
        ("# all commented out\n", ProblemCode.NO_MANIFEST, "f.yaml:1:1"),
        ("---\n---\n", ProblemCode.NO_MANIFEST, "f.yaml:1:1"),
    ],
)
def test_what_yaml_has_and_manifests_do_without_is_refused_where_it_stands(
    text: str, code: ProblemCode, place: str
) -> None:
    problem = problem_of(text)
    assert (problem.code, str(problem.place)) == (code, place)


def test_a_syntax_error_names_both_of_its_places() -> None:
    problem = problem_of("first: 1\nlist: [1\nb: 2\n")
    assert problem.place.line == 3
    assert "begins at line 2" in problem.message
    assert problem.line == "b: 2"


def test_several_documents_in_a_file_are_several_and_empty_ones_are_passed_over() -> None:
    documents, problems = read_documents("f.yaml", "---\na: 1\n---\n# nothing\n---\nb: 2\n")
    assert not problems
    assert [document.root.value for document in documents] == [{"a": 1}, {"b": 2}]


def test_documents_before_a_syntax_error_are_still_read() -> None:
    documents, problems = read_documents("f.yaml", "a: 1\n---\nb: [")
    assert [document.root.value for document in documents] == [{"a": 1}]
    assert [problem.code for problem in problems] == [ProblemCode.SYNTAX]


def test_an_alias_repeats_the_value_and_place_of_its_anchor() -> None:
    document = only("a: &x {b: 1}\nc: *x\n")
    node = document.root.at(("c", "b"))
    assert document.root.value == {"a": {"b": 1}, "c": {"b": 1}}
    assert node is not None
    assert node.line == 1


def test_an_anchor_of_another_document_is_not_known() -> None:
    assert problem_of("a: &x 1\n---\nb: *x\n").code is ProblemCode.FORBIDDEN_YAML


def test_aliases_that_multiply_are_stopped_by_the_number_of_values() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    problem = problem_of("\n".join(lines))
    assert problem.code is ProblemCode.TOO_LARGE
    assert str(NODES_MAX) in problem.message


@pytest.mark.parametrize("opening", ["[", "{a: ", "- "])
def test_nesting_without_end_is_stopped_and_does_not_end_the_process(opening: str) -> None:
    problem = problem_of(opening * 200_000)
    assert problem.code is ProblemCode.TOO_LARGE
    assert str(DEPTH_MAX) in problem.message


def test_a_file_above_the_limit_is_not_parsed() -> None:
    assert problem_of("a: " + "x" * BYTES_MAX).code is ProblemCode.TOO_LARGE


def test_the_limit_counts_bytes_and_not_characters() -> None:
    assert problem_of("a: " + "é" * (BYTES_MAX // 2)).code is ProblemCode.TOO_LARGE


def test_a_file_full_of_values_at_the_limit_of_bytes_is_refused_soon() -> None:
    problem = problem_of("[" + "1," * (BYTES_MAX // 2 - 2) + "]")
    assert problem.code is ProblemCode.TOO_LARGE


@given(st.text())
@settings(max_examples=300, deadline=None)
def test_no_text_breaks_the_reader(text: str) -> None:
    documents, problems = read_documents("f.yaml", text)
    assert documents or problems


YAML_PIECES = st.sampled_from(
    [
        "a",
        "b: ",
        "- ",
        "\n",
        "  ",
        "\t",
        "[",
        "]",
        "{",
        "}",
        ",",
        ": ",
        "? ",
        "&x ",
        "*x",
        "!t ",
        "|",
        ">",
        "'",
        '"',
        "#",
        "---\n",
        "...\n",
        "%YAML 1.1\n",
        "<<: ",
        "1",
        "1.10",
        "null",
        "é",
        "\u2028",
        "\\",
        "\r",
        "@",
        "`",
        "\x85",
    ]
)


@given(st.lists(YAML_PIECES, max_size=40).map("".join))
@settings(max_examples=500, deadline=None)
def test_no_heap_of_yaml_signs_breaks_the_reader_and_every_problem_has_a_place(text: str) -> None:
    documents, problems = read_documents("f.yaml", text)
    assert documents or problems
    for problem in problems:
        assert 1 <= problem.place.line <= len(text.splitlines()) + 1
        assert problem.place.column >= 1
