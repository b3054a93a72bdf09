"""Looking for a secret in everything that somebody could read: in each form in which it could be put together again."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

TELLING = 12
"""Characters in a row that tell too much."""


def forms_of(secret: str) -> Iterator[bytes]:
    """The secret, its beginning, in hexadecimal digits, quoted in an address, backwards, and in base64 at any place."""
    yield secret.encode()
    yield secret[:TELLING].encode()
    yield secret.encode().hex().encode()
    yield quote(secret, safe="").encode()
    yield secret[::-1].encode()
    for before in range(3):
        encoded = b64encode(bytes(before) + secret.encode())
        yield encoded[4 if before else 0 :][:16]


def shows(text: str | bytes, secret: str) -> bool:
    """Whether the secret stands there in any of its forms."""
    content = text if isinstance(text, bytes) else text.encode("utf-8", "replace")
    return any(form in content for form in forms_of(secret))


def files_that_show(folder: Path, secret: str) -> list[Path]:
    """The files below a folder in which it stands."""
    return [path for path in sorted(folder.rglob("*")) if path.is_file() and shows(path.read_bytes(), secret)]
