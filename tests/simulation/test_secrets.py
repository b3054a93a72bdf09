"""No secret in any log, error, event, journal, plan, snapshot, traceback or child: all of them are searched.

The cloud of these tests sends back what it was sent, in whatever form and wherever it can.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest
import requests
from click.testing import CliRunner
from rich.console import Console
from rich.traceback import Traceback

from reconciler import wiring
from reconciler.cli import observe
from reconciler.cli.main import cli
from reconciler.model.error import BugError, WireError
from reconciler.particle.api import ParticleApi
from reconciler.particle.connect import connect_api
from reconciler.particle.http import WirePatience
from reconciler.particle.token import AccessToken
from tests.particle.pretend import unused_port
from tests.simulation import stage as staging
from tests.simulation.echo import ECHOES, EchoingProxy, echoing_proxy
from tests.simulation.secrecy import files_that_show, shows
from tests.simulation.stage import IMPATIENT, ROOT, Ended, Stage, set_stage

TOKEN = "d41c7e0a95b2f8836ec1d07fa4592be8316fc0ad"
PASSWORD = "hunter2+correct/horse=Xq7"
SECRETS = (TOKEN, PASSWORD)
DEVICES = """
  - {count: 2, product: cold-chain, platform: boron, deviceOS: "6.2.0", application: 1, groups: [all]}
"""
FAST = WirePatience(connect=0.5, read=0.5, write=0.5, read_total=0.5, read_tries=2, pause_first=0.01, write_silence=0.5)
LOSING_NOTHING = [name for name in ECHOES if name != "a no"]


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(staging, "TOKEN", TOKEN)
    folder = tmp_path / "stage"
    folder.mkdir()
    with set_stage(folder, devices=DEVICES, products=("cold-chain",), speed=2000.0) as stage:
        catalog = folder / "catalog.json"
        document = json.loads(catalog.read_text(encoding="utf-8"))
        needed = [each for each in document["releases"] if each["device_os"] == "6.3.4"]
        catalog.write_text(json.dumps({**document, "releases": needed}), encoding="utf-8")
        yield stage


@pytest.fixture
def proxy(stage: Stage) -> Iterator[EchoingProxy]:
    with echoing_proxy(stage.url) as proxy:
        yield proxy


class Life:
    """Every command, as processes, with secrets in the environment or in a file outside of the folder."""

    def __init__(self, stage: Stage, url: str, token_file: Path | None = None) -> None:
        self.stage = stage
        self.url = url
        self.token_file = token_file
        self.tools = stage.folder / "tools"
        self.tools.mkdir(exist_ok=True)
        self._watch_git()

    def _watch_git(self) -> None:
        """A `git` that writes down what it was started with before it works."""
        git = shutil.which("git")
        assert git is not None
        watched = self.stage.folder / "git.log"
        (self.tools / "git").write_text(f'#!/bin/sh\n{{ env; echo "$@"; }} >>"{watched}"\nexec "{git}" "$@"\n')
        (self.tools / "git").chmod(0o755)

    def run(self, *words: str, seconds: str = "1.5") -> Ended:
        by_file = ["--token-file", str(self.token_file)] if self.token_file and words[0] != "history" else []
        address = ["--api-url", self.url] if words[0] != "history" else []
        environment = {
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "RECONCILER_JOURNAL": str(self.stage.journal),
            "https_proxy": f"http://joe:{PASSWORD}@127.0.0.1:1",
            "HTTP_PROXY": f"http://joe:{PASSWORD}@127.0.0.1:1",
        } | ({} if self.token_file else {"PARTICLE_ACCESS_TOKEN": TOKEN})
        process = subprocess.Popen(
            [sys.executable, str(IMPATIENT), seconds, *words, *address, *by_file],
            cwd=self.stage.folder,
            env=environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        ended = self.stage.end(process)
        assert "Traceback" not in ended.err
        return ended

    def found(self) -> list[str]:
        """Where a secret stands."""
        said = [f"said: {text[:200]}" for text in self.stage.said for each in SECRETS if shows(text, each)]
        return said + [str(path) for each in SECRETS for path in files_that_show(self.stage.folder, each)]


def a_device(stage: Stage) -> str:
    return next(iter(stage.end_state()))


CATALOG = ("--catalog", "catalog.json")
APPLY = ("apply", *CATALOG, "--auto-approve", "--poll-seconds", "0.1")


def live(life: Life) -> None:
    """What is done with a plan, with a look from every side; each command may fail, and says so."""
    life.run(*APPLY, "saved.json", "--verbose", "--output", "json")
    life.run(*APPLY, "manifests", "--verbose")
    life.run("status", "manifests", *CATALOG)
    life.run("drift", "manifests", *CATALOG, "--output", "json")
    life.run("explain", a_device(life.stage), "manifests", *CATALOG)
    life.run("history", "--output", "json")


def git(stage: Stage, *words: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"]
    subprocess.run(["git", *identity, *words], cwd=stage.folder, check=True, capture_output=True)


def test_a_whole_life_behind_a_proxy_that_echoes_leaves_no_secret_anywhere(stage: Stage, proxy: EchoingProxy) -> None:
    git(stage, "init")
    git(stage, "add", "manifests")
    git(stage, "commit", "-m", "manifests")
    life = Life(stage, proxy.url)
    assert life.run("observe", "--product", "cold-chain", "--output", "seen.json", "--verbose").code == 0
    assert life.run("plan", "manifests", *CATALOG, "--out", "saved.json", "--base", "HEAD").code == 0
    proxy.turn = lambda method, _path: "a no" if method == "PUT" else None
    life.run(*APPLY, "manifests")
    proxy.echo_every(3, *LOSING_NOTHING)
    live(life)
    proxy.echo_every(2, "a no", *LOSING_NOTHING)
    life.run(*APPLY, "manifests", "--verbose", "--output", "json")
    life.run("status", "manifests", *CATALOG, "--output", "json")
    assert set(proxy.echoed) == set(ECHOES)
    assert "operator" in {request.token for request in stage.requests()}, "the token was used"
    assert stage.flashes(), "something was done"
    assert any(attempt.detail for attempt in stage.attempts()), "the cloud's words are in the journal"
    kept = ("git.log", "seen.json", "saved.json", "journal.sqlite")
    assert all((stage.folder / name).stat().st_size > 100 for name in kept)
    assert life.found() == []


def test_a_token_from_a_file_is_nowhere_but_there(stage: Stage, proxy: EchoingProxy, tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    token_file.write_text(f"{TOKEN}\n", encoding="utf-8")
    life = Life(stage, proxy.url, token_file)
    proxy.echo_every(4, *LOSING_NOTHING)
    life.run(*APPLY, "manifests", "--verbose", "--output", "json")
    life.run("status", "manifests", *CATALOG)
    assert proxy.echoed
    assert stage.flashes()
    assert life.found() == []


def test_the_search_finds_a_secret_in_each_of_its_forms(stage: Stage) -> None:
    for name, echo in ECHOES.items():
        status, _, body, headers = echo(f"Bearer {TOKEN}")
        if name != "JSON with escapes":
            assert shows(body + repr(headers).encode(), TOKEN), (name, status)
    life = Life(stage, stage.url)
    (stage.folder / "careless.log").write_text(PASSWORD)
    stage.said.append(f"token {TOKEN[:12]}…")
    assert len(life.found()) == 2


# --- what an error, its traceback and its values show ---


def rendered(error: BaseException) -> str:
    """The traceback as Python prints it, and as rich and pytest render it with all local variables."""
    console = Console(file=io.StringIO(), width=400)
    shown = Traceback.from_exception(
        type(error), error, error.__traceback__, show_locals=True, locals_max_string=None, locals_max_length=None
    )
    console.print(shown)
    assert isinstance(console.file, io.StringIO)
    values = [
        f"{name} = {value!r}"
        for frame, _ in traceback.walk_tb(error.__traceback__)
        if "/reconciler/" in frame.f_code.co_filename or "/requests/" in frame.f_code.co_filename
        for name, value in frame.f_locals.items()
    ]
    return "\n".join([console.file.getvalue(), *values, *traceback.format_exception(error), repr(error), str(error)])


@pytest.fixture(scope="module")
def manifests_and_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, EchoingProxy]]:
    """A folder for commands, and a proxy that has nobody behind it."""
    folder = tmp_path_factory.mktemp("manifests")
    with set_stage(folder, devices=DEVICES, products=("cold-chain",)), echoing_proxy("http://127.0.0.1:9") as proxy:
        yield folder, proxy


@pytest.fixture
def cloud(
    manifests_and_proxy: tuple[Path, EchoingProxy], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> EchoingProxy:
    """The command line in this process, towards the proxy."""
    folder, proxy = manifests_and_proxy
    proxy.echoed.clear()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("RECONCILER_JOURNAL", str(tmp_path / "journal.sqlite"))
    monkeypatch.setenv("PARTICLE_API_URL", proxy.url)
    monkeypatch.setenv("PARTICLE_ACCESS_TOKEN", TOKEN)
    monkeypatch.setattr(wiring, "_STREAM_WAIT_SECONDS", 0.05)
    monkeypatch.setattr(wiring, "connect_api", lambda url, token, **_: connect_api(url, token, patience=FAST))
    monkeypatch.setattr(observe, "connect_api", partial(connect_api, patience=FAST))
    return proxy


COMMANDS = {
    "observe": ("observe", "--product", "cold-chain", "--output", "-"),
    "plan": ("plan", "manifests"),
    "apply": ("apply", "manifests", "--auto-approve", "-v", "--poll-seconds", "0.05"),
    "status": ("status", "manifests"),
    "drift": ("drift", "manifests", "--output", "json"),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("echo", ECHOES)
def test_a_command_that_meets_an_echo_shows_nothing_of_it(cloud: EchoingProxy, command: str, echo: str) -> None:
    cloud.turn = lambda _method, _path: echo
    result = CliRunner().invoke(cli, COMMANDS[command])
    assert cloud.echoed
    assert result.exit_code != 0 or command == "status"
    told = result.output + ("" if result.exception is None else rendered(result.exception))
    assert not shows(told, TOKEN), told


WRITES: dict[str, Callable[[ParticleApi, str], object]] = {
    "flash": lambda api, device: api.flash(device, b"x" * 100, product="cold-chain"),  # type: ignore[arg-type]  # an id
    "lock": lambda api, device: api.lock(device, 2, product="cold-chain", flash=True),  # type: ignore[arg-type]  # an id
    "ping": lambda api, device: api.ping(device, "cold-chain"),  # type: ignore[arg-type]  # an id
    "upload": lambda api, _: api.upload_product_firmware("cold-chain", 3, title="t", binary=b"x"),  # type: ignore[arg-type]  # a version
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("echo", ECHOES)
def test_a_write_that_meets_an_echo_shows_nothing_of_it(cloud: EchoingProxy, write: str, echo: str) -> None:
    cloud.turn = lambda _method, _path: echo
    api = connect_api(cloud.url, AccessToken(TOKEN), patience=FAST)
    try:
        told = repr(WRITES[write](api, "e00fce680000000000000001"))
    except WireError as error:
        told = rendered(error)
    assert cloud.echoed
    assert not shows(told, TOKEN), told


def test_a_library_that_raises_what_nobody_foresaw_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def send(_session: object, request: requests.PreparedRequest, **_: object) -> None:
        headers = dict(request.headers)
        message = f"cannot send {headers}"
        raise TypeError(message)

    monkeypatch.setattr(requests.Session, "send", send)
    api = connect_api("http://127.0.0.1:1", AccessToken(TOKEN), patience=FAST)
    with pytest.raises(BugError) as caught:
        api.own_devices()
    assert caught.value.code == "PFR9301"
    assert "TypeError in test_secrets.py" in caught.value.message
    assert not shows(rendered(caught.value), TOKEN)


def test_a_password_of_a_proxy_is_in_no_error() -> None:
    api = behind_a_proxy()
    with pytest.raises(WireError) as caught:
        api.own_devices()
    assert "the proxy made no connection" in caught.value.message
    assert not shows(rendered(caught.value) + repr(api) + repr(vars(api.wire)), quote(PASSWORD, safe=""))


def behind_a_proxy() -> ParticleApi:
    proxies = {"http": f"http://joe:{quote(PASSWORD, safe='')}@127.0.0.1:{unused_port()}"}
    return connect_api("http://127.0.0.1:1", AccessToken(TOKEN), patience=FAST, proxies=proxies)


@pytest.mark.parametrize("scheme", ["http", "ftp"])
def test_a_password_of_an_address_to_read_from_is_in_no_error(scheme: str) -> None:
    address = f"{scheme}://joe:{PASSWORD.replace('/', '')}@127.0.0.1:{unused_port()}/a.bin?signature={PASSWORD}"
    api = connect_api("http://127.0.0.1:1", AccessToken(TOKEN), patience=FAST)
    with pytest.raises(WireError) as caught:
        api.wire.read_bytes(address, bytes_max=10, authorised=False)
    assert not shows(str(caught.value) + caught.value.next_step, PASSWORD)
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("output", ["text", "json", "github", "sarif", "junit"])
def test_a_password_in_a_manifests_address_is_refused_and_not_shown(stage: Stage, output: str) -> None:
    manifest = stage.folder / "manifests" / "cold-chain-app.yaml"
    text = manifest.read_text(encoding="utf-8")
    url = "https://joe:hunter2correct@builds.example.com/a.bin"
    manifest.write_text(text.replace("source: product", f'url: "{url}", sha256: "{"a" * 64}"'), encoding="utf-8")
    result = CliRunner().invoke(cli, ["validate", str(manifest.parent), "--output", output])
    assert result.exit_code == 1
    assert "builds.example.com" in result.output
    assert "hunter2" not in result.output
    assert "joe" not in result.output


# --- the crash ---

CRASH = """
import sys, threading
from reconciler import wiring
from reconciler.cli.main import main
from reconciler.particle.api import ParticleApi

def broken(self, *_):
    header = self.wire.token.header()
    def dies():
        raise KeyError(header[:-3])
    thread = threading.Thread(target=dies)
    thread.start()
    thread.join()
    try:
        raise ValueError({"Authorization": header})
    except ValueError as error:
        raise RuntimeError(f"a bug of ours with {header}") from error

ParticleApi.product_page = broken
main()
"""


def test_a_crash_says_where_and_not_with_what(stage: Stage) -> None:
    crashed = stage.run("plan", runner=("-c", CRASH))
    assert crashed.code == 1
    assert crashed.err.count("Traceback (most recent call last)") == 3, "the bug, its cause, and the thread"
    assert "in broken" in crashed.err
    assert "RuntimeError: a bug of ours with Bearer [access token]" in crashed.err
    assert "PFR9003" in crashed.err
    assert stage.leaks() == []
