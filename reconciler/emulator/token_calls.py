"""Calls about tokens and whoever holds them (facts 5.2): log in, look, revoke."""

from __future__ import annotations

import base64
import binascii
from typing import Any, Final

from reconciler.emulator.keyring import Credential
from reconciler.emulator.message import Answer, ApiError, Request, as_int, json_answer
from reconciler.emulator.state import Call
from reconciler.emulator.world import UserLine
from reconciler.model.instant import Instant, instant_from_iso, iso_from_instant

_FORM: Final = "application/x-www-form-urlencoded"
_LIFE_SECONDS: Final = 7_776_000
"""90 days."""
_LIFE_SECONDS_MAX: Final = 100 * 365 * 86_400
_OTP_GRANT: Final = "urn:custom:mfa-otp"


def create_token(call: Call) -> Answer:
    """POST /oauth/token: by password, by login code, or by the secret of an OAuth client; forms only."""
    if not call.request.headers.get("content-type", "").startswith(_FORM):
        raise ApiError(400, "invalid_request", f"Method must be POST with {_FORM} encoding")
    fields = call.body.fields
    client = _client(call)
    match fields.get("grant_type"):
        case "password":
            user = call.state.keyring.users.get(str(fields.get("username")))
            if user is None or user.password != fields.get("password"):
                raise _refused("User credentials are invalid")
            if user.otp is not None:
                return _asks_for_code(call, user)
            return _issued(call, holder=user.username, client=client)
        case "urn:custom:mfa-otp":
            user = call.state.keyring.user_of_code(str(fields.get("mfa_token")), str(fields.get("otp")))
            if user is None:
                raise _refused("The login code is invalid")
            return _issued(call, holder=user.username, client=client)
        case "client_credentials":
            if client not in call.state.keyring.clients:
                raise ApiError(400, "invalid_client", "Client credentials are invalid")
            return _issued(call, holder=client, client=client)
    raise ApiError(400, "unsupported_grant_type", f"Grants are: password, client_credentials, {_OTP_GRANT}")


def list_tokens(call: Call) -> Answer:
    """GET /v1/access_tokens: those of whoever gives name and password."""
    user = _by_password(call)
    shown = [{"token": one.token, **_shown(one)} for one in call.state.keyring.held_by(user.username, call.now)]
    return json_answer(shown)


def show_current(call: Call) -> Answer:
    """GET /v1/access_tokens/current."""
    credential = _held(call)
    scopes = sorted(credential.scopes) if credential.scopes is not None else ["*:*"]
    organisation = call.state.organisation
    orgs = [] if credential.product_id is not None else [{"id": f"{1:024x}", "slug": organisation}]
    return json_answer({**_shown(credential), "client_id": credential.client, "scopes": scopes, "orgs": orgs})


def revoke_current(call: Call) -> Answer:
    """DELETE /v1/access_tokens/current."""
    call.state.keyring.revoke(_held(call).token)
    return json_answer({"ok": True})


def revoke_all(call: Call) -> Answer:
    """DELETE /v1/access_tokens: all of whoever holds this one."""
    keyring = call.state.keyring
    for credential in keyring.held_by(_held(call).holder, call.now):
        keyring.revoke(credential.token)
    return json_answer({"ok": True})


def revoke_token(call: Call) -> Answer:
    """DELETE /v1/access_tokens/:token: to know a token is to be allowed to end it, as the vendor's tools count on."""
    if not call.state.keyring.revoke(call.parameters["token"]):
        raise ApiError(404, "invalid_token", "No such token")
    return json_answer({"ok": True})


def show_user(call: Call) -> Answer:
    """GET /v1/user: who holds the token."""
    holder = _held(call).holder
    return json_answer(
        {
            "username": holder,
            "account_info": {},
            "is_programmatic": holder in call.state.keyring.api_users,
            "mfa": {"enabled": bool(getattr(call.state.keyring.users.get(holder), "otp", None))},
        }
    )


def list_organisations(call: Call) -> Answer:
    """GET /v1/orgs."""
    slug = call.state.organisation
    return json_answer({"organizations": [{"id": f"{1:024x}", "slug": slug, "name": slug}]})


def _held(call: Call) -> Credential:
    assert call.token is not None
    return call.token


def _shown(credential: Credential) -> dict[str, Any]:
    expires = iso_from_instant(credential.expires_at) if credential.expires_at is not None else None
    return {"expires_at": expires, "client": credential.client}


def _asks_for_code(call: Call, user: UserLine) -> Answer:
    document = {
        "error": "mfa_required",
        "error_description": "Multifactor authentication required",
        "mfa_token": call.state.keyring.await_code(user),
    }
    return json_answer(document, 403)


def _issued(call: Call, *, holder: str, client: str) -> Answer:
    keyring = call.state.keyring
    seconds = _life_seconds(call)
    credential = Credential(
        name=holder,
        token=keyring.new_token(),
        holder=holder,
        client=client,
        expires_at=Instant(call.now + seconds) if seconds else None,
    )
    keyring.add(credential)
    return json_answer(
        {
            "token_type": "bearer",
            "access_token": credential.token,
            "expires_in": seconds,
            "refresh_token": keyring.new_token(),
        }
    )


def _life_seconds(call: Call) -> int:
    """How long the token shall live; 0: for ever."""
    fields = call.body.fields
    if "expires_at" not in fields:
        seconds = as_int(fields.get("expires_in", _LIFE_SECONDS))
        if seconds > _LIFE_SECONDS_MAX:
            raise ApiError(400, "invalid_request", "expires_in is too large; 0 is for ever")
        return seconds
    try:
        end = instant_from_iso(str(fields["expires_at"]))
    except ValueError as error:
        raise ApiError(400, "invalid_request", "expires_at must be ISO8601 formatted") from error
    return max(1, int(end - call.now))


def _client(call: Call) -> str:
    """The OAuth client of a request for a token.

    Any name will do for logging in, as the vendor says and its tools show; the secret must be right where the world has
    such a client. Raises ApiError 400.
    """
    pair = basic_pair(call.request)
    client, secret = pair or (str(call.body.fields.get("client_id", "")), call.body.fields.get("client_secret"))
    known = call.state.keyring.clients.get(client)
    if not client or (known is not None and known.secret != secret):
        raise ApiError(400, "invalid_client", "Client credentials are invalid")
    return client


def _by_password(call: Call) -> UserLine:
    username, password = basic_pair(call.request) or ("", "")
    user = call.state.keyring.users.get(username)
    if user is None or user.password != password:
        raise ApiError(401, "invalid_grant", "Name and password are needed in HTTP Basic Auth")
    if user.otp is not None and user.otp != call.request.query.get("otp"):
        raise ApiError(403, "mfa_required", "A login code is needed in otp")
    return user


def _refused(words: str) -> ApiError:
    return ApiError(400, "invalid_grant", words)


def basic_pair(request: Request) -> tuple[str, str] | None:
    """Name and password of HTTP Basic Auth, if there are any."""
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        name, _, password = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    return name, password
