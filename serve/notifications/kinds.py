"""What people are told of, over which channels, and what they cannot turn off."""

from collections.abc import Mapping
from typing import Literal, NamedTuple, TypeAlias

from pipelines.notify_users import UserMail, UserTemplate
from pipelines.send_mails import Mail, Template

Kind: TypeAlias = Template | UserTemplate
Message: TypeAlias = Mail | UserMail
ChannelName: TypeAlias = Literal["mail", "notice", "text"]
OPT_IN: frozenset[ChannelName] = frozenset({"text"})
"""Channels over which nobody is told anything who did not ask for it."""


class Rule(NamedTuple):
    """`required`: it is sent whatever the person prefers, since a contract or the account's safety needs it."""

    required: bool
    channels: tuple[ChannelName, ...] = ("mail", "notice")


RULES: Mapping[Kind, Rule] = {
    "order_confirmation": Rule(required=True),
    "receipt": Rule(required=True),
    "order_shipped": Rule(required=False, channels=("mail", "notice", "text")),
    "order_delivered": Rule(required=False, channels=("mail", "notice", "text")),
    "order_refunded": Rule(required=True),
    "order_cancelled": Rule(required=False),
    "order_rejected": Rule(required=False),
    "payment_failed": Rule(required=False),
    # Whoever asked for these may not be the account's owner, and has no use for them inside it.
    "address_confirmation": Rule(required=True, channels=("mail",)),
    "password_reset": Rule(required=True, channels=("mail",)),
    "new_sign_in": Rule(required=True),
    "email_changed": Rule(required=True),
    "password_changed": Rule(required=True),
    "sign_in_added": Rule(required=True),
    "sign_in_removed": Rule(required=True),
}
