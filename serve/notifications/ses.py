"""Mail over Amazon SES (version 2 of its interface), as raw MIME."""

import logging
import re
from typing import Any

from serve.notifications.aws_calls import AwsCalls, AwsRefused
from serve.notifications.mail_urls import AwsPlace
from serve.notifications.mailer import MailNotSent, MailRejected, Outgoing, ServerAway

TAG = "mail"
"""What a mail is called in what SES tells of it later: the part of our Message-ID before the @."""
_LOCAL_PART = re.compile(r"<([A-Za-z0-9_-]{1,256})@")
_OF_THE_MAIL = re.compile("content|virus|blacklisted", re.IGNORECASE)
"""What SES says of a mail that it rejects for what it is. It rejects so, too, what an account may not send."""
_NOT_VERIFIED = "not verified"
_OF_THE_SHOP = (
    "AccountSuspendedException",
    "MailFromDomainNotVerifiedException",
    "NotFoundException",  # the configuration set
    "SendingPausedException",
)
"""No mail goes out before somebody has put it right; in the sandbox and before an address is verified neither."""

log = logging.getLogger("troupe.mails")


class SesMailer:
    """Implements `Mailer`. SES puts a Message-ID of its own in the place of ours; see docs/adr/0032."""

    def __init__(self, place: AwsPlace) -> None:
        self._calls = AwsCalls("sesv2", place)
        self._configuration_set = place.name

    async def send(self, mail: Outgoing) -> None:
        """As `Mailer.send`. Only what is wrong with the mail itself rejects it; all else is the shop's to put right."""
        if not mail.to or not mail.message_id:
            raise MailRejected("a mail needs somebody to go to, and a Message-ID")
        given: dict[str, Any] = {
            "Destination": {"ToAddresses": [mail.to]},
            "Content": {"Raw": {"Data": mail.content}},
        }
        if (found := _LOCAL_PART.match(mail.message_id)) is not None:
            given["EmailTags"] = [{"Name": TAG, "Value": found[1]}]
        if self._configuration_set:
            given["ConfigurationSetName"] = self._configuration_set
        try:
            await self._calls.call("send_email", **given)
        except AwsRefused as refused:
            if refused.code == "MessageRejected" and _OF_THE_MAIL.search(refused.message):
                raise MailRejected(str(refused)) from None
            is_the_shop = refused.code in _OF_THE_SHOP or _NOT_VERIFIED in refused.message
            raise (ServerAway if is_the_shop else MailNotSent)(str(refused)) from None

    async def most_per_second(self) -> float | None:
        """SES's own limit of the account; None: we may not ask, or it does not say now."""
        try:
            quota = (await self._calls.call("get_account")).get("SendQuota", {})
            return float(quota["MaxSendRate"]) or None
        except Exception as error:
            log.warning("what SES allows a second could not be asked: %s", type(error).__name__)
            return None

    async def close(self) -> None:
        await self._calls.close()
