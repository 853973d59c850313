"""What happens to accounts: kind `user`, entity the user's id. No address, name, password, token or link."""

from typing import TypeAlias

from actors.decision import Message

KIND = "user"


class UserRegistered(Message, tag="UserRegistered/1", frozen=True):
    """`by`: email, or the name of the provider of a social login. `confirmed`: its address is known to be its own."""

    by: str
    confirmed: bool
    at: int


class EmailConfirmed(Message, tag="EmailConfirmed/1", frozen=True):
    """The account's address, new or first, belongs to its owner."""

    at: int


class EmailConfirmationRequested(Message, tag="EmailConfirmationRequested/1", frozen=True):
    """`request`: what the mailed link is for; whoever mails it asks the users for the link by this id."""

    request: str
    at: int


class EmailChanged(Message, tag="EmailChanged/1", frozen=True):
    """`request`: by which the users tell the old address, so that it can be told."""

    request: str
    at: int


class UserLoggedIn(Message, tag="UserLoggedIn/1", frozen=True):
    """`known_device`: this account logged in from it before, or never did at all, so that nobody need be warned.
    `by`: password, or the name of a provider."""

    session: str
    known_device: bool
    by: str
    at: int


class UserProfileChanged(Message, tag="UserProfileChanged/1", frozen=True):
    """Which fields, not what they say."""

    fields: tuple[str, ...]
    at: int


class IdentityLinked(Message, tag="IdentityLinked/1", frozen=True):
    """From now on the account is logged in to with an identity at this provider, too."""

    provider: str
    at: int


class IdentityUnlinked(Message, tag="IdentityUnlinked/1", frozen=True):
    provider: str
    at: int


class PasswordResetRequested(Message, tag="PasswordResetRequested/1", frozen=True):
    """`request`: as in EmailConfirmationRequested."""

    request: str
    at: int


class PasswordChanged(Message, tag="PasswordChanged/1", frozen=True):
    """`by_reset`: with a mailed link."""

    by_reset: bool
    at: int


class UserDeleted(Message, tag="UserDeleted/1", frozen=True):
    """The account and all that is known of its owner is gone here, and has to go everywhere else."""

    at: int


Event: TypeAlias = (
    UserRegistered
    | EmailConfirmed
    | EmailConfirmationRequested
    | EmailChanged
    | UserLoggedIn
    | UserProfileChanged
    | IdentityLinked
    | IdentityUnlinked
    | PasswordResetRequested
    | PasswordChanged
    | UserDeleted
)
