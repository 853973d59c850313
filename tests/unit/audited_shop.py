"""A small shop's history for tests of the audit: the real rules, runtime, flows, gateway and databases, in a folder."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import msgspec

from actors import cart, order, stock
from actors.decision import Message
from actors.journal.base import Snapshot
from actors.journal.sql import SqlJournal
from actors.kinds import KINDS
from actors.pricing import Price, Shipping, Terms
from actors.runtime.clock import SystemClock, SystemEntropy
from actors.runtime.in_process import InProcess
from actors.runtime.kind import shard_of
from actors.runtime.limits import Limits
from actors.runtime.wire import Body, Note, SentMessage, body_of, encode
from pipelines.log.sql import JournalLog
from serve.audit.auditing import audit
from serve.audit.findings import Findings
from serve.hosting import Flows
from serve.mailing import Mailing
from serve.notifications.store import NotificationStore
from serve.notifications.text_channel import Text
from serve.orders.schemas import Address, Contact
from serve.orders.store import OrderStore
from serve.payments.effects import PaymentEffects
from serve.payments.gateway.book import GatewayBook
from serve.payments.gateway.client import GatewayClient
from serve.payments.gateway.desk import GatewayDesk
from serve.settings import load

SHARDS = 3
DEADLINE = 30.0
TERMS = Terms("GBP", 2_000, True, Shipping("pickup", "Pickup", 0))
ADDRESS = Address("Ada Byron", "12 St James's Square", "London", "SW1Y 4JH", "GB", phone="+44 7700 900461")
PAID, CASH, SHORT, CANCELLED, DECLINED, FREE = ("o-paid", "o-cash", "o-short", "o-back", "o-declined", "o-free")


class Network:
    """Takes every text."""

    async def send(self, text: Text) -> None:
        pass

    async def close(self) -> None:
        pass


class History:
    """What shoppers and staff did; `while_running` is what an audit of the open shop found."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.settings = load(data_dir=folder, currency="GBP", shards=SHARDS)
        self.while_running: Findings | None = None

    async def make(self) -> None:
        self.folder.mkdir()
        journal = SqlJournal(str(self.folder / "journal.db"))
        await journal.setup()
        book = GatewayBook(self.folder / "gateway.db")
        desk = GatewayDesk(book, secret="secret", deliver=_delivered)
        client = GatewayClient(desk.carry_out)
        clock, limits = SystemClock(), Limits(shards=SHARDS)
        runners = {"payment": PaymentEffects(client)}
        shop = InProcess(KINDS, journal, clock, SystemEntropy(), limits, runners)
        await shop.start("h")
        self.entities = shop.region
        flows, mailing = Flows(self.settings), Mailing(self.settings, journal)
        await flows.start(shop.region, JournalLog(journal))
        with mock.patch("serve.mailing.texter_of", return_value=Network()):
            await mailing.start(shop.region)
        self.contacts = OrderStore(f"sqlite:///{self.folder / 'orders.db'}")
        try:
            async with asyncio.timeout(DEADLINE):
                await self._live()
                await self._quiet()
        finally:
            await self.contacts.close()
            await mailing.stop()
            await flows.stop()
            await shop.stop()
            await client.close()
            await desk.stop()
            await journal.close()

    async def _live(self) -> None:
        wishes = NotificationStore(self.settings.database_url("notifications"))
        await wishes.turn_off(f"guest:g-{CASH}", [], [("order_shipped", "text")])
        await wishes.close()
        for sku in ("MUG", "TEA"):
            await self.ask("stock", sku, stock.Receive(100))
        await self.ask("stock", "TEA", stock.Correct(97, "three were broken"))
        await self.buy(PAID, "card", "pm_card_visa", ("MUG", 3), ("TEA", 2))
        await self.buy(CASH, "cash_on_delivery", "", ("MUG", 1))
        await self.buy(SHORT, "card", "pm_card_visa", ("MUG", 500))
        await self.buy(CANCELLED, "card", "pm_card_visa", ("TEA", 5))
        await self.buy(DECLINED, "card", "pm_card_chargeDeclined", ("TEA", 1))
        await self.buy(FREE, "card", "pm_card_visa", ("TEA", 1), agreed=0)
        await self.ask("order", PAID, order.Refund("r1", 700, {"MUG": 1}, "broken"))
        await self.ask("order", CANCELLED, order.Cancel("customer"))
        await self.ask("order", DECLINED, order.Cancel("customer"))
        for command in (order.Pack(), order.Ship("DHL", "1"), order.Deliver()):
            await self.ask("order", CASH, command)

    async def ask(self, kind: str, entity: str, command: Message, **more: Any) -> Message:
        return (await self.entities.ask(kind, entity, command, **more)).reply

    async def buy(
        self,
        order_id: str,
        method: str,
        reference: str,
        *lines: tuple[str, int],
        agreed: int | None = None,
        owner: str | None = None,
    ) -> None:
        """A cart of its own, a guest's if nobody is named, checked out; returns once the order has settled."""
        cart_id, owner = f"g-{order_id}", owner or f"guest:g-{order_id}"
        for sku, quantity in lines:
            await self.ask("cart", cart_id, cart.AddLine(sku, quantity, PRICES[sku], agreed))
        contact = Contact("ada@example.com", ADDRESS)
        await self.contacts.keep_contact(f"k-{order_id}", order_id, owner, contact, 1)
        command = cart.CheckOut(order_id, owner, f"k-{order_id}", TERMS, method, reference, PRICES, 1_800_000)
        view = await self.ask("cart", cart_id, command, command_id=f"check out {order_id}", follow=True)
        assert isinstance(view, order.OrderView)

    async def _quiet(self) -> None:
        """Until an audit finds nothing under way any more."""
        while True:
            found = await asyncio.to_thread(audit, self.folder)
            self.while_running = self.while_running or found
            assert found.damage == []
            if not found.waiting:
                return
            await asyncio.sleep(0.1)


PRICES = {"MUG": Price("MUG", "Mug", 1_200), "TEA": Price("TEA", "Tea", 450)}


async def _delivered(body: bytes, signature: str) -> bool:
    return True


class Folder:
    """A copy of the history's folder, to be damaged."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, database: str, *statements: str, values: tuple[Any, ...] = ()) -> int:
        """Statements in one transaction; how many rows the last one changed."""
        changed = 0
        db = sqlite3.connect(self.path / f"{database}.db")
        try:
            with db:
                for statement in statements:
                    changed = db.execute(statement, values if statement is statements[-1] else ()).rowcount
        finally:
            db.close()
        return changed

    def ask(self, database: str, query: str, values: tuple[Any, ...] = ()) -> list[Any]:
        db = sqlite3.connect(self.path / f"{database}.db")
        try:
            return db.execute(query, values).fetchall()
        finally:
            db.close()

    def append(
        self,
        kind: str,
        entity: str,
        *events: Message,
        sends: tuple[SentMessage, ...] = (),
        command_id: str = "c:forged",
    ) -> None:
        """A record that is sound in itself behind all others, with whatever events."""
        shard = shard_of(entity, SHARDS)
        ((seq, epoch, position),) = self.ask(
            "journal",
            "SELECT max(seq), max(epoch), (SELECT max(position) FROM records) FROM records "
            "WHERE kind = ? AND shard = ?",
            (kind, shard),
        )
        query = "SELECT coalesce(max(version), 0) FROM records WHERE kind = ? AND entity = ?"
        ((version,),) = self.ask("journal", query, (kind, entity))
        body = encode(Body(2**42, Note.DECISION, events=tuple(encode(event) for event in events), sends=sends))
        place = (position + 1, b"x" * 16, kind, shard, seq + 1, epoch, entity, version + 1, command_id, body)
        self.run("journal", f"INSERT INTO records VALUES ({', '.join('?' * 10)})", values=place)

    def rewrite(self, kind: str, entity: str, change: Callable[[Any], Any]) -> int:
        """Puts what `change` makes of each event in its place (None: leaves it); how many were changed."""
        changed = 0
        query = "SELECT position, body FROM records WHERE kind = ? AND entity = ?"
        for position, encoded in self.ask("journal", query, (kind, entity)):
            body = msgspec.msgpack.decode(encoded, type=Body)
            events = [change(KINDS[kind].event(event)) for event in body.events]
            if any(event is not None for event in events):
                kept = (old if new is None else encode(new) for old, new in zip(body.events, events, strict=True))
                values = (encode(msgspec.structs.replace(body, events=tuple(kept))), position)
                changed += self.run("journal", "UPDATE records SET body = ? WHERE position = ?", values=values)
        return changed

    def uncleared(self, kind: str, entity: str) -> None:
        """Makes as if the entity's timers had never been cleared."""
        query = "SELECT position, body FROM records WHERE kind = ? AND entity = ?"
        for position, encoded in self.ask("journal", query, (kind, entity)):
            body = msgspec.msgpack.decode(encoded, type=Body)
            kept = tuple(timer for timer in body.timers if timer.at)
            values = (encode(msgspec.structs.replace(body, timers=kept)), position)
            self.run("journal", "UPDATE records SET body = ? WHERE position = ?", values=values)

    def snapshot(self, kind: str, entity: str, spoil: Callable[[Any], Any] = lambda state: state) -> None:
        """Keeps a snapshot of the entity as it is, or as `spoil` makes it."""

        async def keep() -> None:
            journal = SqlJournal(str(self.path / "journal.db"))
            _, found = await journal.load(kind, entity)
            state = KINDS[kind].initial(entity)
            for record in found:
                for event in body_of(record).events:
                    state = KINDS[kind].apply(state, KINDS[kind].event(event))
            await journal.save_snapshots([Snapshot(kind, entity, found[-1].version, encode(spoil(state)))])
            await journal.close()

        asyncio.run(keep())

    def audit(self) -> Findings:
        return audit(self.path)
