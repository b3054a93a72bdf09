"""Slack and Teams: one message a POST, to an incoming webhook whose address is the secret."""

from __future__ import annotations

import json
from typing import Any

from reconciler.settings.settings import ChannelKind, ChannelSettings
from reconciler.telemetry.channel import ChannelError
from reconciler.telemetry.news import News
from reconciler.telemetry.posting import Poster, checked_url
from reconciler.telemetry.secrets_of_channels import address_of


class ChatChannel:
    """`MessageChannel` to Slack or Teams."""

    def __init__(self, settings: ChannelSettings, poster: Poster) -> None:
        """Raises ChannelError."""
        self._settings = settings
        self._poster = poster
        self._address()

    def deliver(self, news: News, *, timeout_seconds: float) -> None:
        """See `MessageChannel`."""
        document = slack_message(news) if self._settings.kind is ChannelKind.SLACK else teams_message(news)
        headers = {"Content-Type": "application/json"}
        self._poster.post(self._address(), json.dumps(document).encode(), headers, timeout_seconds=timeout_seconds)

    def _address(self) -> str:
        try:
            return checked_url(address_of(self._settings), encrypted=True)
        except ValueError as error:
            raise ChannelError(self._settings.name, str(error)) from None


def slack_message(news: News) -> dict[str, Any]:
    """As Slack's incoming webhooks take it. No names of people or channels are expanded from the words of strangers."""
    sign = ":red_circle:" if news.is_bad else ":large_green_circle:"
    section = {"type": "plain_text", "text": news.message or news.title, "emoji": False}
    context = [{"type": "plain_text", "text": f"{name}: {value}"[:150]} for name, value in news.metadata.items()]
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": f"{sign} {news.title}"[:150]}},
        {"type": "section", "text": section},
    ]
    blocks += [{"type": "context", "elements": context[:10]}] if context else []
    return {"text": _escaped(f"{news.title}: {news.message}"), "blocks": blocks}


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def teams_message(news: News) -> dict[str, Any]:
    """An adaptive card, as the webhooks of Teams' workflows take it."""
    title = {"type": "TextRun", "text": news.title, "weight": "Bolder", "color": "Attention" if news.is_bad else "Good"}
    # Rich text has no Markdown in it, so words of strangers stay words.
    body: list[dict[str, Any]] = [
        {"type": "RichTextBlock", "inlines": [title]},
        {"type": "RichTextBlock", "inlines": [{"type": "TextRun", "text": news.message or news.title}]},
    ]
    if news.metadata:
        facts = [{"title": name, "value": value} for name, value in news.metadata.items()]
        body.append({"type": "FactSet", "facts": facts})
    card = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": card}
    return {"type": "message", "attachments": [attachment]}
