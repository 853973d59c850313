"""The address book over HTTP."""

from typing import Annotated

from fastapi import APIRouter, Depends, Header, Path

from serve.gateway.access import command
from serve.users.addresses import AddressBook
from serve.users.callers import User, problems_of
from serve.users.schemas import AddressBody, AddressChange, AddressList, NewAddress

Id = Annotated[str, Path(max_length=64)]


def address_routes(book: AddressBook) -> APIRouter:
    """List, add, change, remove."""
    routes = APIRouter(tags=["users"])

    @routes.get(
        "/api/users/me/addresses", summary="The address book", responses=problems_of(_401="`not_authenticated`")
    )
    async def listed(who: User) -> AddressList:
        return AddressList(items=await book.all_of(who.id))

    @routes.post(
        "/api/users/me/addresses",
        status_code=201,
        summary="Add an address",
        description="The first one becomes the default for shipping and for billing.",
        responses=problems_of(
            _401="`not_authenticated`", _404="`not_found`", _409="`too_many_addresses`", _422="`invalid_request`"
        ),
    )
    async def add(
        who: User,
        body: NewAddress,
        key: Annotated[tuple[str | None, bytes], Depends(command)],
        _: Annotated[str | None, Header(alias="Idempotency-Key")] = None,
    ) -> AddressBody:
        return await book.add(who.id, body, *key)

    @routes.patch(
        "/api/users/me/addresses/{id}",
        summary="Change an address",
        responses=problems_of(_401="`not_authenticated`", _404="`not_found`", _422="`invalid_request`"),
    )
    async def change(who: User, id: Id, body: AddressChange) -> AddressBody:
        return await book.change(who.id, id, body)

    @routes.delete(
        "/api/users/me/addresses/{id}",
        status_code=204,
        summary="Remove an address",
        responses=problems_of(_401="`not_authenticated`", _404="`not_found`"),
    )
    async def remove(who: User, id: Id) -> None:
        await book.remove(who.id, id)

    return routes
