"""DeviceFleet and DeviceOverride, compiled."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.manifests.applications import Release, desired_of
from reconciler.manifests.document import Document, Node
from reconciler.manifests.problem import ProblemCode, did_you_mean, listed
from reconciler.manifests.quantity import bytes_of
from reconciler.manifests.rollouts import Policy, policy_of
from reconciler.manifests.scope import Scope, section, text_of
from reconciler.manifests.selectors import selector_of
from reconciler.model.fleet import (
    Delivery,
    DeviceOverride,
    Fleet,
    IfRefused,
    Order,
    OverrideMode,
    Place,
    Releasing,
    Suspension,
    Via,
)


def fleet_of(
    scope: Scope,
    document: Document,
    root: Node,
    *,
    releases: Mapping[str, Release],
    policies: Mapping[str, Policy],
) -> Fleet:
    """Compile a DeviceFleet; what is missing or spoilt (and reported) is at its default."""
    spec = section(root, "spec")
    product = text_of(spec, "product")
    select = section(spec, "select")
    policy = _policy(scope, document, spec, policies)
    limit = section(spec, "limits").members.get("maxTargets")
    a_day = section(spec, "limits").members.get("dataPerDay")
    return Fleet(
        name=text_of(section(root, "metadata"), "name") or "",
        product=product,
        select=selector_of(scope, document, select),
        exclude=selector_of(scope, document, select.members["exclude"]) if "exclude" in select.members else None,
        desired=desired_of(
            scope, document, section(spec, "desired"), product=product, any_product=False, releases=releases
        ),
        place=name_place(document, root),
        delivery=_delivery(section(spec, "delivery")),
        rollout=policy.rollout,
        windows_allow=policy.windows.allow,
        windows_deny=policy.windows.deny,
        time_zones=policy.windows.zones,
        correct_drift=text_of(section(spec, "drift"), "mode") != "detect",
        approval_required=section(section(spec, "approval"), "required").value is True,
        targets_max=limit.value if limit is not None and isinstance(limit.value, int) else None,
        bytes_per_day_max=bytes_of(a_day.value) if a_day and isinstance(a_day.value, int | str) else None,
        suspension=_suspension(scope, document, spec.members.get("suspend")),
    )


def override_of(scope: Scope, document: Document, root: Node, *, releases: Mapping[str, Release]) -> DeviceOverride:
    """Compile a DeviceOverride. One that has expired is kept: whether it still counts is asked when planning."""
    spec = section(root, "spec")
    product = text_of(spec, "product")
    desired = spec.members.get("desired")
    return DeviceOverride(
        name=text_of(section(root, "metadata"), "name") or "",
        devices=scope.devices(document, spec.members.get("devices")) or frozenset(),
        mode=OverrideMode(text_of(spec, "mode") or OverrideMode.HOLD),
        reason=text_of(spec, "reason") or "",
        author=text_of(spec, "author"),
        expires=scope.instant(document, spec.members.get("expires")),
        pin=None
        if desired is None
        else desired_of(scope, document, desired, product=product, any_product=product is None, releases=releases),
        place=name_place(document, root),
    )


def name_place(document: Document, root: Node) -> Place:
    """Where the manifest's name stands, or the manifest."""
    return document.place(section(root, "metadata").members.get("name") or root)


def _policy(scope: Scope, document: Document, spec: Node, policies: Mapping[str, Policy]) -> Policy:
    reference = spec.members.get("rolloutPolicyRef")
    own = policy_of(scope, document, spec)
    if reference is None:
        return own
    for key in ("rollout", "windows"):
        if key in spec.members:
            place = document.key_place(("spec", key))
            message = f"{key} stands beside rolloutPolicyRef; a fleet has one or the other"
            scope.report(document, place, ProblemCode.POLICY, message, f"remove {key}, or the reference")
    name = str(reference.value)
    if name not in policies and scope.all_readable:
        suggestion = did_you_mean(name, policies)
        if not suggestion and policies:
            suggestion = f"there is: {listed(sorted(policies))}"
        scope.report(document, reference, ProblemCode.POLICY, f"there is no RolloutPolicy {name!r}", suggestion)
    return policies.get(name, own)


def _delivery(node: Node) -> Delivery:
    limit = node.members.get("dataPerDevice")
    return Delivery(
        via=Via(text_of(node, "via") or Via.CLOUD),
        order=Order(text_of(node, "order") or Order.DEVICE_OS_FIRST),
        if_refused=IfRefused(text_of(node, "ifRefused") or IfRefused.WAIT),
        release=Releasing(text_of(node, "release") or Releasing.WHEN_COMPLETE),
        bytes_per_device_max=bytes_of(limit.value) if limit and isinstance(limit.value, int | str) else None,
    )


def _suspension(scope: Scope, document: Document, node: Node | None) -> Suspension | None:
    if node is None or node.value is False:
        return None
    if node.value is True:
        return Suspension(reason="suspended in the manifest")
    return Suspension(
        reason=text_of(node, "reason") or "",
        until=scope.instant(document, node.members.get("until")),
        by=text_of(node, "by"),
    )
