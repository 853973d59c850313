"""What staff changed, for staff."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from serve.changes.store import ChangeStore, Wanted
from serve.gateway.lean import Request, Response, Routes, json
from serve.gateway.problems import Problem, declare

BAD_CURSOR = declare("bad_cursor", 400, "The cursor is not of this list")
Time = Annotated[int, Meta(ge=0, le=2**53, description="UTC, milliseconds")]
_EXAMPLE = {
    "items": [
        {
            "number": 42,
            "at": 1764000000000,
            "who": "0199f0c2-7d2e-7c3a-9d52-0b5a4c1e7f10",
            "method": "PATCH",
            "path": "/api/admin/products/MUG-1",
            "request_id": "0f3c5b1e0f3c5b1e0f3c5b1e",
            "status": 200,
            "before": {"sku": "MUG-1", "price": 1450},
            "after": {"sku": "MUG-1", "price": 1250},
        }
    ],
    "next": None,
}


class ChangesQuery(msgspec.Struct, frozen=True):
    who: (
        Annotated[str, Meta(max_length=160, description="an account's id; `operator`: commands on the machine")] | None
    ) = None
    path: Annotated[str, Meta(max_length=500, description="of this path and those below it")] | None = None
    since: Time | None = None
    until: Time | None = None
    cursor: Annotated[str, Meta(max_length=20, description="`next` of the page before")] | None = None
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class ChangeBody(msgspec.Struct, frozen=True):
    """`status`: how it ended; null: nobody saw its end. `before`, `after`: what it is about, as far as it was seen."""

    number: int
    at: int
    who: str
    method: str
    path: str
    request_id: str
    status: int | None
    before: Any
    after: Any


class ChangePage(msgspec.Struct, frozen=True):
    """Newest first. `next` is the cursor of the next page, null on the last one."""

    items: list[ChangeBody]
    next: str | None


def change_routes(store: ChangeStore) -> Routes:
    routes = Routes(tag="staff: changes")

    @routes.get(
        "/api/admin/changes",
        summary="What staff changed: who, when, before, after",
        access="staff",
        query=ChangesQuery,
        answers={200: ChangePage},
        problems=(BAD_CURSOR,),
        answer_examples={200: _EXAMPLE},
    )
    async def changes(request: Request) -> Response:
        query: ChangesQuery = request.query
        if query.cursor is not None and not (query.cursor.isascii() and query.cursor.isdigit()):
            raise Problem(BAD_CURSOR, "Send `next` of the page before.")
        before = None if query.cursor is None else min(int(query.cursor), 2**62)
        wanted = Wanted(query.who, query.path, query.since, query.until, before)
        found = await store.page(wanted, query.limit + 1)
        shown = found[: query.limit]
        following = str(shown[-1].number) if len(found) > query.limit else None
        return json(ChangePage([ChangeBody(*one) for one in shown], following), headers={"Cache-Control": "no-store"})

    return routes
