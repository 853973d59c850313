"""Sorts of damage: how each is done to a folder, and the sentence in which the audit must say it."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace

from actors import cart, order, payment, stock
from actors.runtime.kind import shard_of
from actors.runtime.open_work import Checkpoint, OpenSend
from actors.runtime.wire import encode
from tests.unit.audited_shop import CANCELLED, CASH, DECLINED, FREE, PAID, SHARDS, SHORT, Folder


def shard(entity: str) -> int:
    return shard_of(entity, SHARDS)


Damage = Callable[[Folder], object]


def sql(database: str, *statements: str) -> Damage:
    def run(folder: Folder) -> None:
        assert folder.run(database, *statements) > 0

    return run


def appended(kind: str, entity: str, *events: Any) -> Damage:
    return lambda folder: folder.append(kind, entity, *events)


def rewritten(kind: str, entity: str, change: Callable[[Any], Any]) -> Damage:
    def run(folder: Folder) -> None:
        assert folder.rewrite(kind, entity, change) > 0

    return run


def checkpoint(**changes: Any) -> Damage:
    def run(folder: Folder) -> None:
        where = "WHERE kind = 'order' AND shard = ?"
        ((encoded,),) = folder.ask("journal", f"SELECT checkpoint FROM shards {where}", (shard(PAID),))
        changed = encode(replace(msgspec.msgpack.decode(encoded, type=Checkpoint), **changes))
        folder.run("journal", f"UPDATE shards SET checkpoint = ? {where}", values=(changed, shard(PAID)))

    return run


_LAST = f"(SELECT max(seq) FROM records WHERE kind = 'order' AND shard = {shard(PAID)})"
_IN_SHARD = f"kind = 'order' AND shard = {shard(PAID)}"
_CONFIRMED = order.OrderConfirmed(1, 1, "GBP", "o", "k", 2**42)


def _sells_more(event: Any) -> Any:
    return replace(event, quantity=9) if isinstance(event, stock.UnitsSold) and event.order_id == PAID else None


def _parcel(event: Any, lines: dict[str, int]) -> Any:
    return replace(event, lines=lines) if isinstance(event, order.ShipmentAdded) else None


def _captures_more(event: Any) -> Any:
    return replace(event, amount=4_501) if isinstance(event, payment.PaymentCaptured) else None


JOURNAL: list[tuple[str, Damage, str]] = [
    (
        "a record is gone",
        sql("journal", f"DELETE FROM records WHERE {_IN_SHARD} AND seq = 2"),
        f"Shard order/{shard(PAID)} has no record 2.",
    ),
    (
        "a version is gone",
        sql("journal", f"DELETE FROM records WHERE kind = 'payment' AND entity = '{PAID}' AND version = 2"),
        f"The payment {PAID} has no record of version 2.",
    ),
    (
        "a fenced write",
        sql("journal", f"UPDATE records SET epoch = 0 WHERE {_IN_SHARD} AND seq = 2"),
        f"Shard order/{shard(PAID)}: record 2 is of epoch 0, after one of epoch 1: a fenced write.",
    ),
    (
        "an epoch without a claim",
        sql("journal", f"UPDATE records SET epoch = 5 WHERE {_IN_SHARD} AND seq = {_LAST}"),
        "is of epoch 5, and nobody claimed the shard for it.",
    ),
    (
        "a shard's owner from nowhere",
        sql("journal", f"UPDATE shards SET epoch = 7 WHERE {_IN_SHARD}"),
        f"Shard order/{shard(PAID)} has an owner of epoch 7, and no record is newer than epoch 1.",
    ),
    (
        "a command carried out twice",
        sql(
            "journal",
            "DROP INDEX records_command",
            "UPDATE records SET command_id = (SELECT r.command_id FROM records r WHERE r.kind = 'stock' AND "
            "r.entity = 'MUG' AND r.version = 1) WHERE kind = 'stock' AND entity = 'MUG' AND version = 2",
        ),
        "The stock MUG has carried out the command c:",
    ),
    (
        "two records of one number",
        sql("journal", "DROP INDEX records_sequence", f"UPDATE records SET seq = 3 WHERE {_IN_SHARD} AND seq = 4"),
        f"Shard order/{shard(PAID)} has two records with the number 3.",
    ),
    (
        "a record in another's shard",
        sql("journal", f"UPDATE records SET shard = 99 WHERE kind = 'cart' AND entity = 'g-{PAID}'"),
        f"The cart g-{PAID} has records in shard 99 and belongs into",
    ),
    (
        "an event that nobody can read",
        sql("journal", "UPDATE records SET body = x'c1' WHERE kind = 'stock' AND entity = 'TEA' AND version = 2"),
        "The stock TEA cannot be replayed to version 2:",
    ),
    (
        "an event that cannot have been",
        appended("stock", "MUG", stock.HoldWithdrawn("nobody")),
        "The stock MUG cannot be replayed to version",
    ),
    (
        "a spoilt snapshot",
        lambda folder: folder.snapshot("order", PAID, lambda state: replace(state, status="delivered")),
        f"The snapshot of order {PAID} at version",
    ),
    (
        "a snapshot of nothing",
        sql("journal", "INSERT INTO snapshots VALUES ('cart', 'nobody', 3, x'80')"),
        "There is a snapshot of cart nobody, which has no records.",
    ),
    (
        "a snapshot from the future",
        sql("journal", f"INSERT INTO snapshots VALUES ('order', '{PAID}', 999, x'80')"),
        f"There is a snapshot of order {PAID} at version 999; its last record is",
    ),
    (
        "a message that was lost",
        sql(
            "journal",
            f"UPDATE records SET command_id = 'c:other' WHERE kind = 'cart' AND command_id LIKE 'm:order/{PAID}/%'",
        ),
        f"A message from order {PAID} to cart g-{PAID} never arrived and is forgotten: m:order/{PAID}/",
    ),
    (
        "a message from nobody",
        sql(
            "journal",
            "UPDATE records SET command_id = 'm:order/nobody/1/0' "
            "WHERE kind = 'stock' AND entity = 'MUG' AND version = 1",
        ),
        "The stock MUG has recorded a message that nobody sent it: m:order/nobody/1/0.",
    ),
    (
        "an effect that was forgotten",
        sql(
            "journal",
            f"UPDATE records SET command_id = 'c:other' WHERE kind = 'payment' AND entity = '{PAID}' AND version = 2",
        ),
        f"An effect of the payment {PAID} was never answered and is forgotten: e:1/0.",
    ),
    (
        "an answer to no effect",
        sql(
            "journal",
            f"UPDATE records SET command_id = 'e:9/9' WHERE kind = 'payment' AND entity = '{PAID}' AND version = 1",
        ),
        f"The payment {PAID} has recorded an answer to an effect that it never asked for.",
    ),
    (
        "a timer that was forgotten",
        lambda folder: folder.uncleared("order", PAID),
        f"A timer of the order {PAID} never fired and is forgotten: t:",
    ),
    (
        "a parked message",
        checkpoint(parked=(OpenSend(PAID, 1, 0, 1, "stock", "MUG", b""),)),
        f"A message from order {PAID} to stock MUG was too old to be delivered, and is parked: m:order/{PAID}/1/0.",
    ),
    ("a checkpoint from the future", checkpoint(seq=9_999), "has a checkpoint of record 9999, and its last record is"),
]

STOCK_AND_ORDERS: list[tuple[str, Damage, str]] = [
    (
        "units sold that nobody bought",
        rewritten("stock", "MUG", _sells_more),
        "Stock MUG says that 10 units were sold; orders bought 4.",
    ),
    (
        "units back that nobody gave",
        appended("stock", "TEA", stock.UnitsReturned(PAID, 4, 1)),
        "Stock TEA says that 9 units came back; orders gave back 5.",
    ),
    (
        "units held for nobody",
        appended("stock", "MUG", stock.UnitsHeld("nobody", 2, 1, 1, 1)),
        "Stock MUG keeps 2 units for order nobody, which does not run.",
    ),
    (
        "units sold twice",
        appended("stock", "MUG", stock.StockCorrected(-500, "thieves", 1)),
        "Stock MUG was sold twice: -403 on hand, -403 available.",
    ),
    (
        "a slot for nobody",
        appended("cart", f"g-{PAID}", cart.CartCheckedOut("nobody", 1, "GBP")),
        f"Cart g-{PAID} keeps the lines of order nobody, which never was.",
    ),
    (
        "a slot that nobody closed",
        appended("cart", f"g-{PAID}", cart.CartCheckedOut(PAID, 1, "GBP")),
        f"Cart g-{PAID} still keeps the lines of order {PAID}, which is confirmed.",
    ),
    (
        "the catalogue shows too much",
        sql("catalog", "UPDATE availability SET available = 12 WHERE sku = 'MUG'"),
        "The catalogue shows 12 of MUG as available; there are 97.",
    ),
    (
        "the catalogue shows nothing",
        sql("catalog", "DELETE FROM availability WHERE sku = 'MUG'"),
        "The catalogue shows nothing of MUG as available; there are 97.",
    ),
    (
        "the catalogue shows what never was",
        sql("catalog", "INSERT INTO availability VALUES ('HAT', 3, 1)"),
        "The catalogue shows 3 of HAT as available; it has no stock item.",
    ),
    (
        "an order listed wrongly",
        sql("orders", f"UPDATE orders SET status = 'packed' WHERE id = '{PAID}'"),
        f"The list of orders has the status 'packed' of order {PAID}: 'confirmed'.",
    ),
    (
        "an order listed with another payment status",
        sql("orders", f"UPDATE orders SET payment_status = 'failed' WHERE id = '{PAID}'"),
        f"The list of orders has the payment status 'failed' of order {PAID}: 'partially_refunded'.",
    ),
    (
        "a parcel with more than was bought",
        rewritten("order", CASH, lambda event: _parcel(event, {"MUG": 5})),
        f"Parcel 1 of order {CASH} has 5 of MUG; 1 had yet to leave.",
    ),
    (
        "a parcel with nothing in it",
        rewritten("order", CASH, lambda event: _parcel(event, {})),
        f"Order {CASH} is shipped with parcel 1, and 1 of MUG never left.",
    ),
    (
        "a sale that is not reported",
        sql("orders", f"DELETE FROM sales WHERE order_id = '{PAID}'"),
        f"Order {PAID} is in no report of sales.",
    ),
    (
        "a sale of more than it was",
        sql("orders", f"UPDATE sales SET units = 99 WHERE order_id = '{PAID}'"),
        f"The sales have the units 99 of order {PAID}: ",
    ),
    (
        "a sale of no order",
        sql("orders", "INSERT INTO sales (order_id, version) VALUES ('o-zzz', 1)"),
        "The sales have order o-zzz, which never was.",
    ),
    (
        "an order not listed",
        sql("orders", f"DELETE FROM orders WHERE id = '{SHORT}'"),
        f"Order {SHORT} is not in the list of orders.",
    ),
    (
        "a listed order that never was",
        sql("orders", "INSERT INTO orders VALUES ('o-zzz', 'o', 1, 'placed', 1, 'GBP', 1, 'none')"),
        "The list of orders has order o-zzz, which never was.",
    ),
    (
        "no contact",
        sql("orders", f"DELETE FROM contacts WHERE order_id = '{FREE}'"),
        f"Order {FREE} goes to contact k-{FREE}, which is not there.",
    ),
    (
        "no receipt",
        sql("notifications", f"DELETE FROM mails WHERE order_id = '{PAID}' AND template = 'receipt'"),
        f"The receipt of order {PAID} was never mailed: event order/{PAID}/",
    ),
    (
        "a confirmation too many",
        sql("notifications", f"UPDATE mails SET template = 'order_confirmation' WHERE order_id = '{SHORT}'"),
        f"The order_confirmation of order {SHORT} was mailed, and nothing happened that makes one.",
    ),
    (
        "one mail twice",
        sql(
            "notifications",
            f"INSERT INTO mails SELECT 'other', event_id, template, order_id, owner, sender, ends_at, outcome, "
            f"sendings, created_at, ended_at FROM mails WHERE order_id = '{PAID}' AND template = 'receipt'",
        ),
        f"The receipt of order {PAID} was mailed twice: event order/{PAID}/",
    ),
    (
        "a dead letter",
        sql(
            "flows",
            f"INSERT INTO dead_letters VALUES ('settle_orders', 'payment/{PAID}/3/0', 1, 'payment', '{PAID}', 3, 0, 1, "
            "x'', 'Boom', 1, 0, 8)",
        ),
        f"The flow settle_orders has given up on event payment/{PAID}/3/0: Boom.",
    ),
]

TEXTS: list[tuple[str, Damage, str]] = [
    (
        "no text",
        sql("notifications", "DELETE FROM texts WHERE template = 'order_shipped'"),
        f"The order_shipped of order {CASH} was never texted: event order/{CASH}/",
    ),
    (
        "one text twice",
        sql(
            "notifications",
            "INSERT INTO texts SELECT 'other', event_id, template, order_id, owner, sender, ends_at, outcome, "
            "sendings, created_at, ended_at FROM texts WHERE template = 'order_shipped'",
        ),
        f"The order_shipped of order {CASH} was texted twice: event order/{CASH}/",
    ),
    (
        "a text of what nobody is texted",
        sql("notifications", "UPDATE texts SET template = 'receipt' WHERE template = 'order_delivered'"),
        f"The receipt of order {CASH} was texted, and nothing happened that makes one.",
    ),
    (
        "a text of no order",
        sql("notifications", "UPDATE texts SET order_id = 'o-zzz' WHERE template = 'order_delivered'"),
        "The order_delivered of order o-zzz was texted; there is no such order.",
    ),
    (
        "a text to who was erased",
        sql("notifications", f"INSERT INTO erased VALUES ('guest:g-{CASH}', 1)"),
        f"The order_shipped of order {CASH} was texted to somebody who had been erased: event order/{CASH}/",
    ),
]

MONEY: list[tuple[str, Damage, str]] = [
    (
        "a capture that the gateway does not know",
        sql("gateway", f"DELETE FROM captures WHERE intent = (SELECT id FROM intents WHERE session = '{PAID}')"),
        f"The gateway has captured 0 for session {PAID}, which says 4500.",
    ),
    (
        "a capture of another amount",
        rewritten("payment", PAID, _captures_more),
        f"Order {PAID} over 4500 stands; its session has captured 4501.",
    ),
    (
        "a capture that the session does not know",
        sql("gateway", f"INSERT INTO captures SELECT id, 'k', 450, 1 FROM intents WHERE session = '{DECLINED}'"),
        f"The gateway has captured 450 for session {DECLINED}, which says 0.",
    ),
    (
        "two captures",
        appended("payment", PAID, payment.PaymentCaptured(4_500, "GBP")),
        f"Session {PAID} was captured 2 times.",
    ),
    (
        "money set aside that nobody lets go of",
        sql("gateway", f"UPDATE intents SET status = 'requires_capture' WHERE session = '{DECLINED}'"),
        f"The gateway has set 450 aside for session {DECLINED}, which does not count on it.",
    ),
    (
        "a refund that nobody knows",
        sql("gateway", f"INSERT INTO refunds SELECT id, 'r9', 100, 1, NULL, 1 FROM intents WHERE session = '{PAID}'"),
        f"The gateway has refunded 800 for session {PAID}, which says 700.",
    ),
    (
        "a refund that did not happen",
        sql("gateway", f"DELETE FROM refunds WHERE intent = (SELECT id FROM intents WHERE session = '{CANCELLED}')"),
        f"2250 were paid for {CANCELLED}, which is cancelled, and nobody is giving them back.",
    ),
    (
        "an intent over another amount",
        sql("gateway", f"UPDATE intents SET amount = 1 WHERE session = '{PAID}'"),
        f"Session {PAID} is over 4500 GBP, its intent at the gateway over 1 GBP.",
    ),
    (
        "an intent for no order",
        sql(
            "gateway",
            "INSERT INTO intents (id, session, amount, currency, status, created_at)"
            " VALUES ('pi', 'o-zzz', 1, 'GBP', 'canceled', 1)",
        ),
        "The gateway has an intent for o-zzz, which is no order.",
    ),
    (
        "an order that stands unpaid",
        appended("order", SHORT, _CONFIRMED),
        f"Order {SHORT} over 600000 stands; its session has captured 0.",
    ),
    (
        "cash that nobody recorded",
        rewritten("payment", CASH, lambda event: replace(event, amount=1)),
        f"Order {CASH} is delivered; 1200 is due in cash, 1 was recorded.",
    ),
    (
        "a refund that the order does not know",
        appended("payment", PAID, payment.RefundStarted("r2", 5, False, 1), payment.PaymentRefunded("r2", 5, "GBP")),
        f"The gateway has refunded 700 for session {PAID}, which says 705.",
    ),
    (
        "a session that was never told",
        sql(
            "journal",
            f"UPDATE records SET command_id = 'c:x' WHERE kind = 'payment' AND entity = '{PAID}' AND version = 1",
        ),
        f"The flow open_payments has handled event order/{PAID}/",
    ),
    (
        "a payment transaction that is gone",
        sql("payments", f"DELETE FROM payment_transactions WHERE session = '{PAID}' AND kind = 'capture'"),
        f"The capture of session {PAID} is not among the payment transactions: event payment/{PAID}/",
    ),
    (
        "a payment transaction over another amount",
        sql("payments", f"UPDATE payment_transactions SET amount = 1 WHERE session = '{PAID}' AND kind = 'refund'"),
        f"The payment transactions have the amount 1 of the refund of session {PAID}: 700.",
    ),
    (
        "a payment transaction of nothing that happened",
        sql(
            "payments",
            "INSERT INTO payment_transactions SELECT event_id || '9', version, number, session, kind, attempt, amount,"
            f" currency, method, reference, detail, at, raw FROM payment_transactions WHERE session = '{PAID}' AND "
            "kind = 'capture'",
        ),
        f"There is a payment transaction of session {PAID}, a capture of 4500, and event payment/{PAID}/",
    ),
    (
        "a payment transaction of no session",
        sql(
            "payments",
            "INSERT INTO payment_transactions VALUES ('e', 1, 0, 'o-zzz', 'refund', 0, 5, 'GBP', '', '', '', 1, '')",
        ),
        "There is a payment transaction of session o-zzz, a refund of 5, and event e makes none.",
    ),
]
