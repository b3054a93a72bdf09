"""`reconciler retry DEVICE…|--fleet FLEET --all`: try devices again, whatever failed on them before."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from reconciler.cli.display_options import output_options
from reconciler.cli.found_device import find_device
from reconciler.cli.journal_options import by_option, journal_option
from reconciler.cli.word import journal_of_runs, moment, speaker_on, tell, word_output_option
from reconciler.controller.words.retrying import retry, retry_fleet
from reconciler.journal.location import JournalPlace
from reconciler.model.device import DeviceId, is_device_id


@click.command("retry")
@click.argument("devices", metavar="DEVICE…", nargs=-1)
@click.option("--fleet", metavar="FLEET", help="With --all: the fleet.")
@click.option("--all", "everything", is_flag=True, help="Every device of the fleet on which something failed.")
@click.option(
    "--observed",
    type=click.Path(path_type=Path, dir_okay=False),
    help="A snapshot that knows the devices' names; the journal knows their ids alone.",
)
@by_option
@journal_option
@word_output_option
@output_options("quiet")
def command(
    devices: tuple[str, ...],
    fleet: str | None,
    everything: bool,
    observed: Path | None,
    by: str,
    journal: JournalPlace | None,
    output: str,
    quiet: bool,
) -> None:
    """Try DEVICE (its id, or its name with --observed) again in the next pass, and forget what failed on it so far.

    What is forgotten does not count against the rollout either, and no longer holds the device. It lifts neither the
    halt of a fleet (`resume FLEET`) nor the hold of a device that somebody kept setting back (`resume --device ID`),
    and says where one is.

    Exit codes: 0 done, 1 a device had nothing that failed, 2 usage.
    """
    if bool(devices) == everything or (fleet is not None) != everything:
        raise click.UsageError("name one DEVICE or more, or give --fleet FLEET --all")
    wanted = _ids(devices, observed)
    with journal_of_runs(journal) as kept:
        at, speaker = moment(kept), speaker_on(kept, by)
        told = retry(speaker, wanted) if fleet is None else retry_fleet(speaker, fleet)
        tell("retry", told, at=at, by=by, output=output, quiet=quiet)


def _ids(devices: Sequence[str], observed: Path | None) -> tuple[DeviceId, ...]:
    if observed is not None:
        # Imported here: only names need the machinery of planning.
        from reconciler.cli.inputs import read_snapshot

        observation = read_snapshot(observed)
        return tuple(dict.fromkeys(find_device(observation, name).id for name in devices))
    names = [name for name in devices if not is_device_id(name.lower())]
    if names:
        message = f"the journal knows devices by their ids, 24 hexadecimal digits: {names[0]!r} is none"
        raise click.BadParameter(f"{message}; with --observed FILE a snapshot tells their names", param_hint="DEVICE")
    return tuple(dict.fromkeys(DeviceId(name.lower()) for name in devices))
