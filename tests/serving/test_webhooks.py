"""Webhooks: a push that is signed as its vendor does has the source looked at; anything else does not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from reconciler.serving.problem import RequestError
from reconciler.serving.webhooks import Deliveries, Delivery, checked, why_ignored
from reconciler.settings.settings import GitSettings, Reference, WebhookKind, WebhookSettings
from tests.serving.desk import GIT, SECRETS, Client, serving, settings_in

PUSH = json.dumps({"ref": "refs/heads/main", "after": "1" * 40}).encode()
ELSEWHERE = json.dumps({"ref": "refs/heads/other", "after": "1" * 40}).encode()

# What GitHub's own documentation gives as an example of a signature ("Validating webhook deliveries").
GITHUB_SECRET = b"It's a Secret to Everybody"
GITHUB_SIGNATURE = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

# The example of the specification of Standard Webhooks, of its reference libraries.
STANDARD_SECRET = b"whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
STANDARD = {
    "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
    "webhook-timestamp": "1614265330",
    "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
}
STANDARD_BODY = b'{"test": 2432232314}'


def signed(
    kind: WebhookKind, body: bytes, *, secret: str = "", event: str = "push", at: float | None = None
) -> dict[str, str]:
    key = (secret or SECRETS[kind]).encode()
    digest = hmac.new(key, body, hashlib.sha256)
    match kind:
        case WebhookKind.GITHUB:
            headers = {"X-Hub-Signature-256": f"sha256={digest.hexdigest()}", "X-GitHub-Event": event}
        case WebhookKind.GITEA:
            headers = {"X-Gitea-Signature": digest.hexdigest(), "X-Gitea-Event": event}
        case WebhookKind.GITLAB:
            named = {"push": "Push Hook", "ping": "Note Hook"}.get(event, event)
            headers = {"X-Gitlab-Token": key.decode(), "X-Gitlab-Event": named}
        case WebhookKind.GENERIC:
            sent = str(int(time.time() if at is None else at))
            over = b".".join([hashlib.sha256(body).hexdigest().encode(), sent.encode(), body])
            mac = base64.b64encode(hmac.digest(key, over, "sha256")).decode()
            name = hashlib.sha256(body).hexdigest()
            headers = {"webhook-id": name, "webhook-timestamp": sent, "webhook-signature": f"v1,{mac}"}
    return {"Content-Type": "application/json", **headers}


def sent(client: Client, kind: WebhookKind, body: bytes, headers: dict[str, str]) -> requests.Response:
    return client.ask("POST", f"/v1/webhooks/{kind.value}", None, data=body, headers=headers)


@pytest.mark.parametrize("kind", WebhookKind)
def test_a_push_to_what_is_followed_has_the_source_looked_at(client: Client, kind: WebhookKind) -> None:
    answer = sent(client, kind, PUSH, signed(kind, PUSH))
    assert (answer.status_code, answer.json()) == (202, {"fetching": True, "ignored": ""})
    assert client.desk.fetches == 1


@pytest.mark.parametrize("kind", WebhookKind)
def test_a_push_elsewhere_is_ignored_and_so_is_one_that_came_before(client: Client, kind: WebhookKind) -> None:
    elsewhere = sent(client, kind, ELSEWHERE, signed(kind, ELSEWHERE))
    assert elsewhere.status_code == 200
    assert "refs/heads/main is followed" in elsewhere.json()["ignored"]
    headers = signed(kind, PUSH)
    assert [sent(client, kind, PUSH, headers).status_code for _ in range(3)] == [202, 200, 200]
    assert client.desk.fetches == 1


@pytest.mark.parametrize("kind", [WebhookKind.GITHUB, WebhookKind.GITEA, WebhookKind.GITLAB])
def test_what_is_not_about_a_push_is_ignored(client: Client, kind: WebhookKind) -> None:
    assert sent(client, kind, PUSH, signed(kind, PUSH, event="ping")).status_code == 200
    assert client.desk.fetches == 0


@pytest.mark.parametrize("kind", WebhookKind)
def test_a_signature_that_does_not_hold_is_refused_before_the_body_is_read(client: Client, kind: WebhookKind) -> None:
    good = signed(kind, PUSH)
    secret = {name: value for name, value in good.items() if "ignature" in name or "Token" in name}
    wrong = [
        (PUSH, signed(kind, PUSH, secret="another secret altogether")),
        (PUSH, {name: value for name, value in good.items() if name not in secret}),
        (PUSH, {**good, **dict.fromkeys(secret, "")}),
        (PUSH, {**good, **dict.fromkeys(secret, "sha256=")}),
        (b"not json", signed(kind, b"not json", secret="another secret altogether")),
    ]
    if kind is not WebhookKind.GITLAB:
        wrong.append((PUSH + b" ", good))
    for body, headers in wrong:
        refused = sent(client, kind, body, headers)
        assert (refused.status_code, refused.json()["code"]) == (401, "PFR6924"), headers
        assert SECRETS[kind] not in refused.text
    assert client.desk.fetches == 0


@pytest.mark.parametrize("age", [-301.0, 301.0])
def test_what_was_signed_long_ago_or_in_time_to_come_is_refused(client: Client, age: float) -> None:
    headers = signed(WebhookKind.GENERIC, PUSH, at=time.time() - age)
    assert sent(client, WebhookKind.GENERIC, PUSH, headers).status_code == 401


@pytest.mark.parametrize("kind", WebhookKind)
def test_a_signed_body_that_is_no_json_is_refused(client: Client, kind: WebhookKind) -> None:
    assert sent(client, kind, b"{", signed(kind, b"{")).status_code == 400


@pytest.mark.parametrize("body", [b"[]", b'"x"', b"{}", b'{"ref": 7}'])
def test_a_push_that_does_not_say_where_may_be_followed(client: Client, body: bytes) -> None:
    assert sent(client, WebhookKind.GENERIC, body, signed(WebhookKind.GENERIC, body)).status_code == 202


def test_githubs_form_is_read_as_its_json(client: Client) -> None:
    for pushed, status in ((ELSEWHERE, 200), (PUSH, 202)):
        body = urlencode({"payload": pushed.decode()}).encode()
        headers = {**signed(WebhookKind.GITHUB, body), "Content-Type": "application/x-www-form-urlencoded"}
        assert sent(client, WebhookKind.GITHUB, body, headers).status_code == status


def test_a_kind_that_no_settings_name_is_not_there(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    hooks = tuple(each for each in settings.webhooks if each.kind is WebhookKind.GITHUB)
    with serving(settings_in(tmp_path, webhooks=hooks, tokens=())) as client:
        assert sent(client, WebhookKind.GITEA, PUSH, signed(WebhookKind.GITEA, PUSH)).status_code == 404
        assert sent(client, WebhookKind.GITHUB, PUSH, signed(WebhookKind.GITHUB, PUSH)).status_code == 202


def test_two_secrets_of_one_kind_both_count(tmp_path: Path) -> None:
    (tmp_path / "next").write_text("the-secret-that-comes-next", encoding="utf-8")
    fresh = WebhookSettings(kind=WebhookKind.GITHUB, secret_file=str(tmp_path / "next"))
    settings = settings_in(tmp_path)
    with serving(settings_in(tmp_path, webhooks=(*settings.webhooks, fresh))) as client:
        for body, secret in ((PUSH, SECRETS[WebhookKind.GITHUB]), (PUSH + b" ", "the-secret-that-comes-next")):
            headers = signed(WebhookKind.GITHUB, body, secret=secret)
            assert sent(client, WebhookKind.GITHUB, body, headers).status_code == 202


# --- the signatures themselves ---


def test_githubs_own_example_is_signed() -> None:
    delivery = Delivery(headers={"x-hub-signature-256": GITHUB_SIGNATURE}, body=b"Hello, World!")
    assert checked(WebhookKind.GITHUB, delivery, GITHUB_SECRET, now=0.0)


@pytest.mark.parametrize("kind", [WebhookKind.GENERIC, WebhookKind.GITLAB])
def test_the_example_of_standard_webhooks_is_signed(kind: WebhookKind) -> None:
    delivery = Delivery(headers=STANDARD, body=STANDARD_BODY)
    assert checked(kind, delivery, STANDARD_SECRET, now=1614265330.0)
    several = {**STANDARD, "webhook-signature": f"v1,AAAA v1a,BBBB {STANDARD['webhook-signature']}"}
    assert checked(kind, Delivery(headers=several, body=STANDARD_BODY), STANDARD_SECRET, now=1614265330.0)


@pytest.mark.parametrize("kind", WebhookKind)
@pytest.mark.parametrize("secret", [None, b"whsec_no base64!"])
def test_without_a_secret_that_can_be_used_nothing_is_signed(kind: WebhookKind, secret: bytes | None) -> None:
    with pytest.raises(RequestError):
        checked(kind, Delivery(headers=STANDARD, body=STANDARD_BODY), secret, now=1614265330.0)


@pytest.mark.parametrize(
    ("git", "ref", "is_followed"),
    [
        (GIT, "refs/heads/main", True),
        (GIT, "refs/tags/main", False),
        (GitSettings(url="u", reference=Reference.TAG, reference_name="v1"), "refs/tags/v1", True),
        (GitSettings(url="u", reference=Reference.TAG, reference_name="v1"), "refs/heads/v1", False),
        (GitSettings(url="u", reference=Reference.COMMIT, reference_name="1" * 40), "refs/heads/main", False),
        (None, "refs/heads/whatever", True),
    ],
)
def test_only_what_is_followed_matters(git: GitSettings | None, ref: str, *, is_followed: bool) -> None:
    body: Any = json.dumps({"ref": ref}).encode()
    delivery = Delivery(headers={"x-gitlab-event": "Push Hook" if "heads" in ref else "Tag Push Hook"}, body=body)
    assert (why_ignored(WebhookKind.GITLAB, delivery, git) == "") == is_followed


def test_a_delivery_is_remembered_for_ten_minutes_and_no_more_than_a_thousand_are() -> None:
    now = [0.0]
    deliveries = Deliveries(lambda: now[0])
    assert [deliveries.is_repeated("a") for _ in range(2)] == [False, True]
    now[0] = 601.0
    assert not deliveries.is_repeated("a")
    assert not any(deliveries.is_repeated(f"b{number}") for number in range(1024))
    assert not deliveries.is_repeated("a"), "the oldest is forgotten"
