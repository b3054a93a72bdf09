"""FILE.partial: what `observe` has read of the pages, until the snapshot is written; it stays when that fails."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from reconciler.inventory.page_log import PAGES_FRESH_SECONDS, PageLog
from reconciler.model.error import OperatorError
from reconciler.model.instant import Instant
from reconciler.particle.api import ParticleApi

FRESH: Final = f"{PAGES_FRESH_SECONDS / 60:g} minutes"

Say = Callable[[str], None]


@contextmanager
def unfinished_pages(output: str, api: ParticleApi, *, resume: bool, say: Say) -> Iterator[PageLog]:
    """The pages, in a file beside `output`; for standard output (`-`) in a temporary one, which never stays.

    With `resume` those of an earlier run are in it. At the end it is taken away; on any failure it stays, if there is a
    page in it. Raises OperatorError PFR6307 when a file cannot be written.
    """
    place = Path(f"{output}.partial")
    if output == "-":
        handle, name = tempfile.mkstemp(prefix="reconciler-observe-")
        os.close(handle)
        place = Path(name)
    try:
        log = _opened(place, api, resume=resume, say=say)
    except OSError as error:
        raise unwritable(output, error) from None
    try:
        yield log
    except BaseException as error:
        log.close()
        if log.pages and output != "-":
            say(f"{log.pages:,} pages are kept in {place}: the same command with --resume goes on, within {FRESH}")
        else:
            place.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise unwritable(output, error) from None
        raise
    log.close()
    place.unlink(missing_ok=True)


def unwritable(output: str, error: OSError) -> OperatorError:
    """What a person reads of it."""
    return OperatorError(
        "PFR6307",
        f"{output} cannot be written: {error.strerror or type(error).__name__}",
        next_step="check the folder and its permissions",
    )


def _opened(place: Path, api: ParticleApi, *, resume: bool, say: Say) -> PageLog:
    url, size = api.wire.api_url, api.page_size
    log = PageLog.resume(place, api_url=url, page_size=size, clock=_wall_clock) if resume else None
    if log is None:
        if resume:
            say(f"{place} has nothing to go on with: reading from the beginning")
        elif place.exists() and place.stat().st_size:
            say(f"{place} of an earlier run is thrown away; --resume would have gone on with it")
        return PageLog.begin(place, api_url=url, page_size=size, clock=_wall_clock)
    say(f"{log.resumed:,} pages of an earlier run need not be read again")
    if log.stale:
        say(f"{log.stale:,} pages are older than {FRESH} and are read again")
    return log


def _wall_clock() -> Instant:
    return Instant(time.time())
