"""`reconciler support-bundle`: one file for whoever helps, with everything that explains and no secret."""

from __future__ import annotations

import io
import json
import os
import platform
import re
import sqlite3
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

from reconciler import __version__
from reconciler.cli.blackout import Blackout, addresses_in, secrets_in_address, secrets_in_environment
from reconciler.cli.display_options import output_options
from reconciler.cli.journal_options import journal_option
from reconciler.journal.location import JournalPlace, journal_location, journal_place
from reconciler.model.error import OperatorError
from reconciler.model.instant import Instant, iso_from_instant

LOG_BYTES_MAX: Final = 1024 * 1024
_SECRET_BYTES_MAX: Final = 64 * 1024
_LISTED_MAX: Final = 200
"""Entries, open attempts and intents that are told one by one, the last ones."""

_ABOUT: Final = """\
A support bundle of reconciler {version}, made at {at}.

versions.json     this program, what it runs on, and the packages it uses
settings.json     the settings of the controller as they count, or what is wrong with them; no content of other files
environment.txt   the names of all variables of the environment, without their values
journal.json      what the journal holds: format, how much of what, the last entries, halts, open attempts, commits
history.txt       the last rollouts as `reconciler history` tells them, and what holds now
log.txt           the last lines of the log, if one was given

Tokens, passwords, keys and addresses with secrets in them were taken out, and so was what only looks like one. Ids of
devices, names of fleets, products and people are in it. Read it before you pass it on.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Told:
    """What the settings say: their document, the texts that must not be told, and where the journal is."""

    document: Mapping[str, Any]
    secrets: tuple[str, ...] = ()
    journal: str | None = None


@click.command("support-bundle")
@click.option(
    "--output", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The new file: a .tar.gz archive."
)
@click.option(
    "--settings",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="RECONCILER_SETTINGS",
    show_envvar=True,
    help="The controller's settings file.",
)
@journal_option
@click.option("--log", type=click.Path(path_type=Path, dir_okay=False), help="A file with the controller's log.")
@output_options("quiet")
def command(output: Path, settings: Path | None, journal: JournalPlace | None, log: Path | None, quiet: bool) -> None:
    """Gather what explains a problem into one file, without secrets.

    What cannot be read is named in the bundle and is no error: it is made for when something is wrong.
    Exit codes: 0 made, 1 it cannot be written.
    """
    told = _settings(settings) if settings is not None else _Told(document={"settings": "no settings file was given"})
    place = journal or (journal_place(told.journal) if told.journal else journal_location(None, os.environ))
    blackout = Blackout((*told.secrets, *secrets_in_environment(os.environ), *secrets_in_address(_address(place))))
    at = iso_from_instant(Instant(time.time()))
    texts = {
        "README.txt": _ABOUT.format(version=__version__, at=at),
        "versions.json": _json(_versions()),
        "settings.json": _json(told.document),
        "environment.txt": "".join(f"{name}\n" for name in sorted(os.environ)),
        **_of_journal(place),
    }
    if log is not None:
        texts["log.txt"] = _or_why(lambda: _tail(log))
    _write(output, {name: blackout(text) for name, text in texts.items()})
    if not quiet:
        click.echo(
            f"{output}: {', '.join(texts)}; no secrets that are known, but read it before you pass it on", err=True
        )


def _versions() -> dict[str, Any]:
    packages = {re.split(r"[^A-Za-z0-9._-]", line, maxsplit=1)[0] for line in _requirements()}
    found: dict[str, str | None] = {}
    for package in sorted(packages):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = None
    return {
        "reconciler": __version__,
        "python": sys.version,
        "platform": platform.platform(),
        "sqlite": sqlite3.sqlite_version,
        "git": _or_why(_git_version),
        "packages": found,
    }


def _requirements() -> list[str]:
    try:
        return metadata.requires("particle-fleet-reconciler") or []
    except metadata.PackageNotFoundError:
        return []


def _git_version() -> str:
    done = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True, timeout=10)  # noqa: S607  # the system's git, as the source uses it
    return done.stdout.strip()


def _settings(path: Path) -> _Told:
    from reconciler.cli.settings_file import read_checked

    try:
        reading, checked = read_checked(path, os.environ)
    except OperatorError as error:
        return _Told(document={"problems": [error.message]})
    secrets = [_secret(Path(file.path)) for file in reading.files if file.is_secret]
    problems = [str(problem) for problem in (*checked.problems, *checked.warnings)]
    settings = reading.settings
    if settings is None:  # which of the addresses are secrets is not known then
        return _Told(document={"problems": problems}, secrets=(*secrets, *addresses_in(_secret(path))))
    document = json.loads(json.dumps(asdict(settings)))
    for channel in document["channels"]:
        if channel["url"]:
            secrets.append(channel["url"])
            channel["url"] = f"{urlsplit(channel['url']).scheme}://{urlsplit(channel['url']).hostname}/…"
    document["journal"] = str(journal_place(settings.journal or ""))
    return _Told(
        document={"problems": problems, "settings": document}, secrets=tuple(secrets), journal=settings.journal
    )


def _secret(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return file.read(_SECRET_BYTES_MAX).decode("utf-8", errors="ignore")
    except OSError:
        return ""


def _address(place: JournalPlace) -> str:
    return "" if isinstance(place, Path) else place.url


def _of_journal(place: JournalPlace) -> dict[str, str]:
    try:
        document, history = _journal(place)
    except Exception as error:  # noqa: BLE001  # it is made for when something is wrong, whatever that is
        return {"journal.json": _json({"place": str(place), "problem": f"{type(error).__name__}: {error}"})}
    return {"journal.json": _json(document), "history.txt": history}


def _journal(place: JournalPlace) -> tuple[dict[str, Any], str]:
    from reconciler.cli.history import text_of_last
    from reconciler.journal.lock import holder_of
    from reconciler.journal.opening import open_journal
    from reconciler.journal.tables import SCHEMA_VERSION
    from reconciler.model.rollout_entry import entry_kind
    from reconciler.render.history_json import entry_document

    with open_journal(place, create=False) as kept:
        open_attempts = sorted(kept.open_attempts(), key=lambda attempt: attempt.began_at)
        holder = holder_of(place)
        document = {
            "place": str(place),
            "format": SCHEMA_VERSION,
            "counts": kept.counts(),
            "holder": None if holder is None else {"words": holder.words, "alive": holder.alive},
            "fleets": kept.fleets(),
            "halts": [entry_document(halt) for halt in kept.halts()],
            "entries": [
                {"number": noted.number, "kind": entry_kind(noted.entry), **_short(entry_document(noted.entry))}
                for noted in kept.entries()[-_LISTED_MAX:]
            ],
            "open_attempts": len(open_attempts),
            "oldest_open_attempts": [asdict(attempt) for attempt in open_attempts[:_LISTED_MAX]],
            "intents": [asdict(intent) for intent in kept.intents(limit=_LISTED_MAX)],
            "bookmarks": kept.bookmarks(""),
        }
        return document, text_of_last(kept, limit=20)


def _short(document: Mapping[str, Any]) -> dict[str, Any]:
    """Long lists as their length: a wave of a large fleet has all of its devices."""
    return {
        name: f"{len(value)} of them" if isinstance(value, list | tuple) and len(value) > _LISTED_MAX else value
        for name, value in document.items()
    }


def _tail(log: Path) -> str:
    """The end of a file, from the beginning of a line."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LOG_BYTES_MAX))
        text = file.read(LOG_BYTES_MAX).decode("utf-8", errors="replace")
    return text if size <= LOG_BYTES_MAX else text.partition("\n")[2]


def _or_why(read: Callable[[], str]) -> str:
    try:
        return read()
    except (OSError, subprocess.SubprocessError) as error:
        return f"(cannot be had: {error})"


def _json(document: object) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False, default=str) + "\n"


def _write(output: Path, texts: Mapping[str, str]) -> None:
    """The archive, for its owner alone; nothing is replaced. Raises OperatorError PFR6903."""
    folder = output.name.removesuffix(".gz").removesuffix(".tar").removesuffix(".tgz") or "bundle"
    try:
        handle = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as archive:
            for name, text in texts.items():
                content = text.encode("utf-8", errors="replace")
                entry = tarfile.TarInfo(f"{folder}/{name}")
                entry.size, entry.mtime, entry.mode = len(content), int(time.time()), 0o600
                archive.addfile(entry, io.BytesIO(content))
    except OSError as error:
        raise OperatorError(
            "PFR6903",
            f"the support bundle {output} cannot be written: {error.strerror or type(error).__name__}",
            next_step="name a new file in a folder that may be written to, with --output",
        ) from None
