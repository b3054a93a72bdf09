"""A mirror through crashes, damage and other people's files."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciler.model.error import SourceError, SourceUnreachableError
from reconciler.model.revision import Revision
from reconciler.sources import mirror
from reconciler.sources.git_source import GitSource
from reconciler.sources.mirror import MirrorBounds
from tests.sources.followed import Followed, refusal, trouble

BIG = 20_000_000
LOOK = """
import sys
from pathlib import Path
from reconciler.settings.settings import GitSettings
from reconciler.sources.git_source import GitSource
GitSource(GitSettings(url=sys.argv[1]), Path(sys.argv[2])).look()
"""


@pytest.fixture
def local(local: Followed) -> Followed:
    local.hosted.commit({"a.yaml": "1"})
    return local


def half_packs(local: Followed) -> list[Path]:
    return list(local.folder.glob("mirror.git*/objects/pack/tmp_pack_*"))


def processes_in(folder: Path) -> list[int]:
    found = []
    for each in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if str(each.joinpath("cwd").readlink()).startswith(str(folder)):
                found.append(int(each.name))
    return found


def killed_in_mid_fetch(local: Followed, *, with_git: bool) -> None:
    """Have a controller look, and kill it (with its git, or not) when half a pack has come."""
    script = [sys.executable, "-c", LOOK, local.settings.url, str(local.mirror)]
    root = Path(__file__).parents[2]
    controller = subprocess.Popen(script, cwd=root, stderr=subprocess.DEVNULL)
    while not half_packs(local):
        assert controller.poll() is None, "the fetch was over before it could be interrupted"
        time.sleep(0.001)
    controller.kill()
    controller.wait()
    while with_git and (left := processes_in(local.folder)):
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def as_soon_as_git_has_let_go(source: GitSource) -> Revision:
    """A git that has outlived its controller ends when it is done; every look waits some seconds for it."""
    while True:
        try:
            return source.look()
        except SourceUnreachableError as error:
            assert error.code == "PFR6513"  # noqa: PT017  # only this one may pass


@pytest.mark.skipif(not Path("/proc/self/cwd").exists(), reason="NOT TESTED: there is no /proc here")
@pytest.mark.parametrize("first", [True, False], ids=["the first fetch", "a later fetch"])
@pytest.mark.parametrize("with_git", [True, False], ids=["with its git", "alone"])
def test_a_controller_that_is_killed_in_mid_fetch_goes_on_at_the_next_look(
    local: Followed, *, first: bool, with_git: bool
) -> None:
    if not first:
        local.source().look()
    commit = local.hosted.commit({"big.bin": os.urandom(BIG), "a.yaml": "2"})
    killed_in_mid_fetch(local, with_git=with_git)
    if with_git:
        assert half_packs(local), "the fetch was over before it was interrupted"
    source = local.source()
    seen = as_soon_as_git_has_let_go(source)
    assert seen.commit == f"sha1:{commit}"
    assert source.manifests(seen).texts == {"a.yaml": "2"}
    assert not half_packs(local)
    assert sorted(path.name for path in local.folder.iterdir()) == ["mirror.git", "mirror.git.lock"]


def test_what_a_crash_leaves_behind_is_in_nobodys_way(local: Followed) -> None:
    local.source().look()
    left = [
        "shallow.lock", "HEAD.lock", "config.lock", "packed-refs.lock", "refs/reconciler/followed.lock", "private/key",
        "objects/pack/tmp_pack_x", "objects/pack/tmp_idx_x", "objects/ab/tmp_obj_x", "objects/pack/.tmp-1-pack-x.pack",
    ]  # fmt: skip  # one a line would be long
    for name in left:
        (local.mirror / name).parent.mkdir(exist_ok=True)
        (local.mirror / name).touch()
    shutil.copytree(local.mirror, local.folder / "mirror.git.reconciler-new")
    commit = local.hosted.commit({"a.yaml": "2"})
    assert local.source().look().commit == f"sha1:{commit}"
    assert not [name for name in left if (local.mirror / name).exists()]
    assert not (local.folder / "mirror.git.reconciler-new").exists()


def test_a_crash_between_two_mirrors_loses_neither(local: Followed) -> None:
    seen = local.source().look()
    local.mirror.rename(local.folder / "mirror.git.reconciler-old")
    shutil.rmtree(local.hosted.bare)
    assert local.source().manifests(seen).texts == {"a.yaml": "1"}


def truncate(path: Path) -> None:
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-30])


def flip(path: Path) -> None:
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    for at in range(12, len(content) - 20, 3):
        content[at] ^= 0x55
    path.write_bytes(content)


def pack(folder: Path, ending: str) -> Path:
    return next((folder / "objects/pack").glob(f"*.{ending}"))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "no HEAD": lambda folder: (folder / "HEAD").unlink(),
    "no objects": lambda folder: shutil.rmtree(folder / "objects"),
    "no pack": lambda folder: pack(folder, "pack").unlink(),
    "half a pack": lambda folder: truncate(pack(folder, "pack")),
    "other bytes in a pack": lambda folder: flip(pack(folder, "pack")),
    "half an index": lambda folder: truncate(pack(folder, "idx")),
    "an empty reference": lambda folder: (folder / "refs/reconciler/followed").write_text(""),
    "a reference to nothing": lambda folder: (folder / "refs/reconciler/followed").write_text("1" * 40 + "\n"),
    "a broken shallow file": lambda folder: (folder / "shallow").write_text("what\n"),
    "a broken configuration": lambda folder: (folder / "config").write_text("[core\n"),
    "an empty configuration": lambda folder: (folder / "config").write_text(""),
    "nothing but the mark": lambda folder: [
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in folder.iterdir()
        if path.name != "reconciler-mirror"
    ],
}


@pytest.mark.parametrize("moved", [True, False], ids=["moved on", "the same"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_mirror_is_fetched_anew_by_itself(local: Followed, damage: str, *, moved: bool) -> None:
    local.hosted.commit({"a.yaml": "2"})
    source = local.source()
    seen = source.look()
    DAMAGE[damage](local.mirror)
    if moved:
        local.hosted.commit({"a.yaml": "3"})
    again = source.look()
    assert (again == seen) is not moved
    assert source.manifests(again).texts == {"a.yaml": "3" if moved else "2"}
    assert source.manifests(seen).texts == {"a.yaml": "2"}


def test_a_mirror_that_is_damaged_while_it_is_read_is_fetched_anew(local: Followed) -> None:
    source = local.source()
    seen = source.look()
    flip(pack(local.mirror, "pack"))
    assert source.manifests(seen).texts == {"a.yaml": "1"}


def test_a_damaged_mirror_of_a_repository_that_is_not_reached_is_told_and_kept(local: Followed) -> None:
    source = local.source()
    seen = source.look()
    flip(pack(local.mirror, "pack"))
    shutil.move(local.hosted.bare, local.hosted.bare.with_suffix(".away"))
    with pytest.raises(SourceError):
        source.manifests(seen)
    assert local.mirror.exists()
    shutil.move(local.hosted.bare.with_suffix(".away"), local.hosted.bare)
    assert source.look() == seen


@pytest.mark.parametrize("content", ["precious", None])
def test_a_folder_that_is_not_ours_is_never_touched(local: Followed, content: str | None) -> None:
    local.mirror.mkdir(parents=True)
    if content is None:
        assert local.source().look()
        return
    (local.mirror / "thesis.txt").write_text(content)
    assert refusal(local.source()) == "PFR6513"
    assert [path.name for path in local.mirror.iterdir()] == ["thesis.txt"]


def test_a_file_in_the_place_of_the_mirror_is_never_touched(local: Followed) -> None:
    local.folder.mkdir()
    local.mirror.write_text("precious")
    assert refusal(local.source()) == "PFR6513"
    assert local.mirror.read_text() == "precious"


def test_a_mirror_that_another_process_has_is_left_alone(local: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "_LOCK_SECONDS", 0.05)
    source = local.source()
    seen = source.look()
    with (local.folder / "mirror.git.lock").open() as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        assert trouble(source) == "PFR6513"
        assert source.manifests(seen).texts == {"a.yaml": "1"}
    assert source.look() == seen


def test_a_mirror_that_cannot_be_written_is_told(local: Followed) -> None:
    local.folder.parent.mkdir(exist_ok=True)
    local.folder.write_text("a file where the folder should be")
    assert trouble(local.source()) == "PFR6513"


def test_many_small_packs_become_one_and_nothing_is_lost(local: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "_PACKS_MAX", 3)
    source = local.source()
    seen = [source.look()]
    for number in range(2, 12):
        local.hosted.rewind(seen[0].commit.partition(":")[2])
        local.hosted.commit({"a.yaml": str(number)}, push=False)
        local.hosted.push(force=True)
        seen.append(source.look())
        assert len(list((local.mirror / "objects/pack").glob("*.pack"))) <= 5
    shutil.rmtree(local.hosted.bare)
    assert [source.manifests(each).texts["a.yaml"] for each in seen] == [str(number) for number in range(1, 12)]


def test_a_mirror_that_has_grown_too_large_begins_anew(local: Followed) -> None:
    source = local.source(bounds=MirrorBounds(mirror_bytes=1))
    source.look()
    commit = local.hosted.commit({"a.yaml": "2"})
    assert source.look().commit == f"sha1:{commit}"


def test_a_look_at_what_has_not_moved_writes_nothing(local: Followed) -> None:
    source = local.source()
    source.look()
    before = {path: path.stat().st_mtime_ns for path in local.mirror.rglob("*")}
    source.look()
    assert {path: path.stat().st_mtime_ns for path in local.mirror.rglob("*")} == before
