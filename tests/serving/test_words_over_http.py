"""The words of a person over HTTP: said to the journal as commands say them, by the token's name, and never twice."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from reconciler.cli.main import cli
from reconciler.journal.memory import MemoryJournal
from reconciler.journal.sqlite import SqliteJournal
from reconciler.model.attempt import FailureClass
from reconciler.model.error import JournalError
from reconciler.model.instant import Instant
from reconciler.model.rollout import FleetStory, story_of
from reconciler.model.rollout_entry import Approved, RolloutEntry
from reconciler.settings.settings import Role
from tests.fleet_samples import NOW, attempt, device_id
from tests.serving.desk import FLEET, SOURCE, Client, FakeDesk, a_journal, serving, settings_in


def entries(client: Client) -> list[RolloutEntry]:
    return [noted.entry for noted in client.desk.journal.entries()]


def story(client: Client) -> FleetStory:
    return story_of(FLEET, entries(client))


def failed_device(client: Client) -> None:
    begun = attempt(id="a2", device_id=device_id(2), fleet=FLEET, intended_at=Instant(NOW - 50))
    client.desk.journal.begin(begun)
    client.desk.journal.record(begun.failed(FailureClass.INSTALL, "bad block", Instant(NOW - 40)))


def test_a_halt_is_in_the_journal_by_the_tokens_name_before_it_is_answered(client: Client) -> None:
    said = client.say("halt", {"fleets": [FLEET], "reason": "smoke"})
    assert said.status_code == 200, said.text
    (halt,) = client.desk.journal.halts()
    assert (halt.fleet, halt.reason, halt.by) == (FLEET, "smoke", "ada-operate")
    (result,) = said.json()["results"]
    assert "the run that is going on hears it in its next pass; 1 step under way ends first" in result["message"]


def test_all_fleets_are_halted_also_those_that_nothing_happened_to(client: Client) -> None:
    assert client.say("halt", {"all": True}).status_code == 200
    assert {halt.fleet for halt in client.desk.journal.halts()} == {FLEET, "workshop"}


def test_a_slip_of_the_pen_is_no_halt_and_the_other_fleet_is_halted_all_the_same(client: Client) -> None:
    said = client.say("halt", {"fleets": ["cold-chain-au", FLEET]})
    problem = said.json()
    assert (said.status_code, problem["code"]) == (409, "PFR6921")
    assert "did you mean cold-chain-eu" in problem["detail"]
    assert [each["done"] for each in problem["word"]["results"]] == [False, True]
    assert [halt.fleet for halt in client.desk.journal.halts()] == [FLEET]


def test_a_suspension_is_resumed(client: Client) -> None:
    assert client.say("suspend", {"fleet": FLEET, "reason": "fair", "until": "2h"}).status_code == 200
    assert story(client).is_suspended(Instant(NOW + 7000))
    assert client.say("resume", {"fleet": FLEET}).status_code == 200
    assert story(client).suspended is None
    assert client.say("resume", {"fleet": FLEET}).status_code == 409


def test_a_device_is_tried_again(client: Client) -> None:
    failed_device(client)
    assert client.say("retry", {"devices": [device_id(2).upper()]}).status_code == 200
    assert set(story(client).retried) == {device_id(2)}
    assert client.say("retry", {"fleet": FLEET}).status_code == 409, "nothing has failed since"


def test_the_plan_that_is_shown_is_approved_by_its_id_and_digest(client: Client) -> None:
    plan = client.get("/v1/plans").json()
    body = {"plan_id": plan["plan_id"], "digest": plan["digest"], "fleets": [FLEET]}
    said = client.say("approve", body, Role.APPROVE)
    assert said.status_code == 200, said.text
    (word,) = (entry for entry in entries(client) if isinstance(entry, Approved))
    assert (word.fleet, word.digest, word.by) == (FLEET, plan["digest"], "ada-approve")
    assert client.desk.journal.plan(plan["plan_id"]) is not None, "it stays approved while it is carried out"
    client.desk.planned = None
    assert "already, by ada-approve" in client.say("approve", body, Role.APPROVE).text


def test_another_plan_than_was_looked_at_is_not_approved(client: Client) -> None:
    plan_id = client.get("/v1/plans").json()["plan_id"]
    assert client.say("approve", {"plan_id": plan_id, "digest": "sha256:0"}).status_code == 409
    assert client.say("approve", {"plan_id": "plan-of-nobody"}).json()["code"] == "PFR6721"
    assert client.say("approve", {"plan_id": plan_id, "waves": ["tuesday"]}).json()["code"] == "PFR6722"
    client.desk.time = Instant(NOW + 10 * 86400)
    assert client.say("approve", {"plan_id": plan_id}).json()["code"] == "PFR6404"
    assert entries(client) == []


def test_reconcile_and_accept_are_bookmarks_that_the_loop_hears(client: Client) -> None:
    assert client.say("reconcile", {}).status_code == 200
    assert client.say("reconcile", {"fleet": FLEET}).status_code == 200
    assert set(client.desk.journal.bookmarks("reconcile/")) == {"reconcile/*", f"reconcile/{FLEET}"}
    assert client.say("accept", {"commit": "a" * 40}).status_code == 200
    assert set(client.desk.journal.bookmarks("accept/")) == {f"accept/{SOURCE}"}


WRONG: list[tuple[str, Any]] = [
    ("halt", {}),
    ("halt", {"fleets": [FLEET], "all": True}),
    ("halt", {"all": False}),
    ("halt", {"fleets": []}),
    ("halt", {"fleets": FLEET}),
    ("halt", {"fleets": [FLEET], "by": "somebody else"}),
    ("halt", [FLEET]),
    ("suspend", {"fleet": FLEET}),
    ("suspend", {"fleet": FLEET, "reason": "r", "until": "soon"}),
    ("suspend", {"fleet": FLEET, "reason": "r", "until": "2001-01-01"}),
    ("suspend", {"fleet": FLEET, "reason": "r", "until": "999999w"}),
    ("resume", {}),
    ("resume", {"devices": [device_id(1)], "latched": True}),
    ("resume", {"product": 0}),
    ("retry", {"devices": ["pump-1"]}),
    ("retry", {"devices": [device_id(1)], "fleet": FLEET}),
    ("approve", {}),
    ("reconcile", {"fleet": 7}),
    ("accept", {"commit": "main"}),
]


@pytest.mark.parametrize(("word", "body"), WRONG)
def test_a_body_that_is_not_what_the_word_takes_changes_nothing(client: Client, word: str, body: Any) -> None:
    said = client.say(word, body)
    assert (said.status_code, said.json()["code"]) == (400, "PFR6916"), said.text
    assert entries(client) == []
    assert not client.desk.journal.bookmarks("")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[" * 50_000, b'{"fleets": ["\\ud800"]}', b"1" * 60_000])
def test_a_body_that_is_no_json_is_refused(client: Client, content: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    assert client.ask("POST", "/v1/words/halt", headers=headers, data=content).json()["code"] == "PFR6916"
    assert client.desk.journal.halts() == ()


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_what_a_page_could_send_without_asking_is_no_word(client: Client, kind: str) -> None:
    headers = {"Content-Type": kind}
    said = client.ask("POST", "/v1/words/halt", headers=headers, data=b'{"all": true}')
    assert (said.status_code, said.json()["code"]) == (415, "PFR6918")
    assert client.desk.journal.halts() == ()


# --- the same word again ---


def keyed(client: Client, word: str, body: Any, key: str = "k1", role: Role = Role.OPERATE) -> Any:
    return client.say(word, body, role, headers={"Idempotency-Key": key})


def test_a_word_that_comes_twice_with_its_key_is_said_once_and_answered_alike(client: Client) -> None:
    body = {"fleet": FLEET, "reason": "fair"}
    first, second = keyed(client, "suspend", body), keyed(client, "suspend", body)
    assert first.json() == second.json()
    assert len(entries(client)) == 1
    keyed(client, "suspend", body, key="k2")
    assert len(entries(client)) == 2


def test_a_repeated_resume_does_not_lift_a_later_halt(client: Client) -> None:
    client.say("halt", {"fleets": [FLEET]})
    assert keyed(client, "resume", {"fleet": FLEET}).status_code == 200
    client.say("halt", {"fleets": [FLEET], "reason": "smoke again"})
    assert keyed(client, "resume", {"fleet": FLEET}).status_code == 200
    assert story(client).halted is not None


def test_what_was_not_done_is_answered_alike_too(client: Client) -> None:
    first = keyed(client, "halt", {"fleets": ["nobody", FLEET]})
    second = keyed(client, "halt", {"fleets": ["nobody", FLEET]})
    assert (first.status_code, first.json()) == (409, second.json())


def test_a_key_is_its_authors_and_its_words(client: Client) -> None:
    keyed(client, "suspend", {"fleet": FLEET, "reason": "fair"})
    other = keyed(client, "halt", {"fleets": [FLEET]})
    assert (other.status_code, other.json()["code"]) == (422, "PFR6922")
    plan_id = client.get("/v1/plans").json()["plan_id"]
    assert keyed(client, "approve", {"plan_id": plan_id}, role=Role.APPROVE).status_code == 200


def test_a_word_that_could_not_be_said_may_be_said_again_with_its_key(client: Client) -> None:
    body = {"plan_id": client.get("/v1/plans").json()["plan_id"]}
    client.desk.time = Instant(NOW + 10 * 86400)
    assert keyed(client, "approve", body).status_code == 409
    client.desk.time = NOW
    assert keyed(client, "approve", body).status_code == 200


def test_a_key_is_forgotten_after_a_day(client: Client) -> None:
    keyed(client, "reconcile", {})
    client.desk.time = Instant(NOW + 90_000)
    keyed(client, "reconcile", {}, key="k2")
    assert len(client.desk.journal.bookmarks("said/")) == 1


@pytest.mark.parametrize("key", ["", "k" * 201])
def test_a_key_that_is_none_is_refused(client: Client, key: str) -> None:
    assert keyed(client, "reconcile", {}, key=key).status_code == 400


def test_ten_at_once_with_one_key_say_it_once(client: Client) -> None:
    answers: list[int] = []

    def again() -> None:
        answers.append(keyed(client, "suspend", {"fleet": FLEET, "reason": "fair"}).status_code)

    threads = [threading.Thread(target=again) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 10
    assert len(entries(client)) == 1


class FailingJournal(MemoryJournal):
    """Its disk is full as soon as it is told so: words are lost, bookmarks are not."""

    full = False

    def note(self, *arguments: Any, **named: Any) -> None:
        if self.full:
            raise JournalError("PFR5010", "the disk is full")
        super().note(*arguments, **named)


def test_a_word_of_which_nobody_can_tell_whether_it_was_said_is_not_said_again(tmp_path: Path) -> None:
    journal = FailingJournal()
    journal.keep_intent(a_journal().intents()[0])
    with serving(settings_in(tmp_path), FakeDesk(journal=journal)) as client:
        journal.full = True
        first = keyed(client, "suspend", {"fleet": FLEET, "reason": "fair"})
        assert (first.status_code, first.json()["code"]) == (503, "PFR5010")
        journal.full = False
        again = keyed(client, "suspend", {"fleet": FLEET, "reason": "fair"})
        assert (again.status_code, again.json()["code"]) == (409, "PFR6923")
        assert entries(client) == []


def test_a_word_over_http_is_what_the_commands_read_from_the_same_journal(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite"
    with SqliteJournal(path) as journal:
        journal.keep_intent(a_journal().intents()[0])
        with serving(settings_in(tmp_path), FakeDesk(journal=journal)) as client:
            body = {"fleets": [FLEET], "reason": "smoke"}
            assert [keyed(client, "halt", body).status_code for _ in range(2)] == [200, 200]
            told = CliRunner().invoke(cli, ["history", "--journal", str(path)])
            assert "smoke" in told.stdout
            assert "ada-operate" in told.stdout
            assert CliRunner().invoke(cli, ["resume", FLEET, "--journal", str(path)]).exit_code == 0
            assert client.say("resume", {"fleet": FLEET}).status_code == 409, "a command has said it already"
