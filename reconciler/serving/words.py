"""The words of a person over HTTP: what each takes, and the same words said to the journal as commands say."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from reconciler import __version__
from reconciler.controller.desk import Desk
from reconciler.controller.words.approving import approve, kept_plan
from reconciler.controller.words.asking import accept, reconcile
from reconciler.controller.words.holding import halt, halt_all, resume, suspend
from reconciler.controller.words.retrying import retry, retry_fleet
from reconciler.controller.words.speaker import Speaker
from reconciler.model.device import DeviceId
from reconciler.model.error import JournalError, OperatorError
from reconciler.render.plan_reading import plan_from_document
from reconciler.render.word import Told, word_document
from reconciler.serving.problem import RequestError, problem_document, status_of
from reconciler.serving.said_before import Answer, SaidBefore
from reconciler.settings.settings import Role

Body = Mapping[str, Any]
"""A body that is as the word's schema has it."""

_TEXT_MAX: Final = 1000
_NAMES_MAX: Final = 1000

_FLEET: Final = {"type": "string", "minLength": 1, "maxLength": 253, "description": "The name of a fleet."}
_REASON: Final = {"type": "string", "minLength": 1, "maxLength": _TEXT_MAX, "description": "Why, for who reads it."}
_FORCE: Final = {"type": "boolean", "description": "Also where the journal knows no fleet of this name."}
_DEVICE: Final = {"type": "string", "pattern": "^[0-9A-Fa-f]{24}$", "description": "The id of a device."}
_WAVE: Final = {"type": "string", "minLength": 1, "maxLength": 253, "description": "The name of a wave."}
_ALL: Final = {"const": True, "description": "Every fleet that the journal knows."}


def _several(item: Mapping[str, Any]) -> dict[str, Any]:
    return {"type": "array", "minItems": 1, "maxItems": _NAMES_MAX, "items": item}


def _body(description: str, properties: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "description": description,
        "additionalProperties": False,
        "properties": dict(properties),
        **more,
    }


WORD_ROLES: Final[Mapping[str, Role]] = {
    "halt": Role.OPERATE,
    "suspend": Role.OPERATE,
    "resume": Role.OPERATE,
    "retry": Role.OPERATE,
    "approve": Role.APPROVE,
    "reconcile": Role.OPERATE,
    "accept": Role.OPERATE,
}

WORD_BODIES: Final[Mapping[str, Mapping[str, Any]]] = {
    "halt": _body(
        "Start nothing more in these fleets until they are resumed. What is under way ends its step.",
        {"fleets": _several(_FLEET), "all": _ALL, "reason": _REASON, "force": _FORCE},
        oneOf=[{"required": ["fleets"]}, {"required": ["all"]}],
    ),
    "suspend": _body(
        "Start nothing in the fleet until a time.",
        {
            "fleet": _FLEET,
            "reason": _REASON,
            "until": {"type": "string", "maxLength": 64, "description": "`2h`, `3d`, or an ISO 8601 time."},
            "force": _FORCE,
        },
        required=["fleet", "reason"],
    ),
    "resume": _body(
        "Lift the halt and suspension of a fleet, let go of devices, or forget what the cloud refused in a product.",
        {
            "fleet": _FLEET,
            "devices": _several(_DEVICE),
            "latched": {"type": "boolean", "description": "Let go of all devices of the fleet that are held."},
            "product": {"type": "integer", "minimum": 1, "description": "The number of a product."},
        },
        anyOf=[{"required": ["fleet"]}, {"required": ["devices"]}, {"required": ["product"]}],
        dependentRequired={"latched": ["fleet"]},
    ),
    "retry": _body(
        "Try these devices, or every device of a fleet on which something failed, again in the next pass.",
        {"devices": _several(_DEVICE), "fleet": _FLEET},
        oneOf=[{"required": ["devices"]}, {"required": ["fleet"]}],
    ),
    "approve": _body(
        "Agree to the plan with this id: the one that is shown now, or one that the journal keeps.",
        {
            "plan_id": {"type": "string", "minLength": 1, "maxLength": 200},
            "digest": {"type": "string", "maxLength": 100, "description": "If given, it must be that plan's digest."},
            "fleets": _several(_FLEET),
            "waves": _several(_WAVE),
        },
        required=["plan_id"],
    ),
    "reconcile": _body("Look at the source and at a fleet, or at all, at once.", {"fleet": _FLEET, "force": _FORCE}),
    "accept": _body(
        "Take a commit that the controller refuses: after a forced push, or with too many fleets gone.",
        {
            "commit": {"type": "string", "maxLength": 80, "description": "Its id, or 12 digits of it or more."},
            "source": {"type": "string", "minLength": 1, "maxLength": _TEXT_MAX, "description": "Its source's name."},
        },
        required=["commit"],
    ),
}
"""What every word takes, as JSON Schema."""


class Words:
    """Says words to the journal of a desk, one after the other."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._turn = threading.Lock()
        self._said: Mapping[str, Callable[[Speaker, Body], Sequence[Told]]] = {
            "halt": _halt,
            "suspend": _suspend,
            "resume": _resume,
            "retry": _retry,
            "approve": self._approve,
            "reconcile": _reconcile,
            "accept": _accept,
        }

    def say(self, verb: str, body: Body, *, author: str, key: str | None) -> Answer:
        """What came of it, with its status. With a key it is said once, however often it comes.

        Raises ReconcilerError where nothing came of it, and RequestError PFR6921 where not all of it was done.
        """
        with self._turn:
            if key is None:
                return self._answer(verb, body, author)
            before = SaidBefore(self._desk.journal, author=author, key=key, request={"verb": verb, "body": body})
            known = before.answer()
            if known is not None:
                return known
            before.begin(self._desk.now())
            try:
                answer = self._answer(verb, body, author)
            except JournalError:
                # It may have been written down in part: then it is not said again by itself.
                raise
            except OperatorError as error:
                if not (isinstance(error, RequestError) and "word" in error.more):
                    before.forget()
                    raise
                answer = Answer(status=status_of(error), body=problem_document(error))
            before.end(answer, self._desk.now())
            return answer

    def _answer(self, verb: str, body: Body, author: str) -> Answer:
        desk = self._desk
        speaker = Speaker(journal=desk.journal, by=author, clock=desk.now, is_heard=desk.alive)
        try:
            told = self._said[verb](speaker, body)
        except ValueError as error:
            raise RequestError("PFR6916", str(error), status=400) from None
        document = word_document(verb, told, at=speaker.moment(), by=author, tool_version=__version__)
        undone = [each for each in told if not each.done]
        if undone:
            message = "; ".join(each.message for each in undone)
            raise RequestError("PFR6921", message, status=409, next_step=undone[0].next_step, more={"word": document})
        return Answer(status=200, body=document)

    def _approve(self, speaker: Speaker, body: Body) -> Sequence[Told]:
        now, catalog, fleets = speaker.clock(), self._desk.catalog, body.get("fleets", ())
        plans = (self._desk.plan(fleet) for fleet in (None, *fleets))
        document = next((plan for plan in plans if plan is not None and plan["plan_id"] == body["plan_id"]), None)
        if document is not None:
            saved = plan_from_document(document, catalog, now=now)
        else:
            saved, document = kept_plan(speaker.journal, body["plan_id"], catalog, now)
        if body.get("digest", saved.digest) != saved.digest:
            message = f"{saved.plan_id} has the digest {saved.digest}, and not the one that was looked at"
            raise RequestError("PFR6921", message, status=409, next_step="look at the plan again")
        return approve(speaker, saved, document, fleets=fleets, waves=body.get("waves", ()))


def _halt(speaker: Speaker, body: Body) -> Sequence[Told]:
    reason = body.get("reason", "a person halted it")
    if "fleets" not in body:
        return halt_all(speaker, reason=reason)
    return halt(speaker, body["fleets"], reason=reason, force=body.get("force", False))


def _suspend(speaker: Speaker, body: Body) -> Sequence[Told]:
    until, force = body.get("until"), body.get("force", False)
    return [suspend(speaker, body["fleet"], reason=body["reason"], until=until, force=force)]


def _resume(speaker: Speaker, body: Body) -> Sequence[Told]:
    return resume(
        speaker,
        body.get("fleet"),
        device_ids=body.get("devices", ()),
        latched=body.get("latched", False),
        product=body.get("product"),
    )


def _retry(speaker: Speaker, body: Body) -> Sequence[Told]:
    if "fleet" in body:
        return retry_fleet(speaker, body["fleet"])
    return retry(speaker, [DeviceId(device.lower()) for device in body["devices"]])


def _reconcile(speaker: Speaker, body: Body) -> Sequence[Told]:
    return [reconcile(speaker, body.get("fleet"), token=secrets.token_hex(8), force=body.get("force", False))]


def _accept(speaker: Speaker, body: Body) -> Sequence[Told]:
    return [accept(speaker, body["commit"], source=body.get("source"))]
