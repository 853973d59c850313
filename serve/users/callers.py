"""What the users' routes say of their callers and refusals."""

from typing import Annotated, Any

from fastapi import Depends, Request

from serve.gateway.access import anyone, user
from serve.gateway.principals import Principal
from serve.gateway.problems import MEDIA_TYPE
from serve.users.devices import Arrival


def _arrival(request: Request) -> Arrival:
    address = request.scope.get("state", {}).get("address")
    return Arrival(request.headers.get("user-agent", ""), address)


Arriving = Annotated[Arrival, Depends(_arrival)]
Caller = Annotated[Principal, Depends(anyone)]
User = Annotated[Principal, Depends(user)]


def problems_of(**codes: str) -> dict[int | str, dict[str, Any]]:
    return {int(status[1:]): {"description": text, "content": {MEDIA_TYPE: {}}} for status, text in codes.items()}
