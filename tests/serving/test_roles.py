"""Who may what: every role at every endpoint, tokens that rotate, and those who try."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.serving.problem import RequestError
from reconciler.serving.tokens import Tokens, Tries
from reconciler.settings.settings import Role, ServingSettings, TokenSettings
from tests.serving.desk import FLEET, TOKENS, Client, FakeDesk, serving, settings_in

FREE = ["/healthz", "/readyz", "/metrics", "/v1/openapi.json"]
READING = ["/v1/status", f"/v1/fleets/{FLEET}", "/v1/plans", f"/v1/plans/{FLEET}", "/v1/history", "/v1/devices/x"]
WORDS = {"halt": Role.OPERATE, "suspend": Role.OPERATE, "resume": Role.OPERATE, "retry": Role.OPERATE}
WORDS |= {"reconcile": Role.OPERATE, "accept": Role.OPERATE, "approve": Role.APPROVE}
RANK = {None: 0, Role.READ: 1, Role.APPROVE: 2, Role.OPERATE: 3}


@pytest.mark.parametrize("role", RANK)
def test_everybody_may_what_their_role_may_and_no_more(client: Client, role: Role | None) -> None:
    needed: dict[tuple[str, str], Role | None] = {("GET", path): None for path in FREE}
    needed |= {("GET", path): Role.READ for path in READING}
    needed |= {("POST", f"/v1/words/{word}"): least for word, least in WORDS.items()}
    for (method, path), least in needed.items():
        status = client.ask(method, path, role, json=[] if method == "POST" else None).status_code
        admitted = RANK[role] >= RANK[least]
        refused = 401 if role is None else 403
        assert (status == refused) == (not admitted), (method, path, status)
        assert admitted == (status not in {401, 403}), (method, path, status)


def test_the_table_above_has_every_endpoint_but_events_and_webhooks(client: Client) -> None:
    paths = set(client.get("/v1/openapi.json", None).json()["paths"])
    tried = {*FREE, "/v1/status", "/v1/fleets/{fleet}", "/v1/plans", "/v1/plans/{fleet}", "/v1/history"}
    tried |= {"/v1/devices/{device}", *(f"/v1/words/{word}" for word in WORDS)}
    assert {path for path in paths - tried if not path.startswith("/v1/webhooks/")} == {"/v1/events"}


def test_events_are_for_who_may_read(client: Client) -> None:
    assert client.get("/v1/events", None).status_code == 401
    with client.get("/v1/events", Role.READ, stream=True) as stream:
        assert stream.status_code == 200


def test_without_tokens_only_health_readiness_metrics_and_the_description_are_answered(tmp_path: Path) -> None:
    with serving(replace(settings_in(tmp_path), tokens=())) as client:
        assert [client.get(path, None).status_code for path in FREE] == [200] * 4
        refused = client.get("/v1/status")
        assert (refused.status_code, refused.json()["code"]) == (401, "PFR6911")
        assert "no token is configured" in refused.json()["detail"]


@pytest.mark.parametrize(
    "header", ["", "Bearer", "Bearer ", "Basic abc", "Bearer x", TOKENS[Role.READ], f"Bearer {TOKENS[Role.READ]}x"]
)
def test_a_token_that_is_none_is_refused_with_a_challenge(client: Client, header: str) -> None:
    refused = client.get("/v1/status", None, headers={"Authorization": header})
    assert (refused.status_code, refused.json()["code"]) == (401, "PFR6911")
    assert refused.headers["www-authenticate"].startswith("Bearer")


def test_a_token_that_is_replaced_counts_at_once_and_the_old_one_no_more(client: Client, tmp_path: Path) -> None:
    assert client.get("/v1/status", Role.READ).status_code == 200
    fresh = tmp_path / "fresh"
    fresh.write_text("another-token-for-who-reads", encoding="utf-8")
    fresh.replace(tmp_path / "read.token")
    assert client.get("/v1/status", Role.READ).status_code == 401
    headers = {"Authorization": "Bearer another-token-for-who-reads"}
    assert client.get("/v1/status", None, headers=headers).status_code == 200


def test_a_token_whose_file_is_gone_is_taken_back(client: Client, tmp_path: Path) -> None:
    (tmp_path / "operate.token").unlink()
    assert client.say("halt", {"fleets": [FLEET]}).status_code == 401
    assert client.desk.journal.halts() == ()


@pytest.mark.parametrize("content", [b"", b" \n", b"short", b"x" * 5000])
def test_a_file_that_holds_no_good_secret_lets_nobody_in(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t").write_bytes(content)
    tokens = Tokens([TokenSettings(name="ada", role=Role.OPERATE, token_file=str(tmp_path / "t"))])
    assert tokens.bearer(f"Bearer {content.decode()}") is None
    assert tokens.bearer("Bearer ") is None


def test_a_token_may_have_any_letters(tmp_path: Path) -> None:
    token = "schlüssel-für-die-pumpen"
    (tmp_path / "t").write_text(token, encoding="utf-8")
    tokens = Tokens([TokenSettings(name="ada", role=Role.READ, token_file=str(tmp_path / "t"))])
    assert tokens.bearer(f"bearer {token.encode().decode('latin-1')}") is not None
    assert tokens.bearer(f"Bearer {token}") is None, "no header is read that way"


def test_no_token_is_in_any_answer_or_log(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    wrong = "wrong-but-secret-all-the-same"
    said = [client.get(path, role) for path in (*FREE, *READING) for role in RANK]
    said.append(client.get("/v1/status", None, headers={"Authorization": f"Bearer {wrong}"}))
    told = "".join(answer.text + str(answer.headers) for answer in said) + caplog.text
    assert "refused for 127.0.0.1" in caplog.text
    for secret in (*TOKENS.values(), wrong):
        assert secret not in told


def test_who_fails_often_is_answered_slowly_and_forgotten_after_a_while() -> None:
    now = [0.0]
    tries = Tries(lambda: now[0])
    assert [tries.failed("a") for _ in range(12)] == [0.0] * 10 + [1.0] * 2
    assert tries.failed("b") == 0.0
    now[0] = 61.0
    assert tries.failed("a") == 0.0


def test_no_more_than_some_wait_for_a_slow_answer_at_once() -> None:
    tries = Tries(lambda: 0.0)
    for _ in range(10):
        tries.failed("a")
    waiting = [tries.waiting() for _ in range(64)]
    for each in waiting:
        each.__enter__()
    with pytest.raises(RequestError) as caught:
        tries.failed("a")
    assert (caught.value.status, caught.value.code) == (429, "PFR6925")
    waiting[0].__exit__(None, None, None)
    assert tries.failed("a") == 1.0


def test_a_good_token_is_never_slowed_whoever_else_fails_from_there(settings: ServingSettings) -> None:
    with serving(settings, FakeDesk()) as client:
        for _ in range(10):
            client.get("/v1/status", None, headers={"Authorization": "Bearer wrong"})
        begun = time.monotonic()
        assert client.get("/v1/status", None, headers={"Authorization": "Bearer wrong"}).status_code == 401
        slow = time.monotonic() - begun
        begun = time.monotonic()
        assert client.get("/v1/status", Role.READ).status_code == 200
        assert time.monotonic() - begun < slow
