"""By which names the controller is asked.

On loopback a page in a browser of this machine could ask by a name of its own that it lets lead here (DNS rebinding).
Such a request has that name in its `Host` header. An address leads nowhere else, so that any will do: probes and
Prometheus ask by the address of a pod.
"""

from __future__ import annotations

import ipaddress

from reconciler.serving.loopback import is_loopback
from reconciler.settings.settings import ServingSettings


class Hosts:
    """The names of the settings; on loopback its own as well; elsewhere, where none are named, any."""

    def __init__(self, settings: ServingSettings) -> None:
        names = {name.lower().strip("[]") for name in settings.hosts}
        self._names = names | {"localhost"} if names or is_loopback(settings.host) else None

    def are_ours(self, host: str) -> bool:
        """Whether a `Host` header names the controller, with whatever port."""
        if self._names is None:
            return True
        name = host.partition("]")[0].strip("[") if host.startswith("[") else host.partition(":")[0]
        return name.lower().rstrip(".") in self._names or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
