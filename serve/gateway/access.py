"""Who is calling, for FastAPI routes: ``who: Annotated[Principal, Depends(user)]``.

The front has looked at the token before; here a route says who may pass.
"""

from typing import Annotated

from fastapi import Depends, Request
from fastapi.security import HTTPBearer

from serve.gateway.idempotency import command_id, fingerprint
from serve.gateway.principals import ANONYMOUS, Access, Principal
from serve.gateway.problems import Problem

_bearer = HTTPBearer(scheme_name="bearer", auto_error=False)


def _principal(request: Request) -> Principal:
    found = request.scope.get("state", {}).get("principal", ANONYMOUS)
    if isinstance(found, Problem):
        raise found
    assert isinstance(found, Principal)
    return found


def _permitted(request: Request, access: Access) -> Principal:
    principal = _principal(request)
    if principal.may(access):
        return principal
    if principal.kind == "anonymous":
        raise Problem("not_authenticated", "Send a token: Authorization: Bearer ...")
    raise Problem("forbidden", "This is not open to you.")


def anyone(request: Request) -> Principal:
    """A bad token is refused even where none is needed."""
    return _principal(request)


def shopper(request: Request, _: Annotated[object, Depends(_bearer)]) -> Principal:
    """A user or a guest."""
    return _permitted(request, "shopper")


def user(request: Request, _: Annotated[object, Depends(_bearer)]) -> Principal:
    return _permitted(request, "user")


def staff(request: Request, _: Annotated[object, Depends(_bearer)]) -> Principal:
    return _permitted(request, "staff")


async def command(request: Request) -> tuple[str | None, bytes]:
    """The command id that the request's Idempotency-Key names (None without one), and the request's fingerprint."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None, b""
    found = request.scope.get("state", {}).get("principal", ANONYMOUS)
    principal = found if isinstance(found, Principal) else ANONYMOUS
    template = str(getattr(request.scope.get("route"), "path", request.url.path))
    return (
        command_id(principal.key, request.method, template, key),
        fingerprint(await request.body(), request.url.path),
    )
