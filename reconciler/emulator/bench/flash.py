"""Flash memory: erasing sets all bits, a write can only clear some. Memory in its first state takes no room."""

from __future__ import annotations

from typing import Final

_PAGE: Final = 4096
_ERASED: Final = b"\xff" * _PAGE


class Flash:
    """One chip. `changes` counts erasures and writes, so that what was read from it can be kept until it changes."""

    def __init__(self) -> None:
        self._pages: dict[int, bytes] = {}
        self.changes = 0

    def read(self, address: int, size: int) -> bytes:
        """What lies there."""
        first, last = address // _PAGE, (address + size - 1) // _PAGE
        content = b"".join(self._pages.get(page, _ERASED) for page in range(first, last + 1))
        return content[address - first * _PAGE :][:size] if size > 0 else b""

    def erase(self, address: int, size: int) -> None:
        """Set all bits of these bytes."""
        self._put(address, b"\xff" * size)

    def write(self, address: int, content: bytes) -> None:
        """Clear the bits that are clear in `content`."""
        old = int.from_bytes(self.read(address, len(content)), "little")
        new = old & int.from_bytes(content, "little")
        self._put(address, new.to_bytes(len(content), "little"))

    def replace(self, address: int, content: bytes) -> None:
        """Erase and write, as a bootloader does when it takes an update over."""
        self._put(address, content)

    def _put(self, address: int, content: bytes) -> None:
        self.changes += 1
        at = 0
        while at < len(content):
            page, begin = divmod(address + at, _PAGE)
            part = content[at : at + _PAGE - begin]
            old = self._pages.get(page, _ERASED)
            self._pages[page] = old[:begin] + part + old[begin + len(part) :]
            at += len(part)
