"""One request and what came back, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from reconciler.model.device import DeviceId

JSON_BYTES_MAX: Final = 128 * 1024 * 1024
"""The own-devices list has no pages: 100,000 devices at about 1 KB each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Upload:
    """One file of a multipart request, with the form's other fields."""

    part: str
    file_name: str
    content: bytes
    fields: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, as often as it is tried."""

    method: str
    url: str
    authorised: bool = True
    query: Mapping[str, str | int] | None = None
    json: Mapping[str, object] | None = None
    upload: Upload | None = None
    device_id: DeviceId | None = None
    bytes_max: int = JSON_BYTES_MAX

    @property
    def is_write(self) -> bool:
        """Whether it changes something."""
        return self.method != "GET"

    @property
    def path(self) -> str:
        """Where on the host it goes, without the query."""
        return urlsplit(self.url).path

    @property
    def product(self) -> str:
        """The product whose request it is, as its path names it; empty: no product's."""
        return self.path.partition("/v1/products/")[2].partition("/")[0]

    @property
    def host(self) -> str:
        """Where it goes, without what an address may hold of a user."""
        return urlsplit(self.url).netloc.rpartition("@")[2]

    def __str__(self) -> str:
        parts = urlsplit(self.url)
        # Never the query: it may hold the signature that opens the address.
        return f"{self.method} {parts.path if self.authorised else f'{parts.scheme}://{parts.hostname}{parts.path}'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    status: int
    # Not shown: a stranger's body may echo what we sent, the token included.
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
