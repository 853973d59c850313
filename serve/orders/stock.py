"""Stock, for the staff: what is there of a SKU, goods that came in, and counts."""

from actors.decision import Refused
from actors.runtime.ports import Answer, Entities
from actors.stock import Correct, Receive, StockView
from serve.carts.service import Key, Prices
from serve.gateway.problems import Problem, declare, refused
from serve.orders.schemas import StockBody

READ_SECONDS = 3.0

declare("units_promised", 409, "More units are promised than would be left")


class Stock:
    """Each method raises Problem (unknown_sku for a SKU that the catalogue never had), Overloaded, Unavailable."""

    def __init__(self, entities: Entities, prices: Prices) -> None:
        self._entities = entities
        self._prices = prices

    async def read(self, sku: str) -> StockBody:
        answer = await self._entities.read("stock", sku, seconds=READ_SECONDS)
        if answer.version == 0:
            await self._check(sku)
        return _body(answer)

    async def receive(self, sku: str, quantity: int, key: Key) -> StockBody:
        return await self._tell(sku, Receive(quantity), key)

    async def correct(self, sku: str, on_hand: int, reason: str, key: Key) -> StockBody:
        """Raises Problem units_promised when fewer would be left than are reserved."""
        return await self._tell(sku, Correct(on_hand, reason), key)

    async def _tell(self, sku: str, command: Receive | Correct, key: Key) -> StockBody:
        await self._check(sku)
        answer = await self._entities.ask(
            "stock", sku, command, command_id=key.command_id(), fingerprint=key.fingerprint()
        )
        if isinstance(answer.reply, Refused):
            raise refused(answer.reply)
        return _body(answer)

    async def _check(self, sku: str) -> None:
        if (await self._prices.prices((sku,)))[sku] is None:
            raise Problem("unknown_sku", "There is no such product.", about={"sku": sku})


def _body(answer: Answer) -> StockBody:
    view = answer.reply
    assert isinstance(view, StockView)
    return StockBody(
        sku=view.sku,
        version=answer.version,
        on_hand=view.on_hand,
        held=view.held,
        reserved=view.reserved,
        available=view.available,
        sold=view.sold,
        returned=view.returned,
        received=view.received,
        corrected=view.corrected,
        waiting=view.waiting,
    )
