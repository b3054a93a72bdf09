"""`reconciler`: the group of all commands.

A command's module is imported only when the command is used, so that `plan` loads neither a web server nor a database.
Errors that a person can act on end with their code, message and next step on standard error, and exit code 1.
"""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import textwrap
from typing import Any, Final

import click

from reconciler import __version__
from reconciler.cli.crash import mistake_of_ours, watch_threads
from reconciler.model.error import ReconcilerError

COMMANDS: Final = {
    "validate": ("reconciler.cli.validate", "Check manifests; all errors at once."),
    "plan": ("reconciler.cli.plan", "Show what would happen to which device, and why."),
    "apply": ("reconciler.cli.apply", "Bring the fleet to its desired state."),
    "approve": ("reconciler.cli.approve", "Agree to a plan, for a fleet or for a wave of it."),
    "explain": ("reconciler.cli.explain", "Say what is planned for one device, and why."),
    "drift": ("reconciler.cli.drift", "Say where the fleet differs from the manifests."),
    "status": ("reconciler.cli.status", "Say what is under way and where every fleet stands."),
    "observe": ("reconciler.cli.observe", "Write a snapshot of the devices."),
    "controller": ("reconciler.cli.controller", "Watch a Git repository, and keep the fleets as it says."),
    "worker": ("reconciler.cli.worker", "More hands for controllers of one journal in PostgreSQL."),
    "operator": ("reconciler.cli.operator", "Keep the fleets as a cluster's resources say."),
    "adopt": ("reconciler.cli.adopt", "Write manifests for a fleet as it is."),
    "history": ("reconciler.cli.history", "Tell what happened, rollout by rollout."),
    "halt": ("reconciler.cli.halt", "Start nothing more in a fleet, until `resume`."),
    "suspend": ("reconciler.cli.suspend", "Start nothing in a fleet for a while."),
    "resume": ("reconciler.cli.resume", "Lift the halt and the suspension of a fleet."),
    "retry": ("reconciler.cli.retry", "Try devices again, whatever failed on them."),
    "reconcile": ("reconciler.cli.reconcile", "Have the controller look at once."),
    "accept": ("reconciler.cli.accept", "Take a commit that the controller refuses."),
    "force-unlock": ("reconciler.cli.force_unlock", "Take the right to write away from a run that hangs."),
    "journal": ("reconciler.cli.journal", "Check, back up and compact the journal."),
    "support-bundle": ("reconciler.cli.support_bundle", "Gather what explains a problem, without secrets."),
    "firmware": ("reconciler.cli.firmware", "Look into module binaries."),
    "catalog": ("reconciler.cli.catalog", "Build, show and check the release catalog."),
    "usb": ("reconciler.cli.usb.group", "See, plan and update devices on this machine's USB."),
    "bundle": ("reconciler.cli.bundle", "All that a bench without network needs, in one file."),
    "crds": ("reconciler.cli.crds", "Print the definitions of the manifests for Kubernetes."),
    "emulate": ("reconciler.cli.emulate", "Serve a pretend Particle cloud with devices."),
    "demo": ("reconciler.cli.demo.tour", "The guided tour, on a pretend cloud."),
}
"""Name -> module with a click command called `command`, and the line that help shows."""

_ERROR: Final = 1
_USAGE_IS_AN_ERROR: Final = frozenset({"plan", "drift", "apply"})
"""Commands whose exit code 2 means something else, or nothing (contracts section 5)."""


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002  # click passes it
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002  # click passes it
        if cmd_name not in COMMANDS:
            return None
        command = importlib.import_module(COMMANDS[cmd_name][0]).command
        assert isinstance(command, click.Command)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args[0] not in COMMANDS and not args[0].startswith("-"):
            close = difflib.get_close_matches(args[0], COMMANDS, n=1)
            ctx.fail(f"No such command '{args[0]}'." + (f" Did you mean '{close[0]}'?" if close else ""))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except click.UsageError as error:
            if ctx.invoked_subcommand in _USAGE_IS_AN_ERROR:
                error.show()
                ctx.exit(_ERROR)
            raise

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002  # click passes it
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])


@click.group(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="reconciler")
def cli() -> None:
    """Keep a fleet of Particle devices at the Device OS and application that its manifests declare."""


def main() -> None:
    """The entry point: run a command, and turn errors into words and exit codes."""
    watch_threads()
    try:
        cli(standalone_mode=True)
    except ReconcilerError as error:
        click.echo(_for_the_screen(f"error: {error}"), err=True)
        sys.exit(_ERROR)
    except Exception as error:  # noqa: BLE001  # whatever it is, a person must be told that it is not their mistake
        click.echo(_for_the_screen(f"error: {mistake_of_ours(error)}"), err=True)
        sys.exit(_ERROR)


def _for_the_screen(text: str) -> str:
    """Wrapped at words on a terminal; as it is where a program may read it."""
    if not sys.stderr.isatty():
        return text
    try:
        width = max(40, min(120, os.get_terminal_size(sys.stderr.fileno()).columns))
    except OSError:
        width = 80
    return "\n".join(
        textwrap.fill(line, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    )
