"""`reconciler emulate`: serve a pretend Particle cloud with devices, until interrupted."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import click

from reconciler.emulator.records import RequestRecord
from reconciler.emulator.serve import EmulatorServer
from reconciler.emulator.world import World, WorldError, demo_world, load_world


@click.command()
@click.option(
    "--world", "world_file", type=click.Path(path_type=Path), help="World file; left out: the demonstration's."
)
@click.option("--port", default=8089, show_default=True, type=click.IntRange(0, 65535), help="Port; 0: a free one.")
@click.option(
    "--speed", default=60.0, show_default=True, type=click.FloatRange(min=0), help="Virtual seconds per real second."
)
@click.option("--seed", default=7, show_default=True, help="One seed, one history.")
@click.option("--journal", type=click.Path(path_type=Path), help="Append every request to this file, as JSON lines.")
@click.option(
    "--firmware",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="Real binaries: DIR/<platform>/<Device OS version>/*.bin.",
)
@click.option(
    "--write-catalog",
    type=click.Path(path_type=Path),
    help="Write the release catalog that goes with the served binaries to this file.",
)
def command(
    world_file: Path | None,
    port: int,
    speed: float,
    seed: int,
    journal: Path | None,
    firmware: Path | None,
    write_catalog: Path | None,
) -> None:
    """Serve a pretend Particle cloud with devices, until interrupted.

    The control door is under /_emulator/: devices, faults, clock, rules, requests, referee.
    """
    world = _world(world_file)
    folder = world_file.parent if world_file else Path()
    with _journal(journal) as lines:

        def write_down(record: RequestRecord) -> None:
            if lines is not None:
                lines.write(json.dumps(record.document()) + "\n")
                lines.flush()

        server = EmulatorServer(
            world,
            port=port,
            speed=speed,
            seed=seed,
            firmware=firmware,
            read_file=lambda name: (folder / name).read_bytes(),
            on_request=write_down,
        )
        with contextlib.closing(server), contextlib.suppress(KeyboardInterrupt):
            if write_catalog is not None:
                _write(write_catalog, json.dumps(server.catalog.document(), indent=1) + "\n")
            _announce(server, world, speed=speed, seed=seed)
            server.serve_forever()
        click.echo("stopped", err=True)


def _announce(server: EmulatorServer, world: World, *, speed: float, seed: int) -> None:
    devices = server.cloud.state.devices
    click.echo(f"Particle cloud, emulated, at {server.url}")
    click.echo(f"  {len(devices)} devices, {len(world.products)} products, speed {speed:g}, seed {seed}")
    click.echo(f"  tokens: {', '.join(line.name for line in world.tokens)} (as written in the world file)")
    if server.binaries.real_count:
        click.echo(f"  {server.binaries.real_count} modules are the vendor's own binaries")
    click.echo(f"  control door: {server.url}/_emulator/devices, /faults, /clock, /requests, /referee")
    click.echo("  Ctrl-C ends it.")


def _world(path: Path | None) -> World:
    if path is None:
        return demo_world()
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        words = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise WorldError(
            "PFR6207", f"{path} cannot be read: {words}", next_step="Give the path of a world file to --world."
        ) from error
    return load_world(text, name=str(path))


@contextlib.contextmanager
def _journal(path: Path | None) -> Iterator[TextIO | None]:
    if path is None:
        yield None
        return
    try:
        lines = path.open("a", encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error) from error
    with lines:
        yield lines


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise _unwritable(path, error) from error


def _unwritable(path: Path, error: OSError) -> WorldError:
    return WorldError(
        "PFR6208",
        f"{path} cannot be written: {error.strerror}",
        next_step="Give a path in a folder that you may write to.",
    )
