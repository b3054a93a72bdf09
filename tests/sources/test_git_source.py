"""A repository as a source: what is pushed is seen, over every way that a repository is reached."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.manifests import ManifestErrors
from reconciler.model.error import OperatorError, SourceRefusedError
from reconciler.model.instant import iso_from_instant
from reconciler.model.revision import Revision
from reconciler.settings.settings import Reference
from tests.git_server import HostedRepository, SshGitServer
from tests.manifests.sample import FLEET, ID, bent, text
from tests.sources.followed import Followed, refusal

ABSENT = "sha1:" + "1" * 40


def test_what_is_pushed_is_seen_and_read(followed: Followed) -> None:
    first = followed.hosted.commit({"fleet.yaml": text(FLEET)})
    source = followed.source()
    seen = source.look()
    assert seen == Revision(
        source=source.name, name="main", commit=f"sha1:{first}", committed_at=seen.committed_at, signer=None
    )
    assert iso_from_instant(seen.committed_at) == "2026-11-22T09:00:00Z"
    assert source.look() == seen
    assert dict(source.manifests(seen).texts) == {"fleet.yaml": text(FLEET)}
    second = followed.hosted.commit({"other.yaml": "x", "fleet.yaml": None})
    later = source.look()
    assert later.text == f"main@sha1:{second}"
    assert source.manifests(later).paths == ("other.yaml",)
    assert source.manifests(seen).paths == ("fleet.yaml",)


def test_descent_is_exact_over_shallow_borders_and_forced_pushes(followed: Followed) -> None:
    commits = [followed.hosted.commit({"a.yaml": str(number)}, push=False) for number in range(60)]
    followed.hosted.push()
    source = followed.source()
    head = source.look()
    for earlier in (0, 1, 30, 58, 59):
        assert source.follows(head, f"sha1:{commits[earlier]}")
    followed.hosted.rewind(commits[20])
    aside = followed.hosted.commit({"b.yaml": "x"}, push=False)
    followed.hosted.push(force=True)
    moved = source.look()
    assert moved.commit == f"sha1:{aside}"
    assert source.follows(moved, f"sha1:{commits[20]}")
    assert not source.follows(moved, f"sha1:{commits[21]}")
    assert not source.follows(moved, head.commit)
    assert not source.follows(moved, ABSENT)
    assert source.manifests(head).paths == ("a.yaml",)


def test_a_mirror_that_was_lost_knows_descent_and_old_revisions_again(followed: Followed) -> None:
    first = followed.hosted.commit({"a.yaml": "1"})
    old = followed.source().look()
    followed.hosted.commit({"a.yaml": "2"})
    fresh = followed.source("another.git")
    assert dict(fresh.manifests(old).texts) == {"a.yaml": "1"}
    fresh = followed.source("third.git")
    assert fresh.follows(fresh.look(), f"sha1:{first}")


def test_many_pushes_between_two_looks_are_no_forced_push(local: Followed) -> None:
    local.hosted.commit({"a.yaml": "x"})
    source = local.source()
    first = source.look()
    for number in range(70):
        local.hosted.commit({"a.yaml": str(number)}, push=False)
    local.hosted.push()
    assert source.follows(source.look(), first.commit)


def test_a_server_that_gives_out_no_commit_by_its_id_is_followed_by_the_branch(
    ssh: SshGitServer, tmp_path: Path
) -> None:
    ssh.hands_protocol_on = False  # git then speaks its first protocol
    ssh.stop()
    ssh.start()
    hosted = ssh.repository()
    followed = Followed(hosted, ssh.settings(hosted), tmp_path / "state")
    first = hosted.commit({"a.yaml": "1"})
    old = followed.source().look()
    hosted.commit({"a.yaml": "2"})
    fresh = followed.source("another.git")
    head = fresh.look()
    with pytest.raises(SourceRefusedError) as caught:
        fresh.manifests(old)
    assert caught.value.code == "PFR6515"
    assert fresh.follows(head, f"sha1:{first}")
    assert fresh.manifests(old).texts == {"a.yaml": "1"}


def test_a_merged_branch_is_an_ancestor_and_an_unrelated_history_is_not(local: Followed) -> None:
    git = local.hosted.author.git
    base = local.hosted.commit({"a.yaml": "1"})
    git("checkout", "--quiet", "-b", "side")
    side = local.hosted.commit({"b.yaml": "1"}, push=False)
    git("checkout", "--quiet", "main")
    local.hosted.commit({"c.yaml": "1"}, push=False)
    git("merge", "--quiet", "--no-edit", "side")
    local.hosted.push()
    source = local.source()
    merged = source.look()
    assert all(source.follows(merged, f"sha1:{commit}") for commit in (base, side))
    git("checkout", "--quiet", "--orphan", "new")
    local.hosted.commit({"d.yaml": "1"}, push=False)
    git("branch", "--force", "main", "new")
    git("checkout", "--quiet", "main")
    local.hosted.push(force=True)
    assert not source.follows(source.look(), merged.commit)


def test_a_tag_is_followed_and_a_tag_that_is_moved_is_seen(followed: Followed) -> None:
    first = followed.hosted.commit({"a.yaml": "1"})
    followed.hosted.tag("v1", annotate=True)
    source = followed.source(reference=Reference.TAG, reference_name="v1")
    assert source.look().text == f"v1@sha1:{first}"
    second = followed.hosted.commit({"a.yaml": "2"})
    assert source.look().text == f"v1@sha1:{first}"
    followed.hosted.tag("v1")
    moved = source.look()
    assert moved.text == f"v1@sha1:{second}"
    assert source.follows(moved, f"sha1:{first}")


def test_a_commit_is_followed_by_its_full_id_alone(followed: Followed) -> None:
    first = followed.hosted.commit({"a.yaml": "1"})
    followed.hosted.commit({"a.yaml": "2"})
    source = followed.source(reference=Reference.COMMIT, reference_name=first)
    assert source.look().text == f"HEAD@sha1:{first}"
    with pytest.raises(SourceRefusedError, match="full id"):
        followed.source(reference=Reference.COMMIT, reference_name=first[:12])


def test_a_repository_with_long_ids_is_followed(tmp_path: Path, local: Followed) -> None:
    hosted = HostedRepository(tmp_path / "long" / "fleet.git", "")
    hosted.author.git("init", "--quiet", "--bare", "--object-format=sha256", str(tmp_path / "sha256.git"))
    author = hosted.author.folder
    (author / ".git").rename(author / ".old")
    hosted.author.git("init", "--quiet", "--object-format=sha256", "--initial-branch=main")
    commit = hosted.author.commit(**{"a.yaml": "1"})
    hosted.author.git("push", "--quiet", str(tmp_path / "sha256.git"), "main")
    source = local.source(url=str(tmp_path / "sha256.git"))
    seen = source.look()
    assert seen.commit == f"sha256:{commit}"
    assert source.manifests(seen).texts["a.yaml"] == "1"


def test_what_is_not_there_is_told(local: Followed) -> None:
    local.hosted.commit({"a.yaml": "1"})
    local.hosted.tag("v1")
    assert refusal(local.source(reference_name="mian")) == "PFR6511"
    assert refusal(local.source(reference=Reference.TAG, reference_name="v2")) == "PFR6511"
    assert refusal(local.source(reference=Reference.COMMIT, reference_name="1" * 40)) == "PFR6511"
    assert refusal(local.source(url=f"{local.hosted.url}.gone")) == "PFR6508"
    tree = local.hosted.author.git("rev-parse", "HEAD^{tree}")
    local.hosted.author.git("tag", "tree", tree)
    local.hosted.push()
    assert refusal(local.source(reference=Reference.TAG, reference_name="tree")) == "PFR6511"


def test_a_branch_that_is_gone_later_is_refused_and_what_was_fetched_stays(local: Followed) -> None:
    local.hosted.commit({"a.yaml": "1"})
    source = local.source()
    seen = source.look()
    local.hosted.author.git("--git-dir", str(local.hosted.bare), "update-ref", "-d", "refs/heads/main")
    assert refusal(source) == "PFR6511"
    assert source.manifests(seen).paths == ("a.yaml",)


def test_only_the_folder_is_read_and_one_that_was_emptied_is_refused(local: Followed) -> None:
    local.hosted.commit({"eu/a.yaml": "1", "us/b.yaml": "2", "c.yaml": "3"})
    source = local.source(folder="eu/")
    assert source.manifests(source.look()).paths == ("eu/a.yaml",)
    local.hosted.commit({"eu/a.yaml": None, "eu/README.md": "moved"})
    emptied = source.look()
    with pytest.raises(SourceRefusedError, match="the folder eu holds no manifest") as caught:
        source.manifests(emptied)
    assert caught.value.code == "PFR6516"
    local.hosted.commit({"eu/README.md": None})
    with pytest.raises(SourceRefusedError):
        source.manifests(source.look())


def test_a_broken_manifest_is_a_problem_at_its_place(local: Followed) -> None:
    local.hosted.commit({"fleets/a.yaml": text(FLEET), "fleets/b.yaml": "a: [1\nb: 2\n"})
    source = local.source(folder="fleets")
    with pytest.raises(ManifestErrors) as caught:
        source.manifests(source.look()).compile()
    assert {problem.place.file for problem in caught.value.problems} == {"fleets/b.yaml"}


def test_rosters_are_read_from_the_commit(local: Followed) -> None:
    fleet = text(bent(FLEET, spec__select={"roster": "../rosters/eu.txt"}))
    local.hosted.commit({"m/fleets/a.yaml": fleet, "m/rosters/eu.txt": ID})
    source = local.source(folder="m")
    (compiled,) = source.manifests(source.look()).compile().fleets
    assert ID in str(compiled)


def test_two_sources_do_not_know_each_other(followed: Followed) -> None:
    followed.hosted.commit({"eu/a.yaml": "1", "us/b.yaml": "2"})
    europe, states = followed.source("eu.git", folder="eu"), followed.source("us.git", folder="us")
    assert europe.name != states.name
    assert europe.manifests(europe.look()).paths == ("eu/a.yaml",)
    assert states.manifests(states.look()).paths == ("us/b.yaml",)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "http://example.org/x.git"}, "neither"),
        ({"url": "git://example.org/x.git"}, "neither"),
        ({"url": "ext::sh -c whoami"}, "neither"),
        ({"url": "https://ann:hunter2@example.org/x.git"}, "secret"),
        ({"url": "https://hunter2@example.org/x.git"}, "secret"),
        ({"url": "https://example.org/x.git?token=hunter2"}, "more than a host"),
        ({"url": "ssh://-oProxyCommand=x/y"}, "hyphen"),
        ({"url": "-oProxyCommand=x:y"}, "hyphen"),
        ({"url": "ssh://ann:hunter2@example.org/x"}, "secret"),
        ({"url": "https:///x.git"}, "no host"),
        ({"url": ""}, "empty"),
        ({"folder": "../secrets"}, "no folder"),
        ({"folder": "/etc"}, "no folder"),
        ({"reference_name": "a:b"}, "not the name"),
        ({"reference_name": "*"}, "not the name"),
        ({"reference_name": "--upload-pack=x"}, "not the name"),
        ({"reference_name": "a..b"}, "not the name"),
        ({"reference_name": "a.lock"}, "not the name"),
        ({"reference_name": ""}, "not the name"),
    ],
)
def test_settings_that_ask_for_what_is_not_done_are_refused_without_their_secrets(
    local: Followed, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(SourceRefusedError, match=words) as caught:
        local.source(**changes)
    assert caught.value.code == "PFR6514"
    assert "hunter2" not in str(caught.value)


def test_the_name_shows_neither_user_nor_secret(local: Followed) -> None:
    assert local.source(url="ssh://git@example.org:22/team/x.git", folder="eu").name == (
        "ssh://example.org:22/team/x.git branch main eu"
    )
    assert local.source(url="git@example.org:team/x.git").name == "example.org:team/x.git branch main"


def test_a_mirror_of_another_repository_is_replaced(local: Followed, tmp_path: Path) -> None:
    local.hosted.commit({"a.yaml": "1"})
    local.source().look()
    other = HostedRepository(tmp_path / "there" / "other.git", str(tmp_path / "there" / "other.git"))
    commit = other.commit({"b.yaml": "1"})
    assert local.source(url=other.url).look().commit == f"sha1:{commit}"


def test_without_git_the_error_says_so(local: Followed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OperatorError, match="git cannot be run"):
        local.source().look()
