"""Who is let in, who is believed, and where secrets are seen: over real HTTPS and SSH."""

from __future__ import annotations

import base64
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Self

import pytest

from reconciler.model.error import SourceRefusedError, SourceUnreachableError
from reconciler.sources import process
from reconciler.sources.git_source import GitSource
from reconciler.sources.mirror import MirrorBounds
from tests.git_server import HttpsGitServer, SshGitServer, https_server, make_certificate, make_ssh_key
from tests.sources.followed import Followed, refusal, trouble


@pytest.fixture
def web(https: HttpsGitServer, tmp_path: Path) -> Followed:
    hosted = https.repository()
    hosted.commit({"a.yaml": "1"})
    return Followed(hosted, https.settings(hosted), tmp_path / "state")


@pytest.fixture
def shell(ssh: SshGitServer, tmp_path: Path) -> Followed:
    hosted = ssh.repository()
    hosted.commit({"a.yaml": "1"})
    return Followed(hosted, ssh.settings(hosted), tmp_path / "state")


def test_a_token_that_is_replaced_counts_from_the_next_look_on(web: Followed, https: HttpsGitServer) -> None:
    source = web.source()
    source.look()
    https.accept_token("the-next-one")
    assert refusal(source) == "PFR6508"
    https.token_file.write_text("the-next-one\n")
    web.hosted.commit({"a.yaml": "2"})
    assert source.manifests(source.look()).texts["a.yaml"] == "2"


def test_a_token_file_that_is_missing_empty_or_not_a_token_is_told_by_its_setting(
    web: Followed, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    assert refusal(web.source(token_file=str(file))) == "PFR6514"
    for content in (b"", b" \n", b"two\nlines", b"\xff\xfe", b"x" * 2_000_000):
        file.write_bytes(content)
        assert refusal(web.source(token_file=str(file))) == "PFR6514"
    assert refusal(web.source(token_file=None)) == "PFR6508"


def test_a_certificate_of_somebody_else_is_refused(web: Followed, tmp_path: Path) -> None:
    make_certificate(tmp_path / "other.pem", tmp_path / "other.key")
    assert refusal(web.source(ca_file=str(tmp_path / "other.pem"))) == "PFR6509"
    assert refusal(web.source(ca_file=None)) == "PFR6509"
    assert refusal(web.source(ca_file=str(tmp_path / "none"))) == "PFR6514"


def test_a_redirect_is_not_followed_and_the_token_goes_nowhere_else(tmp_path: Path) -> None:
    with https_server(tmp_path / "other") as other:
        address = f"https://127.0.0.1:{other.port}/git"
        with https_server(tmp_path / "first", moved_to=address) as first:
            hosted = other.repository()
            hosted.commit({"a.yaml": "1"})
            both = tmp_path / "both.pem"
            both.write_text(first.ca_file.read_text() + other.ca_file.read_text())
            other.accept_token(first.token)
            settings = replace(first.settings(hosted), url=first.moved_address("fleet"), ca_file=str(both))
            assert refusal(GitSource(settings, tmp_path / "mirror.git")) == "PFR6510"
        assert not other.requests.exists() or other.requests.read_text() == ""


def test_a_repository_that_is_not_there_is_told(web: Followed, shell: Followed) -> None:
    for followed in (web, shell):
        assert refusal(followed.source(url=followed.settings.url.replace("fleet", "none"))) == "PFR6508"


def test_a_server_that_is_down_for_long_is_unreachable_and_what_was_fetched_stays(
    web: Followed, https: HttpsGitServer
) -> None:
    source = web.source()
    seen = source.look()
    https.stop()
    for _ in range(5):
        assert trouble(source) == "PFR6507"
    assert source.manifests(seen).texts == {"a.yaml": "1"}
    assert web.source().manifests(seen).texts == {"a.yaml": "1"}
    assert source.follows(seen, seen.commit)
    https.start()
    assert source.look() == seen


def test_descent_that_needs_history_of_a_server_that_is_down_is_not_guessed(
    web: Followed, https: HttpsGitServer
) -> None:
    first = web.source("first.git").look()
    web.hosted.commit({"a.yaml": "2"})
    source = web.source("second.git")
    second = source.look()
    https.stop()
    with pytest.raises(SourceUnreachableError):
        source.follows(second, first.commit)


def test_a_server_that_never_answers_is_unreachable_at_the_deadline(web: Followed, tmp_path: Path) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        for url in ("https://127.0.0.1:{}/x.git", "ssh://git@127.0.0.1:{}/x.git"):
            source = web.source(
                "silent.git",
                url=url.format(silent.getsockname()[1]),
                ssh_key_file=web.settings.ca_file,
                known_hosts_file=web.settings.ca_file,
                bounds=MirrorBounds(ask_seconds=0.5),
            )
            assert trouble(source) == "PFR6507"


def test_a_host_with_another_key_is_refused(shell: Followed, ssh: SshGitServer, tmp_path: Path) -> None:
    source = shell.source()
    source.look()
    ssh.stop()
    ssh.replace_host_key()
    ssh.start()
    assert refusal(source) == "PFR6509"
    unknown = tmp_path / "nobody"
    unknown.write_text("example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB0ZR0QhTHE5zTVf3h7vYyWJvFcmNmRWGUtTTJrNJiRn\n")
    assert refusal(shell.source(known_hosts_file=str(unknown))) == "PFR6509"


def test_an_ssh_key_that_is_replaced_counts_from_the_next_look_on(
    shell: Followed, ssh: SshGitServer, tmp_path: Path
) -> None:
    source = shell.source()
    source.look()
    make_ssh_key(tmp_path / "next")
    ssh.accept_key(tmp_path / "next")
    assert refusal(source) == "PFR6508"
    ssh.key_file.write_bytes((tmp_path / "next").read_bytes().rstrip(b"\n"))
    ssh.key_file.chmod(0o644)  # as mounted secrets are
    source.look()
    assert not (shell.mirror / "private").exists()


def test_ssh_without_a_key_or_known_hosts_is_refused_before_anything_is_asked(shell: Followed) -> None:
    assert refusal(shell.source(ssh_key_file=None)) == "PFR6514"
    assert refusal(shell.source(known_hosts_file=None)) == "PFR6514"


class Watch:
    """What every process of this machine shows of itself, looked at all the time."""

    def __init__(self) -> None:
        self.seen: set[bytes] = set()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.is_set():
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    self.seen.add(path.read_bytes())
                except OSError:
                    continue


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="NOT TESTED: there is no /proc here")
def test_secrets_are_neither_among_arguments_nor_in_errors_nor_left_on_the_disk(
    web: Followed, https: HttpsGitServer, shell: Followed, ssh: SshGitServer
) -> None:
    token = https.token
    basic = base64.b64encode(f"git:{token}".encode()).decode()
    key = ssh.key_file.read_text().splitlines()[1]
    errors: list[str] = []

    def failing(source: GitSource) -> None:
        with pytest.raises(SourceRefusedError) as caught:
            source.look()
        errors.append(f"{caught.value!s} {caught.value!r} {caught.value.__cause__} {caught.value.__context__}")

    with Watch() as watch:
        for _ in range(3):
            web.source().look()
            shell.source("ssh.git").look()
        https.accept_token("another")
        failing(web.source())
        make_ssh_key(ssh.folder / "other")
        ssh.accept_key(ssh.folder / "other")
        failing(shell.source("ssh.git"))
    assert any(b"remote-https" in line for line in watch.seen), "the watch has seen no git at work"
    assert any(line.startswith(b"ssh\0") for line in watch.seen), "the watch has seen no ssh at work"
    assert not [line for line in watch.seen if any(secret.encode() in line for secret in (token, basic, key))]
    assert not any(secret in error for error in errors for secret in (token, basic, key))
    for path in web.folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            assert not any(secret.encode() in content for secret in (token, basic, key)), path


def test_what_a_server_says_back_is_told_without_the_token(
    web: Followed, https: HttpsGitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = https.token
    source = web.source()
    real: Callable[..., process.Ran] = process.run_program

    def parrot(
        setting: process.Setting, command: tuple[str, ...], bounds: process.Bounds, **more: bytes
    ) -> process.Ran:
        ran = real(setting, command, bounds, **more)
        return (
            replace(ran, failed=True, error=f"remote: your token {token} \x1b[31m is wrong")
            if "ls-remote" in command
            else ran
        )

    monkeypatch.setattr(process, "run_program", parrot)
    with pytest.raises(SourceUnreachableError) as caught:
        source.look()
    assert token not in str(caught.value)
    assert "*** [31m is wrong" in caught.value.message
