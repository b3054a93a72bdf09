"""What a fleet asks for, as every JSON document says it."""

from __future__ import annotations

from typing import Any

from reconciler.model.fleet import Desired


def desired_document(desired: Desired) -> dict[str, Any]:
    """`device_os` and `application` are null where the fleet leaves them as they are."""
    application = desired.application
    return {
        "device_os": None if desired.device_os is None else desired.device_os.text,
        "completeness": desired.completeness.value,
        "application": None
        if application is None
        else {"release": application.release, "version": int(application.version)},
    }
