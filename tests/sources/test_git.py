"""What git is asked, and what becomes of its answers."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from reconciler.model.error import OperatorError
from reconciler.sources import git
from reconciler.sources.git import Entry, find_repository
from tests.sources.sample_repository import SampleRepository


@pytest.fixture
def sample(tmp_path: Path) -> SampleRepository:
    return SampleRepository(tmp_path / "repository")


def code_of(caught: pytest.ExceptionInfo[OperatorError]) -> str:
    return caught.value.code


def pretend_git(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    folder.mkdir()
    program = folder / "git"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_the_repository_of_a_file_deep_below_is_its_top(sample: SampleRepository) -> None:
    file = sample.write("a/b/c.yaml", "x")
    assert find_repository(file).folder == sample.folder.resolve()


def test_the_repository_of_a_folder_that_was_removed_is_still_found(sample: SampleRepository) -> None:
    assert find_repository(sample.folder / "gone" / "too").folder == sample.folder.resolve()


def test_a_bare_repository_is_found_from_inside(sample: SampleRepository, tmp_path: Path) -> None:
    sample.commit()
    sample.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare.git"))
    assert find_repository(tmp_path / "bare.git").folder == (tmp_path / "bare.git").resolve()


def test_a_folder_outside_every_repository_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="lies in no Git repository") as caught:
        find_repository(tmp_path)
    assert code_of(caught) == "PFR6502"


def test_without_git_the_error_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(OperatorError, match="git cannot be run") as caught:
        find_repository(tmp_path)
    assert code_of(caught) == "PFR6501"


def test_a_git_that_never_ends_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_git(tmp_path / "bin", monkeypatch, "exec sleep 3600")
    monkeypatch.setattr(git, "SECONDS_MAX", 0.05)
    with pytest.raises(OperatorError, match="no end within") as caught:
        find_repository(tmp_path)
    assert code_of(caught) == "PFR6503"


def test_a_git_that_never_stops_talking_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_git(tmp_path / "bin", monkeypatch, "exec cat /dev/zero")
    monkeypatch.setattr(git, "_LIST_BYTES_MAX", 10_000)
    with pytest.raises(OperatorError, match="more than 10000 bytes") as caught:
        find_repository(tmp_path)
    assert code_of(caught) == "PFR6503"


def test_the_callers_git_environment_does_not_lead_elsewhere(
    sample: SampleRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = SampleRepository(tmp_path / "other")
    monkeypatch.setenv("GIT_DIR", str(other.folder / ".git"))
    monkeypatch.setenv("GIT_INDEX_FILE", str(tmp_path / "index"))
    (sample.folder / "below").mkdir()
    assert find_repository(sample.folder / "below").folder == sample.folder.resolve()


@pytest.mark.parametrize("revision", ["main", "HEAD", "v1", "main~0", "feature/ü", "HEAD^{/a change}"])
def test_a_revision_is_resolved_to_its_commit(sample: SampleRepository, revision: str) -> None:
    commit = sample.commit()
    sample.git("tag", "--annotate", "--message=one", "v1")
    sample.git("branch", "feature/ü")
    repository = find_repository(sample.folder)
    assert repository.commit_of(revision) == commit
    assert repository.commit_of(commit[:8]) == commit


@pytest.mark.parametrize(
    "revision",
    [
        "",
        "-h",
        "--help",
        "--upload-pack=touch gone",
        "--all",
        "main..main",
        "main main",
        "HEAD:a",
        "a\nb",
        "a\0b",
        "^main",
    ],
)
def test_what_is_no_revision_is_never_an_option(sample: SampleRepository, revision: str) -> None:
    sample.commit()
    with pytest.raises(OperatorError, match="there is no commit") as caught:
        find_repository(sample.folder).commit_of(revision)
    assert code_of(caught) == "PFR6504"
    assert not list(sample.folder.glob("gone*"))


@pytest.mark.parametrize(
    ("misspelt", "suggestion"), [("mian", "main"), ("v1.10", "v1.1.0"), ("staging", "origin/staging")]
)
def test_a_misspelt_revision_is_told_the_nearest_name(sample: SampleRepository, misspelt: str, suggestion: str) -> None:
    sample.commit()
    sample.git("tag", "v1.1.0")
    sample.git("update-ref", "refs/remotes/origin/staging", "HEAD")
    with pytest.raises(OperatorError) as caught:
        find_repository(sample.folder).commit_of(misspelt)
    assert f"did you mean '{suggestion}'?" in caught.value.next_step


def test_a_shallow_clone_says_that_older_commits_are_not_in_it(sample: SampleRepository, tmp_path: Path) -> None:
    first = sample.commit("one")
    sample.commit("two")
    sample.git("clone", "--quiet", "--depth=1", f"file://{sample.folder}", str(tmp_path / "shallow"))
    with pytest.raises(OperatorError) as caught:
        find_repository(tmp_path / "shallow").commit_of(first)
    assert "shallow" in caught.value.next_step


def test_a_partial_clone_fetches_nothing_and_says_what_it_lacks(sample: SampleRepository, tmp_path: Path) -> None:
    sample.commit(a="x")
    sample.git("config", "uploadpack.allowFilter", "true")
    there = str(tmp_path / "partial")
    sample.git("clone", "--quiet", "--no-checkout", "--filter=blob:none", f"file://{sample.folder}", there)
    repository = find_repository(tmp_path / "partial")
    with pytest.raises(OperatorError) as caught:
        repository.entries(repository.commit_of("main"), "")
    assert code_of(caught) == "PFR6505"


def test_a_damaged_repository_is_an_error_that_names_it(sample: SampleRepository) -> None:
    commit = sample.commit(a="x")
    repository = find_repository(sample.folder)
    (entry,) = repository.entries(commit, "").values()
    (sample.folder / ".git/objects" / entry.object_id[:2] / entry.object_id[2:]).unlink()
    with pytest.raises(OperatorError) as caught:
        repository.contents([entry])
    assert code_of(caught) == "PFR6505"
    assert str(repository.folder) in caught.value.message


def test_the_head_is_the_branch_and_its_commit(sample: SampleRepository) -> None:
    repository = find_repository(sample.folder)
    assert repository.head() is None
    commit = sample.commit()
    assert repository.head() == ("main", commit)
    sample.git("checkout", "--quiet", "--detach")
    assert repository.head() == ("HEAD", commit)


ODD_NAMES = [
    "with space", "with 'quote\"s", "ümläut/日本", "new\nline", ":(top)magic", "*", "-option", "a\\b", "tab\tulator",
    os.fsdecode(b"\xff\xfe"),
]  # fmt: skip  # one a line would be long


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_odd_names_are_read_as_they_are(sample: SampleRepository, name: str) -> None:
    sample.write(f"{name}/{name.replace('/', '-')}", "content")
    sample.write("beside", "x")
    repository = find_repository(sample.folder)
    entries = repository.entries(sample.commit(), name)
    assert list(entries) == [f"{name}/{name.replace('/', '-')}"]
    assert list(repository.contents(list(entries.values())).values()) == [b"content"]
    assert repository.kept([name]) == set(entries)


def test_many_contents_at_once_come_back_whole(sample: SampleRepository) -> None:
    texts = {f"{number}": os.urandom(number) for number in range(400)}
    for name, content in texts.items():
        sample.write(name, content)
    repository = find_repository(sample.folder)
    entries = repository.entries(sample.commit(), "")
    contents = repository.contents(list(entries.values()))
    assert {name: contents[entry.object_id] for name, entry in entries.items()} == texts


def test_nothing_asked_is_nothing_read(sample: SampleRepository) -> None:
    assert find_repository(sample.folder).contents([]) == {}


def test_an_object_that_is_not_there_is_an_error(sample: SampleRepository) -> None:
    sample.commit()
    absent = Entry(mode="100644", object_id="1" * 40, size=3)
    with pytest.raises(OperatorError, match="lacks the object"):
        find_repository(sample.folder).contents([absent])


def test_a_replaced_object_is_read_as_it_was_committed(sample: SampleRepository) -> None:
    old = sample.commit(a="old")
    new = sample.commit(a="new")
    sample.git("replace", old, new)
    repository = find_repository(sample.folder)
    entries = repository.entries(old, "")
    assert list(repository.contents(list(entries.values())).values()) == [b"old"]


def test_a_changed_staged_or_removed_file_differs_from_the_commit(sample: SampleRepository) -> None:
    sample.commit(a="1", b="1", c="1")
    repository = find_repository(sample.folder)
    assert not repository.differs_from_head(["."])
    sample.write("a", "2")
    assert [repository.differs_from_head([path]) for path in "abc"] == [True, False, False]
    (sample.folder / "b").unlink()
    sample.write("c", "2")
    sample.git("add", "c")
    assert [repository.differs_from_head([path]) for path in "abc"] == [True, True, True]


def test_asking_writes_nothing_into_the_repository(sample: SampleRepository) -> None:
    commit = sample.commit(a="1")
    os.utime(sample.folder / "a", (1, 1))  # git would like to refresh its index now
    index = (sample.folder / ".git/index").read_bytes()
    repository = find_repository(sample.folder)
    assert not repository.differs_from_head(["."])
    repository.entries(commit, "")
    assert (sample.folder / ".git/index").read_bytes() == index


def test_no_monitor_of_the_repository_is_run(sample: SampleRepository, tmp_path: Path) -> None:
    sample.commit(a="1")
    monitor = tmp_path / "monitor"
    monitor.write_text(f"#!/bin/sh\ntouch {tmp_path}/was-run\n")
    monitor.chmod(0o755)
    sample.git("config", "core.fsmonitor", str(monitor))
    find_repository(sample.folder).differs_from_head(["."])
    assert not (tmp_path / "was-run").exists()


def test_a_repository_of_another_user_is_not_read_and_the_error_says_how_to_allow_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "fatal: detected dubious ownership in repository at somewhere"
    pretend_git(tmp_path / "bin", monkeypatch, f"echo '{said}' >&2; exit 128")
    with pytest.raises(OperatorError, match="belongs to another user") as caught:
        find_repository(tmp_path)
    assert code_of(caught) == "PFR6502"
    assert "safe.directory" in caught.value.next_step
