"""The plan as a comment. To change the goldens: REWRITE_GOLDENS=1 pytest tests/render, then read the diff."""

from __future__ import annotations

import html
import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from reconciler.model.fleet import DesiredApplication
from reconciler.model.plan import FleetPlan, Plan, RefusalReason, Refused, Waiting, WaitingReason
from reconciler.model.version import ApplicationVersion
from reconciler.render.ink import harmless
from reconciler.render.markdown import Section, fitted, safe
from reconciler.render.plan_markdown import BYTES_MAX, BYTES_MIN, plan_markdown
from tests.render.sample_plan import (
    ARGON_REPAIR,
    BORON_ROUTE,
    COLD_CHAIN,
    COLD_CHAIN_PLAN,
    NOTHING_TO_DO,
    OLD_BORON_ROUTE,
    PLAN,
    WORKSHOP_PLAN,
    ids,
)

GOLDENS = Path(__file__).parent / "goldens"
READER = MarkdownIt("commonmark").enable("table")


def big_fleet(name: str, number: int) -> FleetPlan:
    """A fleet with many kinds of route, refusals and waiting reasons."""
    routes = tuple(
        replace(
            OLD_BORON_ROUTE,
            situation=replace(OLD_BORON_ROUTE.situation, application=application),
            devices=ids(100 * application, application % 90 + 1),
        )
        for application in range(number)
    )
    refused = tuple(
        Refused(reason=RefusalReason.NO_ROUTE, message=f"because of need {each}", devices=ids(each, 2))
        for each in range(number)
    )
    return replace(COLD_CHAIN_PLAN, fleet=replace(COLD_CHAIN, name=name), routes=routes, refused=refused)


BIG = replace(PLAN, fleets=(big_fleet("big", 400), COLD_CHAIN_PLAN, WORKSHOP_PLAN))
TEXTS = {
    "plan": plan_markdown(PLAN, plan_id="plan-main-3f9c1e0b2a"),
    "plan-nothing": plan_markdown(NOTHING_TO_DO, plan_id="plan-local-0000000000"),
    "plan-cut": plan_markdown(BIG, plan_id="plan-main-3f9c1e0b2a", bytes_max=BYTES_MIN),
}


def tables(text: str) -> list[list[list[str]]]:
    """Every table as a reader of Markdown sees it: rows of cells."""
    found: list[list[list[str]]] = []
    for token, inside in _with_next(READER.parse(text)):
        match token.type:
            case "table_open":
                found.append([])
            case "tr_open":
                found[-1].append([])
            case "th_open" | "td_open":
                found[-1][-1].append("".join(child.content for child in inside.children or ()))
    return found


def _with_next(tokens: list[Token]) -> Iterator[tuple[Token, Token]]:
    return zip(tokens, [*tokens[1:], tokens[-1]], strict=True)


def kinds_of_inline(text: str) -> Counter[str]:
    return Counter(
        child.type for token in READER.parseInline(text) for child in token.children or () if child.type != "text"
    )


@pytest.mark.parametrize("name", TEXTS)
def test_the_comment_is_the_golden(name: str) -> None:
    golden = GOLDENS / f"{name}.md"
    if os.environ.get("REWRITE_GOLDENS"):
        golden.write_text(TEXTS[name], encoding="utf-8")
    assert TEXTS[name] == golden.read_text(encoding="utf-8")


def test_every_golden_belongs_to_a_comment() -> None:
    assert {path.stem for path in GOLDENS.glob("*.md")} == set(TEXTS)


def test_a_reader_of_markdown_sees_whole_tables_with_the_largest_first() -> None:
    by_head = {tuple(rows[0][:3]): rows[1:] for rows in tables(TEXTS["plan"])}
    assert [row[0] for row in by_head["Devices", "Fleet", "Change"]] == ["34", "2", "1", "1"]
    assert [row[:2] for row in by_head["Devices", "", "Fleet"]] == [
        ["6", "refused"],
        ["1", "refused"],
        ["44", "waiting"],
    ]
    assert [row[0] for row in by_head["Fleet", "Should run", "Devices"]] == ["cold-chain-eu", "workshop"]
    assert all(len({len(row) for row in rows}) == 1 for rows in tables(TEXTS["plan"]))


def test_a_plan_that_fits_is_not_cut() -> None:
    assert "left out" not in TEXTS["plan"]
    assert TEXTS["plan"].count("<details>") == TEXTS["plan"].count("</details>") == 4


def test_a_cut_says_how_much_was_left_out_and_leaves_nothing_open() -> None:
    text = TEXTS["plan-cut"]
    assert re.search(r"\*\*… \d+ reasons of \d+ devices left out here\*\*", text)
    assert re.search(r"\*\*… 40\d kinds of route of [\d,]+ devices left out here\*\*", text)
    assert text.count("<details>") == text.count("</details>")
    assert text.endswith("\n")


def test_what_is_shown_and_what_is_left_out_add_up() -> None:
    text = plan_markdown(BIG, plan_id="p", bytes_max=40_000)
    (reasons,) = [rows[1:] for rows in tables(text) if rows[0][:3] == ["Devices", "", "Fleet"]]
    left = re.search(r"… ([\d,]+) reasons? of ([\d,]+) devices left out", text)
    missing = (0, 0) if left is None else tuple(int(number.replace(",", "")) for number in left.groups())
    entries = [entry for fleet in BIG.fleets for entry in (*fleet.refused, *fleet.waiting)]
    assert len(reasons) + missing[0] == len(entries)
    assert sum(int(row[0].replace(",", "")) for row in reasons) + missing[1] == sum(len(e.devices) for e in entries)


def test_warnings_come_before_routes_when_not_everything_fits() -> None:
    text = plan_markdown(BIG, plan_id="p", bytes_max=BYTES_MIN)
    assert text.index("### Not now, and why") < text.index("kinds of route")
    assert "### Routes" not in text


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        (replace(PLAN, complete=False), "The observation is not complete"),
        (PLAN, "**1 finding** of the observation"),
        (PLAN, "6 `downgrade_refused` (PFR2001), 1 `unknown_platform` (PFR2004)"),
        (PLAN, "**44 devices waiting:** 44 `offline` (PFR2101)"),
        (PLAN, "**2 files of unknown size:**"),
        (PLAN, "**2 boots into safe mode,**"),
        (PLAN, "**1 fleet held:**"),
    ],
)
def test_every_kind_of_warning_has_its_line(plan: Plan, words: str) -> None:
    assert words in plan_markdown(plan, plan_id="p", bytes_max=BYTES_MIN)
    assert words not in plan_markdown(NOTHING_TO_DO, plan_id="p")


def test_a_plan_without_anything_to_warn_of_does_not() -> None:
    assert "Warnings" not in TEXTS["plan-nothing"]


def test_the_comment_depends_on_no_order() -> None:
    backwards = replace(
        PLAN,
        fleets=tuple(
            replace(fleet, routes=fleet.routes[::-1], refused=fleet.refused[::-1], waiting=fleet.waiting[::-1])
            for fleet in PLAN.fleets[::-1]
        ),
    )
    assert plan_markdown(backwards, plan_id="p") == plan_markdown(PLAN, plan_id="p")


def test_too_small_a_budget_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 6000 bytes"):
        plan_markdown(PLAN, plan_id="p", bytes_max=BYTES_MIN - 1)
    with pytest.raises(ValueError, match="10 bytes are too few: 16 are needed"):
        fitted("core\n", [Section(head="", items=["item"], left_out=lambda _: "cut")], 10)


@pytest.mark.parametrize(
    "text",
    [
        "a | b",
        "`rm -rf`",
        "<img src=x onerror=alert(1)>",
        "</details><script>",
        "*bold* _slanted_ ~~gone~~",
        "[click](javascript:alert(1))",
        "![](https://evil.example/pixel.png)",
        "https://evil.example/ www.evil.example",
        "&lt;b&gt; &#124;",
        "a\\|b",
        "$x$",
        "one\r\n\r\n# two\u2028three",
    ],
)
def test_a_stranger_s_text_is_only_text(text: str) -> None:
    shown = safe(text)
    assert kinds_of_inline(shown) == {}
    assert "\n" not in shown
    (rows,) = tables(f"| a | b |\n| --- | --- |\n| {shown} | x |\n")
    assert rows[1][1] == "x"
    assert rows[1][0].replace("\u2060", "") == " ".join(text.split())


@pytest.mark.parametrize("text", ["@acme/owners look", "fixes #12", "me@example.org"])
def test_a_stranger_s_text_mentions_nobody_and_refers_to_nothing(text: str) -> None:
    assert not re.search(r"@\w|#\d", html.unescape(safe(text)))


@given(st.text())
def test_any_text_reads_as_itself_and_does_nothing(text: str) -> None:
    shown = safe(text, limit=10_000)
    assert not set(shown) & set("|`<>*_[]\\\n\r")
    assert html.unescape(shown).replace("\u2060", "") == harmless(" ".join(text.split()))


def test_a_long_text_is_cut_with_an_ellipsis() -> None:
    assert safe("x" * 500, limit=10) == "x" * 9 + "…"


def test_names_of_strangers_break_no_table_of_a_plan() -> None:
    evil = "x | y </details> `z` \x1b[2J\n\n# head @team #1"
    fleet = replace(
        COLD_CHAIN_PLAN,
        fleet=replace(
            COLD_CHAIN,
            name=evil,
            desired=replace(
                COLD_CHAIN.desired, application=DesiredApplication(release=evil, version=ApplicationVersion(44))
            ),
        ),
        refused=tuple(replace(entry, message=evil) for entry in COLD_CHAIN_PLAN.refused),
        waiting=tuple(replace(entry, message=evil) for entry in COLD_CHAIN_PLAN.waiting),
    )
    source = replace(PLAN.source, revision=evil)
    text = plan_markdown(replace(PLAN, fleets=(fleet,), findings=(evil,), source=source), plan_id=evil)
    tame = plan_markdown(replace(PLAN, fleets=(COLD_CHAIN_PLAN,)), plan_id="p")
    assert [[len(row) for row in rows] for rows in tables(text)] == [
        [len(row) for row in rows] for rows in tables(tame)
    ]
    assert text.count("</details>") == tame.count("</details>")
    assert text.count("\n") == tame.count("\n")
    assert "\x1b" not in text


STRANGE = st.text(max_size=40) | st.sampled_from(["@" * 400, "|" * 300, "東" * 300, "\ud800", "x" * 5000])
NUMBERS = st.integers(min_value=0, max_value=120)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    fleets = []
    for number in range(draw(st.integers(min_value=0, max_value=12))):
        big = big_fleet(f"{number} {draw(STRANGE)}", draw(NUMBERS))
        waiting = tuple(
            Waiting(reason=reason, message=draw(STRANGE), devices=ids(each, draw(NUMBERS) + 1))
            for each, reason in enumerate(draw(st.lists(st.sampled_from(WaitingReason), max_size=20)))
        )
        refused = tuple(Refused(reason=reason, message=draw(STRANGE), devices=ids(0, 3)) for reason in RefusalReason)
        routes = (*big.routes, *draw(st.sampled_from([(), (BORON_ROUTE,), (ARGON_REPAIR,)])))
        fleets.append(replace(big, routes=routes, waiting=waiting, refused=(*big.refused, *refused)))
    return replace(
        PLAN,
        fleets=tuple(fleets),
        complete=draw(st.booleans()),
        findings=tuple(draw(st.lists(STRANGE, max_size=30))) * draw(st.sampled_from([1, 50])),
        source=replace(PLAN.source, revision=draw(STRANGE)),
    )


@settings(max_examples=25, deadline=None)
@given(
    plan=plans(),
    plan_id=STRANGE,
    bytes_max=st.integers(min_value=BYTES_MIN, max_value=BYTES_MAX),
    compared=st.lists(STRANGE.map(harmless) | st.just("! PFR2901: the fleet shrinks"), max_size=40),
)
def test_never_above_the_budget_and_counts_verdict_and_warnings_always_there(
    plan: Plan, plan_id: str, bytes_max: int, compared: list[str]
) -> None:
    text = plan_markdown(plan, plan_id=plan_id, bytes_max=bytes_max, compared=compared)
    assert len(text.encode()) <= bytes_max
    summary = plan.summary
    assert (
        f"{summary.upgrade:,} to upgrade, {summary.current:,} as desired, {summary.waiting:,} waiting, "
        f"{summary.refused:,} refused"
    ) in text
    assert re.search(r"^> (Plan: |Nothing to do)", text, re.MULTILINE)
    assert ("The observation is not complete" in text) is not plan.complete
    for entry in (entry for fleet in plan.fleets for entry in (*fleet.refused, *fleet.waiting)):
        assert entry.reason.code in text
    warnings = sum(line.startswith("! ") for line in compared)
    assert (f"{warnings} warning" in text) or not warnings
    if plan.findings:
        assert f"finding{'' if len(plan.findings) == 1 else 's'}** of the observation" in text
    assert text.count("<details>") == text.count("</details>")
