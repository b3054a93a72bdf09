"""The access token: a value that does not show itself."""

from __future__ import annotations

import re
from typing import Final, NoReturn

from reconciler.model.error import WireError

_SENDABLE: Final = re.compile(r"[\x21-\x7e]{1,4096}")

REDACTED: Final = "[access token]"


class AccessToken:
    """A Particle access token. `str`, `repr` and formatting never show it; pickling is refused.

    Raises WireError PFR3010 for text that cannot be a token: empty, or with spaces, line breaks or other characters
    that no HTTP header may carry. The text itself is not in the message.
    """

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        if not _SENDABLE.fullmatch(text):
            # An HTTP library would name the whole header in its error.
            raise WireError(
                "PFR3010",
                "the access token is empty or has characters that no token has, such as spaces or line breaks",
                next_step="copy the token again; a token file holds the token alone, on one line",
            )
        self._text = text

    def header(self) -> str:
        """The value of the Authorization header."""
        return f"Bearer {self._text}"

    def redacted(self, text: str) -> str:
        """The text without the token, for what strangers wrote and people will read."""
        return text.replace(self._text, REDACTED)

    def __repr__(self) -> str:
        return f"AccessToken({REDACTED})"

    __str__ = __repr__

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied into something that shows it."""
        message = "an access token does not leave the process"
        raise TypeError(message)
