"""Options that several commands share. The access token has no flag: values of flags end up in histories and logs."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import click

from reconciler.model.error import OperatorError
from reconciler.particle.token import AccessToken, TokenSource
from reconciler.particle.token_file import TokenFile

DEFAULT_API_URL: Final = "https://api.particle.io"
TOKEN_VARIABLE: Final = "PARTICLE_ACCESS_TOKEN"  # noqa: S105  # the variable's name, no token

Command = TypeVar("Command", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True, kw_only=True)
class CloudAccess:
    """Where the API is, and the right to use it."""

    api_url: str
    token: TokenSource


def cloud_options(command: Command) -> Command:
    """Adds `--api-url` and `--token-file`; the command gets `api_url` and `token_file` for `cloud_access`."""
    command = click.option(
        "--token-file",
        type=click.Path(path_type=Path, dir_okay=False),
        help="File that holds the access token alone; it may be replaced meanwhile. Without it the token comes from "
        f"{TOKEN_VARIABLE}.",
    )(command)
    return click.option(
        "--api-url",
        envvar="PARTICLE_API_URL",
        default=DEFAULT_API_URL,
        show_default=True,
        show_envvar=True,
        metavar="URL",
        help="Where the Particle API is.",
    )(command)


def cloud_access(api_url: str, token_file: Path | None) -> CloudAccess:
    """The API's address and the token, from the file if one is given, else from the environment.

    Raises:
        OperatorError: PFR3001 no token anywhere; PFR3010 it cannot be one; PFR3011 the address cannot be one; PFR3012
            the file cannot be read.
    """
    # Imported here: a plan on a snapshot has this option and needs no network.
    from reconciler.particle.session import checked_api_url

    return CloudAccess(api_url=checked_api_url(api_url), token=_token(token_file))


def _token(token_file: Path | None) -> TokenSource:
    if token_file is not None:
        return TokenFile(token_file)
    text = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not text:
        raise OperatorError(
            "PFR3001",
            f"no access token: {TOKEN_VARIABLE} is not set",
            next_step=f"make a token for an API user with the scopes it needs, and put it into {TOKEN_VARIABLE} or a "
            "file for --token-file",
        )
    return AccessToken(text)
