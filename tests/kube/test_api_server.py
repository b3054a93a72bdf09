"""The test's own API server is a real one, and can be hurt."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
import yaml

from tests.kube.api_server import ApiServer
from tests.kube.client import Client, Refused
from tests.kube.components import kubernetes_version

NOTE = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "note"}, "data": {"text": "kept"}}


@pytest.fixture
def server(real_api_server: ApiServer) -> ApiServer:
    """That of everybody: one test at a time is run, and each leaves it running."""
    return real_api_server


def test_it_is_the_version_that_was_built(server: ApiServer) -> None:
    assert server.admin().call("GET", "/version")["gitVersion"] == kubernetes_version()


def test_who_has_no_credentials_and_who_has_no_rights_is_told_apart(server: ApiServer) -> None:
    with pytest.raises(Refused) as refused:
        server.as_service_account("default", "nobody").items("v1", "Secret")
    assert refused.value.code == 403
    stranger = Client(server.address, trusts=server.authority.certificate, token="a.b.c")
    with pytest.raises(Refused) as refused:
        stranger.call("GET", "/api/v1/namespaces/default/secrets")
    assert refused.value.code == 401


def test_a_kill_loses_nothing_and_the_address_stays(server: ApiServer) -> None:
    client = server.admin()
    stored = client.apply(NOTE)
    server.kill()
    with pytest.raises(requests.ConnectionError):
        client.get(NOTE)
    server.start()
    assert server.admin().get(NOTE) == stored


def test_a_watch_from_before_a_compaction_is_told_that_it_is_too_old(server: ApiServer) -> None:
    client = server.admin()
    version = client.apply(NOTE)["metadata"]["resourceVersion"]
    for number in range(3):
        client.apply({**NOTE, "data": {"text": str(number)}})
    server.compact()
    server.kill()
    server.start()
    path = "/api/v1/namespaces/default/configmaps"
    query = {"watch": "true", "resourceVersion": version, "timeoutSeconds": "5"}
    with server.admin().session.get(server.address + path, params=query, timeout=30) as answer:
        assert answer.json()["object"]["code"] == 410 if answer.ok else answer.status_code == 410


def test_a_paused_one_answers_nothing_and_then_goes_on(server: ApiServer) -> None:
    client = server.admin()
    with server.paused(), pytest.raises(requests.Timeout):
        client.session.get(f"{server.address}/readyz", timeout=0.5)
    assert client.is_ready()


def test_a_kubeconfig_says_who_somebody_is(server: ApiServer, tmp_path: Path) -> None:
    account = server.as_service_account("default", "somebody")
    config = yaml.safe_load(server.kubeconfig(tmp_path / "kubeconfig", account).read_text("utf-8"))
    assert config["users"][0]["user"] == {"token": account.token}
    assert config["clusters"][0]["cluster"]["server"] == server.address
