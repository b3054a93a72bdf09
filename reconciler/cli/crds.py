"""`reconciler crds`: the manifests as resources of Kubernetes."""

from __future__ import annotations

import click

from reconciler.render.crds import definitions_text


@click.command("crds")
def command() -> None:
    """Print the CustomResourceDefinitions of all kinds of manifests.

    With them a manifest is a resource of a cluster: reconciler crds | kubectl apply --server-side -f -
    """
    click.echo(definitions_text(), nl=False)
