"""What the steps of a route depend on, as one short text, so that a device can be found to be as it was."""

from __future__ import annotations

import hashlib
import json

from reconciler.model.plan import Situation


def state_hash(situation: Situation) -> str:
    """`sha256:…` over a situation: the same for devices that are the same, however that is known."""
    own_part = () if situation.user_part is None else (situation.user_part,)
    said = {
        "platform": situation.platform,
        "device_os": None if situation.device_os is None else situation.device_os.text,
        "application": situation.application,
        "mode": situation.mode.value,
        "modules": {str(module.slot): module.version for module in (*situation.modules, *own_part)},
        "development": situation.development,
        "own": situation.own,
    }
    return f"sha256:{hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()}"
