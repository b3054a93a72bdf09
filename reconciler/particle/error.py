"""How a call to the cloud can fail, drawn by what follows from it.

WireError
|- NotSentError           nothing left this machine                        PFR3003
|- MayHaveArrivedError    a write whose fate nobody knows                  PFR3004
|- RefusedError           the cloud said no (4xx), in its own words        PFR3005
|  `- UnauthorisedError   the cloud does not take this token (401, 403)    PFR3002
|- RateLimitedError       too many requests; not done                      PFR3006
|- GarbledError           a read whose answer is not what was promised     PFR3007
|- NoAnswerError          a read that got no answer, or a 5xx              PFR3008
`- OversizedError         an answer larger than we are willing to hold     PFR3009
"""

from __future__ import annotations

from reconciler.model.error import WireError


class NotSentError(WireError):
    """Nothing left: no address, no connection, no trust in the certificate. Safe to try again."""

    def __init__(self, message: str) -> None:
        super().__init__(
            "PFR3003",
            message,
            next_step="check the network, the proxy and --api-url; nothing was sent, so run it again",
        )


class MayHaveArrivedError(WireError):
    """A write that left and whose answer never came, or says nothing. Only a newer observation can tell."""

    def __init__(self, message: str) -> None:
        super().__init__(
            "PFR3004",
            message,
            next_step="nothing to do by hand: the next observation of the device decides what happened",
        )


class RefusedError(WireError):
    """The cloud refused: it did not do what was asked. `status` is the HTTP status, `words` what the cloud said."""

    def __init__(self, message: str, *, status: int, words: str, code: str = "PFR3005", next_step: str = "") -> None:
        super().__init__(
            code, message, next_step=next_step or "read the cloud's words; check the id of the device or product"
        )
        self.status = status
        self.words = words


class UnauthorisedError(RefusedError):
    """The cloud does not take this token, or the token may not do this."""

    def __init__(self, message: str, *, status: int, words: str) -> None:
        super().__init__(
            message,
            status=status,
            words=words,
            code="PFR3002",
            next_step="check that the access token is valid and has the scopes for this product's devices and firmware",
        )


class RateLimitedError(WireError):
    """Too many requests. `retry_after_seconds` is the cloud's wish, or None when it named none."""

    def __init__(self, message: str, *, retry_after_seconds: float | None) -> None:
        super().__init__(
            "PFR3006",
            message,
            next_step="wait, or find out who else uses the API from this address: the limit is shared",
        )
        self.retry_after_seconds = retry_after_seconds


class GarbledError(WireError):
    """A read whose answer is no JSON, or JSON of another shape than this call promises."""

    def __init__(self, message: str) -> None:
        super().__init__(
            "PFR3007",
            message,
            next_step="check that --api-url is the Particle API and that no proxy answers in its place",
        )


class NoAnswerError(WireError):
    """A read that got no answer in time, lost its connection, or met a server error, again and again."""

    def __init__(self, message: str) -> None:
        super().__init__("PFR3008", message, next_step="check status.particle.io and the network, then run it again")


class OversizedError(WireError):
    """An answer larger than the limit for its kind."""

    def __init__(self, message: str) -> None:
        super().__init__("PFR3009", message, next_step="check that --api-url is the Particle API")
