"""The API server and `validate` say the same of the same documents."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.render.crd_rules import RULES
from reconciler.render.crds import definitions
from tests.kube.api_server import ApiServer
from tests.kube.broken import BROKEN, SOUND
from tests.kube.client import Client, Refused
from tests.manifests.sample import load, problems

NAMESPACE = "rules"


@pytest.fixture(scope="module")
def client(real_api_server: ApiServer) -> Client:
    client = real_api_server.admin()
    client.apply_crds(definitions())
    client.namespace(NAMESPACE)
    return client


@pytest.mark.parametrize("name", BROKEN)
def test_the_api_server_refuses_with_words_for_people(client: Client, name: str) -> None:
    with pytest.raises(Refused) as refused:
        client.apply(BROKEN[name].document, namespace=NAMESPACE, dry_run=True)
    assert BROKEN[name].says in refused.value.message


@pytest.mark.parametrize("name", [name for name, broken in BROKEN.items() if broken.in_git])
def test_validate_refuses_the_same(name: str) -> None:
    assert problems(BROKEN[name].document)


@pytest.mark.parametrize("name", SOUND)
def test_both_accept_what_is_sound_and_nothing_is_lost_or_added(client: Client, name: str) -> None:
    load(SOUND[name])
    stored = client.apply(SOUND[name], namespace=NAMESPACE, dry_run=True)
    assert stored["spec"] == SOUND[name]["spec"]
    assert stored["status"] == {"observedGeneration": -1}


def test_every_rule_is_broken_by_a_document(client: Client) -> None:
    told = []
    for broken in BROKEN.values():
        with pytest.raises(Refused) as refused:
            client.apply(broken.document, namespace=NAMESPACE, dry_run=True)
        told.append(refused.value.message)
    every = {rule["message"] for definition in definitions() for rule in rules_in(definition)}
    said = "\n".join(told)
    assert {message for message in every if message not in said} == {"file needs sha256"}, "a file is refused as such"
    assert {rule.message for rules in RULES.values() for rule in rules} <= every


def rules_in(node: Any) -> list[dict[str, str]]:
    """Every CEL rule below a node."""
    if isinstance(node, dict):
        own = node.get("x-kubernetes-validations", [])
        return [
            *own,
            *(rule for key, inner in node.items() if key != "x-kubernetes-validations" for rule in rules_in(inner)),
        ]
    return [rule for inner in node for rule in rules_in(inner)] if isinstance(node, list) else []
