"""The servers that other tests rest on: they serve, and they refuse."""

from __future__ import annotations

import base64
import os
import subprocess
from pathlib import Path

import pytest

from tests.git_server import https_server, program, ssh_server
from tests.git_signers import openpgp_home, openpgp_signer, ssh_signer
from tests.sources.sample_repository import SampleRepository


def listed(url: str, *options: str, **variables: str) -> str:
    done = subprocess.run(
        ["git", *options, "ls-remote", url, "refs/heads/main"],
        env={"PATH": os.environ["PATH"], "GIT_TERMINAL_PROMPT": "0", **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.split("\t")[0] or done.stderr


def test_a_commit_is_served_over_https_to_who_has_the_token_and_trusts_the_certificate(tmp_path: Path) -> None:
    with https_server(tmp_path) as server:
        hosted = server.repository()
        commit = hosted.commit({"a.yaml": "x"})
        token = base64.b64encode(f"git:{server.token}".encode()).decode()
        trust = ("-c", f"http.sslCAInfo={server.ca_file}")
        header = ("-c", f"http.extraHeader=Authorization: Basic {token}")
        assert listed(hosted.url, *trust, *header) == commit
        assert "could not read Username" in listed(hosted.url, *trust)
        assert "certificate" in listed(hosted.url, *header)
        server.accept_token("another")
        assert "could not read Username" in listed(hosted.url, *trust, *header)
        server.accept_token(server.token)
        server.stop()
        assert "Failed to connect" in listed(hosted.url, *trust, *header)
        server.start()
        assert listed(hosted.url, *trust, *header) == commit


def test_a_commit_is_served_over_ssh_to_who_has_the_key_and_knows_the_host(tmp_path: Path) -> None:
    with ssh_server(tmp_path) as server:
        hosted = server.repository()
        commit = hosted.commit({"a.yaml": "x"})

        def ssh(key: Path) -> str:
            options = (
                f"-F /dev/null -o BatchMode=yes -o IdentitiesOnly=yes -o UserKnownHostsFile={server.known_hosts_file}"
            )
            return listed(hosted.url, GIT_SSH_COMMAND=f"ssh {options} -i {key}")

        assert ssh(server.key_file) == commit
        server.stop()
        server.replace_host_key()
        server.start()
        assert "Host key verification failed" in ssh(server.key_file)


def test_commits_and_tags_are_signed_by_either_kind_of_key(tmp_path: Path) -> None:
    program("gpg")
    sample = SampleRepository(tmp_path / "repository")
    with openpgp_home() as home:
        for signer in (ssh_signer(tmp_path / "keys"), openpgp_signer(home)):
            sample.commit(sign=signer)
            assert "\ngpgsig " in sample.git("cat-file", "commit", "HEAD")
            sample.tag("v1", sign=signer)
            assert "SIGNATURE-----" in sample.git("cat-file", "tag", "v1")


def test_a_push_that_does_not_follow_has_to_be_forced(tmp_path: Path) -> None:
    with https_server(tmp_path) as server:
        hosted = server.repository()
        first = hosted.commit({"a.yaml": "1"})
        hosted.commit({"a.yaml": "2"})
        hosted.rewind(first)
        other = hosted.commit({"a.yaml": "3"}, push=False)
        with pytest.raises(subprocess.CalledProcessError):
            hosted.push()
        hosted.push(force=True)
        assert hosted.author.git("ls-remote", "origin", "refs/heads/main").split("\t")[0] == other
