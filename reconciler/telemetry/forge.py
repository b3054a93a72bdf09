"""The status of a commit on GitHub and GitLab, as their documents say.

- GitHub: https://docs.github.com/rest/commits/statuses (description of at most 140 characters)
- GitLab: https://docs.gitlab.com/api/commits/#set-commit-pipeline-status (255; the same state again is an error, 400)
"""

from __future__ import annotations

import json
from typing import Final
from urllib.parse import quote

from reconciler.render.ink import harmless
from reconciler.settings.settings import ChannelKind, ChannelSettings
from reconciler.telemetry.channel import ChannelError, CommitState, CommitStatus
from reconciler.telemetry.posting import Poster, checked_url
from reconciler.telemetry.secrets_of_channels import address_of, secret_of

_DESCRIPTION_MAX: Final = {ChannelKind.GITHUB: 140, ChannelKind.GITLAB: 255}

_OF_GITLAB: Final = {
    CommitState.PENDING: "running",
    CommitState.SUCCESS: "success",
    CommitState.FAILURE: "failed",
}


class ForgeChannel:
    """`StatusChannel` on GitHub or GitLab. `url` is the address of the API, where it is not the public one."""

    def __init__(self, settings: ChannelSettings, poster: Poster) -> None:
        """Raises ChannelError."""
        if not settings.repository:
            raise ChannelError(settings.name, f"a channel of kind {settings.kind} needs repository, such as owner/name")
        self._settings = settings
        self._repository = settings.repository
        self._poster = poster
        self._api()
        secret_of(settings)

    def post(self, status: CommitStatus, *, timeout_seconds: float) -> None:
        """See `StatusChannel`."""
        kind, token = self._settings.kind, secret_of(self._settings)
        context = f"particle-fleet/{self._settings.name}"
        description = harmless(status.description)[: _DESCRIPTION_MAX[kind]]
        commit = quote(status.commit, safe="")
        headers = {"Content-Type": "application/json"}
        if kind is ChannelKind.GITHUB:
            url = f"{self._api()}/repos/{quote(self._repository)}/statuses/{commit}"
            document = {"state": status.state.value, "context": context, "description": description}
            headers |= {"Authorization": f"Bearer {token}", "Accept": "application/vnd.github+json"}
        else:
            url = f"{self._api()}/projects/{quote(self._repository, safe='')}/statuses/{commit}"
            document = {"state": _OF_GITLAB[status.state], "name": context, "description": description}
            headers |= {"PRIVATE-TOKEN": token}
        self._poster.post(
            url,
            json.dumps(document).encode(),
            headers,
            timeout_seconds=timeout_seconds,
            fine=(400, "Cannot transition status") if kind is ChannelKind.GITLAB else None,
        )

    def _api(self) -> str:
        public = "https://api.github.com" if self._settings.kind is ChannelKind.GITHUB else "https://gitlab.com/api/v4"
        try:
            return checked_url(address_of(self._settings, public), encrypted=True).rstrip("/")
        except ValueError as error:
            raise ChannelError(self._settings.name, str(error)) from None
