"""A pretend bench: Particle devices on pretend USB ports, faithful to the protocol and to the device's rules.

- `bench.py` is all ports in motion, without threads and without a clock of its own: a control transfer and the time go
  in, what the host sees comes out, with the seconds that it took. `backend.py` puts it under pyusb in this process; the
  tests put it under the operating system's USB interface, where libusb, `dfu-util` and the vendor's tools find it.
- `device.py` is one device: flash with real module binaries in it, modes, restarts. `requests.py` and `answers.py` are
  its Device OS, `dfu.py` its bootloader, after the vendor's sources (ADR 0043); what a device accepts and boots is
  judged by `emulator/device.py`, from the bytes that are in flash.
- `faults.py` spoils transfers; `referee.py` reads the log afterwards and says what a client did wrong.

It shares no code with `reconciler.particle`, not even the reading of protobuf, and so can contradict it.
"""
