"""How the API server is reached: by a kubeconfig, or from within a pod by its service account.

The token of a service account is replaced about every hour, so its file is read for every request. Of a kubeconfig
certificates, tokens and files of tokens are used; programs that make tokens are not run.
"""

from __future__ import annotations

import os
import tempfile
from base64 import b64decode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from reconciler.model.error import OperatorError

_ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_NO_ACCESS: Final = "PFR6952"


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where it is and who we are. Files are read whenever they are used."""

    server: str
    authority: Path | None = None
    token: str | None = None
    token_file: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    def bearer(self) -> str | None:
        """The token that is good now; None: a certificate says who we are. Raises OSError."""
        if self.token_file is not None:
            return self.token_file.read_text(encoding="utf-8").strip()
        return self.token

    def __repr__(self) -> str:
        return f"Access({self.server})"


def access_of(kubeconfig: Path | None, folder: Path) -> Access:
    """By a kubeconfig, or (None) by the pod's service account. What stands in it as data is put into `folder`.

    Raises OperatorError PFR6952: neither can be used.
    """
    return _of_pod() if kubeconfig is None else _of_kubeconfig(kubeconfig, folder)


def _of_pod() -> Access:
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT", "443")
    if not host or not (_ACCOUNT / "token").exists():
        next_step = "run it in a pod with a service account, or give kubernetes.kubeconfig"
        raise OperatorError(_NO_ACCESS, "this is no pod of a cluster", next_step=next_step)
    address = f"[{host}]" if ":" in host else host
    return Access(
        server=f"https://{address}:{port}",
        authority=_ACCOUNT / "ca.crt",
        token_file=_ACCOUNT / "token",
    )


def _of_kubeconfig(path: Path, folder: Path) -> Access:
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        context = _named(config, "contexts", "context", config["current-context"])
        cluster = _named(config, "clusters", "cluster", context["cluster"])
        user = _named(config, "users", "user", context["user"])
        return Access(
            server=str(cluster["server"]).rstrip("/"),
            authority=_file(cluster, "certificate-authority", path.parent, folder),
            token=user.get("token"),
            token_file=_file(user, "tokenFile", path.parent, folder),
            certificate=_file(user, "client-certificate", path.parent, folder),
            key=_file(user, "client-key", path.parent, folder),
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, yaml.YAMLError) as error:
        message = f"the kubeconfig {path} cannot be used: {type(error).__name__}: {error}"
        next_step = "it needs a current context whose user has a certificate, a token or a file of one"
        raise OperatorError(_NO_ACCESS, message, next_step=next_step) from None


def _named(config: Mapping[str, Any], plural: str, what: str, name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = next(each[what] for each in [*config[plural], {"name": name}] if each["name"] == name)
    return found


def _file(part: Mapping[str, Any], key: str, beside: Path, folder: Path) -> Path | None:
    if key in part:
        return beside / str(part[key])
    if f"{key}-data" not in part:
        return None
    handle, name = tempfile.mkstemp(dir=folder)
    with os.fdopen(handle, "wb") as file:
        file.write(b64decode(part[f"{key}-data"]))
    return Path(name)
