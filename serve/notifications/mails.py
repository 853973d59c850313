"""Turns a message into a mail: text and HTML in its reader's language. Templates escape what they are given."""

from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache, partial
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined, Template, select_autoescape

from pipelines.send_mails import Mail
from serve.notifications import languages, texts
from serve.notifications.kinds import RULES, Kind, Message
from serve.notifications.languages import LANGUAGES, Language
from serve.notifications.mailer import Outgoing
from serve.notifications.mime import checked_address, mailbox, two_forms, written_text
from serve.notifications.translating import Translating


class Sender(NamedTuple):
    """Who mails come from. `shop_url`: the shop's own address, for links. `language`: for who asked for no other."""

    name: str
    email: str
    shop_url: str
    language: Language = "en"

    @property
    def domain(self) -> str:
        return self.email.rpartition("@")[2]


class Addressee(NamedTuple):
    """Whom a mail goes to, never kept. `address`: the lines on a parcel. `url`: what the mail is about, or empty.

    `expires_at`: until when `url` works (UTC, milliseconds); 0: no end is known.
    """

    email: str
    name: str
    language: str | None = None
    address: tuple[str, ...] = ()
    url: str = ""
    expires_at: int = 0


@lru_cache(maxsize=len(LANGUAGES))
def _environment(language: Language) -> Environment:
    made = Environment(
        loader=PackageLoader("serve.notifications", "templates"),
        autoescape=select_autoescape(enabled_extensions=("html",), default=False),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,  # else it looks at the files of a template and its parts each time
        extensions=[Translating],
    )
    translating = made.extensions[Translating.identifier]
    assert isinstance(translating, Translating)
    translating.language = language
    for name in ("money", "day", "moment"):
        made.filters[name] = partial(getattr(languages, name), language=language)
    made.globals["language"] = language
    return made


class _Forms(NamedTuple):
    plain: Template
    html: Template


@lru_cache(maxsize=len(LANGUAGES) * len(RULES))
def _forms(kind: Kind, language: Language) -> _Forms:
    environment = _environment(language)
    return _Forms(*(environment.get_template(f"{kind}.{form}") for form in ("txt", "html")))


@lru_cache(maxsize=8)
def _from(sender: Sender) -> str:
    return mailbox(sender.name, checked_address(sender.email))


def _values(message: Message, to: Addressee, sender: Sender, language: Language) -> dict[str, Any]:
    order = message.order if isinstance(message, Mail) else None
    return {
        "subject": texts.subject(message.template, message.order_id, language),
        "name": to.name,
        "address": to.address,
        "url": to.url,
        "expires_at": to.expires_at,
        "shop": sender.name,
        "shop_url": sender.shop_url,
        "required": RULES[message.template].required,
        "order": order,
        "currency": "" if order is None else order.currency,
        "number": "" if order is None else texts.order_number(order.id),
        **message.facts,
        "reason": texts.reason(message.facts, language),
        "failure": texts.failure(message.facts, language),
    }


def compose(message: Message, to: Addressee, message_id: str, sender: Sender, now: int) -> Outgoing:
    """The mail, ready to send at `now` (UTC, milliseconds). `to.email`: of `checked_address`."""
    language = languages.supported(to.language, sender.language)
    values = _values(message, to, sender, language)
    headers = (
        ("Date", format_datetime(datetime.fromtimestamp(now / 1000, UTC))),
        ("From", _from(sender)),
        ("To", mailbox(to.name, to.email)),
        ("Subject", written_text(values["subject"])),
        ("Content-Language", language),
        ("Message-ID", message_id),
        ("Auto-Submitted", "auto-generated"),
    )
    plain, html = (form.render(values) for form in _forms(message.template, language))
    return Outgoing(message_id, to.email, two_forms(headers, plain, html))
