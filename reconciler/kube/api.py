"""The few requests that the operator makes of the API server itself: lists, a Secret, a status, an event.

A person of the field would expect an SDK here. `requests` is there already, and these are five requests
([ADR 0049](docs/adr/0049-the-operator-hears-by-watches-and-goes-by-lists.md)).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import requests

from reconciler.kube.access import Access
from reconciler.kube.resource import API_VERSION, GROUP, PLURALS, VERSION, Resource, resource_of
from reconciler.model.error import OperatorError, SourceUnreachableError

FIELD_MANAGER: Final = "particle-fleet-reconciler"

_PAGE: Final = 500
_SECONDS_MAX: Final = (5.0, 30.0)
_UNREACHABLE: Final = "PFR6953"
_REFUSED: Final = "PFR6954"


class ApiUnreachableError(SourceUnreachableError):
    """The API server did not answer, or asked for patience. `after_seconds`: for how long, as it said."""

    def __init__(self, message: str, *, after_seconds: float = 0.0) -> None:
        super().__init__(_UNREACHABLE, message, next_step="the operator tries again; look at the API server")
        self.after_seconds = after_seconds


class ApiRefusedError(OperatorError):
    """The API server said no. `status` is that of HTTP."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(
            _REFUSED, message, next_step="compare the service account's RBAC and the CRDs with the chart's"
        )
        self.status = status


class KubeApi:
    """One API server. May be used by any thread."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._session = requests.Session()
        # Proxies and ~/.netrc are for the world outside the cluster.
        self._session.trust_env = False
        self._session.verify = True if access.authority is None else str(access.authority)
        if access.certificate is not None and access.key is not None:
            self._session.cert = (str(access.certificate), str(access.key))

    def listed(self, kind: str, namespace: str | None = None) -> tuple[tuple[Resource, ...], int]:
        """All resources of a kind, in one namespace or (None) in all, and as of which version.

        Raises ApiUnreachableError, ApiRefusedError.
        """
        pages = [*self._pages(_path(kind, namespace))]
        found = tuple(resource_of(item, kind) for page in pages for item in page.get("items") or ())
        return found, int(pages[0]["metadata"]["resourceVersion"])

    def secret(self, namespace: str, name: str) -> Mapping[str, str] | None:
        """The data of a Secret, as it stands there (base64); None: there is none. Raises as `listed`."""
        try:
            found = self._call("GET", f"/api/v1/namespaces/{namespace}/secrets/{name}")
        except ApiRefusedError as error:
            if error.status == requests.codes.not_found:
                return None
            raise
        return dict(found.get("data") or {})

    def apply_status(self, fleet: Resource, status: Mapping[str, Any]) -> int:
        """Write the status of this very resource, and of no other of its name; its version then. Raises as `listed`."""
        metadata = {"name": fleet.name, "namespace": fleet.namespace, "uid": fleet.uid}
        document = {"apiVersion": API_VERSION, "kind": fleet.kind, "metadata": metadata, "status": status}
        answer = self._call(
            "PATCH",
            f"{_path(fleet.kind, fleet.namespace)}/{fleet.name}/status",
            document,
            query={"fieldManager": FIELD_MANAGER, "force": "true"},
            content_type="application/apply-patch+yaml",
        )
        return int(answer["metadata"]["resourceVersion"])

    def post_event(self, namespace: str, event: Mapping[str, Any]) -> None:
        """Make an Event. Raises as `listed`."""
        self._call("POST", f"/api/v1/namespaces/{namespace}/events", event)

    def patch_event(self, namespace: str, name: str, change: Mapping[str, Any]) -> None:
        """Alter an Event. Raises as `listed`."""
        path = f"/api/v1/namespaces/{namespace}/events/{name}"
        self._call("PATCH", path, change, content_type="application/merge-patch+json")

    def close(self) -> None:
        """End all connections."""
        self._session.close()

    def _pages(self, path: str) -> Iterator[Mapping[str, Any]]:
        query = {"limit": str(_PAGE)}
        while True:
            page = self._call("GET", path, query=query)
            yield page
            token = page["metadata"].get("continue")
            if not token:
                return
            query = {"limit": str(_PAGE), "continue": token}

    def _call(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        query: Mapping[str, str] | None = None,
        content_type: str = "application/json",
    ) -> Mapping[str, Any]:
        headers = {"Content-Type": content_type, "Accept": "application/json", "User-Agent": FIELD_MANAGER}
        what = f"{method} {path}"
        try:
            token = self._access.bearer()
            answer = self._session.request(
                method,
                self._access.server + path,
                params=query,
                data=None if body is None else json.dumps(body).encode(),
                headers=headers | ({} if token is None else {"Authorization": f"Bearer {token}"}),
                timeout=_SECONDS_MAX,
            )
        except (requests.RequestException, OSError) as error:
            raise ApiUnreachableError(f"{what}: {type(error).__name__}") from None
        if answer.status_code == requests.codes.too_many_requests or answer.status_code >= requests.codes.server_error:
            waits = answer.headers.get("Retry-After", "")
            after = float(waits) if waits.isdecimal() else 0.0
            raise ApiUnreachableError(f"{what}: HTTP {answer.status_code}", after_seconds=after)
        try:
            document: Mapping[str, Any] = answer.json()
        except ValueError:
            raise ApiUnreachableError(f"{what}: HTTP {answer.status_code} without JSON") from None
        if not answer.ok:
            raise ApiRefusedError(f"{what}: {document.get('message') or answer.status_code}", answer.status_code)
        return document


def _path(kind: str, namespace: str | None) -> str:
    place = "" if namespace is None else f"/namespaces/{namespace}"
    return f"/apis/{GROUP}/{VERSION}{place}/{PLURALS[kind]}"
