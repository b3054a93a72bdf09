"""The settings of a controller as values. Files are named, never their secrets: whoever uses one reads it when it does.

`schemas/controllersettings.v1alpha1.schema.json` is the same for the file that people write.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

RESOURCES_INTERVAL_SECONDS: Final = 30.0
"""Resources of a cluster are looked at when one has changed; so often they are looked at all the same."""


class Reference(StrEnum):
    """What of a repository is followed."""

    BRANCH = "branch"
    TAG = "tag"
    COMMIT = "commit"


class Verification(StrEnum):
    """Whose signature counts: the commit's, the tag's, or both."""

    COMMIT = "commit"
    TAG = "tag"
    BOTH = "both"


class WebhookKind(StrEnum):
    """How a webhook says that a push has come, and how it is signed."""

    GITHUB = "github"
    GITLAB = "gitlab"
    GITEA = "gitea"
    GENERIC = "generic"


class Role(StrEnum):
    """What the bearer of a token may do; each one may do what those before it may."""

    READ = "read"
    APPROVE = "approve"
    OPERATE = "operate"


class ChannelKind(StrEnum):
    """Where people are told."""

    SLACK = "slack"
    TEAMS = "teams"
    WEBHOOK = "webhook"
    EMAIL = "email"
    GITHUB = "github"
    GITLAB = "gitlab"


@dataclass(frozen=True, slots=True, kw_only=True)
class SignatureSettings:
    """Who may sign. `openpgp_keys` is a file of armoured public keys, `allowed_signers` one of SSH keys.

    `every_commit`: since the last revision that was taken each one must be signed, on every side of a merge.
    """

    of: Verification = Verification.COMMIT
    openpgp_keys: str | None = None
    allowed_signers: str | None = None
    every_commit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class GitSettings:
    """A Git repository to follow. `url` is HTTPS, SSH or a path; `folder` is where the manifests lie in it."""

    url: str
    reference: Reference = Reference.BRANCH
    reference_name: str = "main"
    folder: str = ""
    interval_seconds: float = 60.0
    username: str = "git"
    token_file: str | None = None
    ca_file: str | None = None
    ssh_key_file: str | None = None
    known_hosts_file: str | None = None
    signatures: SignatureSettings | None = None
    mirror: str = "mirror.git"


@dataclass(frozen=True, slots=True, kw_only=True)
class KubernetesSettings:
    """The cluster whose resources are desired. `watch_namespaces` empty: all of them.

    `token_secret` is the Secret of every namespace that has its access token, under `token_key`. `kubeconfig` None: as
    the pod's own service account.
    """

    watch_namespaces: tuple[str, ...] = ()
    token_secret: str = "particle-token"  # noqa: S105  # the Secret's name
    token_key: str = "token"  # noqa: S105  # a key's name
    kubeconfig: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """Who may say that a push has come."""

    kind: WebhookKind
    secret_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticleSettings:
    """The cloud. `token_file` may be replaced while the controller runs."""

    token_file: str | None = None
    api_url: str = "https://api.particle.io"
    firmware_cache: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardSettings:
    """What a new commit may change before it needs a person, as shares of what there was: 0.5 is half.

    `fleets_lost_share`: of the fleets may be gone. `devices_grown_share`, `devices_lost_share`: of a fleet's devices
    may be added or gone; fleets of `devices_min` devices and fewer are not guarded.
    """

    fleets_lost_share: float = 0.5
    devices_grown_share: float = 0.5
    devices_lost_share: float = 0.5
    devices_min: int = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenSettings:
    """Who may ask and say what over HTTP."""

    name: str
    role: Role
    token_file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServingSettings:
    """Where the controller answers. Without `tokens` only health, readiness and metrics are served.

    Other machines reach it without TLS only with `allow_plaintext`, and without tokens only with `allow_anonymous`.
    `hosts` are the names that it is asked by, without ports. None: on loopback its own, elsewhere any.
    """

    host: str = "127.0.0.1"
    port: int = 8099
    certificate_file: str | None = None
    key_file: str | None = None
    allow_plaintext: bool = False
    allow_anonymous: bool = False
    tokens: tuple[TokenSettings, ...] = ()
    webhooks: tuple[WebhookSettings, ...] = ()
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelSettings:
    """One place where people are told. `url_file` has the address, which often is the secret itself.

    `secret_file` signs a generic webhook (HMAC) or is the token of GitHub and GitLab, whose `repository` is
    `owner/name`. `fleets` empty: of all. `only_bad`: good news are not told.
    """

    name: str
    kind: ChannelKind
    url_file: str | None = None
    url: str | None = None
    secret_file: str | None = None
    repository: str | None = None
    fleets: tuple[str, ...] = ()
    only_bad: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSettings:
    """How the log is written, to standard error: `format` text or json, `level` debug, info, warning or error."""

    format: str = "text"
    level: str = "info"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """How a process works beside others on one journal in PostgreSQL.

    `lost_seconds`: who has not been heard of for so long is dead to the others. `address`: workers that leave by one
    address of the network give it one name, and share its request budget.
    """

    passes_at_once: int = 8
    lost_seconds: float = 10.0
    address: str = "default"


@dataclass(frozen=True, slots=True, kw_only=True)
class ControllerSettings:
    """All of them. `journal` is a path or a `postgresql://` address; `interval_seconds` between looks at idle products.

    What is desired comes from `git` (a controller) or from `kubernetes` (an operator); one of them is given.

    `grace_seconds`: from the request to stop to the end. `state` is the folder of what the controller keeps. Read from
    a file, all paths are absolute, and `journal` is given.
    """

    git: GitSettings | None = None
    kubernetes: KubernetesSettings | None = None
    particle: ParticleSettings = field(default_factory=ParticleSettings)
    state: str = "."
    journal: str | None = None
    catalog: str | None = None
    allow_commands: bool = False
    interval_seconds: float = 300.0
    grace_seconds: float = 25.0
    guards: GuardSettings = field(default_factory=GuardSettings)
    workers: WorkerSettings = field(default_factory=WorkerSettings)
    serving: ServingSettings = field(default_factory=ServingSettings)
    log: LogSettings = field(default_factory=LogSettings)
    channels: tuple[ChannelSettings, ...] = ()

    @property
    def source_interval_seconds(self) -> float:
        """Between two looks at where the manifests come from, unless it says that there is something new."""
        return RESOURCES_INTERVAL_SECONDS if self.git is None else self.git.interval_seconds
