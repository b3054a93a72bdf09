"""One thing that people are told: a value that stands in the journal until it has been delivered. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from reconciler.model.instant import Instant, iso_from_instant

MESSAGE_MAX: Final = 2_500
"""Characters of a message: Slack cuts a block at 3,000."""

REPORTER: Final = "particle-fleet-reconciler"


class Severity(StrEnum):
    """The two words that Flux has for it."""

    INFO = "info"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """What people are told.

    - `reason`: one CamelCase word for each kind of situation; `message`: sentences.
    - `fleet`: whom it concerns, None: the controller itself.
    - `severity`: error is bad news, which no filter holds back.
    - `opens`, `closes`: the matter that people know of from now on, or that is over with this. Good news that closes a
      matter are told wherever it was opened.
    - `id`: the same for every try to deliver it, and for nothing else.
    """

    at: Instant
    reason: str
    message: str
    severity: Severity
    fleet: str | None = None
    opens: str | None = None
    closes: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    id: str = ""

    @property
    def is_bad(self) -> bool:
        """Whether it must reach people."""
        return self.severity is Severity.ERROR

    @property
    def title(self) -> str:
        """A short line: whom it concerns and what it is, `eu: rollout halted`."""
        words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in self.reason).strip()
        return f"{self.fleet or 'controller'}: {words}"


def identified(news: News, seed: str) -> dict[str, Any]:
    """The news as JSON, with an id from its words and from what no other news of the channel has."""
    document = news_document(news)
    text = json.dumps([seed, document], sort_keys=True)
    return {**document, "id": hashlib.sha256(text.encode()).hexdigest()[:32]}


def news_document(news: News) -> dict[str, Any]:
    """As it stands in the journal."""
    return {
        "id": news.id,
        "at": news.at,
        "reason": news.reason,
        "message": news.message,
        "severity": news.severity.value,
        "fleet": news.fleet,
        "opens": news.opens,
        "closes": news.closes,
        "metadata": dict(news.metadata),
    }


def news_from(document: Mapping[str, Any]) -> News:
    """What `news_document` made. Raises KeyError, ValueError, TypeError."""
    return News(**{**document, "severity": Severity(document["severity"]), "at": Instant(float(document["at"]))})


def flux_event(news: News) -> dict[str, Any]:
    """The news in the form that Flux's notification controller sends and takes, so that what reads those reads it."""
    about = "DeviceFleet" if news.fleet else "Controller"
    return {
        "involvedObject": {
            "apiVersion": "fleet.reconciler.dev/v1alpha1",
            "kind": about,
            "name": news.fleet or "reconciler",
            "namespace": "",
        },
        "severity": news.severity.value,
        "timestamp": iso_from_instant(news.at),
        "message": news.message,
        "reason": news.reason,
        "metadata": {**news.metadata, "id": news.id},
        "reportingController": REPORTER,
    }


def bounded(message: str) -> str:
    """A message that fits everywhere."""
    return message if len(message) <= MESSAGE_MAX else f"{message[: MESSAGE_MAX - 1]}…"
