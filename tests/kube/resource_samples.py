"""Resources for tests, as the API server would tell of them."""

from __future__ import annotations

from typing import Any

from reconciler.kube.resource import FLEET, Resource


def resource(
    name: str = "eu",
    *,
    namespace: str = "team-a",
    kind: str = FLEET,
    version: int = 1,
    generation: int = 1,
    created: str = "2026-01-01T00:00:00Z",
    uid: str = "",
    annotations: dict[str, str] | None = None,
    status: dict[str, Any] | None = None,
    **spec: Any,
) -> Resource:
    return Resource(
        kind=kind,
        namespace=namespace,
        name=name,
        uid=uid or f"{kind}/{namespace}/{name}",
        version=version,
        generation=generation,
        created=created,
        spec=spec,
        annotations=annotations or {},
        status=status or {},
    )


def fleet(name: str = "eu", *, release: str = "2.1.0", product: str = "cold-chain", **more: Any) -> Resource:
    """A fleet with everything of a product."""
    spec = {"product": product, "select": {"groups": ["all"]}, "desired": {"deviceOS": release}}
    return resource(name, **{**spec, **more})
