"""A push becomes a fleet: the real command, a real Git server over HTTPS, a served cloud."""

from __future__ import annotations

import hmac
import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.git_signers import ssh_signer
from tests.simulation.controller_stage import ControllerStage, controller_stage, fleet


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[ControllerStage]:
    with controller_stage(tmp_path) as made:
        yield made


def test_pushes_become_the_fleet_and_what_is_wrong_with_one_changes_nothing(stage: ControllerStage) -> None:
    repository = stage.repository
    before = repository.commit({"readme.md": "the fleet"})
    repository.commit(fleet("2.1.0"))
    stage.start()
    stage.wait_for_release("2.1.0")
    repository.commit({"fleets/eu.yaml": "kind: [broken"})
    stage.wait_for_word("is not taken: 1 problem: fleets/eu.yaml:")
    repository.commit({"fleets/eu.yaml": None, "fleets/readme.md": "no manifest"})
    stage.wait_for_word("holds no manifest at")
    repository.rewind(before)
    forced = repository.commit(fleet("2.2.0"), push=False)
    repository.push(force=True)
    stage.wait_for_word("does not follow from")
    assert stage.releases() == {"2.1.0"}
    stage.stage.say("accept", forced[:12])
    stage.wait_for_release("2.2.0")
    assert "by the word of" in stage.log.read_text()
    assert stage.end() == 0
    stage.stage.assert_nothing_wrong()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL], ids=["asked to end", "killed"])
def test_a_controller_that_ends_in_the_midst_of_a_step_is_followed_by_one_that_goes_on(
    stage: ControllerStage, number: int
) -> None:
    stage.repository.commit(fleet("2.1.0"))
    stage.start()
    stage.wait_for(stage.stage.flashes)
    assert stage.end(number) == (0 if number == signal.SIGTERM else -number)
    stage.start()
    stage.wait_for_word("the rollout is complete")
    assert stage.releases() == {"2.1.0"}
    assert stage.end() == 0
    assert stage.stage.sent_more_than_once() == {}
    stage.stage.assert_nothing_wrong()


def test_only_commits_that_the_right_person_signed_are_taken(stage: ControllerStage, tmp_path: Path) -> None:
    ann, eve = (ssh_signer(tmp_path / name, f"{name}@example.org") for name in ("ann", "eve"))
    allowed = tmp_path / "allowed_signers"
    allowed.write_text(ann.public)
    stage.write_settings(git={"signatures": {"allowedSigners": str(allowed)}})
    stage.repository.commit(fleet("2.1.0"))
    stage.start()
    stage.wait_for_word("is not signed")
    stage.repository.commit(fleet("2.1.0"), message="signed by another", sign=eve)
    stage.wait_for_word("PFR65", times=2)
    assert stage.stage.writes() == []
    stage.repository.commit(fleet("2.1.0"), message="signed", sign=ann)
    stage.wait_for_word("signed by")
    stage.wait_for_release("2.1.0")
    assert "ann@example.org" in stage.log.read_text()
    assert "source is in trouble" not in stage.log.read_text()
    told = stage.stage.say("history", "eu")
    assert (told.count("PFR6517"), told.count("PFR6518"), told.count("ann@example.org")) == (1, 1, 1)
    assert stage.end() == 0


def test_settings_are_read_anew_when_asked_and_bad_ones_change_nothing(stage: ControllerStage) -> None:
    stage.repository.commit(fleet("2.1.0"))
    stage.start()
    stage.wait_for_release("2.1.0")
    good = stage.settings_file.read_text()
    stage.settings_file.write_text(good.replace("folder: fleets", "foldr: fleets"))
    assert stage.process is not None
    stage.process.send_signal(signal.SIGHUP)
    stage.wait_for_word("the controller goes on with the settings that it has")
    stage.settings_file.write_text(good.replace("catalog.json", "nowhere.json"))
    stage.process.send_signal(signal.SIGHUP)
    stage.wait_for_word("the controller goes on with the settings that it has", times=2)
    stage.repository.commit(fleet("2.1.0"), message="still followed")
    stage.wait_for_word("is desired now", times=2)
    stage.repository.author.git("checkout", "--quiet", "-b", "next")
    stage.repository.commit(fleet("2.2.0"))
    stage.settings_file.write_text(good.replace("folder: fleets", "folder: fleets\n  branch: next"))
    stage.process.send_signal(signal.SIGHUP)
    stage.wait_for_release("2.2.0")
    assert stage.end() == 0
    stage.stage.assert_nothing_wrong()


def test_a_webhook_brings_the_push_at_once_and_everything_is_seen_and_said_over_http(stage: ControllerStage) -> None:
    secret = stage.stage.folder.with_name("push-secret")
    secret.write_text("a secret of the forge")
    secret.chmod(0o600)
    stage.write_settings(git={"interval": "10m"}, webhooks=[{"kind": "github", "secretFile": str(secret)}])
    stage.repository.commit(fleet("2.1.0"))
    stage.start()
    stage.wait_for_release("2.1.0")
    pushed = stage.repository.commit(fleet("2.2.0"))
    body = json.dumps({"ref": "refs/heads/main", "after": pushed}).encode()
    signature = "sha256=" + hmac.new(secret.read_bytes(), body, "sha256").hexdigest()
    headers = {"x-hub-signature-256": signature, "x-github-event": "push", "content-type": "application/json"}
    wrong = requests.post(f"{stage.url}/v1/webhooks/github", data=body + b" ", headers=headers, timeout=10)
    right = requests.post(f"{stage.url}/v1/webhooks/github", data=body, headers=headers, timeout=10)
    assert (wrong.status_code, right.status_code) == (401, 202)
    stage.wait_for_release("2.2.0")
    stage.wait_for(lambda: stage.ask("/v1/status").json()["fleets"][0]["rollout"]["state"] == "complete")
    assert requests.get(f"{stage.url}/readyz", timeout=10).json()["revision"] == f"main@sha1:{pushed}"
    assert stage.ask("/v1/plans").json()["summary"]["current"] == 2
    assert "pfr_fleet_info{" in requests.get(f"{stage.url}/metrics", timeout=10).text
    refused = stage.ask("/v1/words/halt", json={"fleets": ["eu"], "reason": "a look"})
    halted = stage.ask("/v1/words/halt", name="ada", json={"fleets": ["eu"], "reason": "a look"})
    assert (refused.status_code, halted.status_code) == (403, 200)
    stage.repository.author.git("checkout", "--quiet", "-b", "next")
    stage.repository.commit(fleet("2.3.0"))
    shown = stage.ask("/v1/plans?reference=next")
    assert shown.json()["fleets"][0]["desired"]["device_os"] == "2.3.0"
    assert shown.json()["summary"]["upgrade"] == 2
    stage.wait_for_word("HALTED by ada: a look")
    assert stage.end() == 0
    stage.stage.assert_nothing_wrong()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP], ids=["asked to end", "asked to begin anew"])
def test_a_fetch_that_does_not_end_keeps_nobody_waiting_beyond_the_grace_period(
    stage: ControllerStage, number: int
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}/fleet.git"
        stage.write_settings(git={"url": url}, grace="1s")
        stage.start()
        asking, _ = silent.accept()
        with asking:
            assert asking.recv(1)  # git is there, and gets no answer
            if number == signal.SIGHUP:
                stage.write_settings(grace="1s")
                stage.repository.commit(fleet("2.1.0"))
                assert stage.process is not None
                stage.process.send_signal(number)
                stage.wait_for_release("2.1.0")
            assert stage.end(within=20.0) == 0
    assert "has not ended within the grace period" in stage.log.read_text()
