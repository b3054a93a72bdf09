"""The wires: the Particle cloud (REST calls, the event stream) and devices on a USB bench, and what their answers mean.

The rules:
- A failure leaves as one of the classes of `error.py`, drawn by what follows from it.
- Reads are retried here, within bounds; writes never.
- The access token goes into one header and nowhere else: no log, no error, no `repr`.
- What the cloud says is material, not truth: wrong shapes become findings, never crashes. What a device on a cable says
  too.

`usb.py` is the border to the bench: types, promises, rules. Behind it: `usb_bus.py` (what is plugged in), `usb_dfu.py`
(a bootloader), `usb_control.py` on `usb_service.py` (requests to a Device OS), and `usb_pipe.py` (one transfer).
"""
