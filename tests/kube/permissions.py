"""A service account with the rights that the chart gives to the operator, and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import yaml

from reconciler.render.crds import definitions
from tests.kube.api_server import ApiServer

CHART: Final = Path(__file__).parents[2] / "charts" / "reconciler" / "templates" / "rbac.yaml"
NAMESPACE: Final = "fleets"
RBAC: Final = "rbac.authorization.k8s.io"


def chart_rules() -> list[dict[str, object]]:
    """The rules as they stand in the chart; `tests/kube/test_chart.py` renders the rest of it."""
    text = CHART.read_text(encoding="utf-8").partition("{{- end }}")[0]
    lines = [line for line in text.splitlines() if "define" not in line]
    rules: list[dict[str, object]] = yaml.safe_load(
        "\n".join(lines).replace("{{ .Values.particle.tokenSecret | quote }}", "particle-token")
    )
    return rules


def account_of_operator(server: ApiServer, folder: Path) -> Path:
    """Install the definitions and the account, and write its kubeconfig."""
    admin = server.admin()
    admin.apply_crds(definitions())
    admin.namespace(NAMESPACE)
    account = server.as_service_account(NAMESPACE, "reconciler")
    role = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "reconciler"}}
    admin.apply({**role, "rules": chart_rules()})
    subject = {"kind": "ServiceAccount", "name": "reconciler", "namespace": NAMESPACE}
    binding = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "reconciler"}}
    admin.apply(
        {
            **binding,
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "reconciler"},
            "subjects": [subject],
        }
    )
    config = server.kubeconfig(folder / "kubeconfig", account)
    config.chmod(0o600)
    return config
