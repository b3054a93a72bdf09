"""A pretend Particle cloud over HTTP, with devices that obey physics, faults on demand, and a referee.

- `world.py` describes a world; `cloud.py` is that world in motion, without threads and without a clock of its own:
  requests and the time come in as arguments, answers go out. `serve.py` puts it on a port.
- `router.py` is the table of addresses, each `*_calls.py` has the calls about one thing; `keyring.py` knows who may ask
  and `limits.py` how often. The vendor's own tools drive all of it in `tests/emulator/vendor/`.
- `device.py` judges by facts 4.3 what a device takes and what it boots; `healer.py` is the cloud's safe mode healer.
- `faults.py` spoils requests, transfers, boots and events; `referee.py` reads the log afterwards and says what a client
  did wrong: `device_laws.py` by one device's history, `fleet_laws.py` by the rules of the house (`house_rules.py`).
- `bench/` is a pretend USB bench with devices of its own, and a referee for it.

Why: the room stands at the wire, so that the client under test is the client of production. It knows nothing of
planning, execution, inventory or the client's own wires, and so can contradict them.
"""
