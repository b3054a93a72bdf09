"""An access token that stands in a Secret, and may be replaced there at any time."""

from __future__ import annotations

import binascii
import threading
from base64 import b64decode
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final, NoReturn

from reconciler.model.error import OperatorError, WireError
from reconciler.particle.token import AccessToken

_FORMER_MAX: Final = 16
"""Former tokens that texts are still kept free of: a cloud's answer may repeat what an earlier request held."""


class SecretToken:
    """A `TokenSource`. May be used by many threads at once.

    `again` reads the Secret; it is asked when the cloud has refused the token, and may raise OperatorError.
    """

    def __init__(self, token: AccessToken, again: Callable[[], AccessToken | None]) -> None:
        self._token = token
        self._again = again
        self._former: deque[AccessToken] = deque(maxlen=_FORMER_MAX)
        self._lock = threading.Lock()

    def replace(self, token: AccessToken) -> bool:
        """This is in the Secret now. Returns whether it is another one."""
        with self._lock:
            if token.same_as(self._token):
                return False
            self._former.append(self._token)
            self._token = token
            return True

    def current(self) -> AccessToken:
        """The token as it was last read."""
        with self._lock:
            return self._token

    def renewed(self, refused: AccessToken) -> bool:
        """Whether there is another token than the one that the cloud has refused."""
        if self.current() is refused:
            try:
                found = self._again()
            except OperatorError:
                found = None
            if found is not None:
                self.replace(found)
        return self.current() is not refused

    def redacted(self, text: str) -> str:
        """The text without the token and without those that were in use before."""
        with self._lock:
            tokens = (self._token, *self._former)
        for token in tokens:
            text = token.redacted(text)
        return text

    def __repr__(self) -> str:
        return "SecretToken()"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied into something that shows it."""
        message = "an access token does not leave the process"
        raise TypeError(message)


def token_in(data: Mapping[str, str] | None, secret: str, key: str) -> AccessToken:
    """The token in the data of a Secret. Raises OperatorError PFR6958: there is none, or what is there is none."""
    step = f"kubectl create secret generic {secret} --from-literal={key}=…"
    if data is None:
        raise OperatorError("PFR6958", f"there is no Secret {secret}", next_step=step)
    if key not in data:
        raise OperatorError("PFR6958", f"the Secret {secret} has no key {key}", next_step=step)
    try:
        return AccessToken(b64decode(data[key], validate=True).decode("utf-8").strip())
    except (binascii.Error, UnicodeDecodeError, WireError):
        message = f"what the Secret {secret} has under {key} is no access token"
        raise OperatorError("PFR6958", message, next_step=step) from None
