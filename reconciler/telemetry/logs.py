"""The log: every event as one line on standard error, for people or as JSON, and what libraries say in the same form.

The rules:
- One line an event, whatever a stranger wrote: no control characters, and no more than `LINE_MAX` characters.
- Nothing leaves without `redact`, which takes out every secret that is in use.
- A log that cannot be written (a full disk, a closed pipe) stops nobody.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, Final, TextIO

import structlog
from structlog.typing import EventDict

from reconciler.model.event import Event
from reconciler.model.instant import Instant, iso_from_instant
from reconciler.render.event_json import event_document
from reconciler.render.event_text import event_line
from reconciler.render.ink import harmless
from reconciler.telemetry.levels import Level, level_of

LINE_MAX: Final = 8192
"""Characters of a line: journald and most collectors cut or split longer ones."""

_TEXT_MAX: Final = 2048
"""Characters of one value."""

_ITEMS_MAX: Final = 20
"""Of a list, such as the members of a wave; the rest is counted."""

_LIBRARY_LEVEL: Final = Level.WARNING
"""What libraries say below this is about themselves; urllib3 would name addresses that are secrets."""

Redact = Callable[[str], str]


class Log:
    """Where lines are written to. `form` is text or json, `level` debug, info, warning or error."""

    def __init__(
        self,
        stream: TextIO,
        *,
        form: str = "text",
        level: str = "info",
        redact: Redact = str,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._level = Level[level.upper()]
        self._form = form
        self._handler = _Handler(stream)
        render = _as_json if form == "json" else _as_text
        self._handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(
                foreign_pre_chain=[structlog.stdlib.add_log_level, structlog.stdlib.add_logger_name],
                processors=[
                    structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                    structlog.processors.format_exc_info,
                    lambda _, __, said: _timed(said, now),
                    lambda _, __, said: redact(render(said)),
                ],
            )
        )
        self._logger = structlog.wrap_logger(
            logging.Logger("reconciler"),  # noqa: LOG001  # its own: two logs in one process do not mix
            processors=[structlog.stdlib.add_log_level, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
            wrapper_class=structlog.stdlib.BoundLogger,
        )
        self._logger.addHandler(self._handler)

    def tell(self, event: Event) -> None:
        """Write an event, unless its level is too low. Any thread."""
        level = level_of(event)
        if level >= self._level:
            if self._form == "json":
                document = event_document(event)
                self._logger.log(level, document.pop("event"), **document)
            else:
                words = event_line(event, verbose=True) or _named_values(event_document(event))
                self._logger.log(level, words, at=iso_from_instant(event.at))

    def say(self, level: Level, words: str, **values: Any) -> None:
        """Write something that is no event."""
        if level >= self._level:
            self._logger.log(level, words, **values)

    def hear_libraries(self) -> Callable[[], None]:
        """Have what libraries of this process log, and Python's warnings, written here; returns what ends it."""
        root = logging.getLogger()
        before = (root.handlers[:], root.level)
        others = {name: logging.getLogger(name) for name in ("uvicorn", "uvicorn.error", "uvicorn.access")}
        kept = {name: (each.handlers[:], each.propagate, each.level) for name, each in others.items()}
        root.handlers[:] = [self._handler]
        root.setLevel(max(self._level, _LIBRARY_LEVEL))
        for each in others.values():
            each.handlers[:], each.propagate = [], True
            each.setLevel(logging.NOTSET)
        logging.captureWarnings(capture=True)

        def end() -> None:
            logging.captureWarnings(capture=False)
            root.handlers[:], level = before
            root.setLevel(level)
            for name, each in others.items():
                each.handlers[:], each.propagate, before_level = kept[name]
                each.setLevel(before_level)

        return end


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # its name in the library
        """Who cannot be told cannot be told that either."""


def _timed(said: EventDict, now: Callable[[], float]) -> EventDict:
    said.setdefault("at", iso_from_instant(Instant(now())))
    return said


def _as_json(said: MutableMapping[str, Any]) -> str:
    document = {"at": said.pop("at"), "level": said.pop("level", "info"), "event": said.pop("event"), **said}
    line = json.dumps(_bounded(document), default=str)
    if len(line) <= LINE_MAX:
        return line
    short = {name: document[name] for name in ("at", "level")}
    return json.dumps(
        {**short, "event": str(document["event"])[:_TEXT_MAX], "cut": True, "line": line[: LINE_MAX // 4]}
    )


def _as_text(said: MutableMapping[str, Any]) -> str:
    at, level, words = said.pop("at"), str(said.pop("level", "info")), str(said.pop("event"))
    rest = _named_values(said)
    line = harmless(" ".join(f"{at} {level:<7} {words} {rest}".split("\n")).rstrip())
    return line if len(line) <= LINE_MAX else f"{line[: LINE_MAX - 1]}…"


def _named_values(values: Mapping[str, Any]) -> str:
    return " ".join(f"{name}={value}" for name, value in _bounded(dict(values)).items() if value is not None)


def _bounded(value: Any) -> Any:
    match value:
        case str() if len(value) > _TEXT_MAX:
            return f"{value[:_TEXT_MAX]}…"
        case dict():
            return {name: _bounded(each) for name, each in value.items()}
        case list() | tuple() if len(value) > _ITEMS_MAX:
            return [*map(_bounded, value[:_ITEMS_MAX]), f"and {len(value) - _ITEMS_MAX} more"]
        case list() | tuple():
            return list(map(_bounded, value))
        case _:
            return value
