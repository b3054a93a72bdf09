"""The endpoints that say something: the words of a person, and webhooks."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from jsonschema import Draft202012Validator
from starlette.responses import Response

from reconciler.controller.desk import Desk
from reconciler.serving.endpoint import (
    WEBHOOK_BYTES_MAX,
    WORD_BYTES_MAX,
    Answers,
    Call,
    Endpoint,
    Parameter,
)
from reconciler.serving.json_answer import json_response
from reconciler.serving.problem import MEDIA_TYPE, RequestError
from reconciler.serving.said_before import KEY_CHARACTERS_MAX
from reconciler.serving.secret_file import SecretFile
from reconciler.serving.webhooks import Deliveries, Delivery, checked, why_ignored
from reconciler.serving.words import WORD_BODIES, WORD_ROLES, Words
from reconciler.settings.settings import GitSettings, WebhookKind, WebhookSettings

SPEAKING_SCHEMAS: Final[Mapping[str, Mapping[str, Any]]] = {
    "Webhook": {
        "type": "object",
        "properties": {
            "fetching": {"type": "boolean", "description": "Whether the source is looked at because of it."},
            "ignored": {"type": "string", "description": "Why not; empty where it is."},
        },
        "required": ["fetching", "ignored"],
        "additionalProperties": False,
    },
}

_KEY: Final = Parameter(
    name="Idempotency-Key",
    place="header",
    meaning="The same word with the same key is said once, however often it comes within a day.",
    schema={"type": "string", "minLength": 1, "maxLength": KEY_CHARACTERS_MAX},
)

_WORD_ANSWERS: Final = {
    200: Answers(meaning="All of it was written down.", schema="Word"),
    400: Answers(meaning="The body is not what the word takes.", schema="Problem"),
    404: Answers(meaning="There is no such plan, fleet or wave.", schema="Problem"),
    409: Answers(meaning="Not all of it was done: `word` says what.", schema="Problem"),
    415: Answers(meaning="The body is not JSON.", schema="Problem"),
    422: Answers(meaning="The key was used for another word.", schema="Problem"),
    503: Answers(meaning="The journal cannot be written.", schema="Problem"),
}


def word_endpoints(desk: Desk) -> tuple[Endpoint, ...]:
    """One for every word."""
    words = Words(desk)
    return tuple(_word_endpoint(words, verb) for verb in WORD_BODIES)


def _word_endpoint(words: Words, verb: str) -> Endpoint:
    schema = WORD_BODIES[verb]
    validator = Draft202012Validator(schema)

    def said(call: Call) -> Response:
        body = _json_body(call)
        problem = next(iter(sorted(validator.iter_errors(body), key=lambda each: list(map(str, each.path)))), None)
        if problem is not None:
            place = "/".join(map(str, problem.absolute_path)) or "the body"
            raise RequestError("PFR6916", f"{place}: {problem.message[:500]}", status=400, next_step=_SEE)
        key = call.headers.get("idempotency-key")
        if key is not None and not 1 <= len(key) <= KEY_CHARACTERS_MAX:
            message = f"an Idempotency-Key has 1 to {KEY_CHARACTERS_MAX} characters"
            raise RequestError("PFR6916", message, status=400)
        answer = words.say(verb, body, author=call.author, key=key)
        is_word = answer.status == 200  # noqa: PLR2004  # what this answers when all is well
        media_type = "application/json" if is_word else MEDIA_TYPE
        return json_response(answer.body, status=answer.status, media_type=media_type)

    return Endpoint(
        method="POST",
        path=f"/v1/words/{verb}",
        name=verb,
        summary=str(schema["description"]),
        role=WORD_ROLES[verb],
        answers=_WORD_ANSWERS,
        handle=said,
        parameters=(_KEY,),
        body=schema,
        body_bytes_max=WORD_BYTES_MAX,
    )


_SEE: Final = "GET /v1/openapi.json says what each word takes"


def _json_body(call: Call) -> Any:
    # Other types could be sent by a page in a browser without asking first.
    if call.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise RequestError("PFR6918", "a word is application/json", status=415, next_step=_SEE)
    try:
        body = json.loads(call.body)
        # What UTF-8 cannot hold is in no journal either.
        json.dumps(body, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        raise RequestError("PFR6916", "the body is no JSON", status=400, next_step=_SEE) from None
    return body


def webhook_endpoints(
    desk: Desk, webhooks: Sequence[WebhookSettings], followed: GitSettings | None
) -> tuple[Endpoint, ...]:
    """One for every kind that the settings have; several of a kind have several secrets."""
    deliveries = Deliveries(time.monotonic)
    kinds = dict.fromkeys(each.kind for each in webhooks)
    return tuple(
        _webhook_endpoint(
            desk, kind, [SecretFile(each.secret_file) for each in webhooks if each.kind is kind], followed, deliveries
        )
        for kind in kinds
    )


def _webhook_endpoint(
    desk: Desk,
    kind: WebhookKind,
    secrets: Sequence[SecretFile],
    followed: GitSettings | None,
    deliveries: Deliveries,
) -> Endpoint:
    def received(call: Call) -> Response:
        delivery = Delivery(headers=call.headers, body=call.body)
        mark = _mark(kind, delivery, secrets)
        ignored = why_ignored(kind, delivery, followed)
        if not ignored and deliveries.is_repeated(mark):
            ignored = "this delivery came before"
        if not ignored:
            desk.fetch_now()
        return json_response({"fetching": not ignored, "ignored": ignored}, status=200 if ignored else 202)

    return Endpoint(
        method="POST",
        path=f"/v1/webhooks/{kind.value}",
        name=f"{kind.value}Webhook",
        summary="Something was pushed: look at the source at once. Signed as the vendor does.",
        role=None,
        answers={
            200: Answers(meaning="Nothing follows from it.", schema="Webhook"),
            202: Answers(meaning="The source is looked at.", schema="Webhook"),
            400: Answers(meaning="It is signed, and no JSON.", schema="Problem"),
            401: Answers(meaning="It is not signed with the secret.", schema="Problem"),
        },
        handle=received,
        body={"type": "object", "description": "What the vendor sends."},
        body_bytes_max=WEBHOOK_BYTES_MAX,
        is_signed=True,
    )


def _mark(kind: WebhookKind, delivery: Delivery, secrets: Sequence[SecretFile]) -> str:
    """By the first secret that it is signed with. Raises RequestError PFR6924: by none."""
    for last, file in enumerate(secrets, start=1):
        try:
            return checked(kind, delivery, file.secret(), now=time.time())
        except RequestError:
            if last == len(secrets):
                raise
    raise AssertionError
