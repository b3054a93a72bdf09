"""Requests to the Particle cloud over one pool of connections, with typed outcomes.

The rules:
- Reads are tried again, with growing pauses, within a total of seconds; `Retry-After` is honoured.
- Writes are sent once.
- Nothing waits for ever: connecting, silence on the line, and the whole of an answer each have a limit.
- Every failure leaves as a class of `error.py`, raised outside the handler of the library's exception, so that neither
  its traceback nor its attributes, which hold the Authorization header, travel with ours.
- A request that the cloud refuses for its token (401: nothing was done) goes once more if there is another by then.
- Redirects are not followed: the API sends none, and a captive portal is not the API. Only reads without the token are
  led on, see `redirect.py`; and what such an address answers says nothing of the token or of the cloud's limits.
"""

from __future__ import annotations

import http.client
import random
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final, TypeVar

import msgspec
import requests
import urllib3.exceptions

from reconciler.model.device import DeviceId
from reconciler.model.error import BugError, WireError
from reconciler.model.external_write import ExternalWrite
from reconciler.model.instant import Instant
from reconciler.particle.budget import RequestBudget
from reconciler.particle.call import Answer, Call, Upload
from reconciler.particle.error import (
    GarbledError,
    MayHaveArrivedError,
    NoAnswerError,
    NotSentError,
    OversizedError,
    RateLimitedError,
    RefusedError,
    UnauthorisedError,
)
from reconciler.particle.failure import clause, date_of, never_left, retry_after_seconds, unforeseen
from reconciler.particle.redirect import REDIRECTS_MAX, absolute, leads_to
from reconciler.particle.session import checked_api_url, new_session
from reconciler.particle.token import AccessToken, TokenSource
from reconciler.particle.traffic import Traffic, TrafficCount
from reconciler.particle.words import BODY_BYTES_MAX, cloud_words

T = TypeVar("T")

_CHUNK_BYTES: Final = 64 * 1024

_SAYS_NO: Final = frozenset({401, 403, *range(300, 400)})
_READ_BY_EVERYBODY: Final = (
    "such an address is read without the access token: name one that everybody may read, or a file"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WirePatience:
    """How long anything may take, in seconds.

    - `connect`: to a connection. `read`, `write`: between two pieces of an answer (a flash answers only after the cloud
      has reached the device, facts 5.4).
    - `answer_total`: one whole answer, however it trickles in.
    - `read_total`, `read_tries`: a read with all its repetitions. `pause_first` doubles up to `pause_max`.
    - `write_silence`: for how long a write waits while the cloud wants silence, before it is given back as not sent.
    """

    connect: float = 10.0
    read: float = 30.0
    write: float = 60.0
    answer_total: float = 180.0
    read_total: float = 60.0
    read_tries: int = 6
    pause_first: float = 0.5
    pause_max: float = 15.0
    write_silence: float = 30.0


class CloudWire:
    """The way to one Particle API. May be used by many threads at once.

    `clock` is monotonic in seconds, `sleep` pauses the calling thread, `dice` spreads the pauses. `proxies` are by
    scheme (`{"https": "http://proxy:3128"}`), `trust` a file of certificate authorities. The environment is not
    consulted. `counted` are its requests.
    """

    def __init__(
        self,
        *,
        api_url: str,
        token: TokenSource,
        budget: RequestBudget,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        dice: random.Random,
        patience: WirePatience | None = None,
        proxies: Mapping[str, str] | None = None,
        trust: str | None = None,
    ) -> None:
        self.api_url = checked_api_url(api_url)
        self.token = token
        self.budget = budget
        self._clock = clock
        self._sleep = sleep
        self._dice = dice
        self._dice_lock = threading.Lock()
        self._patience = patience or WirePatience()
        self.counted = TrafficCount()
        self._thread = threading.local()
        self._session = new_session(proxies=proxies, trust=trust)

    def close(self) -> None:
        """Close all idle connections."""
        self._session.close()

    def totals(self) -> Traffic:
        """What has gone over this wire so far, not told apart by devices."""
        return self.counted.totals()

    def traffic(self) -> Traffic:
        """What has gone over this wire so far."""
        return self.counted.snapshot()

    @property
    def answered_at(self) -> Instant | None:
        """When the last answer that this thread got was made, by the cloud's own clock; None when it did not say."""
        return getattr(self._thread, "answered_at", None)

    @contextmanager
    def noting_writes(self) -> Iterator[list[ExternalWrite]]:
        """What this thread sends to change something, as long as the context lasts: every request that left."""
        noted: list[ExternalWrite] = []
        self._thread.writes = noted
        try:
            yield noted
        finally:
            self._thread.writes = None

    def read_json(
        self,
        path: str,
        shape: type[T],
        *,
        query: Mapping[str, str | int] | None = None,
        device_id: DeviceId | None = None,
    ) -> T:
        """GET a JSON document of a shape that msgspec can check. Raises any WireError but MayHaveArrivedError."""
        call = Call(method="GET", url=self._url(path), query=query, device_id=device_id)
        return self._read(call, lambda answer: self._decoded(call, answer, shape))

    def read_bytes(self, address: str, *, bytes_max: int, authorised: bool = True) -> bytes:
        """GET raw bytes from a path of the API, or, without the token, from any HTTP address. Never empty."""
        url = self._url(address) if authorised else absolute(self.api_url + "/", address)
        if url is None:
            # Not shown: an address may hold a password or a signature.
            message = "an application or a module is to be read from what is no address of HTTP"
            raise GarbledError(message)
        call = Call(method="GET", url=url, authorised=authorised, bytes_max=bytes_max)
        return self._read(call, lambda answer: self._filled(call, answer))

    def write(
        self,
        method: str,
        path: str,
        *,
        json: Mapping[str, object] | None = None,
        upload: Upload | None = None,
        device_id: DeviceId | None = None,
    ) -> Mapping[str, object]:
        """Send a request that changes something, once; the JSON object that answers it, `{}` for 204.

        Raises:
            NotSentError, RateLimitedError, RefusedError, UnauthorisedError: it was certainly not done.
            MayHaveArrivedError: anything else that is not the cloud's own yes.
        """
        call = Call(method=method, url=self._url(path), json=json, upload=upload, device_id=device_id)
        answer = self._once(call, silence_seconds_max=self._patience.write_silence)
        if answer.status == HTTPStatus.NO_CONTENT:
            return {}
        document = _json_object(answer.body)
        doubt = self._doubt(call, answer, document)
        if doubt is not None:
            del document  # it may echo what we sent, and would stand among the locals of a traceback
            raise doubt
        return document

    def _doubt(self, call: Call, answer: Answer, document: Mapping[str, object]) -> WireError | None:
        """What is wrong with a 2xx answer to a write; None: it is the cloud's own yes."""
        words = cloud_words(answer.body, self.token)
        if document.get("ok") is False:
            return RefusedError(f"{call}: the cloud refused: {words}", status=answer.status, words=words)
        if not document or document.keys() & {"error", "errors"}:
            return MayHaveArrivedError(f"{call}: the answer ({answer.status}) is no clear yes: {words}")
        return None

    def _url(self, path: str) -> str:
        assert path.startswith("/"), path
        return self.api_url + path

    def _read(self, call: Call, decode: Callable[[Answer], T]) -> T:
        deadline = self._clock() + self._patience.read_total
        tries = 0
        while True:
            try:
                return decode(self._once(call, silence_seconds_max=deadline - self._clock()))
            except (NoAnswerError, NotSentError, GarbledError, RateLimitedError) as error:
                tries += 1
                pause = self._pause(tries, error)
                if tries >= self._patience.read_tries or self._clock() + pause > deadline:
                    raise
            self._sleep(pause)

    def _pause(self, tries: int, error: WireError) -> float:
        grown = min(self._patience.pause_max, self._patience.pause_first * 2 ** (tries - 1))
        with self._dice_lock:
            pause: float = grown * self._dice.uniform(0.5, 1.0)
        wished = error.retry_after_seconds if isinstance(error, RateLimitedError) else None
        return pause if wished is None else wished + pause

    def _decoded(self, call: Call, answer: Answer, shape: type[T]) -> T:
        reason = ""
        try:
            return msgspec.json.decode(answer.body, type=shape)
        except msgspec.ValidationError as error:
            reason = f"is not of the promised shape ({self.token.redacted(str(error))})"
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            reason = "is no JSON"
        message = f"{call}: the answer {reason}: {cloud_words(answer.body, self.token)}"
        raise GarbledError(message)

    def _filled(self, call: Call, answer: Answer) -> bytes:
        if not answer.body:
            message = f"{call}: the answer is empty"
            raise GarbledError(message)
        return answer.body

    def _once(self, call: Call, *, silence_seconds_max: float) -> Answer:
        """Send it once, and judge the status. Everything but a 2xx leaves as an error."""
        if call.authorised:
            token = self.token.current()
            answer = self._asked(call, token, silence_seconds_max)
            if answer.status == HTTPStatus.UNAUTHORIZED and self.token.renewed(token):
                answer = self._asked(call, self.token.current(), silence_seconds_max)
        else:
            answer = self._asked(call, None, silence_seconds_max)
            answer, call = self._led_on(call, answer, silence_seconds_max)
        if not HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
            raise self._judged(call, answer)
        return answer

    def _asked(self, call: Call, token: AccessToken | None, silence_seconds_max: float) -> Answer:
        """The answer to the call with this token, which is noted."""
        self._take_slot(call, silence_seconds_max)
        self._thread.answered_at = None
        try:
            answer = self._exchange(call, token)
        except MayHaveArrivedError as error:
            self._note(call, None, error.message)
            raise
        if token is not None:
            self._thread.answered_at = date_of(answer.headers)
            if call.is_write:
                # Only of writes: to look through every page of a list for the token costs more than to read it.
                self._note(call, answer.status, cloud_words(answer.body, self.token))
        return answer

    def _note(self, call: Call, status: int | None, answer: str) -> None:
        noted: list[ExternalWrite] | None = getattr(self._thread, "writes", None)
        if call.is_write and noted is not None:
            at = self._thread.answered_at
            noted.append(ExternalWrite(at=at, method=call.method, path=call.path, status=status, answer=answer))

    def _take_slot(self, call: Call, silence_seconds_max: float) -> None:
        silence = self.budget.take(product=call.product, write=call.is_write, silence_seconds_max=silence_seconds_max)
        if silence > 0:
            message = f"{call} was not sent: the cloud wants silence for {silence:.0f} s more"
            raise RateLimitedError(message, retry_after_seconds=silence)

    def _led_on(self, call: Call, answer: Answer, silence_seconds_max: float) -> tuple[Answer, Call]:
        """The last answer that this one leads to, and the call that it answers."""
        for _ in range(REDIRECTS_MAX):
            url = leads_to(call.url, answer.status, answer.headers)
            if url is None:
                break
            call = replace(call, url=url)
            self._take_slot(call, silence_seconds_max)
            answer = self._exchange(call, None)
        return answer, call

    def _judged(self, call: Call, answer: Answer) -> WireError:
        words = cloud_words(answer.body, self.token)
        message = f"{call}: {answer.status} {words}"
        if not call.authorised and answer.status in _SAYS_NO:
            return RefusedError(message, status=answer.status, words=words, next_step=_READ_BY_EVERYBODY)
        if answer.status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            return UnauthorisedError(message, status=answer.status, words=words)
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            return RateLimitedError(message, retry_after_seconds=retry_after_seconds(answer.headers))
        # 408: the cloud did not reach the device in time (facts 5.12); what it had sent by then, nobody knows.
        refused = HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
        if refused and answer.status != HTTPStatus.REQUEST_TIMEOUT:
            return RefusedError(message, status=answer.status, words=words)
        if call.is_write:
            return MayHaveArrivedError(message)
        return NoAnswerError(message) if answer.status >= HTTPStatus.BAD_REQUEST else GarbledError(message)

    def _exchange(self, call: Call, token: AccessToken | None) -> Answer:
        failure: WireError | BugError
        limit = self._patience.write if call.is_write else self._patience.read
        try:
            prepared = self._prepared(call, token)
            self.counted.sent(write=call.is_write, body_bytes=_body_bytes(prepared), device_id=call.device_id)
            response = self._session.send(
                prepared, stream=True, allow_redirects=False, timeout=(self._patience.connect, limit)
            )
        except (requests.RequestException, urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            failure = self._failed(call, error)
        except Exception as error:  # noqa: BLE001  # nobody foresaw it, and its traceback holds the header
            failure = unforeseen(str(call), error)
        else:
            return self._received(call, response)
        raise failure

    def _prepared(self, call: Call, token: AccessToken | None) -> requests.PreparedRequest:
        request = requests.Request(
            call.method,
            call.url,
            params=dict(call.query) if call.query else None,
            json=call.json,
            auth=None if token is None else token.authorise,
        )
        if call.upload is not None:
            upload = call.upload
            request.data = dict(upload.fields)
            request.files = {upload.part: (upload.file_name, upload.content, "application/octet-stream")}
        return self._session.prepare_request(request)

    def _received(self, call: Call, response: requests.Response) -> Answer:
        if response.status_code == HTTPStatus.TOO_MANY_REQUESTS and call.url.startswith(self.api_url + "/"):
            # Before the body is read: the silence counts from the answer, however slowly the rest of it comes.
            self.budget.be_silent(retry_after_seconds(response.headers) or 0.0)
        is_error = response.status_code >= HTTPStatus.BAD_REQUEST
        bytes_max = BODY_BYTES_MAX if is_error else call.bytes_max
        answer, failure = self._drained(call, response, bytes_max)
        # An error's status says enough, even when its body broke off.
        if failure is not None and not is_error:
            raise failure
        if len(answer.body) > bytes_max and not is_error:
            message = f"{call}: the answer is larger than {bytes_max} bytes"
            raise MayHaveArrivedError(message) if call.is_write else OversizedError(message)
        return answer

    def _drained(self, call: Call, response: requests.Response, bytes_max: int) -> tuple[Answer, WireError | None]:
        """What came, a little more than `bytes_max` at most, and why it may not be all."""
        failure: WireError | None = None
        deadline = self._clock() + self._patience.answer_total
        body = bytearray()
        try:
            # Not iter_content: it holds a trickle back until a whole chunk is there, and the deadline with it.
            while len(body) <= bytes_max and (chunk := response.raw.read1(_CHUNK_BYTES, decode_content=True)):
                body += chunk
                if self._clock() > deadline:
                    failure = self._lost(call, "the answer did not end in time")
                    break
        except (urllib3.exceptions.HTTPError, http.client.HTTPException, OSError) as error:
            failure = self._lost(call, clause(error))
        finally:
            response.close()
        self.counted.received(len(body))
        return Answer(status=response.status_code, headers=dict(response.headers), body=bytes(body)), failure

    def _failed(self, call: Call, error: Exception) -> WireError:
        if never_left(error):
            message = f"{call} was not sent to {call.host}: {self.token.redacted(clause(error))}"
            return NotSentError(message)
        return self._lost(call, clause(error))

    def _lost(self, call: Call, reason: str) -> WireError:
        message = f"{call}: no whole answer from {call.host}: {self.token.redacted(reason)}"
        return MayHaveArrivedError(message) if call.is_write else NoAnswerError(message)


def _body_bytes(request: requests.PreparedRequest) -> int:
    body = request.body
    if body is None:
        return 0
    return len(body.encode() if isinstance(body, str) else body)


def _json_object(body: bytes) -> Mapping[str, object]:
    """The JSON object, or an empty one for everything else."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}
