"""The token is replaced and the old one revoked in the middle of `apply`: nothing is lost and nothing storms."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from reconciler.cli.main import cli
from reconciler.emulator.keyring import Credential
from reconciler.emulator.records import RequestRecord
from reconciler.emulator.serve import EmulatorServer
from reconciler.emulator.world import load_world
from tests.cli.test_apply import FLEET, RELEASE, SPEED, WORLD
from tests.simulation.secrecy import files_that_show, shows

OLD, NEW = "1" * 40, "c0ffee" + "27" * 17
UNAUTHORISED = 401
SENT_BEFORE_IT_WAS_KNOWN = 8
"""Requests that may have been on their way with the old token: of the loop, the senders and the streams."""


def test_a_token_replaced_in_mid_run_is_taken_up_and_everything_is_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token_file = tmp_path / "secrets" / "token"
    token_file.parent.mkdir()
    token_file.write_text(OLD)
    seen: list[RequestRecord] = []
    rotated_after: list[int] = []

    def rotate_at_the_first_flash(record: RequestRecord) -> None:
        seen.append(record)
        if record.method == "PUT" and not rotated_after:
            rotated_after.append(len(seen))
            beside = token_file.with_name("beside")
            beside.write_text(NEW)
            beside.replace(token_file)
            with cloud.locked() as world:
                keyring = world.state.keyring
                keyring.add(Credential(name="renewed", token=NEW, holder=keyring.owner))
                assert keyring.revoke(OLD)

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("PARTICLE_ACCESS_TOKEN", raising=False)
    (tmp_path / "fleet.yaml").write_text(FLEET + RELEASE)
    with EmulatorServer(load_world(WORLD), speed=SPEED, on_request=rotate_at_the_first_flash) as cloud:
        document = cloud.catalog.document()
        served = [each for each in document["releases"] if (each["platform"], each["device_os"]) == ("boron", "6.3.4")]
        (tmp_path / "catalog.json").write_text(json.dumps({**document, "releases": served}))
        words = ["apply", "fleet.yaml", "--catalog", "catalog.json", "--journal", "journal.sqlite", "--auto-approve"]
        words += ["--poll-seconds", "0.05", "--api-url", cloud.url, "--token-file", str(token_file)]
        result = CliRunner().invoke(cli, words)
        with cloud.locked() as world:
            reached = {(each.reported_device_os, each.reported_application) for each in world.state.devices.values()}
            violations = list(world.violations())
    assert result.exit_code == 0, result.output
    assert reached == {("6.3.4", 44)}
    assert violations == []
    assert rotated_after
    afterwards = seen[rotated_after[0] :]
    assert any(record.method == "PUT" and record.token == "renewed" and record.status == 200 for record in afterwards)
    assert {record.token for record in afterwards} <= {"renewed", None}
    assert sum(record.status == UNAUTHORISED for record in seen) <= SENT_BEFORE_IT_WAS_KNOWN
    assert not any(shows(result.output, token) for token in (OLD, NEW))
    token_file.unlink()
    assert [path for token in (OLD, NEW) for path in files_that_show(tmp_path, token)] == []
