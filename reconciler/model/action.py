"""Actions on a product as a whole: values of the plan, like the steps of a device.

Preparation comes before the first device that needs it, the conclusion after the last one has arrived.
"""

from __future__ import annotations

from dataclasses import dataclass

from reconciler.model.version import ApplicationVersion


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadApplication:
    """Give the product an application version that it does not hold.

    `product` is the word of the manifests for it. `sha256` is of the whole file; `size` in bytes where known. `bundle`:
    the file is a bundle with assets, of which it is not documented how the cloud hands it out again.
    """

    product: str
    application: ApplicationVersion
    platform: str
    sha256: str
    size: int | None = None
    bundle: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseApplication:
    """Release a version to groups of the product, or as its default: what the console shows is then what Git says.

    It changes no device: everyone whom it reaches runs the version already, or is not moved by releases.
    """

    product: str
    application: ApplicationVersion
    groups: tuple[str, ...] = ()
    product_default: bool = False


ProductAction = UploadApplication | ReleaseApplication


def is_within(action: ProductAction, agreed: ProductAction) -> bool:
    """Whether an action does nothing that this one would not do: the same, or a release to fewer groups."""
    if not isinstance(action, ReleaseApplication) or not isinstance(agreed, ReleaseApplication):
        return action == agreed
    return (
        (action.product, action.application) == (agreed.product, agreed.application)
        and set(action.groups) <= set(agreed.groups)
        and action.product_default <= agreed.product_default
    )
