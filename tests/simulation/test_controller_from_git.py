"""The whole controller in virtual time on real Git servers: every push has its named outcome, over HTTPS and SSH."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.controller.refused import refused_revisions
from reconciler.journal.memory import MemoryJournal
from reconciler.model.event import IntentRefused, Recovered, Troubled
from reconciler.model.rollout_entry import Halted, Resumed
from reconciler.settings.settings import ControllerSettings, SignatureSettings, Verification
from reconciler.sources.git_source import GitSource
from tests.git_server import HttpsGitServer, SshGitServer, https_server, ssh_server
from tests.git_signers import Signer, ssh_signer
from tests.simulation.test_controller import HOUR, WORLD, fleet, releases
from tests.simulation.virtual import VirtualCloud
from tests.simulation.virtual_controller import VirtualController

LOOKS_EVERY_SECONDS = HOUR / 2


@pytest.fixture(params=["https", "ssh"])
def server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[HttpsGitServer | SshGitServer]:
    with (https_server if request.param == "https" else ssh_server)(tmp_path / "git") as found:
        yield found


def test_every_push_has_its_named_outcome_and_none_but_the_right_one_moves_a_device(
    server: HttpsGitServer | SshGitServer, tmp_path: Path
) -> None:
    ann, eve = (ssh_signer(tmp_path / name, f"{name}@example.org") for name in ("ann", "eve"))
    trusted = tmp_path / "allowed_signers"
    trusted.write_text(ann.public)
    repository = server.repository()
    asked = SignatureSettings(of=Verification.COMMIT, openpgp_keys=None, allowed_signers=str(trusted))
    git = server.settings(repository, folder="fleets", signatures=asked, interval_seconds=LOOKS_EVERY_SECONDS)
    virtual, journal = VirtualCloud(WORLD), MemoryJournal()
    settings = ControllerSettings(git=git)
    first = repository.commit({"readme.md": "the fleet"}, sign=ann)
    repository.commit(in_folder(fleet(more="  rollout: {maxConcurrent: 1}\n")), sign=ann)
    controller = VirtualController(virtual, GitSource(git, tmp_path / "mirror"), journal, settings)

    def push(files: dict[str, str | None], sign: Signer | None = ann) -> None:
        repository.commit(files, sign=sign)
        controller.loop.fetch_now()
        controller.run_for(5.0)

    controller.run_for(600.0, until=lambda: len(journal.attempts()) >= 2)
    server.stop()
    controller.run_for(LOOKS_EVERY_SECONDS * 1.5)
    controller.leave()
    controller = VirtualController(virtual, GitSource(git, tmp_path / "mirror"), journal, settings, seed=8)
    controller.run_for(5.0)
    journal.note([Halted(fleet="eu", at=virtual.now, reason="smoke", by="ada")])
    controller.run_for(5.0)
    begun = len(journal.attempts())
    controller.run_for(2 * HOUR)
    assert len(journal.attempts()) == begun
    journal.note([Resumed(fleet="eu", at=virtual.now, by="ada")])
    controller.run_for(3 * HOUR)
    assert releases(virtual) == ["2.0.1", "3.0.0"]
    assert [(event.what, event.code) for event in controller.told(Troubled)] == [("source", "PFR6507")]
    server.start()
    controller.run_for(HOUR)
    assert [event.what for event in controller.told(Recovered)] == ["source"]

    sent = len(virtual.cloud.requests)
    push(in_folder(fleet(release="4.0.0")), sign=None)
    push(in_folder(fleet(release="4.0.0", more="  # again\n")), sign=eve)
    push({"fleets/eu.yaml": "kind: [broken"})
    push({"fleets/eu.yaml": None, "fleets/readme.md": "no manifest"})
    repository.rewind(first)
    repository.commit(in_folder(fleet(release="4.0.0")), sign=ann, push=False)
    repository.push(force=True)
    controller.loop.fetch_now()
    controller.run_for(HOUR)
    codes = ["PFR6517", "PFR6518", "PFR1003", "PFR6516", "PFR6811"]
    assert [event.code for event in controller.told(IntentRefused)] == codes
    assert [refused.code for refused in refused_revisions(journal)] == codes
    assert {request.method for request in virtual.cloud.requests[sent:]} <= {"GET"}
    assert len(journal.intents()) == 1
    assert virtual.cloud.violations() == ()


def in_folder(files: dict[str, str]) -> dict[str, str | None]:
    """The same in the folder that is followed."""
    return {f"fleets/{path}": text for path, text in files.items()}
