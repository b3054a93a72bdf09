"""A real Kubernetes API server with its etcd on loopback, for tests: RBAC, certificates, tokens of service accounts.

    with running_api_server(tmp_path) as server:
        admin = server.admin()                                   # may do everything
        admin.apply(manifest)                                    # server-side, with strict validation
        account = server.as_service_account("fleets", "reconciler")   # may do what RBAC says
        server.kubeconfig(tmp_path / "kubeconfig", account)      # for kopf and others
        server.kill(); server.start()                            # the same address, the same data
        with server.paused(): ...                                # it accepts connections and answers nothing
        with server.slow(): ...                                  # it answers late
        server.compact()                                         # etcd forgets older revisions

No controller manager and no scheduler run: nothing becomes of a Deployment, and a deleted namespace never goes away.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import threading
import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import requests
import yaml

from tests.kube.certificates import Authority
from tests.kube.client import Client
from tests.kube.components import component

START_SECONDS_MAX: Final = 240.0
"""The API server is up in some seconds; on a machine that is busy with eight others it takes minutes."""
POLL_SECONDS: Final = 0.1
AWAKE_SECONDS: Final = 0.1
ASLEEP_SECONDS: Final = 0.4
HOST: Final = "127.0.0.1"


class ApiServer:
    """etcd and kube-apiserver, as processes with a folder and ports of their own."""

    def __init__(self, folder: Path, *, flags: Sequence[str] = ()) -> None:
        self.folder = folder
        self.flags = tuple(flags)
        self.programs = {name: component(name) for name in ("etcd", "kube-apiserver")}
        self.authority = Authority(folder / "certificates")
        self._serving = self.authority.issue("kube-apiserver", address=HOST)
        self._admin = self.authority.issue("admin", organisation="system:masters")
        self._tokens = self.authority.signing_key("tokens")
        self._port, self._etcd_port, self._peer_port = free_ports(3)
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    @property
    def address(self) -> str:
        """Where it listens; the same after every start."""
        return f"https://{HOST}:{self._port}"

    def start(self) -> None:
        """Start what does not run, and wait until the API server is ready."""
        if not self._runs("etcd"):
            self._start_etcd()
        if not self._runs("kube-apiserver"):
            self._start_api_server()
        ready = self.admin()
        self._until("kube-apiserver", ready.is_ready)

    def kill(self, name: str = "kube-apiserver") -> None:
        """End the API server, or `etcd`, as a crash would."""
        process = self._running.pop(name)
        process.kill()
        process.wait()

    def stop(self) -> None:
        """End everything."""
        for name in tuple(self._running)[::-1]:
            self.kill(name)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """The API server keeps its connections and answers nothing."""
        process = self._running["kube-apiserver"]
        process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            process.send_signal(signal.SIGCONT)

    @contextmanager
    def slow(self) -> Iterator[None]:
        """Every answer takes its time: of each half second the API server sleeps for most."""
        process, over = self._running["kube-apiserver"], threading.Event()

        def slow_down() -> None:
            while not over.wait(AWAKE_SECONDS):
                process.send_signal(signal.SIGSTOP)
                over.wait(ASLEEP_SECONDS)
                process.send_signal(signal.SIGCONT)

        thread = threading.Thread(target=slow_down, name="slow API server")
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def restart(self, *flags: str) -> None:
        """End the API server as a crash would, and begin it with these further flags."""
        self.kill()
        self.flags = flags
        self.start()

    def compact(self) -> int:
        """Have etcd forget all revisions but the newest, which is returned."""
        etcd = f"http://{HOST}:{self._etcd_port}/v3/kv"
        header = requests.post(f"{etcd}/range", json={"key": b64encode(b"/").decode()}, timeout=30).json()["header"]
        answer = requests.post(
            f"{etcd}/compaction", json={"revision": header["revision"], "physical": True}, timeout=60
        )
        answer.raise_for_status()
        return int(header["revision"])

    def admin(self) -> Client:
        """Somebody who may do everything, by certificate."""
        pair = self._admin
        return Client(self.address, trusts=self.authority.certificate, certificate=(pair.certificate, pair.key))

    def anonymous(self) -> Client:
        """Somebody without credentials."""
        return Client(self.address, trusts=self.authority.certificate)

    def as_user(self, name: str, *, group: str = "") -> Client:
        """A person, by certificate: may do what RBAC says of the name and the group."""
        pair = self.authority.issue(name, organisation=group)
        return Client(self.address, trusts=self.authority.certificate, certificate=(pair.certificate, pair.key))

    def as_service_account(self, namespace: str, name: str) -> Client:
        """A service account, by a token of an hour; it is made if it is not there."""
        admin = self.admin()
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"namespace": namespace, "name": name}}
        admin.apply(account, manager="tests-accounts")
        request = {
            "apiVersion": "authentication.k8s.io/v1",
            "kind": "TokenRequest",
            "spec": {"expirationSeconds": 3600},
        }
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        token = str(admin.call("POST", path, request)["status"]["token"])
        return Client(self.address, trusts=self.authority.certificate, token=token)

    def kubeconfig(self, path: Path, client: Client | None = None, *, namespace: str = "default") -> Path:
        """Write how to reach this server as that client (left out: as the administrator)."""
        user: dict[str, str]
        if client is not None and client.token:
            user = {"token": client.token}
        else:
            certificate, key = (client and client.certificate) or (self._admin.certificate, self._admin.key)
            user = {"client-certificate": str(certificate), "client-key": str(key)}
        cluster = {"server": self.address, "certificate-authority": str(self.authority.certificate)}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
        }
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        return path

    def log(self, name: str = "kube-apiserver") -> str:
        """What a program wrote."""
        return (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")

    def _start_etcd(self) -> None:
        clients, peers = f"http://{HOST}:{self._etcd_port}", f"http://{HOST}:{self._peer_port}"
        command = ["--data-dir", str(self.folder / "etcd"), "--name", "test", "--initial-cluster", f"test={peers}"]
        command += ["--listen-client-urls", clients, "--advertise-client-urls", clients]
        command += ["--listen-peer-urls", peers, "--initial-advertise-peer-urls", peers]
        self._run("etcd", command)
        self._until("etcd", lambda: requests.get(f"{clients}/health", timeout=5).json()["health"] == "true")

    def _start_api_server(self) -> None:
        flags = {
            "advertise-address": HOST,
            "authorization-mode": "RBAC",
            "bind-address": HOST,
            "client-ca-file": self.authority.certificate,
            "endpoint-reconciler-type": "none",
            "etcd-servers": f"http://{HOST}:{self._etcd_port}",
            "secure-port": self._port,
            "service-account-issuer": "https://kubernetes.default.svc",
            "service-account-key-file": self._tokens.certificate,
            "service-account-signing-key-file": self._tokens.key,
            "service-cluster-ip-range": "10.0.0.0/24",
            "tls-cert-file": self._serving.certificate,
            "tls-private-key-file": self._serving.key,
        }
        self._run("kube-apiserver", [*(f"--{name}={value}" for name, value in flags.items()), *self.flags])

    def _run(self, name: str, arguments: Sequence[str]) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._running[name] = subprocess.Popen(
                [str(self.programs[name]), *arguments], stdout=log, stderr=log, cwd=self.folder
            )

    def _runs(self, name: str) -> bool:
        process = self._running.get(name)
        return process is not None and process.poll() is None

    def _until(self, name: str, is_so: Callable[[], bool]) -> None:
        end = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < end and self._runs(name):
            with contextlib.suppress(requests.RequestException, json.JSONDecodeError):
                if is_so():
                    return
            time.sleep(POLL_SECONDS)
        raise RuntimeError(f"{name} did not become ready:\n{self.log(name)[-4000:]}")


def free_ports(count: int) -> tuple[int, ...]:
    """Ports on loopback that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((HOST, 0))
        return tuple(each.getsockname()[1] for each in sockets)


@contextmanager
def running_api_server(folder: Path, *, flags: Sequence[str] = ()) -> Iterator[ApiServer]:
    """A server of its own, ready; `flags` are further ones of kube-apiserver, such as `--max-requests-inflight=2`."""
    server = ApiServer(folder, flags=flags)
    try:
        server.start()
        yield server
    finally:
        server.stop()
