"""The chart as a release in a cluster, by helm as a person runs it."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.kube.api_server import ApiServer
from tests.kube.components import component
from tests.kube.helm import helm


class Release:
    """`notes` are what helm said when it was installed."""

    def __init__(self, server: ApiServer, folder: Path, *, namespace: str) -> None:
        self.namespace = namespace
        self.server = server
        self.admin = server.admin()
        self.folder = folder
        self.notes = ""
        self.environment = {"KUBECONFIG": str(server.kubeconfig(folder / "admin")), "HOME": str(folder)}

    def helm(self, verb: str, *arguments: str) -> str:
        return helm(verb, "trial", *arguments, "--namespace", self.namespace, environment=self.environment)

    def kubectl(self, command: str) -> str:
        """A command as the notes have it."""
        program, *arguments = shlex.split(command)
        assert program == "kubectl"
        done = subprocess.run(
            [component("kubectl"), *arguments],
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr)
        return done.stdout

    def settings(self) -> dict[str, Any]:
        """What the operator's pod would be told."""
        (text,) = (
            each["data"]["settings.yaml"]
            for each in self.admin.items("v1", "ConfigMap", namespace=self.namespace)
            if "settings.yaml" in each.get("data", {})
        )
        found: dict[str, Any] = yaml.safe_load(text)
        return found

    def account(self) -> Path:
        """The kubeconfig of the account that its pod has."""
        (deployment,) = self.admin.items("apps/v1", "Deployment", namespace=self.namespace)
        name = deployment["spec"]["template"]["spec"]["serviceAccountName"]
        config = self.server.kubeconfig(self.folder / "account", self.server.as_service_account(self.namespace, name))
        config.chmod(0o600)
        return config
