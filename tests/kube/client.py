"""A small client of the Kubernetes API for tests: what is sent and what comes back are plain documents."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import requests
import yaml

Document = dict[str, Any]

WAIT_SECONDS_MAX: Final = 120.0
POLL_SECONDS: Final = 0.05


class Refused(Exception):  # noqa: N818  # what the server says is no error of the test
    """The server answered with a Status: its code, reason and message."""

    def __init__(self, status: Mapping[str, Any]) -> None:
        super().__init__(f"{status.get('code')} {status.get('reason')}: {status.get('message')}")
        self.code = int(status.get("code") or 0)
        self.reason = str(status.get("reason"))
        self.message = str(status.get("message"))
        self.details: Mapping[str, Any] = status.get("details") or {}


class Client:
    """Somebody who talks to one API server, by a token, by a certificate, or as nobody."""

    def __init__(
        self, address: str, *, trusts: Path, token: str = "", certificate: tuple[Path, Path] | None = None
    ) -> None:
        self.address = address
        self.token = token
        self.certificate = certificate
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(trusts)
        if token:
            self.session.headers["Authorization"] = f"Bearer {token}"
        if certificate:
            self.session.cert = (str(certificate[0]), str(certificate[1]))
        self.warnings: list[str] = []
        self._paths: dict[tuple[str, str], tuple[str, bool]] = {}

    def is_ready(self) -> bool:
        """Whether the server says that it is."""
        return self.session.get(f"{self.address}/readyz", timeout=10).status_code == requests.codes.ok

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Document:
        """One request. The server's warnings are added to `warnings`.

        Raises:
            Refused: The server answered with an error.
        """
        data = None if body is None else yaml.safe_dump(body) if "yaml" in content_type else None
        answer = self.session.request(
            method,
            self.address + path,
            params=query,
            data=data,
            json=None if data is not None or body is None else body,
            headers={"Content-Type": content_type},
            timeout=60,
        )
        if warning := answer.headers.get("Warning"):
            self.warnings.append(warning)
        try:
            document: Document = answer.json()
        except requests.JSONDecodeError:
            document = {"code": answer.status_code, "message": answer.text}
        if not answer.ok:
            raise Refused({"code": answer.status_code, **document})
        return document

    def apply(
        self,
        document: Mapping[str, Any],
        *,
        manager: str = "tests",
        namespace: str = "default",
        force: bool = True,
        dry_run: bool = False,
        subresource: str = "",
    ) -> Document:
        """Server-side apply with strict validation: an unknown or doubled field is an error.

        Raises:
            Refused: As `call`.
        """
        query = {"fieldManager": manager, "fieldValidation": "Strict", "force": str(force).lower()}
        if dry_run:
            query["dryRun"] = "All"
        path = self.path_of(document, namespace=namespace) + (f"/{subresource}" if subresource else "")
        return self.call("PATCH", path, dict(document), query=query, content_type="application/apply-patch+yaml")

    def get(self, document: Mapping[str, Any], *, namespace: str = "default") -> Document:
        """What the server has of this object now."""
        return self.call("GET", self.path_of(document, namespace=namespace))

    def merge(self, document: Mapping[str, Any], change: object, *, namespace: str = "default") -> Document:
        """A merge patch of this object."""
        path = self.path_of(document, namespace=namespace)
        query = {"fieldValidation": "Strict"}
        return self.call("PATCH", path, change, query=query, content_type="application/merge-patch+json")

    def delete(self, document: Mapping[str, Any], *, namespace: str = "default") -> Document:
        """Delete this object."""
        return self.call("DELETE", self.path_of(document, namespace=namespace))

    def items(self, api_version: str, kind: str, *, namespace: str | None = "default") -> list[Document]:
        """All objects of a kind, in one namespace or (None) everywhere."""
        plural, namespaced = self._resource(api_version, kind)
        place = f"/namespaces/{namespace}" if namespaced and namespace is not None else ""
        return list(self.call("GET", f"{_root(api_version)}{place}/{plural}")["items"])

    def namespace(self, name: str, labels: Mapping[str, str] | None = None) -> str:
        """Make a namespace; its name."""
        metadata = {"name": name, "labels": dict(labels or {})}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        return name

    def apply_crds(self, documents: Iterable[Mapping[str, Any]]) -> None:
        """Apply definitions of resources, and wait until the server serves them."""
        definitions = [self.apply(document) for document in documents]
        for definition in definitions:
            spec = definition["spec"]
            paths = [f"/apis/{spec['group']}/{each['name']}/{spec['names']['plural']}" for each in spec["versions"]]
            wait_until(lambda paths=paths: all(self._answers(path) for path in paths))  # type: ignore[misc]  # a default
        self._paths.clear()

    def path_of(self, document: Mapping[str, Any], *, namespace: str = "default") -> str:
        """The path of an object; `namespace` is where it is when it does not say so itself."""
        api_version, metadata = str(document["apiVersion"]), document["metadata"]
        plural, namespaced = self._resource(api_version, str(document["kind"]))
        place = f"/namespaces/{metadata.get('namespace') or namespace}" if namespaced else ""
        return f"{_root(api_version)}{place}/{plural}/{metadata['name']}"

    def _answers(self, path: str) -> bool:
        try:
            self.call("GET", path)
        except Refused as refused:
            if refused.code == requests.codes.not_found:
                return False
            raise
        return True

    def _resource(self, api_version: str, kind: str) -> tuple[str, bool]:
        """The plural of a kind, and whether it lives in namespaces, as the server says."""
        key = (api_version, kind)
        if key not in self._paths:
            for resource in self.call("GET", _root(api_version))["resources"]:
                if "/" not in resource["name"]:
                    self._paths[api_version, resource["kind"]] = (resource["name"], resource["namespaced"])
        return self._paths[key]


def wait_until(is_so: Callable[[], bool], *, seconds: float = WAIT_SECONDS_MAX) -> None:
    """Ask again and again until it is so; AssertionError after so many seconds."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, "it did not become so in time"
        time.sleep(POLL_SECONDS)


def _root(api_version: str) -> str:
    return f"/apis/{api_version}" if "/" in api_version else f"/api/{api_version}"
