"""What a repository may try: too much, too deep, leading out, pretending. None of it is taken, and each is told."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from reconciler.manifests import ManifestErrors, ProblemCode
from reconciler.manifests.document import BYTES_MAX
from reconciler.model.error import ManifestError, SourceRefusedError
from reconciler.sources import commit, git
from reconciler.sources.fetch_failure import failure_of
from reconciler.sources.manifest_set import ManifestSet
from reconciler.sources.mirror import MirrorBounds
from tests.git_server import HttpsGitServer
from tests.manifests.sample import FLEET, bent, text
from tests.sources.followed import Followed, refusal

POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12345\n"


@pytest.fixture
def web(https: HttpsGitServer, tmp_path: Path) -> Followed:
    hosted = https.repository()
    return Followed(hosted, https.settings(hosted), tmp_path / "state")


def manifests(local: Followed, folder: str = "") -> ManifestSet:
    source = local.source(folder=folder)
    return source.manifests(source.look())


def problems(found: ManifestSet) -> dict[str, ProblemCode]:
    with pytest.raises(ManifestErrors) as caught:
        found.compile()
    return {problem.place.file: problem.code for problem in caught.value.problems}


def made(local: Followed, kind: str, content: bytes) -> str:
    """Put an object into the served repository that no git would make."""
    command = ["git", "hash-object", "-t", kind, "-w", "--literally", "--stdin"]
    done = subprocess.run(command, cwd=local.hosted.bare, input=content, capture_output=True, check=True)
    return done.stdout.decode().strip()


def served(local: Followed, tree: str) -> None:
    """Have main be a commit of this tree."""
    who = "Ann <ann@example.org> 1790000000 +0000"
    head = made(local, "commit", f"tree {tree}\nauthor {who}\ncommitter {who}\n\nx\n".encode())
    subprocess.run(["git", "update-ref", "refs/heads/main", head], cwd=local.hosted.bare, check=True)


def tree_of(*entries: tuple[str, str, str]) -> bytes:
    return b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(object_id) for mode, name, object_id in entries)


def test_a_fetch_that_is_too_large_is_refused_and_what_was_there_stays(followed: Followed) -> None:
    followed.hosted.commit({"a.yaml": "1"})
    source = followed.source(bounds=MirrorBounds(fetch_bytes=500_000))
    seen = source.look()
    large = followed.hosted.commit({"big.bin": os.urandom(2_000_000)})
    for _ in range(2):
        assert refusal(source) == "PFR6512"
    assert source.manifests(seen).texts == {"a.yaml": "1"}
    assert sum(path.stat().st_size for path in followed.mirror.rglob("*")) < 1_000_000
    followed.hosted.rewind(f"{large}~1")
    followed.hosted.push(force=True)
    assert source.look() == seen


def test_a_large_file_that_came_and_went_keeps_nobody_from_what_followed(local: Followed) -> None:
    local.hosted.commit({"a.yaml": "1"})
    source = local.source(bounds=MirrorBounds(fetch_bytes=500_000))
    first = source.look()
    local.hosted.commit({"big.bin": os.urandom(2_000_000)}, push=False)
    local.hosted.commit({"big.bin": None, "a.yaml": "2"}, push=False)
    local.hosted.push()
    seen = source.look()
    assert source.manifests(seen).texts == {"a.yaml": "2"}
    assert not source.follows(seen, first.commit), "its history is too much: a person has to say so"


def test_a_small_pack_that_becomes_a_huge_file_takes_no_memory(web: Followed) -> None:
    web.hosted.commit({"zeros.bin": bytes(100_000_000), "a.yaml": "1"})
    source = web.source(bounds=MirrorBounds(fetch_bytes=5_000_000, fetch_memory_bytes=100_000_000))
    assert source.manifests(source.look()).texts == {"a.yaml": "1"}


def test_a_small_pack_that_takes_more_memory_than_is_given_is_refused(web: Followed) -> None:
    web.hosted.commit({"a.bin": bytes(60_000_000), "b.bin": bytes(60_000_000) + b"x"})
    source = web.source(bounds=MirrorBounds(fetch_bytes=5_000_000, fetch_memory_bytes=100_000_000))
    assert refusal(source) == "PFR6512"


def test_a_tree_that_unfolds_without_end_is_refused(local: Followed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(git, "_LIST_BYTES_MAX", 1_000_000)
    inner = made(local, "blob", b"a: 1\n")
    mode = "100644"
    for _ in range(12):
        inner, mode = made(local, "tree", tree_of(*((mode, f"{number}.yaml", inner) for number in range(9)))), "40000"
    served(local, inner)
    source = local.source()
    seen = source.look()
    with pytest.raises(SourceRefusedError) as caught:
        source.manifests(seen)
    assert caught.value.code == "PFR6512"


@pytest.mark.parametrize(("limit", "value"), [("FILES_MAX", 3), ("MANIFESTS_BYTES_MAX", 100)])
def test_more_manifests_than_are_read_are_refused(
    local: Followed, monkeypatch: pytest.MonkeyPatch, limit: str, value: int
) -> None:
    local.hosted.commit({f"{number}.yaml": "x" * 30 + str(number) for number in range(4)})
    monkeypatch.setattr(commit, limit, value)
    with pytest.raises(SourceRefusedError) as caught:
        manifests(local)
    assert caught.value.code == "PFR6512"


@pytest.mark.parametrize("name", ["..", ".", ".git", "a/b"])
def test_trees_with_names_that_lead_elsewhere_are_refused(local: Followed, name: str) -> None:
    blob = made(local, "blob", b"x")
    served(local, made(local, "tree", tree_of(("100644", name, blob))))
    assert refusal(local.source()) == "PFR6520"


def test_a_tree_with_two_files_of_one_name_is_refused(local: Followed) -> None:
    one, two = made(local, "blob", b"1"), made(local, "blob", b"2")
    served(local, made(local, "tree", tree_of(("100644", "a.yaml", one), ("100644", "a.yaml", two))))
    assert refusal(local.source()) == "PFR6520"


def test_links_submodules_pointers_and_large_manifests_are_problems_at_their_place(
    local: Followed, tmp_path: Path
) -> None:
    author = local.hosted.author
    secret = tmp_path / "secret.yaml"
    secret.write_text("token: x")
    author.write("m/a.yaml", text(FLEET))
    for name, goal in {"out": "../other/b.yaml", "abs": str(secret), "loop": "loop.yaml", "up": "../.."}.items():
        (author.folder / f"m/{name}.yaml").symlink_to(goal)
    author.write("other/b.yaml", "x: 1")
    author.write("m/large.yaml", "#" * (BYTES_MAX + 1))
    author.write("m/pointer.yaml", POINTER)
    author.commit()
    author.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},m/module")
    author.git("commit", "--quiet", "--message=a submodule")
    local.hosted.push()
    assert problems(manifests(local, "m")) == {
        "m/out.yaml": ProblemCode.OUTSIDE,
        "m/abs.yaml": ProblemCode.OUTSIDE,
        "m/up.yaml": ProblemCode.OUTSIDE,
        "m/loop.yaml": ProblemCode.OUTSIDE,
        "m/module": ProblemCode.OUTSIDE,
        "m/large.yaml": ProblemCode.TOO_LARGE,
        "m/pointer.yaml": ProblemCode.NOT_TEXT,
    }


def test_rosters_and_binaries_that_are_pointers_or_lie_outside_are_refused(local: Followed) -> None:
    local.hosted.commit({"m/a.yaml": "1", "m/p.txt": POINTER, "m/p.bin": POINTER, "secret.txt": "x"})
    found = manifests(local, "m")
    with pytest.raises(ManifestError, match="pointer of Git LFS") as caught:
        found.roster("m/p.txt")
    assert caught.value.code == ProblemCode.ROSTER
    with pytest.raises(ManifestError, match="pointer of Git LFS") as caught:
        found.binary("m/p.bin")
    assert caught.value.code == ProblemCode.BINARY
    with pytest.raises(ManifestError) as caught:
        found.roster("m/../secret.txt")
    assert caught.value.code == ProblemCode.OUTSIDE


HOSTILE_YAML = {
    "bomb": "a: &a [x,x,x,x,x,x,x,x,x]\n"
    + "".join(f"{chr(98 + n)}: &{chr(98 + n)} [{','.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(9)),
    "deep": "[" * 5000,
    "self": "a: &a [*a]\n",
    "tag": "a: !!python/object/apply:os.system [whoami]\n",
    "merge": "a: &a {b: 1}\nc: {<<: *a}\n",
    "control": "a: \x07\n",
}


@pytest.mark.parametrize("kind", HOSTILE_YAML)
def test_hostile_yaml_is_a_problem_at_its_place(local: Followed, kind: str) -> None:
    local.hosted.commit({"a.yaml": text(FLEET), "b.yaml": HOSTILE_YAML[kind]})
    assert set(problems(manifests(local))) == {"b.yaml"}


def test_names_that_differ_in_case_alone_are_two_files_and_two_fleets_of_one_name_are_a_problem(
    local: Followed,
) -> None:
    local.hosted.commit({"fleet.yaml": text(FLEET), "Fleet.yaml": text(bent(FLEET, metadata__name="other"))})
    found = manifests(local)
    assert set(found.texts) == {"fleet.yaml", "Fleet.yaml"}
    local.hosted.commit({"Fleet.yaml": text(FLEET)})
    assert ProblemCode.DUPLICATE_NAME in problems(manifests(local)).values()


@pytest.mark.parametrize("name", ["a b.yaml", "new\nline.yaml", ":(top)x.yaml", "-x.yaml", "*.yaml", "ü日.yaml"])
def test_odd_names_are_read_as_they_are(local: Followed, name: str) -> None:
    local.hosted.commit({f"m/{name}": "x"})
    assert manifests(local, "m").paths == (f"m/{name}",)


def test_neither_hooks_nor_settings_of_the_repository_run_anything(local: Followed, tmp_path: Path) -> None:
    local.hosted.commit(
        {"a.yaml": "1", ".gitattributes": "* filter=x\n", ".gitmodules": '[submodule "x"]\n\turl = y\n'}
    )
    ran = tmp_path / "ran"
    local.source().look()
    for folder in (local.hosted.bare, local.mirror):
        hooks = folder / "hooks"
        hooks.mkdir(exist_ok=True)
        for name in ("reference-transaction", "post-checkout", "pre-auto-gc", "post-merge"):
            (hooks / name).write_text(f"#!/bin/sh\ntouch {ran}\n")
            (hooks / name).chmod(0o755)
    local.hosted.author.folder.joinpath("a.yaml").write_text("2")
    local.hosted.commit()
    ran.unlink(missing_ok=True)  # pushing runs the hooks of the repository that is pushed to
    assert manifests(local).texts == {"a.yaml": "2"}
    assert not ran.exists()


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("fatal: sha1 file '/m/objects/pack/tmp_pack_x' write error: No space left on device", "PFR6513"),
        ("error: unable to write file ./objects/pack/x.pack: Disk quota exceeded", "PFR6513"),
        ("ssh: Could not resolve hostname git.example.org: Name or service not known", "PFR6507"),
        ("ssh: connect to host 127.0.0.1 port 22: Connection refused", "PFR6507"),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 503", "PFR6507"),
        ("fatal: unable to access 'https://x/': The requested URL returned error: 403", "PFR6508"),
        ("remote: Repository not found.", "PFR6508"),
        ("fatal: detected dubious ownership in repository at '/srv/x.git'", "PFR6508"),
        ("", "PFR6507"),
    ],
)
def test_what_git_says_becomes_an_error_that_says_who_must_act(said: str, code: str) -> None:
    error = failure_of(said, "there")
    assert error.code == code
    assert error.next_step


def test_the_words_of_a_stranger_are_made_fit_for_a_message() -> None:
    error = failure_of("remote: \x1b]0;gone\x07 \u202e" + "x" * 10_000, "there")
    assert error.message.isprintable()
    assert len(error.message) < 500
