"""Calls about teams: the people of the world, and users for programs with scopes of their own (facts 5.2)."""

from __future__ import annotations

import re
from typing import Any, Final

from reconciler.emulator.keyring import ApiUser
from reconciler.emulator.message import Answer, ApiError, json_answer
from reconciler.emulator.state import Call

_SCOPE: Final = re.compile(r"[a-z_-]+(\.[a-z_-]+)*:[a-z_-]+")


def list_team(call: Call) -> Answer:
    """GET …/team: people and API users; `is_programmatic` tells them apart."""
    people = [{"username": name, "role": {"name": "Administrator"}} for name in call.state.keyring.users]
    programs = [_shown(user) for user in call.state.keyring.api_users.values() if user.product_id == _place(call)]
    return json_answer({"ok": True, "team": [*people, *programs]})


def add_member(call: Call) -> Answer:
    """POST …/team: an API user by `friendly_name` and `scopes`. People are the world's; nobody is invited here."""
    fields = call.body.fields
    name = str(fields.get("friendly_name", "")).strip()
    if not name:
        raise ApiError(400, "invalid_request", "friendly_name is needed")
    user = call.state.keyring.add_api_user(name, _scopes(fields.get("scopes")), _place(call))
    return json_answer({"ok": True, "created": {**_shown(user), "tokens": [{"token": user.token}]}})


def change_member(call: Call) -> Answer:
    """PUT …/team/:username: other scopes end the old token and bring another one."""
    user = _user(call)
    fields = call.body.fields
    scopes = _scopes(fields["scopes"]) if "scopes" in fields else user.scopes
    changed = call.state.keyring.change_api_user(user, str(fields.get("friendly_name", user.friendly_name)), scopes)
    return json_answer({"ok": True, "updated": {**_shown(changed), "tokens": [{"token": changed.token}]}})


def remove_member(call: Call) -> Answer:
    """DELETE …/team/:username: the API user and its token."""
    call.state.keyring.remove_api_user(_user(call))
    return json_answer({"ok": True})


def _place(call: Call) -> int | None:
    """The number of the product whose team it is; None: that of the organisation."""
    product = call.product
    return product.id if product else None


def _user(call: Call) -> ApiUser:
    user = call.state.keyring.api_users.get(call.parameters["username"])
    if user is None or user.product_id != _place(call):
        raise ApiError(404, "Not Found", "No such API user in this team")
    return user


def _scopes(value: object) -> frozenset[str]:
    if not isinstance(value, list) or not value:
        raise ApiError(400, "invalid_request", "scopes must be a list of scopes such as devices:list")
    for scope in value:
        if not isinstance(scope, str) or _SCOPE.fullmatch(scope) is None:
            raise ApiError(400, "invalid_request", f"{scope!r} is no scope")
    return frozenset(value)


def _shown(user: ApiUser) -> dict[str, Any]:
    return {
        "username": user.username,
        "friendly_name": user.friendly_name,
        "is_programmatic": True,
        "scopes": sorted(user.scopes),
        "product_id": user.product_id,
    }
