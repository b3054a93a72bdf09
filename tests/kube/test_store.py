"""Whatever watches and lists tell, late, twice or out of order, the newest of each resource stays."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from reconciler.kube.resource import FLEET, PLURALS, Resource
from reconciler.kube.store import Store
from tests.kube.resource_samples import resource


def store(changes: list[str] | None = None) -> Store:
    return Store(lambda: 0.0, (changes if changes is not None else []).append)


def specs(found: Store) -> list[int]:
    return [int(each.spec["n"]) for each in found.resources(FLEET)]


def test_nothing_is_complete_before_every_kind_was_listed_once() -> None:
    found = store()
    for kind in PLURALS:
        assert not found.is_complete("team-a")
        found.listed(kind, [], version=1)
    assert found.is_complete("team-a")


def test_a_list_of_one_namespace_says_nothing_of_another() -> None:
    found = store()
    found.heard(resource(namespace="team-b", n=1, version=3))
    for kind in PLURALS:
        found.listed(kind, [], version=9, namespace="team-a")
    assert found.is_complete("team-a")
    assert not found.is_complete("team-b")
    assert specs(found) == [1]


def test_a_list_that_is_older_than_what_was_heard_changes_nothing() -> None:
    found = store()
    found.heard(resource("new", n=2, version=20))
    found.heard(resource("gone", n=0, version=21), deleted=True)
    found.listed(FLEET, [resource("gone", n=0, version=5)], version=10)
    assert specs(found) == [2]


def test_what_a_list_does_not_have_any_more_is_gone_though_no_watch_told() -> None:
    changes: list[str] = []
    found = store(changes)
    found.heard(resource(n=1, version=5))
    found.listed(FLEET, [], version=10)
    assert specs(found) == []
    assert changes == ["team-a", "team-a"]


def test_our_own_status_is_no_change() -> None:
    changes: list[str] = []
    found = store(changes)
    found.heard(resource(n=1, version=5))
    found.heard(resource(n=1, version=6, status={"conditions": []}))
    assert changes == ["team-a"]
    assert found.resources(FLEET)[0].status == {"conditions": []}


@given(st.permutations(range(1, 8)), st.integers(0, 7))
def test_in_whatever_order_versions_are_heard_the_last_one_counts(order: list[int], deleted_at: int) -> None:
    found = store()
    for version in order:
        found.heard(resource(n=version, version=version), deleted=version == deleted_at)
    assert specs(found) == ([] if deleted_at == 7 else [7])


def test_a_resource_made_anew_after_its_deletion_is_there() -> None:
    found = store()
    versions: list[tuple[Resource, bool]] = [
        (resource(n=1, version=1), False),
        (resource(n=1, version=2), True),
        (resource(n=3, version=3, uid="another"), False),
    ]
    for each, deleted in versions:
        found.heard(each, deleted=deleted)
    assert [each.uid for each in found.resources(FLEET)] == ["another"]
