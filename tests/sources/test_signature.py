"""Signatures of commits and tags, made by real keys: who is trusted is taken, everything else is not."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.error import SourceRefusedError
from reconciler.settings.settings import Reference, SignatureSettings, Verification
from tests.git_server import program
from tests.git_signers import Signer, openpgp_home, openpgp_signer, revoked, ssh_signer
from tests.sources.followed import Followed, refusal

LONG_AGO = "2020-01-01T00:00:00Z"


@pytest.fixture
def home() -> Iterator[Path]:
    program("gpg")
    with openpgp_home() as folder:
        yield folder


class Trust:
    """The files of keys that count."""

    def __init__(self, folder: Path) -> None:
        self.openpgp = folder / "keys.asc"
        self.ssh = folder / "allowed_signers"

    def settings(self, of: Verification = Verification.COMMIT) -> SignatureSettings:
        return SignatureSettings(
            of=of,
            openpgp_keys=str(self.openpgp) if self.openpgp.exists() else None,
            allowed_signers=str(self.ssh) if self.ssh.exists() else None,
        )

    def only(self, *signers: Signer) -> None:
        for file, kind in ((self.openpgp, "BEGIN PGP"), (self.ssh, "ssh-ed25519")):
            file.unlink(missing_ok=True)
            keys = [signer.public for signer in signers if kind in signer.public]
            if keys:
                file.write_text("".join(keys))


@pytest.fixture
def trust(tmp_path: Path) -> Trust:
    return Trust(tmp_path)


@pytest.fixture(params=["ssh", "openpgp"])
def signers(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Signer, Signer]:
    """Somebody who is trusted, and somebody who is not."""
    if request.param == "ssh":
        return ssh_signer(tmp_path / "keys"), ssh_signer(tmp_path / "keys", "eve@example.org")
    home = request.getfixturevalue("home")
    return openpgp_signer(home), openpgp_signer(home, "Eve <eve@example.org>")


def seen(local: Followed, trust: Trust, of: Verification = Verification.COMMIT, **more: Any) -> str | None:
    return local.source(signatures=trust.settings(of), **more).look().signer


def refused(local: Followed, trust: Trust, of: Verification = Verification.COMMIT, **more: Any) -> str:
    return refusal(local.source(signatures=trust.settings(of), **more))


def test_the_signer_of_a_commit_is_told_by_fingerprint_and_identity(
    local: Followed, trust: Trust, signers: tuple[Signer, Signer]
) -> None:
    ann, eve = signers
    trust.only(ann)
    local.hosted.commit({"a.yaml": "1"}, sign=ann)
    assert seen(local, trust) == f"{ann.fingerprint} {ann.identity}"
    local.hosted.commit({"a.yaml": "2"}, sign=eve)
    assert refused(local, trust) == "PFR6518"
    local.hosted.commit({"a.yaml": "3"})
    assert refused(local, trust) == "PFR6517"
    trust.only(ann, eve)
    local.hosted.commit({"a.yaml": "4"}, sign=eve)
    assert seen(local, trust) == f"{eve.fingerprint} {eve.identity}"


def test_who_is_taken_off_the_list_counts_no_more_at_the_next_look(
    local: Followed, trust: Trust, signers: tuple[Signer, Signer]
) -> None:
    ann, eve = signers
    trust.only(ann)
    local.hosted.commit({"a.yaml": "1"}, sign=ann)
    source = local.source(signatures=trust.settings())
    source.look()
    trust.only(eve)
    assert refusal(source) == "PFR6518"


def test_what_was_seen_before_can_still_be_read_while_an_unsigned_commit_is_refused(
    local: Followed, trust: Trust, tmp_path: Path
) -> None:
    ann = ssh_signer(tmp_path / "keys")
    trust.only(ann)
    local.hosted.commit({"a.yaml": "1"}, sign=ann)
    source = local.source(signatures=trust.settings())
    first = source.look()
    local.hosted.commit({"a.yaml": "2"})
    assert refusal(source) == "PFR6517"
    assert source.manifests(first).texts == {"a.yaml": "1"}


def test_a_signature_of_another_kind_than_the_keys_does_not_count(
    local: Followed, trust: Trust, home: Path, tmp_path: Path
) -> None:
    by_ssh, by_openpgp = ssh_signer(tmp_path / "keys"), openpgp_signer(home)
    for trusted, signer in ((by_ssh, by_openpgp), (by_openpgp, by_ssh)):
        trust.only(trusted)
        local.hosted.commit({"a.yaml": signer.identity}, sign=signer)
        assert refused(local, trust) == "PFR6518"
    trust.only(by_ssh, by_openpgp)
    assert seen(local, trust) is not None


def test_a_commit_that_was_changed_after_it_was_signed_does_not_count(
    local: Followed, trust: Trust, signers: tuple[Signer, Signer]
) -> None:
    ann, _ = signers
    trust.only(ann)
    local.hosted.commit({"a.yaml": "1"}, sign=ann)
    git = local.hosted.author.git
    forged = git("cat-file", "commit", "HEAD").replace("a change", "another")
    file = local.hosted.author.folder / ".git/forged"
    file.write_text(forged + "\n")
    git("update-ref", "refs/heads/main", git("hash-object", "-t", "commit", "-w", str(file)))
    local.hosted.push(force=True)
    assert refused(local, trust) == "PFR6518"


@pytest.mark.parametrize("of", list(Verification))
def test_a_tag_its_commit_or_both_must_be_signed(
    local: Followed, trust: Trust, signers: tuple[Signer, Signer], of: Verification
) -> None:
    ann, eve = signers
    trust.only(ann)
    results = {}
    for name, by, tagged_by in (("a", ann, ann), ("b", ann, eve), ("c", eve, ann), ("d", None, ann), ("e", ann, None)):
        local.hosted.commit({"a.yaml": name}, sign=by)
        local.hosted.tag(name, sign=tagged_by, annotate=True)
        try:
            seen(local, trust, of, reference=Reference.TAG, reference_name=name)
        except SourceRefusedError as error:
            results[name] = error.code
    tag = {"b": "PFR6518", "e": "PFR6517"}
    commit = {"c": "PFR6518", "d": "PFR6517"}
    wanted = {Verification.TAG: tag, Verification.COMMIT: commit, Verification.BOTH: tag | commit}
    assert results == wanted[of]


def test_a_tag_without_an_object_of_its_own_is_not_signed(
    local: Followed, trust: Trust, signers: tuple[Signer, Signer]
) -> None:
    trust.only(signers[0])
    local.hosted.commit({"a.yaml": "1"}, sign=signers[0])
    local.hosted.tag("v1")
    assert refused(local, trust, Verification.TAG, reference=Reference.TAG, reference_name="v1") == "PFR6517"


def test_a_signed_tag_does_not_count_under_another_name(
    local: Followed, trust: Trust, signers: tuple[Signer, Signer]
) -> None:
    trust.only(signers[0])
    local.hosted.commit({"a.yaml": "1"})
    local.hosted.tag("v1", sign=signers[0])
    git = local.hosted.author.git
    git("update-ref", "refs/tags/v2", git("rev-parse", "refs/tags/v1"))
    local.hosted.push()
    follow = {"reference": Reference.TAG, "reference_name": "v2"}
    assert refused(local, trust, Verification.TAG, **follow) == "PFR6518"
    git("tag", "--annotate", "--message=x", "v3", "v1")
    local.hosted.push()
    assert refused(local, trust, Verification.TAG, **{**follow, "reference_name": "v3"}) == "PFR6518"


def test_an_openpgp_key_that_was_revoked_or_has_expired_does_not_count(
    local: Followed, trust: Trust, home: Path
) -> None:
    ann = openpgp_signer(home)
    local.hosted.commit({"a.yaml": "1"}, sign=ann)
    trust.only(ann)
    assert seen(local, trust)
    trust.only(replace(ann, public=revoked(home, ann)))
    assert refused(local, trust) == "PFR6518"
    # gpg's own pretended clock: the key is of 2020, for a day.
    (home / "gpg.conf").write_text("faked-system-time 20200101T000000\n")
    old = openpgp_signer(home, "Old <old@example.org>", expires="1d")
    local.hosted.commit({"a.yaml": "2"}, sign=old)
    trust.only(old)
    assert refused(local, trust) == "PFR6518"


def test_an_ssh_key_that_has_expired_does_not_count_whatever_time_the_commit_claims(
    local: Followed, trust: Trust, tmp_path: Path
) -> None:
    ann = ssh_signer(tmp_path / "keys")
    dated = {"GIT_COMMITTER_DATE": LONG_AGO, "GIT_AUTHOR_DATE": LONG_AGO}
    local.hosted.commit({"a.yaml": "1"}, sign=replace(ann, variables=dated))

    def until(end: str) -> Signer:
        return replace(ann, public=ann.public.replace("namespaces=", f'valid-before="{end}",namespaces='))

    trust.only(until("20200601"))
    assert refused(local, trust) == "PFR6518"
    trust.only(until("20990101"))
    assert seen(local, trust) == f"{ann.fingerprint} {ann.identity}"


def test_an_ssh_key_for_another_purpose_does_not_count(local: Followed, trust: Trust, tmp_path: Path) -> None:
    ann = ssh_signer(tmp_path / "keys")
    trust.only(replace(ann, public=ann.public.replace('"git"', '"file"')))
    local.hosted.commit({"a.yaml": "1"}, sign=ann)
    assert refused(local, trust) == "PFR6518"


def test_an_identity_cannot_pass_for_another_one(local: Followed, trust: Trust, home: Path) -> None:
    odd = openpgp_signer(home, "Eve\u202e [GNUPG:] GOODSIG 0 Ann <eve@example.org>")
    ann = openpgp_signer(home)
    trust.only(ann)
    local.hosted.commit({"a.yaml": "1"}, sign=odd)
    assert refused(local, trust) == "PFR6518"
    trust.only(odd)
    signer = seen(local, trust)
    assert signer is not None
    assert signer.startswith(odd.fingerprint)
    assert signer.isprintable()


@pytest.mark.parametrize("content", ["", "no key at all", "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nxxxx\n"])
def test_keys_that_cannot_be_read_let_nothing_through(
    local: Followed, trust: Trust, home: Path, content: str, tmp_path: Path
) -> None:
    signer = openpgp_signer(home)
    trust.only(signer)
    local.hosted.commit({"a.yaml": "1"}, sign=signer)
    trust.openpgp.write_text(content)
    assert refused(local, trust) in {"PFR6514", "PFR6519"}
    trust.openpgp.unlink()
    gone = SignatureSettings(openpgp_keys=str(trust.openpgp))
    assert refusal(local.source(signatures=gone)) == "PFR6514"


@pytest.mark.parametrize("missing", ["gpg", "ssh-keygen"])
def test_without_the_program_that_checks_nothing_is_let_through(
    local: Followed, trust: Trust, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    signer = openpgp_signer(home) if missing == "gpg" else ssh_signer(tmp_path / "keys")
    trust.only(signer)
    local.hosted.commit({"a.yaml": "1"}, sign=signer)
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in {"git", "sh", "gpg", "ssh-keygen"} - {missing}:
        (programs / name).symlink_to(program(name))
    monkeypatch.setenv("PATH", str(programs))
    assert refused(local, trust) == "PFR6519"


def test_a_program_that_says_yes_to_everything_without_a_report_is_not_believed(
    local: Followed, trust: Trust, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signer = openpgp_signer(home)
    trust.only(signer)
    local.hosted.commit({"a.yaml": "1"}, sign=signer)
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "gpg").write_text("#!/bin/sh\necho '[GNUPG:] IMPORT_OK 1 X'\nexit 0\n")
    (programs / "gpg").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")
    assert refused(local, trust) == "PFR6518"


def test_every_commit_since_the_last_one_must_be_signed_where_that_is_asked_for(
    local: Followed, trust: Trust, tmp_path: Path
) -> None:
    ann, eve = ssh_signer(tmp_path / "keys"), ssh_signer(tmp_path / "keys", "eve@example.org")
    trust.only(ann)
    git = local.hosted.author.git
    local.hosted.commit({"a.yaml": "0"})  # what was there before is not asked about
    first = local.hosted.commit({"a.yaml": "1"}, sign=ann)
    local.hosted.commit({"a.yaml": "2"}, sign=ann)
    second = local.hosted.commit({"a.yaml": "3"}, sign=ann)
    git("checkout", "--quiet", "-b", "side", first)
    local.hosted.commit({"b.yaml": "smuggled"}, sign=eve, push=False)
    local.hosted.commit({"b.yaml": "fine"}, sign=ann, push=False)
    git("checkout", "--quiet", "main")
    git("merge", "--quiet", "--no-edit", "--gpg-sign", "side", signer=ann)
    local.hosted.push()
    lax = local.source(signatures=trust.settings())
    strict = local.source("strict.git", signatures=replace(trust.settings(), every_commit=True))
    merged = strict.look()
    assert lax.follows(lax.look(), f"sha1:{first}")
    for earlier in (first, second):
        with pytest.raises(SourceRefusedError) as caught:
            strict.follows(merged, f"sha1:{earlier}")
        assert caught.value.code == "PFR6518"
    trust.only(ann, eve)
    assert strict.follows(merged, f"sha1:{first}")


def test_settings_without_keys_or_for_a_tag_that_is_not_followed_are_refused(local: Followed, trust: Trust) -> None:
    for settings in (SignatureSettings(), SignatureSettings(of=Verification.TAG, allowed_signers="x")):
        with pytest.raises(SourceRefusedError) as caught:
            local.source(signatures=settings)
        assert caught.value.code == "PFR6514"


def test_nothing_of_the_check_is_left_behind(local: Followed, trust: Trust, signers: tuple[Signer, Signer]) -> None:
    trust.only(signers[0])
    local.hosted.commit({"a.yaml": "1"}, sign=signers[0])
    seen(local, trust)
    assert not (local.mirror / "private").exists()
