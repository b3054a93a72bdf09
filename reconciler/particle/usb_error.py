"""How work on a device on the bench can fail, drawn by what a person must do about it.

WireError
`- UsbError                 `may_have_changed`: whether the flash of the device may differ from before the call
   |- UsbMissingError       no USB library here, or no USB on this machine        PFR3201
   |- UsbPermissionError    the operating system does not let us                  PFR3202
   |- UsbBusyError          another program holds it, or it is busy for too long  PFR3203
   |- UsbGoneError          unplugged, or restarted under our hands               PFR3204
   |- UsbStalledError       the device answered a request with a stall            PFR3205
   |- UsbTimeoutError       the deadline passed                                   PFR3206
   |- UsbGarbledError       an answer that the protocol does not have             PFR3207
   |- UsbRefusedError       the device said no, with its own number               PFR3208
   |- ForbiddenRangeError   an address range that this way must not write         PFR3209
   |- UsbVerifyError        what was read back is not what was written            PFR3210
   |- UsbCancelledError     a person stopped it                                   PFR3211
   |- UsbUnsupportedError   not in this mode, or not by this Device OS            PFR3212
   |- DfuError              the bootloader reports an error of its own            PFR3213
   |- UsbProtectedError     the device is protected against local updates         PFR3214
   `- UsbTransferError      the bytes did not come through: cable, hub, power     PFR3215
"""

from __future__ import annotations

from reconciler.model.error import WireError


class UsbError(WireError):
    """Work on a device on the bench failed.

    `may_have_changed`: the flash of the device may differ from before the call that raised this. False is certain: then
    the same call can be made again. True after the first byte that could have been erased or written.
    """

    may_have_changed: bool = False


class UsbMissingError(UsbError):
    """There is no USB library, or no USB, on this machine."""

    def __init__(self, message: str) -> None:
        super().__init__(
            "PFR3201", message, next_step="install the extra: pip install 'particle-fleet-reconciler[usb]'"
        )


class UsbPermissionError(UsbError):
    """The operating system does not let us open the device."""

    def __init__(self, message: str) -> None:
        # The commands stand here in full: whoever reads this sits at the bench, not in front of the documentation.
        next_step = (
            "on Linux run `reconciler usb udev-rules | sudo tee /etc/udev/rules.d/50-particle.rules` and "
            "`sudo udevadm control --reload`, then plug the device in again (over ssh: be in the group plugdev)"
        )
        super().__init__("PFR3202", message, next_step=next_step)


class UsbBusyError(UsbError):
    """Another program holds the device, or the device was busy for longer than we wait."""

    def __init__(self, message: str) -> None:
        super().__init__("PFR3203", message, next_step="end the other program that talks to the device, then run again")


class UsbGoneError(UsbError):
    """The device is no longer on its port: unplugged, without power, or restarted."""

    def __init__(self, message: str) -> None:
        super().__init__("PFR3204", message, next_step="plug the device in again; work goes on where it was")


class UsbStalledError(UsbError):
    """The device answered a request with a stall: it does not take it in the state that it is in."""

    def __init__(self, message: str) -> None:
        super().__init__("PFR3205", message, next_step="unplug the device, plug it in again, then run again")


class UsbTimeoutError(UsbError):
    """The deadline of a request passed. Whether the device did it is not known."""

    def __init__(self, message: str) -> None:
        super().__init__("PFR3206", message, next_step="plug the device in again; if it stays, try another cable")


class UsbGarbledError(UsbError):
    """A descriptor or an answer that the protocol does not have."""

    def __init__(self, message: str) -> None:
        super().__init__("PFR3207", message, next_step="try another cable and another port; report it if it stays")


class UsbRefusedError(UsbError):
    """The device said no. `result` is its own number (facts 6.2: -1340 is a dependency that is not met)."""

    def __init__(self, message: str, *, result: int) -> None:
        super().__init__("PFR3208", message, next_step="look the number up in docs/errors.md; nothing was applied")
        self.result = result


class ForbiddenRangeError(UsbError):
    """An address range that must never be written by this way. Nothing was sent."""

    def __init__(self, message: str) -> None:
        super().__init__(
            "PFR3209", message, next_step="this module goes in normal mode, or not over USB at all; report it otherwise"
        )


class UsbVerifyError(UsbError):
    """What was read back is not what was written."""

    def __init__(self, message: str) -> None:
        super().__init__("PFR3210", message, next_step="try another cable, then run again: the module is written anew")


class UsbCancelledError(UsbError):
    """A person stopped the work."""

    def __init__(self, message: str) -> None:
        super().__init__("PFR3211", message, next_step="run again: work goes on where it was")


class UsbUnsupportedError(UsbError):
    """The device cannot do this in its mode, or its Device OS has no such request."""

    def __init__(self, message: str) -> None:
        super().__init__("PFR3212", message, next_step="put the device into the mode that the message names")


class DfuError(UsbError):
    """The bootloader reports an error. `status` is the number of the DFU specification, section 6.1.2."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__("PFR3213", message, next_step="unplug the device, plug it in again, then run again")
        self.status = status


class UsbProtectedError(UsbError):
    """The device is protected: its memory cannot be read or written over USB."""

    def __init__(self, message: str) -> None:
        super().__init__("PFR3214", message, next_step="put the device into service mode with the vendor's tool first")


class UsbTransferError(UsbError):
    """The bytes did not come through."""

    def __init__(self, message: str) -> None:
        super().__init__("PFR3215", message, next_step="try another cable, another port, a hub with its own power")
