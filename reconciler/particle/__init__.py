"""The wire to the Particle cloud: REST calls, the event stream, and what their answers mean.

The rules:
- A failure leaves as one of the classes of `error.py`, drawn by what follows from it.
- Reads are retried here, within bounds; writes never.
- The access token goes into one header and nowhere else: no log, no error, no `repr`.
- What the cloud says is material, not truth: wrong shapes become findings, never crashes.
"""
