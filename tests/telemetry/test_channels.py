"""Every channel against a real server on this machine: what arrives, and what happens when the server is unfriendly."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import traceback
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.model.instant import Instant
from reconciler.settings.settings import ChannelKind, ChannelSettings
from reconciler.telemetry.channel import (
    ChannelError,
    CommitState,
    CommitStatus,
    DeliveryError,
    MessageChannel,
    StatusChannel,
)
from reconciler.telemetry.channels import open_channels
from reconciler.telemetry.news import News, Severity
from tests.particle.pretend import Answer, PretendServer, unused_port
from tests.telemetry.world_of_news import COMMIT

SECRET = "T0psecret-and-long-enough"
NEWS = News(
    at=Instant(1_700_000_000),
    reason="RolloutHalted",
    message="eu: HALTED by itself: 3 of 3 failed <!channel> *bold*",
    severity=Severity.ERROR,
    fleet="eu",
    metadata={"revision": "main@sha1:1"},
    id="0123456789abcdef",
)


@pytest.fixture
def server() -> Iterator[PretendServer]:
    opened = PretendServer()
    yield opened
    opened.close()


def file(tmp_path: Path, text: str, name: str = "secret") -> str:
    path = tmp_path / name
    path.write_text(text + "\n", encoding="utf-8")
    return str(path)


def messages(settings: ChannelSettings) -> MessageChannel:
    ((_, channel),) = open_channels([settings], now=lambda: 1_700_000_100.5)
    assert isinstance(channel, MessageChannel)
    return channel


def statuses(settings: ChannelSettings) -> StatusChannel:
    ((_, channel),) = open_channels([settings])
    assert not isinstance(channel, MessageChannel)
    return channel


def slack(server: PretendServer, tmp_path: Path) -> MessageChannel:
    url = file(tmp_path, f"{server.url}/services/{SECRET}", "url")
    return messages(ChannelSettings(name="ops", kind=ChannelKind.SLACK, url_file=url))


def test_slack_gets_a_message_whose_words_address_nobody(server: PretendServer, tmp_path: Path) -> None:
    slack(server, tmp_path).deliver(NEWS, timeout_seconds=5)
    (seen,) = server.seen
    assert seen.path == f"/services/{SECRET}"
    document = json.loads(seen.body)
    assert "<!channel>" not in document["text"]
    assert document["blocks"][0]["text"]["text"] == ":red_circle: eu: rollout halted"
    assert document["blocks"][1]["text"] == {"type": "plain_text", "text": NEWS.message, "emoji": False}
    assert document["blocks"][2]["elements"][0]["text"] == "revision: main@sha1:1"


def test_teams_gets_a_card(server: PretendServer) -> None:
    messages(ChannelSettings(name="ops", kind=ChannelKind.TEAMS, url=server.url)).deliver(NEWS, timeout_seconds=5)
    (attachment,) = json.loads(server.seen[0].body)["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    words = [line["inlines"][0]["text"] for line in attachment["content"]["body"] if "inlines" in line]
    assert words == ["eu: rollout halted", NEWS.message]


@pytest.mark.parametrize(
    ("secret", "key"),
    [(SECRET, SECRET.encode()), ("whsec_" + base64.b64encode(b"\0raw\xff").decode(), b"\0raw\xff")],
)
def test_a_webhook_gets_an_event_as_flux_has_it_and_can_check_who_sent_it_and_when(
    server: PretendServer, tmp_path: Path, secret: str, key: bytes
) -> None:
    settings = ChannelSettings(
        name="hook", kind=ChannelKind.WEBHOOK, url=server.url + "/x", secret_file=file(tmp_path, secret)
    )
    messages(settings).deliver(NEWS, timeout_seconds=5)
    (seen,) = server.seen
    headers = {name.lower(): value for name, value in seen.headers.items()}
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == (NEWS.id, "1700000100")
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + seen.body
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    assert headers["webhook-signature"] == "v1," + base64.b64encode(digest).decode()
    assert json.loads(seen.body) == {
        "involvedObject": {
            "apiVersion": "fleet.reconciler.dev/v1alpha1",
            "kind": "DeviceFleet",
            "name": "eu",
            "namespace": "",
        },
        "severity": "error",
        "timestamp": "2023-11-14T22:13:20Z",
        "message": NEWS.message,
        "reason": "RolloutHalted",
        "metadata": {"revision": "main@sha1:1", "id": NEWS.id},
        "reportingController": "particle-fleet-reconciler",
    }


def test_a_secret_that_is_replaced_counts_from_the_next_message_on(server: PretendServer, tmp_path: Path) -> None:
    settings = ChannelSettings(
        name="hook", kind=ChannelKind.WEBHOOK, url=server.url, secret_file=file(tmp_path, "first")
    )
    channel = messages(settings)
    channel.deliver(NEWS, timeout_seconds=5)
    file(tmp_path, "second")
    channel.deliver(NEWS, timeout_seconds=5)
    first, second = (seen.headers["webhook-signature"] for seen in server.seen)
    assert first != second
    (tmp_path / "secret").unlink()
    with pytest.raises(ChannelError, match="cannot be read"):
        channel.deliver(NEWS, timeout_seconds=5)


STATUS = CommitStatus(commit=COMMIT, state=CommitState.PENDING, description="20 of 1,000 devices " + "x" * 300)


def test_github_shows_a_state_beside_the_commit(server: PretendServer, tmp_path: Path) -> None:
    server.answers = [Answer(status=201)]
    settings = ChannelSettings(
        name="fleets",
        kind=ChannelKind.GITHUB,
        url=server.url + "/api/v3/",
        secret_file=file(tmp_path, SECRET),
        repository="owner/name",
    )
    statuses(settings).post(STATUS, timeout_seconds=5)
    (seen,) = server.seen
    assert (seen.method, seen.path) == ("POST", f"/api/v3/repos/owner/name/statuses/{COMMIT}")
    assert seen.headers["Authorization"] == f"Bearer {SECRET}"
    document = json.loads(seen.body)
    assert (document["state"], document["context"]) == ("pending", "particle-fleet/fleets")
    assert len(document["description"]) == 140


def test_gitlab_too_and_the_same_state_again_is_fine(server: PretendServer, tmp_path: Path) -> None:
    again = b'{"message":{"state":["Cannot transition status via :run from :running (Reason(s): ...)"]}}'
    server.answers = [Answer(status=201), Answer(status=400, body=again), Answer(status=400, body=b'{"message":"no"}')]
    settings = ChannelSettings(
        name="fleets",
        kind=ChannelKind.GITLAB,
        url=server.url,
        secret_file=file(tmp_path, SECRET),
        repository="group/sub/name",
    )
    channel = statuses(settings)
    for _ in range(2):
        channel.post(STATUS, timeout_seconds=5)
    with pytest.raises(DeliveryError, match="HTTP 400"):
        channel.post(STATUS, timeout_seconds=5)
    assert server.seen[0].path == f"/projects/group%2Fsub%2Fname/statuses/{COMMIT}"
    assert server.seen[0].headers["PRIVATE-TOKEN"] == SECRET
    assert json.loads(server.seen[0].body)["state"] == "running"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed_with_a_secret(server: PretendServer, tmp_path: Path, status: int) -> None:
    elsewhere = PretendServer()
    try:
        server.answers = [Answer(status=status, headers={"Location": elsewhere.url})]
        settings = ChannelSettings(
            name="f", kind=ChannelKind.GITHUB, url=server.url, secret_file=file(tmp_path, SECRET), repository="o/n"
        )
        with pytest.raises(DeliveryError, match=f"redirect \\(HTTP {status}\\)"):
            statuses(settings).post(STATUS, timeout_seconds=5)
        with pytest.raises(DeliveryError, match="redirect"):
            slack(server, tmp_path).deliver(NEWS, timeout_seconds=5)
        assert elsewhere.seen == []
    finally:
        elsewhere.close()


def test_too_many_requests_say_when_to_come_again(server: PretendServer, tmp_path: Path) -> None:
    server.answers = [Answer(status=429, headers={"Retry-After": "30"})]
    with pytest.raises(DeliveryError, match="takes no more for now") as caught:
        slack(server, tmp_path).deliver(NEWS, timeout_seconds=5)
    assert caught.value.retry_after_seconds == 30


@pytest.mark.parametrize(
    "answer",
    [
        Answer(status=500, body=b"x" * 100_000),
        Answer(status=404, body=SECRET.encode()),
        Answer(reset=True),
        Answer(silent=True),
        Answer(status=400, cut=True),
    ],
    ids=lambda answer: f"{answer.status} {answer.reset} {answer.silent} {answer.cut}",
)
def test_an_error_has_neither_the_address_nor_what_the_server_says(
    server: PretendServer, tmp_path: Path, answer: Answer
) -> None:
    server.answers = [answer]
    with pytest.raises(DeliveryError) as caught:
        slack(server, tmp_path).deliver(NEWS, timeout_seconds=0.3)
    told = "".join(traceback.format_exception(caught.value))
    assert SECRET not in told
    assert server.url.removeprefix("http://") not in told
    assert caught.value.code == "PFR6905"


def test_nobody_there_is_an_error_without_the_address(tmp_path: Path) -> None:
    url = file(tmp_path, f"http://127.0.0.1:{unused_port()}/{SECRET}", "url")
    channel = messages(ChannelSettings(name="ops", kind=ChannelKind.SLACK, url_file=url))
    with pytest.raises(DeliveryError, match="no connection could be made") as caught:
        channel.deliver(NEWS, timeout_seconds=2)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_what_speaks_no_http_is_an_error(tmp_path: Path) -> None:
    server = PretendServer()
    server.answers = [Answer(status=200, headers={"X": "y\r\n\r\ngarbage"})]
    slack(server, tmp_path).deliver(NEWS, timeout_seconds=2)
    url = server.url.replace("http:", "https:")
    with pytest.raises(DeliveryError, match="encrypted connection failed"):
        messages(ChannelSettings(name="o", kind=ChannelKind.TEAMS, url=url)).deliver(NEWS, timeout_seconds=2)
    server.close()


OK = ChannelSettings(name="ops", kind=ChannelKind.SLACK, url="https://hooks.example/x")


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (replace(OK, url=None), "needs url_file or url"),
        (replace(OK, url=f"http://hooks.example/{SECRET}"), "must begin with https"),
        (replace(OK, url=f"ftp://hooks.example/{SECRET}"), "no http"),
        (replace(OK, url=f"https://user:{SECRET}@hooks.example/"), "user name"),
        (replace(OK, url=f"https://hooks.example/{SECRET}\n"), "spaces or control"),
        (replace(OK, url="https://[::1"), "cannot be read"),
        (replace(OK, url_file="no/such/file"), "cannot be read: No such file"),
        (replace(OK, kind=ChannelKind.GITHUB), "needs repository"),
        (replace(OK, kind=ChannelKind.GITHUB, repository="o/n"), "needs secret_file"),
        (replace(OK, kind=ChannelKind.EMAIL), "no smtp://"),
        (replace(OK, kind=ChannelKind.EMAIL, url=f"smtp://u:{SECRET}@mail.example/?to=a@b.example"), "needs from="),
    ],
)
def test_a_channel_that_cannot_be_used_is_told_at_once_without_its_address(wrong: ChannelSettings, words: str) -> None:
    with pytest.raises(ChannelError, match=words) as caught:
        open_channels([wrong])
    assert caught.value.code == "PFR6904"
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_two_channels_of_one_name_are_told() -> None:
    with pytest.raises(ChannelError, match="two of this name"):
        open_channels([OK, OK])


def test_an_empty_or_binary_secret_is_told(tmp_path: Path) -> None:
    hook = ChannelSettings(name="h", kind=ChannelKind.WEBHOOK, url="http://x.example", secret_file=file(tmp_path, " "))
    with pytest.raises(ChannelError, match="is empty"):
        open_channels([hook])
    (tmp_path / "secret").write_bytes(b"\xff\xfe")
    with pytest.raises(ChannelError, match="no text"):
        open_channels([hook])
    file(tmp_path, "whsec_no base64!")
    with pytest.raises(ChannelError, match="no base64"):
        open_channels([hook])
