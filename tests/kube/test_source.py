"""The resources of a namespace as a source: what is broken stands, what is deleted is gone, what is others' is left."""

from __future__ import annotations

import pytest

from reconciler.controller.intent import Intents
from reconciler.journal.memory import MemoryJournal
from reconciler.kube.resource import PLURALS, Resource
from reconciler.kube.source import ClusterSource
from reconciler.kube.store import Store
from reconciler.model.error import OperatorError, SourceUnreachableError
from reconciler.model.instant import Instant
from reconciler.settings.settings import GuardSettings
from tests.kube.resource_samples import fleet, resource


class Namespace:
    """One namespace of a cluster whose resources are told, and what is desired of it."""

    def __init__(self, journal: MemoryJournal | None = None) -> None:
        self.journal = journal or MemoryJournal()
        self.version = 1
        self.store = Store(lambda: 0.0)
        self.source = ClusterSource("team-a", self.store, self.journal, clock=lambda: Instant(0.0))
        self.intents = Intents(
            self.source,
            self.journal,
            guards=GuardSettings(),
            clock=lambda: Instant(0.0),
            tell=lambda _: None,
            guards_losses=False,
        )

    def listed(self, *resources: Resource) -> Namespace:
        self.version += 1
        for kind in PLURALS:
            self.store.listed(kind, [each for each in resources if each.kind == kind], version=self.version)
        return self

    def looked(self, *resources: Resource) -> dict[str, str]:
        """Name and desired Device OS of the fleets after a look at these resources."""
        self.listed(*resources)
        self.intents.look()
        intent = self.intents.intent
        return {} if intent is None else {each.name: str(each.desired.device_os) for each in intent.fleets.fleets}

    def refusal(self, path: str) -> str:
        found = self.source.judged[path].refusal
        return "" if found is None else found.message


def numbered(each: Resource, version: int) -> Resource:
    return fleet(each.name, namespace=each.namespace, version=version, generation=version, **each.spec)


def test_before_everything_was_listed_nothing_is_taken() -> None:
    namespace = Namespace()
    namespace.store.heard(fleet())
    with pytest.raises(SourceUnreachableError, match="not all been listed"):
        namespace.source.look()


def test_fleets_have_their_namespace_in_their_names() -> None:
    assert Namespace().looked(fleet("eu"), fleet("us")) == {"team-a/eu": "2.1.0", "team-a/us": "2.1.0"}


def test_a_broken_fleet_stands_as_it_was_taken_last_also_in_the_next_process() -> None:
    namespace = Namespace()
    namespace.looked(fleet("eu", version=1), fleet("us", version=2))
    broken = fleet("eu", release="2.2.0", version=9, generation=2, rolloutPolicyRef="none")
    expected = {"team-a/eu": "2.1.0", "team-a/us": "2.3.0"}
    assert namespace.looked(broken, fleet("us", release="2.3.0", version=10, generation=2)) == expected
    assert "there is no RolloutPolicy 'none'; what it was before stands" in namespace.refusal("DeviceFleet/team-a/eu")
    later = Namespace(namespace.journal)
    assert later.looked(broken, fleet("us", release="2.3.1", version=11, generation=3)) == {
        "team-a/eu": "2.1.0",
        "team-a/us": "2.3.1",
    }


def test_a_broken_fleet_that_was_never_taken_is_left_out() -> None:
    namespace = Namespace()
    assert namespace.looked(fleet("eu"), fleet("us", rolloutPolicyRef="none")) == {"team-a/eu": "2.1.0"}
    assert "nothing is done for it" in namespace.refusal("DeviceFleet/team-a/us")


def test_what_refers_to_something_that_is_gone_shares_its_lot() -> None:
    namespace = Namespace()
    policy = resource("slow", kind="RolloutPolicy", rollout={"maxConcurrent": 1})
    namespace.looked(policy, fleet("eu", rolloutPolicyRef="slow"), fleet("us"))
    assert namespace.looked(fleet("eu", version=5, rolloutPolicyRef="slow"), fleet("us")) == {"team-a/us": "2.1.0"}
    assert "no RolloutPolicy 'slow'" in namespace.refusal("DeviceFleet/team-a/eu")


def test_a_broken_override_has_everything_stand_as_it_was() -> None:
    namespace = Namespace()
    namespace.looked(fleet("eu"))
    override = resource("hands-off", kind="DeviceOverride", mode="hold", reason="", devices=["e00fce68"])
    assert namespace.looked(override, fleet("eu", release="2.2.0", version=9, generation=2)) == {"team-a/eu": "2.1.0"}
    assert namespace.intents.refusal is not None


def test_the_last_fleet_may_be_deleted() -> None:
    namespace = Namespace()
    namespace.looked(fleet("eu"))
    assert namespace.looked() == {}


def test_a_product_of_another_namespace_is_left_alone_until_it_is_free() -> None:
    namespace = Namespace()
    theirs = fleet("first", namespace="team-b", created="2025-01-01T00:00:00Z")
    assert namespace.looked(theirs, fleet("eu"), fleet("own", product="other")) == {"team-a/own": "2.1.0"}
    assert "belongs to namespace team-b, whose fleet first" in namespace.refusal("DeviceFleet/team-a/eu")
    assert set(namespace.looked(fleet("eu"), fleet("own", product="other"))) == {"team-a/eu", "team-a/own"}


def test_of_two_fleets_of_one_second_the_first_by_name_has_the_product() -> None:
    namespace = Namespace()
    assert set(namespace.looked(fleet("eu"), fleet("aa", namespace="team-b"))) == {"team-a/eu"}


def test_a_file_beside_a_manifest_is_a_problem_of_the_resource_alone() -> None:
    namespace = Namespace()
    binaries = [{"platform": "boron", "file": "app.bin"}]
    release = resource("app", kind="ApplicationRelease", product="p", versions=[{"version": 1, "binaries": binaries}])
    desired = {"application": {"release": "app", "version": 1}}
    assert set(namespace.looked(fleet("eu"), release, fleet("us", product="p", desired=desired))) == {"team-a/eu"}


def test_a_cluster_has_no_earlier_revisions_and_forgets_what_is_not_kept() -> None:
    namespace = Namespace().listed(fleet())
    first = namespace.source.look()
    with pytest.raises(OperatorError, match="no revision 'main'"):
        namespace.source.at("main")
    namespace.listed(fleet(release="2.2.0", version=7, generation=2)).source.look()
    with pytest.raises(OperatorError, match="not kept any more"):
        namespace.source.manifests(first)


def test_the_same_resources_are_the_same_revision_whatever_was_written_beside_them() -> None:
    namespace = Namespace().listed(fleet())
    first = namespace.source.look()
    again = namespace.listed(fleet(version=9, annotations={"a": "b"}, status={"x": 1})).source.look()
    assert again.commit == first.commit
