"""Text messages over Amazon SNS."""

from typing import Any

from serve.notifications.aws_calls import AwsCalls, AwsRefused
from serve.notifications.mail_urls import AwsPlace
from serve.notifications.mailer import MailNotSent, MailRejected, ServerAway
from serve.notifications.text_channel import Text

_OF_THE_NUMBER = ("InvalidParameter", "InvalidParameterValue", "OptedOut", "OptedOutException")


class SnsTexter:
    """Implements `Texter`. SNS takes texts to numbers that opted out, and drops them: so it is asked before."""

    def __init__(self, place: AwsPlace) -> None:
        self._calls = AwsCalls("sns", place)
        self._attributes: dict[str, Any] = {"AWS.SNS.SMS.SMSType": _said("Transactional")}
        if place.name:
            self._attributes["AWS.SNS.SMS.SenderID"] = _said(place.name)

    async def send(self, text: Text) -> None:
        try:
            if await self._opted_out(text.to):
                raise MailRejected("its owner wants no texts")
            await self._calls.call(
                "publish", PhoneNumber=text.to, Message=text.words, MessageAttributes=self._attributes
            )
        except AwsRefused as refused:
            if refused.code in _OF_THE_NUMBER:
                raise MailRejected(str(refused)) from None
            raise ServerAway(str(refused)) from None

    async def _opted_out(self, number: str) -> bool:
        try:
            answer = await self._calls.call("check_if_phone_number_is_opted_out", phoneNumber=number)
        except TimeoutError as error:  # of a question: nothing was sent
            raise MailNotSent(str(error)) from None
        return bool(answer.get("isOptedOut"))

    async def close(self) -> None:
        await self._calls.close()


def _said(value: str) -> dict[str, str]:
    return {"DataType": "String", "StringValue": value}
