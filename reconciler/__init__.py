"""A declarative GitOps reconciler for fleets of Particle devices.

`ARCHITECTURE.md` says which room is for what; `controller/cycle.py` is the page to read first.
"""

__version__ = "0.1.0"
