"""Manifests from files and folders: what is read, what is refused, what is missing."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from reconciler.manifests import ManifestErrors, ProblemCode
from reconciler.manifests.document import BYTES_MAX
from reconciler.model.error import ManifestError, OperatorError
from reconciler.sources import load_fleets, read_manifests
from reconciler.sources.manifest_set import ROSTER_BYTES_MAX
from tests.manifests.sample import FLEET, ID, RELEASE, bent, text


def write(folder: Path, name: str, content: str | bytes = text(FLEET)) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_a_folder_is_read_with_all_below_it_in_the_order_of_paths(tmp_path: Path) -> None:
    for name in ("b.yml", "a/z.yaml", "a/b/c.yaml", "note.txt", "a.yaml.bak"):
        write(tmp_path, name)
    found = read_manifests([tmp_path])
    assert found.paths == tuple((tmp_path / name).as_posix() for name in ("a/b/c.yaml", "a/z.yaml", "b.yml"))


def test_hidden_files_and_folders_are_passed_over(tmp_path: Path) -> None:
    for name in ("a.yaml", ".hidden.yaml", ".git/b.yaml"):
        write(tmp_path, name)
    assert read_manifests([tmp_path]).paths == ((tmp_path / "a.yaml").as_posix(),)


def test_a_path_is_named_as_it_was_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "m/a.yaml", "kind: [")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ManifestErrors) as caught:
        load_fleets(["m"])
    assert str(caught.value.problems[0].place) == "m/a.yaml:1:8"


def test_a_file_that_is_named_is_read_whatever_its_ending(tmp_path: Path) -> None:
    assert len(load_fleets([write(tmp_path, "fleet.txt")]).fleets) == 1


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    path = write(tmp_path, "a.yaml")
    assert len(load_fleets([tmp_path, path, str(tmp_path)]).fleets) == 1


def test_line_ends_of_other_systems_make_no_other_digest(tmp_path: Path) -> None:
    write(tmp_path, "a/f.yaml", text(FLEET))
    write(tmp_path, "b/f.yaml", text(FLEET).replace("\n", "\r\n"))
    assert load_fleets([tmp_path / "a"]).digest == load_fleets([tmp_path / "b"]).digest


def test_a_missing_path_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="there is no file or folder") as caught:
        read_manifests([tmp_path / "nowhere"])
    assert caught.value.code == "PFR6001"


def test_a_folder_without_a_manifest_is_an_error_and_not_an_empty_set(tmp_path: Path) -> None:
    write(tmp_path, "readme.md", "x")
    with pytest.raises(OperatorError, match="holds no manifest") as caught:
        read_manifests([tmp_path])
    assert caught.value.code == "PFR6003"


def test_no_path_at_all_is_an_error() -> None:
    with pytest.raises(OperatorError):
        read_manifests([])


def test_a_file_that_must_not_be_read_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    write(tmp_path, "a.yaml")
    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(OperatorError, match="cannot be read: Permission denied") as caught:
        read_manifests([tmp_path])
    assert caught.value.code == "PFR6002"


def test_bytes_that_are_not_utf8_are_a_problem_with_a_place(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", "a: 1\nbé: ".encode() + b"\xff\n")
    (problem,) = read_manifests([tmp_path]).problems
    assert (problem.code, problem.place.line, problem.place.column) == (ProblemCode.NOT_TEXT, 2, 5)
    assert "0xff" in problem.message
    assert problem.line == "bé: \N{REPLACEMENT CHARACTER}"


def test_a_bad_byte_right_after_a_line_end_belongs_to_the_next_line(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", b"a: 1\n\xff")
    assert str(read_manifests([tmp_path]).problems[0].place).endswith("a.yaml:2:1")


def test_a_problem_of_reading_comes_with_those_of_other_files(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", b"\xff")
    write(tmp_path, "b.yaml", text(bent(FLEET, spec__x=1)))
    write(tmp_path, "c.yaml", text(RELEASE))
    with pytest.raises(ManifestErrors) as caught:
        load_fleets([tmp_path])
    assert [each.code for each in caught.value.problems] == [ProblemCode.NOT_TEXT, ProblemCode.UNKNOWN_FIELD]


def test_a_problem_of_reading_alone_is_enough_to_compile_nothing(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", b"\xff")
    write(tmp_path, "b.yaml")
    with pytest.raises(ManifestErrors):
        load_fleets([tmp_path])


def test_a_file_above_the_limit_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, "a.yaml", b"#" * (BYTES_MAX + 1))
    found = read_manifests([tmp_path])
    assert [each.code for each in found.problems] == [ProblemCode.TOO_LARGE]
    assert not found.texts


def test_a_pipe_that_is_named_like_a_manifest_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.yaml", stat.S_IRUSR | stat.S_IWUSR)
    assert [each.code for each in read_manifests([tmp_path]).problems] == [ProblemCode.NOT_TEXT]


@pytest.mark.parametrize("target", ["outside.yaml", "outside"])
def test_a_link_out_of_the_folder_is_refused(tmp_path: Path, target: str) -> None:
    write(tmp_path, "outside.yaml")
    write(tmp_path, "outside/a.yaml")
    write(tmp_path, "m/a.yaml")
    (tmp_path / "m" / "link.yaml").symlink_to(tmp_path / target)
    (problem,) = read_manifests([tmp_path / "m"]).problems
    assert problem.code is ProblemCode.OUTSIDE
    assert problem.place.file.endswith("m/link.yaml")


def test_a_link_to_nowhere_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to(tmp_path / "gone.yaml")
    assert [each.code for each in read_manifests([tmp_path]).problems] == [ProblemCode.NOT_TEXT]


def test_a_link_that_stays_in_the_folder_is_followed_as_mounted_volumes_need_it(tmp_path: Path) -> None:
    write(tmp_path, "..2026_11_22/fleet.yaml")
    (tmp_path / "..data").symlink_to("..2026_11_22")
    (tmp_path / "fleet.yaml").symlink_to("..data/fleet.yaml")
    assert len(load_fleets([tmp_path]).fleets) == 1


def test_a_roster_is_found_beside_its_manifest(tmp_path: Path) -> None:
    write(tmp_path, "fleets/f.yaml", text(bent(FLEET, spec__select={"roster": "../rosters/eu.txt"})))
    write(tmp_path, "rosters/eu.txt", ID)
    assert load_fleets([tmp_path]).fleets[0].select.roster == frozenset({ID})


@pytest.mark.parametrize("as_link", [False, True])
def test_a_roster_outside_the_folder_is_not_read(tmp_path: Path, as_link: bool) -> None:
    secret = write(tmp_path, "secret.txt", ID)
    write(tmp_path, "m/f.yaml", text(bent(FLEET, spec__select={"roster": "r.txt" if as_link else "../secret.txt"})))
    if as_link:
        (tmp_path / "m" / "r.txt").symlink_to(secret)
    with pytest.raises(ManifestErrors) as caught:
        load_fleets([tmp_path / "m"])
    (problem,) = caught.value.problems
    assert problem.code is ProblemCode.OUTSIDE
    assert ID not in str(caught.value)


def test_a_roster_that_is_not_utf8_is_told_with_its_line(tmp_path: Path) -> None:
    write(tmp_path, "f.yaml", text(bent(FLEET, spec__select={"roster": "r.txt"})))
    write(tmp_path, "r.txt", f"{ID}\n".encode() + b"\xff")
    with pytest.raises(ManifestErrors, match="not UTF-8 text at line 2"):
        load_fleets([tmp_path])


def test_a_roster_above_the_limit_is_not_read(tmp_path: Path) -> None:
    write(tmp_path, "f.yaml", text(bent(FLEET, spec__select={"roster": "r.txt"})))
    with (tmp_path / "r.txt").open("wb") as file:
        file.truncate(ROSTER_BYTES_MAX + 1)
    with pytest.raises(ManifestErrors) as caught:
        load_fleets([tmp_path])
    assert caught.value.problems[0].code is ProblemCode.TOO_LARGE


def test_a_binary_is_read_by_the_path_that_its_release_compiles_to(tmp_path: Path) -> None:
    application = {"release": "logger", "version": 44}
    write(tmp_path, "f.yaml", text(bent(FLEET, spec__desired__application=application)))
    write(tmp_path, "apps/r.yaml", text(RELEASE))
    write(tmp_path, "apps/bin/logger-44.bin", b"\x01\x02")
    folder = read_manifests([tmp_path])
    (fleet,) = folder.compile().fleets
    assert fleet.desired.application is not None
    file = fleet.desired.application.binaries[0].file
    assert file is not None
    assert folder.binary(file) == b"\x01\x02"


def test_a_binary_that_is_missing_or_outside_is_an_error(tmp_path: Path) -> None:
    write(tmp_path, "secret.bin", b"\x01")
    write(tmp_path, "m/f.yaml")
    folder = read_manifests([tmp_path / "m"])
    with pytest.raises(OperatorError, match="there is no file"):
        folder.binary((tmp_path / "m" / "a.bin").as_posix())
    with pytest.raises(ManifestError, match="outside the given folder"):
        folder.binary((tmp_path / "m" / ".." / "secret.bin").as_posix())
