"""Manifests out of a commit: the same files mean the same fleets as in a folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.manifests import ManifestErrors, ProblemCode
from reconciler.manifests.document import BYTES_MAX
from reconciler.model.error import ManifestError, OperatorError
from reconciler.sources import read_manifests
from reconciler.sources.commit import (
    CommittedManifests,
    Spot,
    manifests_of,
    read_manifests_at,
    working_revision,
)
from reconciler.sources.git import find_repository
from tests.manifests.sample import FLEET, ID, bent, text
from tests.sources.sample_repository import SampleRepository

WITH_ROSTER = text(bent(FLEET, spec__select={"roster": "../rosters/eu.txt"}))
ODD_NAMES = ["a b.yaml", "a'\"b.yaml", "ü日.yaml", "new\nline.yaml", ":(top)x.yaml", "*.yaml", "-x.yaml", "t\tb.yml"]


@pytest.fixture
def sample(tmp_path: Path) -> SampleRepository:
    return SampleRepository(tmp_path / "repository")


def read(sample: SampleRepository, revision: str = "HEAD", *paths: str) -> CommittedManifests:
    return read_manifests_at(revision, [sample.folder / path for path in paths or (".",)])


def revision_of(sample: SampleRepository, path: str = ".") -> str | None:
    manifests = read_manifests([sample.folder / path])
    return working_revision([sample.folder / path], manifests.compile().files)


def test_a_commit_is_read_as_it_was_whatever_the_work_tree_holds_now(sample: SampleRepository) -> None:
    commit = sample.commit(**{"m/a.yaml": text(FLEET)})
    sample.write("m/a.yaml", "changed: since")
    sample.write("m/b.yaml", "new: file")
    found = read(sample, commit, "m")
    assert found.commit == f"sha1:{commit}"
    assert dict(found.manifests.texts) == {(sample.folder / "m/a.yaml").as_posix(): text(FLEET)}
    assert found.missing == ()


def test_a_clean_work_tree_and_its_commit_compile_to_the_same(
    sample: SampleRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample.commit(
        **{
            "m/fleets/a.yaml": WITH_ROSTER,
            "m/rosters/eu.txt": ID,
            "m/.hidden.yaml": "x",
            "m/.folder/x.yaml": "x",
            "m/notes.txt": "x",
            "beside.yaml": "x",
        }
    )
    for folder, given in ((sample.folder, "m"), (sample.folder / "m", "."), (sample.folder / "m/fleets", "../../m")):
        monkeypatch.chdir(folder)
        assert read_manifests_at("HEAD", [given]).manifests.compile() == read_manifests([given]).compile()


@pytest.mark.parametrize("name", ODD_NAMES, ids=ascii)
def test_odd_names_have_the_same_path_as_in_the_work_tree(sample: SampleRepository, name: str) -> None:
    sample.commit(**{f"odd {name[:2]}/{name}": text(FLEET)})
    assert read(sample).manifests.texts == read_manifests([sample.folder]).texts


def test_a_name_that_is_not_utf8_is_a_problem_in_both(sample: SampleRepository) -> None:
    sample.write(os.fsdecode(b"\xff.yaml"), text(FLEET))
    sample.commit()
    (problem,) = read(sample).manifests.problems
    assert read_manifests([sample.folder]).problems == (problem,)
    assert problem.place.file.endswith("\\xff.yaml")


def test_a_named_file_is_read_whatever_its_ending_and_its_roster_beside_it(sample: SampleRepository) -> None:
    sample.commit(**{"m/fleet.txt": text(bent(FLEET, spec__select={"roster": "eu.txt"})), "m/eu.txt": ID})
    found = read(sample, "HEAD", "m/fleet.txt")
    assert found.manifests.compile() == read_manifests([sample.folder / "m/fleet.txt"]).compile()


def test_several_paths_of_one_repository_are_read_together_and_each_file_once(sample: SampleRepository) -> None:
    sample.commit(**{"a/a.yaml": text(FLEET), "b/b.yaml": text(bent(FLEET, metadata__name="b"))})
    assert len(read(sample, "HEAD", "a", "b", "a/a.yaml").manifests.texts) == 2


def test_paths_of_two_repositories_are_an_error(sample: SampleRepository, tmp_path: Path) -> None:
    other = SampleRepository(tmp_path / "other")
    with pytest.raises(OperatorError, match="no common Git repository") as caught:
        read_manifests_at("HEAD", [sample.folder, other.folder])
    assert caught.value.code == "PFR6502"


def test_a_path_that_the_commit_does_not_have_is_missing_and_no_problem(sample: SampleRepository) -> None:
    sample.commit(a="x", **{"empty/readme.md": "x"})
    sample.write("new/a.yaml", text(FLEET))
    found = read(sample, "HEAD", "new", "empty")
    assert found.missing == tuple((sample.folder / name).as_posix() for name in ("new", "empty"))
    assert found.manifests.compile().fleets == ()


def test_a_removed_folder_is_read_from_the_commit_that_had_it(sample: SampleRepository) -> None:
    commit = sample.commit(**{"gone/a.yaml": text(FLEET)})
    (sample.folder / "gone/a.yaml").unlink()
    (sample.folder / "gone").rmdir()
    sample.commit()
    assert len(read(sample, commit, "gone").manifests.texts) == 1


def test_a_bare_repository_is_read_without_a_work_tree(sample: SampleRepository, tmp_path: Path) -> None:
    sample.commit(**{"m/f/a.yaml": WITH_ROSTER, "m/rosters/eu.txt": ID})
    sample.git("clone", "--quiet", "--bare", ".", str(tmp_path / "bare.git"))
    repository = find_repository(tmp_path / "bare.git")
    found = manifests_of(repository, repository.commit_of("main"), [Spot(given="m", inside="m")])
    (fleet,) = found.manifests.compile().fleets
    assert fleet.select.roster == {ID}
    assert fleet.place.file == "m/f/a.yaml"


def test_a_shallow_clone_reads_the_commits_that_it_has(sample: SampleRepository, tmp_path: Path) -> None:
    sample.commit(a="x")
    sample.commit(**{"m/a.yaml": text(FLEET)})
    sample.git("clone", "--quiet", "--depth=1", f"file://{sample.folder}", str(tmp_path / "shallow"))
    assert len(read_manifests_at("HEAD", [tmp_path / "shallow/m"]).manifests.compile().fleets) == 1


@pytest.mark.parametrize("name", ["a.yaml", "big.txt"])
def test_a_huge_file_is_refused_by_its_size_alone(sample: SampleRepository, name: str) -> None:
    with sample.write(f"m/{name}", "").open("wb") as file:
        file.truncate(BYTES_MAX + 1)
    sample.commit()
    (problem,) = read(sample, "HEAD", f"m/{name}").manifests.problems
    assert problem.code is ProblemCode.TOO_LARGE


def test_a_huge_roster_is_refused(sample: SampleRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.sources.manifest_set.ROSTER_BYTES_MAX", 10)
    sample.commit(**{"m/f/a.yaml": WITH_ROSTER, "m/rosters/eu.txt": ID})
    with pytest.raises(ManifestErrors) as caught:
        read(sample).manifests.compile()
    assert [problem.code for problem in caught.value.problems] == [ProblemCode.TOO_LARGE]


def link(sample: SampleRepository, path: str, target: str) -> None:
    (sample.folder / path).symlink_to(target)


@pytest.mark.parametrize(
    ("name", "target", "code"),
    [
        ("out.yaml", "../outside.yaml", ProblemCode.OUTSIDE),
        ("root.yaml", "/etc/hostname", ProblemCode.OUTSIDE),
        ("above.yaml", "../../../outside.yaml", ProblemCode.OUTSIDE),
        ("folder.yaml", "sub", ProblemCode.OUTSIDE),
        ("folder", "sub", ProblemCode.OUTSIDE),
        ("elsewhere", "../other", ProblemCode.OUTSIDE),
        ("nowhere.yaml", "gone.yaml", ProblemCode.NOT_TEXT),
    ],
)
def test_a_link_is_refused_as_in_a_folder(sample: SampleRepository, name: str, target: str, code: ProblemCode) -> None:
    sample.commit(**{"outside.yaml": "x", "m/sub/a.yaml": text(FLEET), "other/b.yaml": "x"})
    link(sample, f"m/{name}", target)
    sample.commit()
    problems = read(sample, "HEAD", "m").manifests.problems
    assert [problem.code for problem in problems] == [code]
    assert problems == read_manifests([sample.folder / "m"]).problems


@pytest.mark.parametrize(("name", "target"), [("README.md", "../outside.md"), ("note", "gone"), ("x", "/etc/hostname")])
def test_a_link_that_is_no_manifest_is_passed_over_as_in_a_folder(
    sample: SampleRepository, name: str, target: str
) -> None:
    sample.commit(**{"outside.md": "x", "m/a.yaml": text(FLEET)})
    link(sample, f"m/{name}", target)
    sample.commit()
    assert read(sample, "HEAD", "m").manifests.problems == ()
    assert read_manifests([sample.folder / "m"]).problems == ()


def test_links_that_lead_in_a_circle_lead_nowhere(sample: SampleRepository) -> None:
    sample.write("m/a.yaml", text(FLEET))
    link(sample, "m/b.yaml", "c.yaml")
    link(sample, "m/c.yaml", "b.yaml")
    sample.commit()
    assert {problem.code for problem in read(sample, "HEAD", "m").manifests.problems} == {ProblemCode.OUTSIDE}


def test_a_link_that_stays_in_the_folder_is_followed_through_other_links(sample: SampleRepository) -> None:
    sample.write("m/..2026/fleet.yaml", text(FLEET))
    link(sample, "m/..data", "..2026")
    link(sample, "m/fleet.yaml", "..data/fleet.yaml")
    link(sample, "m/again.yaml", "./fleet.yaml")
    sample.commit()
    found = read(sample, "HEAD", "m").manifests
    assert len(found.compile().fleets) == 1
    assert found.compile().digest == read_manifests([sample.folder / "m"]).compile().digest


def test_a_roster_is_not_read_through_a_link_that_leads_out(sample: SampleRepository) -> None:
    sample.commit(**{"secret.txt": ID, "m/f.yaml": text(bent(FLEET, spec__select={"roster": "r.txt"}))})
    link(sample, "m/r.txt", "../secret.txt")
    sample.commit()
    with pytest.raises(ManifestErrors) as caught:
        read(sample, "HEAD", "m").manifests.compile()
    assert [problem.code for problem in caught.value.problems] == [ProblemCode.OUTSIDE]
    assert ID not in str(caught.value)


def test_a_binary_is_read_from_the_commit_or_refused(sample: SampleRepository) -> None:
    commit = sample.commit(**{"m/a.yaml": text(FLEET), "m/bin/a.bin": "\x01", "b.bin": "\x02"})
    sample.write("m/bin/a.bin", "changed")
    manifests = read(sample, commit, "m").manifests
    assert manifests.binary((sample.folder / "m/bin/a.bin").as_posix()) == b"\x01"
    with pytest.raises(OperatorError, match="there is no file"):
        manifests.binary((sample.folder / "m/bin/b.bin").as_posix())
    with pytest.raises(OperatorError, match="there is no file"):
        manifests.binary((sample.folder / "m/bin").as_posix())
    with pytest.raises(ManifestError, match="outside the given folder"):
        manifests.binary((sample.folder / "b.bin").as_posix())


def test_a_submodule_is_refused_and_never_entered(sample: SampleRepository, tmp_path: Path) -> None:
    other = SampleRepository(tmp_path / "other")
    other.commit(**{"a.yaml": text(FLEET)})
    sample.write("m/b.yaml", text(bent(FLEET, metadata__name="b")))
    sample.git("submodule", "--quiet", "add", str(other.folder), "m/vendor")
    sample.commit()
    found = read(sample, "HEAD", "m").manifests
    assert [(problem.code, problem.place.file) for problem in found.problems] == [
        (ProblemCode.OUTSIDE, (sample.folder / "m/vendor").as_posix())
    ]
    assert len(found.texts) == 1


def test_a_clean_work_tree_is_at_its_branch_and_commit(sample: SampleRepository) -> None:
    commit = sample.commit(**{"m/f/a.yaml": WITH_ROSTER, "m/rosters/eu.txt": ID, "other": "x"})
    sample.write("other", "changed, but not ours")
    assert revision_of(sample, "m") == f"main@sha1:{commit}"


def test_a_detached_head_has_no_branch(sample: SampleRepository) -> None:
    commit = sample.commit(**{"m/a.yaml": text(FLEET)})
    sample.git("checkout", "--quiet", "--detach")
    assert revision_of(sample) == f"HEAD@sha1:{commit}"


def test_a_repository_of_longer_ids_says_so(tmp_path: Path) -> None:
    sample = SampleRepository.__new__(SampleRepository)
    sample.folder = tmp_path
    sample.git("init", "--quiet", "--initial-branch=main", "--object-format=sha256")
    commit = sample.commit(**{"m/a.yaml": text(FLEET)})
    assert len(commit) == 64
    assert revision_of(sample, "m") == f"main@sha256:{commit}"


@pytest.mark.parametrize(
    ("changed", "content"),
    [
        ("m/f/a.yaml", WITH_ROSTER + "# more\n"),
        ("m/rosters/eu.txt", f"{ID}\n# more\n"),
        ("m/f/new.yaml", text(bent(FLEET, metadata__name="new"))),
        ("m/f/ignored.yaml", text(bent(FLEET, metadata__name="ignored"))),
    ],
)
def test_a_work_tree_that_the_commit_does_not_have_so_is_dirty(
    sample: SampleRepository, changed: str, content: str
) -> None:
    sample.commit(**{"m/f/a.yaml": WITH_ROSTER, "m/rosters/eu.txt": ID, ".gitignore": "ignored*"})
    sample.write(changed, content)
    assert str(revision_of(sample, "m")).endswith("-dirty")


def test_a_removed_manifest_makes_the_work_tree_dirty(sample: SampleRepository) -> None:
    sample.commit(**{"m/a.yaml": text(FLEET), "m/b.yaml": text(bent(FLEET, metadata__name="b"))})
    (sample.folder / "m/b.yaml").unlink()
    assert str(revision_of(sample, "m")).endswith("-dirty")


def test_a_changed_roster_beside_a_named_file_makes_it_dirty(sample: SampleRepository) -> None:
    sample.commit(**{"f.yaml": text(bent(FLEET, spec__select={"roster": "r.txt"})), "r.txt": ID, "x": "1"})
    sample.write("x", "2")
    assert not str(revision_of(sample, "f.yaml")).endswith("-dirty")
    sample.write("r.txt", f"{ID}\n\n")
    assert str(revision_of(sample, "f.yaml")).endswith("-dirty")


def test_files_that_are_not_read_do_not_make_it_dirty(sample: SampleRepository) -> None:
    commit = sample.commit(**{"m/a.yaml": text(FLEET)})
    sample.write("m/plan.json", "{}")
    sample.write("m/.a.yaml.swp", "x")
    assert revision_of(sample, "m") == f"main@sha1:{commit}"


def test_a_work_tree_behind_a_link_is_at_its_commit(sample: SampleRepository, tmp_path: Path) -> None:
    commit = sample.commit(**{"m/a.yaml": text(FLEET)})
    (tmp_path / "link").symlink_to(sample.folder / "m")
    assert working_revision([tmp_path / "link"], [str(tmp_path / "link/a.yaml")]) == f"main@sha1:{commit}"
    assert len(read_manifests_at("HEAD", [tmp_path / "link"]).manifests.texts) == 1


def test_where_no_revision_can_be_told_there_is_none(
    sample: SampleRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sample.write("a.yaml", text(FLEET))
    assert revision_of(sample) is None  # no commit yet
    sample.commit()
    other = SampleRepository(tmp_path / "other").folder
    assert working_revision([sample.folder, other], []) is None
    assert working_revision([tmp_path], []) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert working_revision([sample.folder], []) is None
