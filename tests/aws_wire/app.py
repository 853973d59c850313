"""The ASGI application: AWS's interfaces as far as the shop uses them, and strings to pull under /-."""

import asyncio
import base64
import json
from email import message_from_bytes, policy
from typing import Any
from urllib.parse import parse_qs

SEND = "/v2/email/outbound-emails"
ACCOUNT = "/v2/email/account"
_XML = '<{action}Response xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><{action}Result>{result}</{action}Result></{action}Response>'
_XML_ERROR = (
    '<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/">'
    "<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>"
)


class Fault:
    """What is done instead. `times`: to so many calls; None: to all. `lost`: it is carried out, and the connection
    is cut. `seconds`: how long it takes before anything else.
    """

    def __init__(
        self,
        *,
        status: int = 0,
        code: str = "",
        message: str = "",
        lost: bool = False,
        seconds: float = 0.0,
        times: int | None = None,
    ) -> None:
        self.status = status
        self.code = code
        self.message = message
        self.lost = lost
        self.seconds = seconds
        self.times = times


class Cloud:
    """What it was told to do, and what it took."""

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self.rate = 14.0
        self.opted_out: list[str] = []
        self.mails: list[dict[str, Any]] = []
        self.texts: list[dict[str, str]] = []
        self.calls: list[list[Any]] = []

    def next_fault(self) -> Fault:
        fault = self.fault
        if fault is None:
            return Fault()
        if fault.times is not None:
            fault.times -= 1
            if fault.times <= 0:
                self.fault = None
        return fault

    def shown(self) -> dict[str, Any]:
        return {"mails": self.mails, "texts": self.texts, "calls": self.calls}

    def take_mail(self, given: dict[str, Any]) -> str:
        """SES's own name for it. As SES does, it is delivered under that name, and not under its Message-ID."""
        raw = base64.b64decode(given["Content"]["Raw"]["Data"])
        read = message_from_bytes(raw, policy=policy.default)
        name = f"0102-{len(self.mails):012}"
        self.mails.append(
            {
                "to": given["Destination"]["ToAddresses"],
                "message_id": str(read["Message-ID"]),
                "delivered_as": f"<{name}@eu-west-1.amazonses.com>",
                "set": given.get("ConfigurationSetName", ""),
                "tags": {tag["Name"]: tag["Value"] for tag in given.get("EmailTags", [])},
                "raw": raw.decode("latin-1"),
            }
        )
        return name


class Application:
    def __init__(self) -> None:
        self.cloud = Cloud()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while (piece := await receive())["type"] == "http.request":
            body += piece.get("body", b"")
            if not piece.get("more_body"):
                break
        path: str = scope["path"]
        if path.startswith("/-/"):
            await _answered(send, 200, json.dumps(self._pulled(path.removeprefix("/-/"), body)).encode())
            return
        action = parse_qs(body.decode())["Action"][0] if path == "/" else path
        fault = self.cloud.next_fault() if action != ACCOUNT else Fault()
        await asyncio.sleep(fault.seconds)
        if fault.status:
            self.cloud.calls.append([action, fault.status])
            await _refused(send, fault, is_xml=path == "/")
            return
        answer = self._carried_out(action, body)
        self.cloud.calls.append([action, 200])
        if fault.lost:
            # Before the first byte of it: botocore takes a status for the whole answer. It is uvicorn's own.
            send.__self__.transport.abort()
            return
        await _answered(send, 200, answer)

    def _carried_out(self, action: str, body: bytes) -> bytes:
        if action == SEND:
            return json.dumps({"MessageId": self.cloud.take_mail(json.loads(body))}).encode()
        if action == ACCOUNT:
            quota = {"Max24HourSend": 50_000.0, "MaxSendRate": self.cloud.rate, "SentLast24Hours": 0.0}
            return json.dumps({"SendQuota": quota, "SendingEnabled": True}).encode()
        given = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        if action == "Publish":
            self.cloud.texts.append({"to": given["PhoneNumber"], "words": given["Message"]})
            result = f"<MessageId>{len(self.cloud.texts)}</MessageId>"
        else:
            out = str(given["phoneNumber"] in self.cloud.opted_out).lower()
            result = f"<isOptedOut>{out}</isOptedOut>"
        return _XML.format(action=action, result=result).encode()

    def _pulled(self, string: str, body: bytes) -> Any:
        if string == "fault":
            given = json.loads(body or b"null")
            self.cloud.fault = None if given is None else Fault(**given)
        elif string == "opted_out":
            self.cloud.opted_out = json.loads(body)
        elif string == "reset":
            self.cloud = Cloud()
        return self.cloud.shown()


async def _refused(send: Any, fault: Fault, *, is_xml: bool) -> None:
    if is_xml:
        text = _XML_ERROR.format(code=fault.code, message=fault.message)
        await _answered(send, fault.status, text.encode())
        return
    headers = [(b"x-amzn-errortype", fault.code.encode())]
    await _answered(send, fault.status, json.dumps({"message": fault.message}).encode(), headers)


async def _answered(send: Any, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [length, *(headers or [])]})
    await send({"type": "http.response.body", "body": body})
