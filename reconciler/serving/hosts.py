"""By which names the controller is asked.

On loopback a page in a browser of this machine could ask by a name of its own that it lets lead here (DNS rebinding).
Such a request has that name in its `Host` header.
"""

from __future__ import annotations

from typing import Final

from reconciler.serving.loopback import is_loopback
from reconciler.settings.settings import ServingSettings

_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})


class Hosts:
    """The names of the settings; on loopback its own as well; elsewhere, where none are named, any."""

    def __init__(self, settings: ServingSettings) -> None:
        names = {name.lower().strip("[]") for name in settings.hosts}
        on_loopback = is_loopback(settings.host)
        own = _LOOPBACK | {settings.host.lower()} if on_loopback else _LOOPBACK
        self._names = names | own if names or on_loopback else None

    def are_ours(self, host: str) -> bool:
        """Whether a `Host` header names the controller, with whatever port."""
        if self._names is None:
            return True
        name = host.partition("]")[0].strip("[") if host.startswith("[") else host.partition(":")[0]
        return name.lower().rstrip(".") in self._names
