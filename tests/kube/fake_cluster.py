"""A small stand-in for an API server over HTTP: enough of it for the operator, and faults that a real one has rarely.

It knows lists, watches, the status of a resource, Secrets and Events. It checks no schema and nobody's rights: what
these do is tested on a real one.
"""

from __future__ import annotations

import copy
import json
import queue
import socket
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import yaml

from reconciler.kube.resource import API_VERSION, FLEET, GROUP, PLURALS, VERSION

Document = dict[str, Any]
KINDS = {plural: kind for kind, plural in PLURALS.items()}


class FakeCluster:
    """`refusals`: how to answer the next requests whose `METHOD path` contains the key: status and headers, each once.

    `requests` are all that came, as `METHOD path?query`; `told` are resources as they were when a status was written.
    """

    def __init__(self) -> None:
        self.objects: dict[tuple[str, str, str], Document] = {}
        self.secrets: dict[tuple[str, str], dict[str, str]] = {}
        self.events: list[Document] = []
        self.told: list[Document] = []
        self.requests: list[str] = []
        self.refusals: dict[str, list[tuple[int, dict[str, str]]]] = {}
        self.lock = threading.RLock()
        self._version = 100
        self._watches: list[tuple[str, str, queue.Queue[Document | None]]] = []
        self._history: list[tuple[int, tuple[str, str, str], Document]] = []
        self._forgotten = 0
        self._server: ThreadingHTTPServer | None = None
        with socket.socket() as found:
            found.bind(("127.0.0.1", 0))
            self.port = int(found.getsockname()[1])

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def kubeconfig(self, path: Path) -> Path:
        config = {
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": {"server": self.address}}],
            "users": [{"name": "test", "user": {"token": "a token of the cluster"}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        }
        path.write_text(yaml.safe_dump(config))
        path.chmod(0o600)
        return path

    # What people do

    def apply(self, document: Mapping[str, Any]) -> Document:
        """Make or alter a resource; a spec that differs is another generation."""
        wanted = copy.deepcopy(dict(document))
        metadata = wanted["metadata"]
        key = (PLURALS[wanted["kind"]], metadata["namespace"], metadata["name"])
        with self.lock:
            known, version = self.objects.get(key), self._next()
            if known is None:
                made = {"uid": f"uid-{version}", "generation": 1, "creationTimestamp": _time(version)}
                wanted["metadata"] = {**metadata, **made}
            else:
                generation = known["metadata"]["generation"] + (known["spec"] != wanted["spec"])
                kept = {name: known["metadata"][name] for name in ("uid", "creationTimestamp")}
                wanted["metadata"] = {**metadata, **kept, "generation": generation}
                wanted["status"] = known.get("status", {})
            return self._store(key, wanted, "MODIFIED" if known else "ADDED")

    def annotate(self, kind: str, namespace: str, name: str, **annotations: str | None) -> None:
        """Set or (None) remove annotations, by the last part of their names."""
        with self.lock:
            known = copy.deepcopy(self.objects[PLURALS[kind], namespace, name])
            there = known["metadata"].setdefault("annotations", {})
            for key, value in annotations.items():
                there[f"{GROUP}/{key.replace('_', '-')}"] = value
                if value is None:
                    del there[f"{GROUP}/{key.replace('_', '-')}"]
            self._store((PLURALS[kind], namespace, name), known, "MODIFIED")

    def delete(self, kind: str, namespace: str, name: str) -> None:
        with self.lock:
            gone = self.objects.pop((PLURALS[kind], namespace, name))
            gone["metadata"]["resourceVersion"] = str(self._next())
            self._tell((PLURALS[kind], namespace, name), "DELETED", gone)

    def secret(self, namespace: str, token: str | None, name: str = "particle-token") -> None:
        with self.lock:
            if token is None:
                self.secrets.pop((namespace, name))
            else:
                self.secrets[namespace, name] = {"token": b64encode(token.encode()).decode()}

    def status(self, namespace: str, name: str, kind: str = FLEET) -> Document:
        with self.lock:
            return copy.deepcopy(self.objects[PLURALS[kind], namespace, name].get("status", {}))

    def fleet(self, namespace: str, name: str) -> Document:
        with self.lock:
            return copy.deepcopy(self.objects[PLURALS[FLEET], namespace, name])

    def writes(self) -> list[str]:
        return [each for each in self.requests if not each.startswith("GET")]

    # What a server does

    def start(self) -> None:
        cluster = self

        class Handler(_Handler):
            fake = cluster

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def stop(self) -> None:
        assert self._server is not None
        self._server.shutdown()
        self._server.server_close()
        self.cut_watches()

    def cut_watches(self) -> None:
        """Every watch ends; what happens from here on nobody hears until they come again."""
        with self.lock:
            for _, _, heard in self._watches:
                heard.put(None)
            self._watches.clear()

    def babble(self, plural: str) -> None:
        """Every watch of a kind hears of something that is no resource."""
        with self.lock:
            for watched, _, heard in self._watches:
                if watched == plural:
                    metadata = {"name": "odd", "namespace": "team-a", "resourceVersion": str(self._next())}
                    heard.put({"type": "ADDED", "object": {"metadata": metadata, "spec": None}})

    def forget(self) -> None:
        """The history is compacted: a watch from before now gets a 410, as a real server sends it."""
        with self.lock:
            self._history.clear()
            self._forgotten = self._version

    def watches(self) -> int:
        with self.lock:
            return len(self._watches)

    @contextmanager
    def watch(self, plural: str, namespace: str, since: int) -> Iterator[queue.Queue[Document | None]]:
        heard: queue.Queue[Document | None] = queue.Queue()
        entry = (plural, namespace, heard)
        with self.lock:
            if since < self._forgotten:
                heard.put({"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}})
                heard.put(None)
            for version, key, event in self._history:
                if version > since and plural == key[0] and namespace in ("", key[1]):
                    heard.put(event)
            self._watches.append(entry)
        try:
            yield heard
        finally:
            with self.lock:
                self._watches = [each for each in self._watches if each is not entry]

    def listed(self, plural: str, namespace: str) -> Document:
        with self.lock:
            items = [
                copy.deepcopy(each)
                for key, each in self.objects.items()
                if key[0] == plural and namespace in ("", key[1])
            ]
            return {"kind": "List", "metadata": {"resourceVersion": str(self._version)}, "items": items}

    def apply_status(self, key: tuple[str, str, str], document: Mapping[str, Any]) -> tuple[int, Document]:
        with self.lock:
            known = copy.deepcopy(self.objects.get(key))
            if known is None:
                return 404, {"message": "not found"}
            if document["metadata"].get("uid") not in {None, known["metadata"]["uid"]}:
                return 409, {"message": "another uid"}
            known["status"] = document["status"]
            self.told.append(copy.deepcopy(known))
            return 200, self._store(key, known, "MODIFIED")

    def _store(self, key: tuple[str, str, str], document: Document, what: str) -> Document:
        document["metadata"]["resourceVersion"] = str(self._next())
        self.objects[key] = document
        self._tell(key, what, document)
        return copy.deepcopy(document)

    def _tell(self, key: tuple[str, str, str], what: str, document: Document) -> None:
        self._history.append((self._version, key, {"type": what, "object": copy.deepcopy(document)}))
        for plural, namespace, heard in self._watches:
            if plural == key[0] and namespace in ("", key[1]):
                heard.put({"type": what, "object": copy.deepcopy(document)})

    def _next(self) -> int:
        self._version += 1
        return self._version


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    fake: FakeCluster

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the library's name
        pass

    def do_GET(self) -> None:
        path, query, refused = self._begin()
        parts = path.strip("/").split("/")
        if refused:
            return
        if found := _discovery(path):
            self._answer(200, found)
        elif parts[:2] == ["api", "v1"] and "secrets" in parts:
            data = self.fake.secrets.get((parts[3], parts[5]))
            self._answer(404 if data is None else 200, {"data": data} if data else {"message": "not found"})
        else:
            namespace, plural = _place(parts)
            if query.get("watch"):
                self._watch(plural, namespace, int(query.get("resourceVersion") or 0))
            else:
                self._answer(200, self.fake.listed(plural, namespace))

    def do_PATCH(self) -> None:
        path, _, refused = self._begin()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        parts = path.strip("/").split("/")
        if refused:
            return
        if parts[-1] == "status":
            self._answer(*self.fake.apply_status((parts[5], parts[4], parts[6]), body))
            return
        for event in self.fake.events:
            if event["metadata"]["name"] == parts[-1]:
                event.update(body)
        self._answer(200, {})

    def do_POST(self) -> None:
        _, _, refused = self._begin()
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if not refused:
            self.fake.events.append(body)
            self._answer(201, body)

    def _begin(self) -> tuple[str, dict[str, str], bool]:
        split = urlsplit(self.path)
        said = f"{self.command} {self.path}"
        self.fake.requests.append(said)
        for part, answers in self.fake.refusals.items():
            if part in said and answers:
                status, headers = answers.pop(0)
                self._answer(status, {"kind": "Status", "code": status, "message": "as asked"}, headers)
                return split.path, {}, True
        return split.path, dict(parse_qsl(split.query)), False

    def _answer(self, status: int, document: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> None:
        content = json.dumps(document).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _watch(self, plural: str, namespace: str, since: int) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        with self.fake.watch(plural, namespace, since) as heard:
            while (event := heard.get()) is not None:
                try:
                    self.wfile.write(json.dumps(event).encode() + b"\n")
                    self.wfile.flush()
                except OSError:
                    return


def _place(parts: list[str]) -> tuple[str, str]:
    return (parts[4], parts[5]) if parts[3] == "namespaces" else ("", parts[3])


def _time(version: int) -> str:
    return f"2026-01-01T00:{version // 60 % 60:02}:{version % 60:02}Z"


def _discovery(path: str) -> Document | None:
    version = {"groupVersion": API_VERSION, "version": VERSION}
    resources = [
        {
            "name": plural,
            "kind": kind,
            "singularName": kind.lower(),
            "namespaced": True,
            "verbs": ["list", "watch", "patch"],
        }
        for plural, kind in KINDS.items()
    ]
    crds, definitions = "apiextensions.k8s.io", {"groupVersion": "apiextensions.k8s.io/v1", "version": "v1"}
    groups = [
        {"name": GROUP, "versions": [version], "preferredVersion": version},
        {"name": crds, "versions": [definitions], "preferredVersion": definitions},
    ]
    return {
        "/api": {"versions": ["v1"]},
        "/api/v1": {"groupVersion": "v1", "resources": [_cluster_wide("namespaces", "Namespace")]},
        "/apis": {"groups": groups},
        f"/apis/{crds}/v1": {"resources": [_cluster_wide("customresourcedefinitions", "CustomResourceDefinition")]},
        f"/apis/{GROUP}/{VERSION}": {"groupVersion": API_VERSION, "resources": resources},
    }.get(path)


def _cluster_wide(plural: str, kind: str) -> Document:
    return {"name": plural, "kind": kind, "singularName": "", "namespaced": False, "verbs": ["list", "watch"]}
