"""What carriers say of parcels: signed webhooks become steps of shipments, once each."""

from collections.abc import Callable, Sequence
from hashlib import blake2b
from urllib.parse import quote

import msgspec

from actors.decision import Refused
from actors.order import NoteShipment
from actors.runtime.ports import Entities
from pipelines.list_orders import slug
from serve.gateway import clock
from serve.gateway.lean import Request, Response, Routes, empty
from serve.gateway.problems import Problem, declare
from serve.orders.checks import refused_order
from serve.orders.schemas import CarrierEvent
from serve.orders.store import OrderStore
from serve.payments.gateway.webhooks import BadSignature, verify

SIGNATURE_HEADER = "X-Carrier-Signature"
AHEAD = 86_400_000
"""How far ahead of ours a carrier's clock may be, in milliseconds: some give local times."""

declare("bad_signature", 400, "The webhook is not to be believed")
declare("unknown_parcel", 404, "No such parcel")
declare("bad_time", 422, "Unusable time")

_PAGES = {
    "dhl": "https://www.dhl.com/global-en/home/tracking.html?tracking-id={}",
    "ups": "https://www.ups.com/track?tracknum={}",
    "fedex": "https://www.fedex.com/fedextrack/?trknbr={}",
    "usps": "https://tools.usps.com/go/TrackConfirmAction?tLabels={}",
    "royal-mail": "https://www.royalmail.com/track-your-item#/tracking-results/{}",
}


def page_of(carrier: str, tracking: str) -> str:
    """Where a well-known carrier shows a parcel; empty for others."""
    page = _PAGES.get(slug(carrier))
    return "" if page is None else page.format(quote(tracking, safe=""))


def check_time(at: int, now: int) -> None:
    """Raises Problem bad_time for what is said to happen only later."""
    if at > now + AHEAD:
        raise Problem("bad_time", "This has not happened yet.")


class Carriers:
    """`secrets` sign the webhooks; while one is being replaced there are two. Without any, none is believed."""

    def __init__(
        self, entities: Entities, store: OrderStore, secrets: Sequence[str], now: Callable[[], int] = clock.now_ms
    ) -> None:
        self._entities = entities
        self._store = store
        self._secrets = tuple(secrets)
        self._now = now

    async def take_webhook(self, carrier: str, raw: bytes, signature: str | None) -> None:
        """Adds a step to every shipment under the number. Copies are one command each: its id is the event's.

        Raises Problem bad_signature, invalid_request, bad_time, unknown_parcel (a parcel may have become known a
        moment later: carriers send again), too_many_steps; Overloaded, Unavailable.
        """
        try:
            verify(self._secrets, signature or "", raw, self._now() // 1000)
        except BadSignature as bad:
            raise Problem("bad_signature", f"The signature was refused: {bad}.") from None
        event = msgspec.json.decode(raw, type=CarrierEvent)
        check_time(event.at, self._now())
        name = slug(carrier)
        parcels = await self._store.parcels(name, event.tracking)
        if not parcels:
            raise Problem("unknown_parcel", "No shipment of this carrier has this number.")
        for order_id, shipment_id in parcels:
            said = f"carrier\0{name}\0{event.id}\0{shipment_id}"
            command = NoteShipment(shipment_id, event.step, event.at, event.code, "carrier")
            answer = await self._entities.ask(
                "order", order_id, command, command_id=blake2b(said.encode(), digest_size=16).hexdigest()
            )
            if isinstance(answer.reply, Refused):
                raise refused_order(answer.reply, order_id)


def carrier_routes(carriers: Carriers) -> Routes:
    routes = Routes(tag="orders", refuses_cards=True)

    @routes.post(
        "/api/orders/carriers/{carrier}/webhooks",
        summary="News of a parcel from its carrier",
        body=CarrierEvent,
        headers={SIGNATURE_HEADER: "`t=<unix seconds>,v1=<HMAC-SHA256 of t.body, hex>`; 300 seconds old at most."},
        answers={204: None},
        problems=("bad_signature", "unknown_parcel", "bad_time", "too_many_steps"),
        long_numbers=frozenset({"tracking"}),
        example={"id": "evt-1", "tracking": "JD014600006281230701", "step": "in_transit", "at": 1764000000000},
    )
    async def take(request: Request) -> Response:
        await carriers.take_webhook(request.params["carrier"], request.raw_body, request.header(SIGNATURE_HEADER))
        return empty()

    return routes
