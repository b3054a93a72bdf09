"""A real PostgreSQL for tests: one cluster a test process, on a socket in a folder of its own, a database a test.

Where no server is installed a person's run leaves these tests out and says so; under `CI=true` they fail.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path

import psycopg
import pytest

_DATABASES = count(1)


@cache
def binaries() -> Path | None:
    """The folder with initdb, pg_ctl and postgres, the newest one; None: there is none."""
    found = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    found.sort(key=lambda path: int(path.parent.name))
    on_path = shutil.which("initdb")
    return found[-1] if found else Path(on_path).parent if on_path else None


def programs() -> Path:
    """As `binaries`; where there are none the test is left out, or fails under CI=true."""
    found = binaries()
    if found is None:
        reason = "PostgreSQL is not installed: initdb was not found"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@contextmanager
def running_server() -> Iterator[Path]:
    """A server of its own; its socket's folder. Nothing listens on a network."""
    tools = programs()
    as_whom = _unprivileged()
    # Not below pytest's own folder: the path of a socket may have about 100 characters.
    folder = Path(tempfile.mkdtemp(prefix="pg-"))
    try:
        if as_whom:
            folder.chmod(0o755)
            shutil.chown(folder, "nobody")
        data = folder / "data"
        run = [*as_whom, str(tools / "initdb"), "--auth=trust", "--username=tester", "--no-sync", "-E", "UTF8"]
        subprocess.run([*run, "--locale=C", "-D", str(data)], check=True, capture_output=True, cwd=folder)
        settings = f"-c listen_addresses= -c unix_socket_directories={folder} -c fsync=off -c max_connections=60"
        control = [*as_whom, str(tools / "pg_ctl"), "-D", str(data), "-w", "-t", "120"]
        log = str(folder / "log")
        subprocess.run([*control, "-l", log, "-o", settings, "start"], check=True, capture_output=True, cwd=folder)
        try:
            yield folder
        finally:
            subprocess.run([*control, "-m", "immediate", "stop"], check=True, capture_output=True, cwd=folder)
    finally:
        shutil.rmtree(folder)


def restart(folder: Path) -> None:
    """End the server at once, as a machine that falls, and start it again; its databases recover."""
    tools = programs()
    control = [*_unprivileged(), str(tools / "pg_ctl"), "-D", str(folder / "data"), "-w", "-t", "120"]
    again = [*control, "-m", "immediate", "-l", str(folder / "log"), "restart"]
    subprocess.run(again, check=True, capture_output=True, cwd=folder)


def new_database(folder: Path, *, like: str = "template0") -> str:
    """The address of a new database: an empty one, or a copy of another."""
    name = f"journal_{next(_DATABASES)}"
    with psycopg.connect(host=str(folder), user="tester", dbname="postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {like}".encode())
    return f"postgresql://tester@/{name}?host={folder}"


def _unprivileged() -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    nobody = pwd.getpwnam("nobody")
    return ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups"]
