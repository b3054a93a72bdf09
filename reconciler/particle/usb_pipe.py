"""The control endpoint of one opened device: bytes out, bytes in, and the library's failures as ours.

All that this project needs of USB are control transfers on endpoint 0 (facts 7.2, 7.4). The library is pyusb, on the
libusb that comes with it; both are imported only where a bus is opened.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any, Final, TypeVar

from reconciler.particle.usb_clock import Deadline
from reconciler.particle.usb_error import (
    UsbBusyError,
    UsbError,
    UsbGarbledError,
    UsbGoneError,
    UsbPermissionError,
    UsbStalledError,
    UsbTimeoutError,
    UsbTransferError,
)

CHUNK_BYTES_MAX: Final = 4096
"""The largest data stage of a control transfer that operating systems pass on."""
TRANSFER_SECONDS: Final = 5.0
"""How long one transfer may take; a device that erases a large sector is slow to answer."""

_GET_DESCRIPTOR: Final = 6
_FROM_DEVICE: Final = 0x80
_STRING: Final = 3
_ENGLISH: Final = 0x0409
_HEAD_BYTES: Final = 2
"""Length and type, in front of every descriptor."""

_T = TypeVar("_T")


class UsbPipe:
    """One device, opened by its first use and closed by `close`. `name` is for messages: its port and serial."""

    def __init__(self, device: Any, name: str, *, out_needs_data: bool) -> None:
        self._device = device
        self._name = name
        self._out_needs_data = out_needs_data

    @property
    def name(self) -> str:
        """What messages call the device."""
        return self._name

    def read(self, request_type: int, request: int, value: int, index: int, length: int, deadline: Deadline) -> bytes:
        """A transfer from the device: at most `length` bytes; a device may answer with fewer."""
        milliseconds = _milliseconds(deadline)
        answer = self._call(
            lambda: self._device.ctrl_transfer(request_type, request, value, index, length, milliseconds)
        )
        data = bytes(answer)
        if len(data) > length:
            raise UsbGarbledError(f"{self._name}: {len(data)} bytes came where {length} were asked for")
        return data

    def write(self, request_type: int, request: int, value: int, index: int, data: bytes, deadline: Deadline) -> None:
        """A transfer to the device."""
        milliseconds = _milliseconds(deadline)
        content = data or (b"\0" if self._out_needs_data else b"")
        sent = self._call(
            lambda: self._device.ctrl_transfer(request_type, request, value, index, content, milliseconds)
        )
        if sent != len(content):
            raise UsbTransferError(f"{self._name}: {sent} of {len(content)} bytes went through")

    def descriptor(self, kind: int, number: int, length: int, deadline: Deadline) -> bytes:
        """A descriptor as the device sends it, cut at `length` bytes."""
        language = _ENGLISH if kind == _STRING else 0
        return self.read(_FROM_DEVICE, _GET_DESCRIPTOR, kind << 8 | number, language, length, deadline)

    def text(self, number: int, deadline: Deadline) -> str:
        """A string descriptor. Raises UsbGarbledError when it is none."""
        return decode_text(self.descriptor(_STRING, number, 255, deadline), self._name)

    def choose_alternate(self, number: int) -> None:
        """Make this alternate setting of interface 0 the one that requests are about."""
        self._call(lambda: self._device.set_interface_altsetting(interface=0, alternate_setting=number))

    def close(self) -> None:
        """Give the device back. A device that is gone is closed all the same."""
        import usb.core  # noqa: PLC0415  # the extra `usb` is needed only where a device is opened
        import usb.util  # noqa: PLC0415  # as above

        try:
            usb.util.dispose_resources(self._device)
        except (usb.core.USBError, OSError):
            return

    def _call(self, transfer: Callable[[], _T]) -> _T:
        import usb.core  # noqa: PLC0415  # the extra `usb` is needed only where a device is opened

        try:
            return transfer()
        except usb.core.USBError as error:
            raise translated(error, self._name) from None
        except (NotImplementedError, ValueError, TypeError) as error:
            # What pyusb raises over descriptors that make no sense to it.
            raise UsbGarbledError(f"{self._name}: {type(error).__name__} {error}") from None


def translated(error: Any, name: str) -> UsbError:
    """What a failure of the library means. The library gives every failure the number of the operating system."""
    match error.errno:
        case errno.EACCES | errno.EPERM:
            return UsbPermissionError(f"{name}: the operating system does not let you open the device")
        case errno.EBUSY:
            return UsbBusyError(f"{name}: another program holds the device")
        case errno.ENODEV | errno.ENOENT | errno.ESHUTDOWN | errno.ENXIO:
            return UsbGoneError(f"{name}: the device is no longer there")
        case errno.EPIPE:
            return UsbStalledError(f"{name}: the device stalled a request")
        case errno.ETIMEDOUT:
            return UsbTimeoutError(f"{name}: the device did not answer a transfer in time")
        case _:
            words = " ".join(str(error.strerror or error).split())
            return UsbTransferError(f"{name}: the transfer failed ({words})")


def decode_text(descriptor: bytes, name: str) -> str:
    """The text of a string descriptor (USB 2.0, section 9.6.7): printable, for everything else a question mark."""
    if len(descriptor) < _HEAD_BYTES or descriptor[1] != _STRING or not _HEAD_BYTES <= descriptor[0] <= len(descriptor):
        raise UsbGarbledError(f"{name}: a string descriptor is broken")
    text = descriptor[_HEAD_BYTES : descriptor[0]].decode("utf-16-le", errors="replace")
    return "".join(character if character.isprintable() else "?" for character in text)


def _milliseconds(deadline: Deadline) -> int:
    # To libusb, 0 is for ever.
    return max(1, int(min(TRANSFER_SECONDS, deadline.seconds_left()) * 1000))
