"""What happened is told whole, in order, by rollout; and to machines as the published schema says."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any, get_args

import pytest
from jsonschema import Draft202012Validator

from reconciler.manifests.schema import load_schema
from reconciler.model.attempt import AttemptState
from reconciler.model.external_write import ExternalWrite
from reconciler.model.rollout import stories_of
from reconciler.model.rollout_entry import RolloutEntry, entry_kind
from reconciler.render.history import Chapter, One, attempts_of, chapters_of, last_of, rollouts_of, when
from reconciler.render.history_json import history_document, move_document, write_document
from reconciler.render.history_text import history_text
from reconciler.render.rollout_words import intent_in_words
from tests.fleet_samples import device_id
from tests.render.sample_history import ENTRIES, INTENT, STORY, later, took

WRITE = write_document(
    ExternalWrite(at=later(1), method="PUT", path="/v1/devices/1", status=200, answer="Update started"),
    {"application": 12, "lock": None},
    {"evidence": "effect"},
)


def ones_of(*chapters: Chapter) -> list[One]:
    return [one for chapter in chapters for happening in chapter.happenings for one in happening.ones]


def document(chapters: tuple[Chapter, ...]) -> dict[str, Any]:
    move = move_document(AttemptState.UNKNOWN, None, "the process ended")
    return history_document(
        chapters,
        {attempt_id: [move] for attempt_id in attempts_of(chapters)},
        {attempt_id: [WRITE] for attempt_id in attempts_of(chapters)},
        history=STORY,
        stories=stories_of(STORY.entries).values(),
        now=later(10),
        tool_version="0.1.0",
    )


@pytest.mark.parametrize("each_alone", [False, True])
def test_everything_is_told_once(each_alone: bool) -> None:
    everything = [*STORY.entries, *STORY.attempts, *STORY.on_products, *STORY.changes, *STORY.intents, *STORY.refused]
    told = ones_of(*chapters_of(STORY, each_alone=each_alone))
    assert len(told) == len(everything)
    assert {id(one) for one in told} == {id(one) for one in everything}


def test_a_chapter_tells_in_the_order_of_time() -> None:
    for chapter in chapters_of(STORY):
        assert all(earlier.at <= later_one.at for earlier, later_one in pairwise(chapter.happenings))


def test_like_steps_on_both_sides_of_a_turn_are_told_apart() -> None:
    (eu,) = (each for each in chapters_of(STORY) if each.rollout is not None and each.rollout.id == "eu-9c1e")
    locks = [len(each.ones) for each in eu.happenings if each.ones[0] in STORY.attempts]
    assert locks == [2, 2, 45, 4]


def test_the_second_try_of_a_device_is_told_after_what_lies_between() -> None:
    again = replace(STORY, attempts=(*STORY.attempts, took(8, later(8.2))))
    (eu,) = (each for each in chapters_of(again) if each.rollout is not None and each.rollout.id == "eu-9c1e")
    told = [type(each.ones[0]).__name__ for each in eu.happenings][-5:]
    assert told == ["Attempt", "ConsoleChange", "Attempt", "WaveCompleted", "RolloutCompleted"]


def test_an_approval_after_the_end_of_a_rollout_belongs_to_the_next_one() -> None:
    first, second = (each for each in chapters_of(STORY) if each.fleet == "eu")
    assert "approved" not in history_text([first])
    assert "approved by ada" in history_text([second])


def test_attempts_before_any_rollout_have_a_chapter_of_their_own() -> None:
    early = replace(STORY, attempts=(took(1, later(-1)), *STORY.attempts))
    (alone,) = (each for each in chapters_of(early) if each.fleet == "eu" and each.rollout is None)
    assert len(alone.happenings) == 1


@pytest.mark.parametrize("limit", [1, 5, 12, 1000])
def test_the_last_ones_are_the_latest_and_as_many_as_were_asked_for(limit: int) -> None:
    chapters = chapters_of(STORY)
    everything = sorted(happening.at for chapter in chapters for happening in chapter.happenings)
    last = [happening.at for chapter in last_of(chapters, limit) for happening in chapter.happenings]
    assert sorted(last) == everything[-limit:]


def test_what_was_desired_when_is_a_chapter_and_commits_that_change_nothing_are_one_line_of_it() -> None:
    (manifests,) = (each for each in chapters_of(STORY) if each.fleet is None)
    assert [len(each.ones) for each in manifests.happenings] == [3, 1, 1]
    text = history_text([manifests])
    assert "2 later commits asked for the same" in text
    assert "by the word of ada" in text
    assert "is not taken" in text


def test_of_one_device_nothing_else_is_told() -> None:
    text = history_text(chapters_of(STORY, device_id=device_id(5), each_alone=True))
    assert "came back in safe mode" in text
    assert "4 resets in 10 min" in text
    assert device_id(6) not in text


def test_a_rollout_is_shown_as_it_was_at_its_end() -> None:
    assert [(each.id, each.state.value) for each in rollouts_of(ENTRIES)] == [
        ("eu-7d21", "superseded"),
        ("eu-9c1e", "complete"),
    ]


@pytest.mark.parametrize("width", [60, 100, 120])
def test_no_line_is_wider_than_the_page_and_none_moves_the_cursor(width: int) -> None:
    lines = history_text(chapters_of(STORY), width=width).splitlines()
    assert max(map(len, lines)) <= width
    assert all(character.isprintable() for line in lines for character in line)


def test_the_document_is_what_the_published_schema_describes() -> None:
    made = document(chapters_of(STORY, each_alone=True))
    assert [each.message for each in Draft202012Validator(load_schema("history")).iter_errors(made)] == []
    assert len(made["attempts"]) == len(STORY.attempts)
    assert [each["fleet"] for each in made["halts"]] == ["us"]
    assert [each["fleet"] for each in made["suspensions"]] == ["asia"]
    assert [(each["revision"][:12], each["by"]) for each in made["intents"]][-2:] == [
        ("main@sha1:3c", None),
        ("main@sha1:5e", "ada"),
    ]
    assert [(each["code"], each["signer"]) for each in made["refused_revisions"]] == [("PFR6517", None)]


def test_the_schema_knows_every_kind_of_entry_and_so_does_the_sample() -> None:
    kinds = load_schema("history")["$defs"]["entry"]["properties"]["kind"]["enum"]
    assert {entry_kind(entry) for entry in ENTRIES} == set(kinds)
    assert {type(entry) for entry in ENTRIES} == set(get_args(RolloutEntry))


def test_entries_tell_machines_in_which_rollout_they_were_noted() -> None:
    made = document(chapters_of(STORY, each_alone=True))
    assert {(each["kind"], each["rollout"]) for each in made["entries"] if each["fleet"] == "us"} == {("halted", None)}
    assert [each["rollout"] for each in made["entries"] if each["kind"] == "approved"] == ["eu-9c1e"]


@pytest.mark.parametrize(
    ("intent", "words"),
    [
        (INTENT, "Device OS 6.3.4 and logger 44"),
        ("6.3.4 full -", "Device OS 6.3.4 (full)"),
        ("- required logger:44", "logger 44"),
        ("- required -", "nothing"),
        ("whatever", "whatever"),
    ],
)
def test_an_intent_is_told_in_words(intent: str, words: str) -> None:
    assert intent_in_words(intent) == words


def test_the_story_is_in_order() -> None:
    assert list(map(when, ENTRIES)) == sorted(map(when, ENTRIES))
