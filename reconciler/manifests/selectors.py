"""Which devices a manifest means, by groups, platforms, a list or a roster."""

from __future__ import annotations

from reconciler.manifests.applications import platform_name
from reconciler.manifests.document import Document, Node
from reconciler.manifests.scope import Scope
from reconciler.model.fleet import Selector


def selector_of(scope: Scope, document: Document, node: Node) -> Selector:
    """The lines of a selection; what is wrong in them is reported."""
    platforms = scope.names(document, node.members.get("platforms"))
    return Selector(
        groups=scope.names(document, node.members.get("groups")),
        platforms=None if platforms is None else frozenset(map(platform_name, platforms)),
        devices=scope.devices(document, node.members.get("devices")),
        roster=scope.roster(document, node.members.get("roster")),
    )
