"""A support bundle has what explains, and no secret, wherever one was planted."""

from __future__ import annotations

import json
import tarfile
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

import pytest
from click.testing import CliRunner

from reconciler.cli.blackout import BLACKED_OUT, Blackout
from reconciler.cli.main import cli
from reconciler.journal.sqlite import SqliteJournal
from reconciler.journal.tables import SCHEMA_VERSION
from reconciler.model.error import OperatorError
from reconciler.model.instant import Instant
from reconciler.model.revision import Revision, TakenIntent
from reconciler.model.rollout_entry import Halted
from tests.fleet_samples import attempt
from tests.simulation.secrecy import shows

PARTICLE = "a7c9" + "13e5" * 9
FORGOTTEN = "0f1e2d3c4b5a69788796a5b4c3d2e1f001234567"
CHAT = "https://hooks.slack.com/services/T0PLANTED/B0PLANTED/qPlantedChat7Secret9"
HOOK = "https://alerts.example.com/hook/qPlantedHook5Secret3"
GIT = "ghp_plantedGitToken00112233445566778899"
MAIL = "qPlanted!Mail_pass/word"
DATABASE = "qPlantedDatabase7pass"
KEY = (
    "-----BEGIN OPENSSH PRIVATE KEY-----\n"
    + "cGxhbnRlZEtleQabcdefgh12345678\n" * 3
    + "-----END OPENSSH PRIVATE KEY-----\n"
)
PLANTED = [
    PARTICLE,
    FORGOTTEN,
    "qPlantedChat7Secret9",
    "qPlantedHook5Secret3",
    GIT,
    MAIL,
    DATABASE,
    "cGxhbnRlZEtleQabcdefgh12345678",
]
COMMIT = "1234567890abcdef1234567890abcdef12345678"

SETTINGS = f"""\
apiVersion: fleet.reconciler.dev/v1alpha1
kind: ControllerSettings
git: {{url: "ssh://git@example.com/fleet", sshKeyFile: key, knownHostsFile: hosts}}
particle: {{tokenFile: token}}
channels:
  - {{name: chat, kind: slack, urlFile: chat}}
  - {{name: hook, kind: webhook, url: "{HOOK}"}}
  - {{name: commits, kind: github, repository: a/b, secretFile: github}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    contents = {"settings.yaml": SETTINGS, "key": KEY, "hosts": "x", "token": PARTICLE, "chat": CHAT, "github": GIT}
    for name, text in contents.items():
        (tmp_path / name).write_text(text)
    planted = {
        "PARTICLE_ACCESS_TOKEN": PARTICLE,
        "SMTP_PASSWORD": MAIL,
        "DATABASE_URL": f"postgresql://u:{DATABASE}@db/x",
        "PLAIN_NAME": "a plain value",
    }
    for name, value in planted.items():
        monkeypatch.setenv(name, value)
    fill_journal(tmp_path / "journal.sqlite")
    lines = [
        f"Authorization: Bearer {PARTICLE}",
        f"basic {b64encode(f'x:{PARTICLE}'.encode()).decode()}",
        f"GET /v1/devices?access_token={FORGOTTEN}",
        f"smtp://u:{quote(MAIL, safe='')}@mail said {MAIL}",
        f"cut off {PARTICLE[:20]}",
        f"POST {CHAT} and {HOOK}",
        KEY,
        "the last line",
    ]
    (tmp_path / "log").write_text("\n".join(lines))
    return tmp_path


def fill_journal(path: Path) -> None:
    with SqliteJournal(path) as journal:
        reason = f"see https://u:{DATABASE}@example.com/x, token {PARTICLE}, old {FORGOTTEN}, {CHAT}"
        journal.note([Halted(fleet="pumps", at=Instant(1.0), reason=reason, by=f"someone with {GIT}")])
        journal.begin(attempt(id="a-1"))
        revision = Revision(source="git", name="main", commit=f"sha1:{COMMIT}", committed_at=Instant(1.0))
        journal.keep_intent(TakenIntent(revision=revision, digest="sha256:1", fleets=("pumps",), at=Instant(2.0)))
        journal.set_bookmark("reconcile/pumps", PARTICLE)


def bundle(folder: Path, *words: str) -> Mapping[str, str]:
    output = folder / f"bundle{len(list(folder.iterdir()))}.tar.gz"
    result = CliRunner().invoke(cli, ["support-bundle", "--output", str(output), *words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert output.stat().st_mode & 0o077 == 0
    with tarfile.open(output) as archive:
        names = [member.name for member in archive.getmembers()]
        assert all(not name.startswith(("/", "..")) for name in names)
        read = {name: archive.extractfile(name) for name in names}
        return {name.partition("/")[2]: file.read().decode() for name, file in read.items() if file is not None}


def planted_in(texts: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(name, secret) for name, text in texts.items() for secret in PLANTED if shows(text, secret)]


def test_it_has_what_explains_and_nothing_that_was_planted(folder: Path) -> None:
    texts = bundle(folder, "--settings", "settings.yaml", "--log", "log")
    assert planted_in(texts) == []
    assert set(texts) == {
        "README.txt",
        "versions.json",
        "settings.json",
        "environment.txt",
        "journal.json",
        "history.txt",
        "log.txt",
    }
    assert json.loads(texts["versions.json"])["packages"]["click"]
    assert json.loads(texts["settings.json"])["settings"]["git"]["url"] == "ssh://git@example.com/fleet"
    journal = json.loads(texts["journal.json"])
    assert (journal["format"], journal["fleets"], journal["open_attempts"]) == (SCHEMA_VERSION, ["eu", "pumps"], 1)
    assert journal["intents"][0]["revision"]["commit"] == f"sha1:{COMMIT}"
    assert journal["entries"][0]["kind"] == "halted"
    assert "Fleet pumps is halted" in texts["history.txt"]
    assert texts["log.txt"].endswith("the last line")
    assert "PLAIN_NAME\n" in texts["environment.txt"]
    assert not any("a plain value" in text for text in texts.values())


def test_settings_with_problems_are_told_by_their_problems_and_stay_secret(folder: Path) -> None:
    wrong = SETTINGS.replace("git@example.com", f"git:{DATABASE}@example.com").replace("kind: slack", "kind: slakk")
    (folder / "settings.yaml").write_text(wrong + f"journal: postgresql://u:{DATABASE}@127.0.0.1:1/x\n")
    texts = bundle(folder, "--settings", "settings.yaml", "--journal", "journal.sqlite", "--log", "log")
    assert planted_in(texts) == []
    assert "did you mean 'slack'" in texts["settings.json"]


def test_what_cannot_be_had_is_said_in_the_bundle(folder: Path) -> None:
    texts = bundle(folder, "--settings", "none.yaml", "--journal", "none.sqlite", "--log", "none")
    assert "cannot be read" in texts["settings.json"]
    assert "none.sqlite" in json.loads(texts["journal.json"])["problem"]
    assert "cannot be had" in texts["log.txt"]
    assert not Path("none.sqlite").exists()


def test_a_password_of_the_journals_address_is_in_no_text(folder: Path) -> None:
    texts = bundle(folder, "--journal", f"postgresql://u:{DATABASE}@127.0.0.1:1/x")
    assert planted_in(texts) == []
    assert "postgresql://u@127.0.0.1:1/x" in texts["journal.json"]


def test_nothing_is_replaced(folder: Path) -> None:
    (folder / "there.tar.gz").write_text("mine")
    with pytest.raises(OperatorError) as caught:
        CliRunner().invoke(cli, ["support-bundle", "--output", "there.tar.gz"], catch_exceptions=False)
    assert caught.value.code == "PFR6903"
    assert (folder / "there.tar.gz").read_text() == "mine"


@pytest.mark.parametrize(
    "text",
    [
        "password: hunter22222",
        '{"api_key": "hunter22222"}',
        "https://u:hunter22222@example.com",
        "https://hooks.slack.com/services/hunter22222",
        "glpat-hunter22222hunter22222",
        "eyJhunter22222hunter.eyJhunter22222hunter.hunter22222",
        "f" * 40,
    ],
)
def test_what_looks_like_a_secret_goes_though_nobody_knows_it(text: str) -> None:
    out = Blackout(())(f"before {text} after")
    assert BLACKED_OUT in out
    assert "hunter22222" not in out
    assert "f" * 40 not in out


@pytest.mark.parametrize("secret", ["päßwört-ünicode", "four words make it", "x" * 5000, "a\nlonger-second-line"])
def test_a_secret_that_no_header_could_carry_goes_too(secret: str) -> None:
    out = Blackout((secret,))(f"said {secret} aloud")
    assert max(secret.splitlines(), key=len) not in out
    assert out.startswith("said ")


def test_a_file_that_is_no_journal_is_told_and_ends_nothing(folder: Path) -> None:
    (folder / "other").write_text("no database")
    assert "problem" in json.loads(bundle(folder, "--journal", "other")["journal.json"])


@pytest.mark.parametrize("text", [f"main@sha1:{COMMIT}", "sha256:" + "a" * 64, "e00fce680000000000000001", "tokens: 3"])
def test_what_is_no_secret_stays(text: str) -> None:
    assert Blackout(("x",))(text) == text
