"""The settings choose how mails and text messages go out."""

from serve.notifications.mail_urls import SmtpPlace, mail_place, text_place
from serve.notifications.mailer import FolderMailer, Mailer
from serve.notifications.ses import SesMailer
from serve.notifications.smtp import SmtpMailer
from serve.notifications.sns_texts import SnsTexter
from serve.settings import Settings


def mailer_of(settings: Settings, folder: FolderMailer) -> Mailer:
    """For one event loop. `folder`: where they go without a server."""
    if settings.mail_url is None:
        return folder
    place = mail_place(settings.mail_url.get_secret_value())
    return SmtpMailer(place, settings.mail_from) if isinstance(place, SmtpPlace) else SesMailer(place)


def texter_of(settings: Settings) -> SnsTexter | None:
    """For one event loop. None: this shop sends no texts."""
    return SnsTexter(text_place(settings.texts_url)) if settings.texts_url else None
