"""`reconciler usb list|plan|apply|bench|udev-rules`: devices on this machine's USB."""

from __future__ import annotations

import click

from reconciler.cli.usb.applying import apply_command
from reconciler.cli.usb.benching import bench_command
from reconciler.cli.usb.listing import list_command, rules_command
from reconciler.cli.usb.planning import plan_command


@click.group("usb")
def command() -> None:
    """See, plan and update devices on this machine's USB."""


command.add_command(list_command)
command.add_command(plan_command)
command.add_command(apply_command)
command.add_command(bench_command)
command.add_command(rules_command)
