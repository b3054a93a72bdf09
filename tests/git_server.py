"""Real Git servers on loopback for tests: HTTPS by lighttpd with `git http-backend`, SSH by OpenSSH's sshd.

    with https_server(tmp_path) as server:
        hosted = server.repository("fleet")
        hosted.commit({"manifests/fleet.yaml": text})       # written, committed and pushed
        source = GitSource(server.settings(hosted, folder="manifests"), mirror=tmp_path / "mirror.git")
        server.stop()                                       # and start(): the same address again

Each server has a folder and a port of its own and runs as whoever runs the tests. `tests/git_signers.py` has who signs
commits. Where a server is not installed a person's run leaves these tests out and says so; under `CI=true` they fail.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from reconciler.settings.settings import GitSettings
from tests.git_signers import Signer
from tests.sources.sample_repository import SampleRepository

START_SECONDS_MAX = 30.0
_SYSTEM_FOLDERS = "/usr/sbin:/usr/local/sbin:/sbin"


def program(name: str) -> str:
    """Where a program is. Where it is not installed the test is left out, or fails under CI=true."""
    found = shutil.which(name, path=f"{os.environ['PATH']}{os.pathsep}{_SYSTEM_FOLDERS}")
    if found is None:
        reason = f"REAL GIT SERVERS AND SIGNATURES ARE NOT TESTED: {name} is not installed (README names the packages)"
        if os.environ.get("CI", "").lower() == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


class HostedRepository:
    """A bare repository that is served as `url`, and the work tree of somebody who pushes to it."""

    def __init__(self, bare: Path, url: str) -> None:
        self.bare = bare
        self.url = url
        self.author = SampleRepository(bare.with_suffix(".author"))
        self.author.git("init", "--quiet", "--bare", "--initial-branch=main", str(bare))
        self.author.git("remote", "add", "origin", str(bare))

    def commit(
        self,
        files: Mapping[str, str | bytes | None] | None = None,
        *,
        message: str = "a change",
        sign: Signer | None = None,
        push: bool = True,
    ) -> str:
        """Commit files (None: removed) and push, as a fast-forward; the commit's id."""
        for path, content in (files or {}).items():
            if content is None:
                (self.author.folder / path).unlink()
            else:
                self.author.write(path, content)
        commit = self.author.commit(message, sign=sign)
        if push:
            self.push()
        return commit

    def push(self, *, force: bool = False) -> None:
        """Push what is checked out, and all tags."""
        branch = self.author.git("symbolic-ref", "--short", "HEAD")
        how = ["--force"] if force else []
        self.author.git("push", "--quiet", *how, "origin", branch)
        self.author.git("push", "--quiet", "--force", "--tags", "origin")

    def rewind(self, commit: str) -> None:
        """Check out an earlier commit of the branch, so that the next push has to be forced."""
        self.author.git("reset", "--quiet", "--hard", commit)

    def tag(self, name: str, *, sign: Signer | None = None, annotate: bool = False) -> None:
        """Put a tag, or move it, at what is checked out, and push it."""
        self.author.tag(name, sign=sign, annotate=annotate)
        self.author.git("push", "--quiet", "--force", "origin", f"refs/tags/{name}")


class _Server:
    """A server process on one port of loopback. `stop` and `start` as often as wanted: the address stays."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.log = folder / "log"
        self._process: subprocess.Popen[bytes] | None = None
        (folder / "repositories").mkdir(parents=True)

    def address(self, name: str) -> str:
        """The URL of the repository of this name."""
        raise NotImplementedError

    def settings(self, hosted: HostedRepository, **more: Any) -> GitSettings:
        """What follows the branch main of a repository of this server; `more` are fields of `GitSettings`."""
        raise NotImplementedError

    def command(self) -> list[str]:
        """What is run; it stays in the foreground."""
        raise NotImplementedError

    def repository(self, name: str = "fleet") -> HostedRepository:
        """A new empty repository."""
        return HostedRepository(self.folder / "repositories" / f"{name}.git", self.address(name))

    def start(self) -> None:
        """Start, and wait until it answers."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self.command(), cwd=self.folder, stdout=log, stderr=log)
        end = time.monotonic() + START_SECONDS_MAX
        while not self._answers():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, self.log.read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        """Stop, and wait until it has."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=5):
            return True
        return False


class HttpsGitServer(_Server):
    """HTTPS with a certificate of its own (`ca_file`); reading takes the user `git` and the token of `token_file`.

    `/git/NAME.git` is served; `/moved/NAME.git` redirects to `moved_to/NAME.git`.
    """

    def __init__(self, folder: Path, *, moved_to: str = "https://127.0.0.1:9/git") -> None:
        super().__init__(folder)
        self._lighttpd = program("lighttpd")
        self.moved_to = moved_to
        self.ca_file = folder / "certificate.pem"
        self.token_file = folder / "token"
        self.requests = folder / "requests"
        """A line for every request that was answered."""
        make_certificate(self.ca_file, folder / "certificate.key")
        self.accept_token(token := secrets.token_urlsafe(24))
        self.token_file.write_text(f"{token}\n")

    @property
    def token(self) -> str:
        """The token in `token_file`, which need not be the one that is accepted."""
        return self.token_file.read_text().strip()

    def accept_token(self, token: str) -> None:
        """From now on accept this token and no other; `token_file` stays as it is."""
        (self.folder / "users").write_text(f"git:{token}\n")

    def address(self, name: str) -> str:
        """See `_Server.address`."""
        return f"https://127.0.0.1:{self.port}/git/{name}.git"

    def settings(self, hosted: HostedRepository, **more: Any) -> GitSettings:
        """See `_Server.settings`."""
        token, authority = str(self.token_file), str(self.ca_file)
        return replace(GitSettings(url=hosted.url, token_file=token, ca_file=authority), **more)

    def moved_address(self, name: str) -> str:
        """The URL that redirects."""
        return f"https://127.0.0.1:{self.port}/moved/{name}.git"

    def command(self) -> list[str]:
        """See `_Server.command`."""
        backend = Path(subprocess.check_output(["git", "--exec-path"], text=True).strip()) / "git-http-backend"
        configuration = self.folder / "lighttpd.conf"
        configuration.write_text(f"""
server.document-root = "{self.folder}/repositories"
server.bind = "127.0.0.1"
server.port = {self.port}
server.errorlog = "{self.log}"
server.modules = (
    "mod_openssl", "mod_auth", "mod_authn_file", "mod_alias", "mod_setenv", "mod_redirect", "mod_cgi", "mod_accesslog",
)
accesslog.filename = "{self.requests}"
ssl.engine = "enable"
ssl.pemfile = "{self.ca_file}"
ssl.privkey = "{self.folder}/certificate.key"
auth.backend = "plain"
auth.backend.plain.userfile = "{self.folder}/users"
auth.require = ( "/git" => ( "method" => "basic", "realm" => "git", "require" => "valid-user" ) )
alias.url = ( "/git" => "{backend}" )
url.redirect = ( "^/moved/(.*)" => "{self.moved_to}/$1" )
setenv.add-environment = ( "GIT_PROJECT_ROOT" => "{self.folder}/repositories", "GIT_HTTP_EXPORT_ALL" => "1" )
$HTTP["url"] =~ "^/git" {{ cgi.assign = ( "/git-http-backend" => "" ) }}
""")
        return [self._lighttpd, "-D", "-f", str(configuration)]


class SshGitServer(_Server):
    """SSH with a host key of its own (`known_hosts_file`), for the key in `key_file`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._sshd = program("sshd")
        self.key_file = folder / "key"
        self.known_hosts_file = folder / "known_hosts"
        make_ssh_key(self.key_file)
        make_ssh_key(folder / "host_key")
        self.accept_key(self.key_file)
        self.known_hosts_file.write_text(f"[127.0.0.1]:{self.port} {(folder / 'host_key.pub').read_text()}")

    def accept_key(self, key_file: Path) -> None:
        """From now on accept this key and no other."""
        public = key_file.with_name(f"{key_file.name}.pub").read_text()
        (self.folder / "authorized_keys").write_text(f"restrict {public}")

    def replace_host_key(self) -> None:
        """Be somebody else from the next start on; `known_hosts_file` stays as it is."""
        make_ssh_key(self.folder / "host_key")

    def address(self, name: str) -> str:
        """See `_Server.address`."""
        user = pwd.getpwuid(os.getuid()).pw_name
        return f"ssh://{user}@127.0.0.1:{self.port}{self.folder}/repositories/{name}.git"

    def settings(self, hosted: HostedRepository, **more: Any) -> GitSettings:
        """See `_Server.settings`."""
        key, hosts = str(self.key_file), str(self.known_hosts_file)
        return replace(GitSettings(url=hosted.url, ssh_key_file=key, known_hosts_file=hosts), **more)

    def command(self) -> list[str]:
        """See `_Server.command`."""
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(
                mode=0o755, exist_ok=True
            )  # sshd of root insists on it; packages leave it to systemd
        configuration = self.folder / "sshd_config"
        configuration.write_text(f"""
Port {self.port}
ListenAddress 127.0.0.1
HostKey {self.folder}/host_key
AuthorizedKeysFile {self.folder}/authorized_keys
PidFile none
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AcceptEnv GIT_PROTOCOL
""")
        return [self._sshd, "-D", "-e", "-f", str(configuration)]


@contextmanager
def https_server(folder: Path, *, moved_to: str = "https://127.0.0.1:9/git") -> Iterator[HttpsGitServer]:
    """A running HTTPS server whose files are below a folder."""
    server = HttpsGitServer(folder / "https", moved_to=moved_to)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def ssh_server(folder: Path) -> Iterator[SshGitServer]:
    """A running SSH server whose files are below a folder."""
    server = SshGitServer(folder / "ssh")
    server.start()
    try:
        yield server
    finally:
        server.stop()


def make_certificate(certificate: Path, key: Path) -> None:
    """A certificate for 127.0.0.1 that is its own authority."""
    kind = ["-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    whose = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = [program("openssl"), "req", *kind, *whose, "-keyout", str(key), "-out", str(certificate)]
    subprocess.run(command, check=True, capture_output=True)


def make_ssh_key(path: Path) -> None:
    """A new key without a passphrase, and `….pub` beside it."""
    for old in (path, path.with_name(f"{path.name}.pub")):
        old.unlink(missing_ok=True)
    command = [program("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "a test", "-f", str(path)]
    subprocess.run(command, check=True, capture_output=True)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
