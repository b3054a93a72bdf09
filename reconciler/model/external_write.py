"""One request that asked somebody else to change something, as it went out and as it was answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from reconciler.model.instant import Instant

Facts = Mapping[str, str | int | float | bool | None]
"""What an observation showed, by name, as far as a request may change it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalWrite:
    """A request that was tried once. No secret is in it.

    - `at`: when it was answered, by the answer's own clock; None: no answer said.
    - `path`: without host and query. `status`: of HTTP; None: no answer came.
    - `answer`: the answer in the words that a person was told, of bounded length.
    """

    at: Instant | None
    method: str
    path: str
    status: int | None
    answer: str
