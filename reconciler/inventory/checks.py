"""Ask the outside checks that a fleet names: a webhook by POST, or a program on this machine.

What manifests name is named by whoever may write to Git, so it gets as little as it needs:

- A program runs only where the operator allows commands, without a shell, and never when manifests are only read. It
  sees neither our token nor the rest of our environment, and is ended with all that it started when its time is over.
- A webhook is asked by https (or on this machine), without any secret of ours; it leads nowhere else, and what it says
  is read up to a limit.

Both get the question as JSON: fleet, rollout, wave and devices. What is not clearly go or no-go is unknown, and so is
silence: nothing here raises.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import tempfile
import threading
import time
from http import HTTPStatus
from typing import Final

import msgspec
import requests
import urllib3.exceptions

from reconciler.model.device import DeviceId, is_device_id
from reconciler.model.health import CheckAnswer, CheckQuestion, CheckWord, HealthCheck
from reconciler.particle.session import new_session

_ANSWER_BYTES_MAX: Final = 64 * 1024
_WHY_CHARACTERS_MAX: Final = 200
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_ENVIRONMENT: Final = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "SYSTEMROOT")
"""What a program needs to run at all; none of it is a secret."""

_EXIT_GO: Final = 0
_EXIT_NO_GO: Final = 1


class _Verdict(msgspec.Struct, frozen=True):
    verdict: str
    why: str = ""
    devices: tuple[str, ...] | None = None


class OutsideChecks:
    """Asks checks, each call one of them. `allow_commands` is the operator's word, not the manifests'."""

    def __init__(self, *, allow_commands: bool) -> None:
        self._allow_commands = allow_commands

    def ask(self, check: HealthCheck, question: CheckQuestion) -> CheckAnswer:
        """The check's answer, within its timeout. Never raises."""
        told = question_document(check, question)
        if check.webhook is not None:
            return _asked_webhook(check.webhook, told, check.timeout_seconds)
        if not self._allow_commands:
            return _unknown("commands of manifests are not allowed here; --allow-commands allows them")
        return _asked_command(check, told)


def question_document(check: HealthCheck, question: CheckQuestion) -> bytes:
    """What a check is told, as JSON. Fields are only ever added."""
    return msgspec.json.encode(
        {
            "check": check.name,
            "fleet": question.fleet,
            "rollout": question.rollout_id,
            "wave": question.wave,
            "devices": question.devices,
        }
    )


def _asked_webhook(url: str, told: bytes, timeout_seconds: float) -> CheckAnswer:
    deadline = time.monotonic() + timeout_seconds
    session = new_session()
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    try:
        with session.post(
            url, data=told, headers=headers, stream=True, allow_redirects=False, timeout=timeout_seconds
        ) as response:
            if response.status_code != HTTPStatus.OK:
                return _unknown(f"it answered {response.status_code}")
            body = bytearray()
            while portion := response.raw.read1(8192, decode_content=True):
                body += portion
                if len(body) > _ANSWER_BYTES_MAX:
                    return _unknown("its answer is too long")
                if time.monotonic() > deadline:
                    return _unknown(f"it did not answer within {timeout_seconds:g} s")
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
        # Not the error's own words: they hold the address, and what a person may have put into it.
        return _unknown(f"it cannot be asked ({type(error).__name__})")
    finally:
        session.close()
    return verdict_from(bytes(body))


def verdict_from(body: bytes) -> CheckAnswer:
    """`{"verdict": "go"|"no-go"|"unknown", "why": "…", "devices": […]}`; whatever else is unknown."""
    try:
        said = msgspec.json.decode(body, type=_Verdict)
        word = CheckWord(said.verdict)
    except (msgspec.DecodeError, ValueError, RecursionError):
        return _unknown("its answer is not the promised JSON")
    if said.devices is None:
        return CheckAnswer(word=word, why=_short(said.why))
    devices = frozenset(DeviceId(device) for device in said.devices if is_device_id(device))
    return CheckAnswer(word=word, why=_short(said.why), devices=devices)


def _asked_command(check: HealthCheck, told: bytes) -> CheckAnswer:
    with tempfile.TemporaryFile() as question:
        question.write(told)
        question.seek(0)
        try:
            process = subprocess.Popen(  # noqa: S603  # the operator allows it, and there is no shell
                check.command,
                stdin=question,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            return _unknown(f"it cannot be started ({type(error).__name__})")
        with process:
            return _followed(process, check.timeout_seconds)


def _followed(process: subprocess.Popen[bytes], timeout_seconds: float) -> CheckAnswer:
    """What a program says and how it ends; in the end nothing that it started goes on."""
    assert process.stdout is not None
    is_late = threading.Event()

    def end_all() -> None:
        # The first process is not reaped yet, so that its number is still that of its group alone.
        with contextlib.suppress(OSError):
            os.killpg(process.pid, signal.SIGKILL)

    def too_late() -> None:
        is_late.set()
        end_all()

    timer = threading.Timer(timeout_seconds, too_late)
    timer.start()
    said = process.stdout.read(_ANSWER_BYTES_MAX + 1)
    if len(said) > _ANSWER_BYTES_MAX:
        end_all()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    timer.cancel()
    timer.join()
    end_all()
    code = process.wait()
    if is_late.is_set():
        return _unknown(f"it did not end within {timeout_seconds:g} s")
    if len(said) > _ANSWER_BYTES_MAX:
        return _unknown("its answer is too long")
    words = {_EXIT_GO: CheckWord.GO, _EXIT_NO_GO: CheckWord.NO_GO}
    if code not in words:
        return _unknown(f"it ended with {code}")
    return CheckAnswer(word=words[code], why=_short(said.decode("utf-8", errors="replace")))


def _unknown(why: str) -> CheckAnswer:
    return CheckAnswer(word=CheckWord.UNKNOWN, why=why)


def _short(text: str) -> str:
    """A stranger's words, on one line and not too many."""
    plain = _CONTROL.sub(" ", text).strip()
    return plain if len(plain) <= _WHY_CHARACTERS_MAX else plain[: _WHY_CHARACTERS_MAX - 1] + "…"
