"""Who may ask: people, OAuth clients and API users, and the tokens that they hold (facts 5.2).

People and clients come from the world; API users are made over the API. All people of a world are one team: what one of
them may see, the others may see too.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Final

from reconciler.emulator.dice import Dice
from reconciler.emulator.world import ClientLine, TokenLine, UserLine
from reconciler.model.instant import Instant

_TOKEN_DIGITS: Final = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Credential:
    """A token, and what it is good for.

    - `name`: how the log calls it. `holder`: the username or client id that it belongs to.
    - `client`: the OAuth client that asked for it.
    - `scopes` None: everything. `expires_at` None: never.
    - `product_id`: an API user of one product may do nothing outside it; None: no such bound.
    """

    name: str
    token: str
    holder: str
    client: str = "particle"
    scopes: frozenset[str] | None = None
    expires_at: Instant | None = None
    product_id: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiUser:
    """A user for a program: its scopes, and the one token that it has. `product_id` None: of the organisation."""

    username: str
    friendly_name: str
    scopes: frozenset[str]
    product_id: int | None
    token: str


@dataclass(slots=True, kw_only=True)
class Keyring:
    """All tokens that are good now. The dice make new ones, so that one seed gives one history."""

    users: dict[str, UserLine]
    clients: dict[str, ClientLine]
    dice: Dice
    api_users: dict[str, ApiUser] = field(default_factory=dict)
    _credentials: dict[str, Credential] = field(default_factory=dict)
    _logins: dict[str, str] = field(default_factory=dict)
    """Logins that wait for a code: the user by what the client has to send along."""

    @classmethod
    def of_world(
        cls,
        tokens: Iterable[TokenLine],
        users: Iterable[UserLine],
        clients: Iterable[ClientLine],
        dice: Dice,
    ) -> Keyring:
        """The keyring at the beginning of a world: its tokens belong to its first user."""
        by_name = {user.username: user for user in users}
        owner = next(iter(by_name))
        keyring = cls(users=by_name, clients={client.id: client for client in clients}, dice=dice)
        for line in tokens:
            keyring.add(Credential(name=line.name, token=line.token, holder=owner, scopes=line.scopes))
        return keyring

    @property
    def owner(self) -> str:
        """Who owns the devices outside products: the world's first user."""
        return next(iter(self.users))

    def find(self, token: str, now: Instant) -> Credential | None:
        """The credential of a token that is good at this moment."""
        credential = self._credentials.get(token)
        if credential is None or (credential.expires_at is not None and credential.expires_at <= now):
            return None
        return credential

    def held_by(self, holder: str, now: Instant) -> list[Credential]:
        """Everything good that somebody holds."""
        return [one for one in self._credentials.values() if one.holder == holder and self.find(one.token, now)]

    def add(self, credential: Credential) -> None:
        """Let a token be good."""
        self._credentials[credential.token] = credential

    def new_token(self) -> str:
        """40 hexadecimal digits that nobody had before."""
        return self.dice.digits(_TOKEN_DIGITS)

    def revoke(self, token: str) -> bool:
        """Let a token be good no longer; whether it was."""
        return self._credentials.pop(token, None) is not None

    def await_code(self, user: UserLine) -> str:
        """A login that still needs a code: what the client must send along with it."""
        ticket = self.new_token()
        self._logins[ticket] = user.username
        return ticket

    def user_of_code(self, ticket: str, code: str) -> UserLine | None:
        """Who finishes a login with this code, or None: it is not theirs."""
        user = self.users.get(self._logins.get(ticket, ""))
        if user is None or user.otp != code:
            return None
        del self._logins[ticket]
        return user

    def add_api_user(self, friendly_name: str, scopes: frozenset[str], product_id: int | None) -> ApiUser:
        """Make an API user with its one token, which does not expire."""
        slug = "-".join(friendly_name.lower().split())
        username = f"{slug}+{self.dice.digits(12)}@api.particle.io"
        made = ApiUser(
            username=username,
            friendly_name=friendly_name,
            scopes=scopes,
            product_id=product_id,
            token=self.new_token(),
        )
        self._keep(made)
        return made

    def change_api_user(self, user: ApiUser, friendly_name: str, scopes: frozenset[str]) -> ApiUser:
        """Rename an API user or give it other scopes; other scopes mean another token."""
        token = user.token if scopes == user.scopes else self.new_token()
        self.revoke(user.token)
        changed = replace(user, friendly_name=friendly_name, scopes=scopes, token=token)
        self._keep(changed)
        return changed

    def remove_api_user(self, user: ApiUser) -> None:
        """An API user and its token are no more."""
        del self.api_users[user.username]
        self.revoke(user.token)

    def _keep(self, user: ApiUser) -> None:
        self.api_users[user.username] = user
        self.add(
            Credential(
                name=user.username,
                token=user.token,
                holder=user.username,
                scopes=user.scopes,
                product_id=user.product_id,
            )
        )
