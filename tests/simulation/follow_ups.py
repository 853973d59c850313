"""What must be true, once all is quiet, of all that follows from events: accounts, contacts, mails, parcels, money."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from actors import order, payment
from actors.kinds import KINDS
from actors.runtime.wire import Note, body_of
from pipelines import notify_users, send_mails, show_activity
from pipelines.keep_transactions import Event as PaymentEvent
from pipelines.log.base import Happened
from pipelines.wanted import Types
from tests.simulation.checks import Entities, state_at
from tests.simulation.database import Databases
from tests.simulation.flows import Services
from tests.simulation.people import Account
from tests.simulation.stores import Calls, Transactions

STANDS = ("confirmed", "packed", "shipped", "delivered")
ALL_LEFT = ("shipped", "delivered")


_shown = Types({"user": show_activity.Event.__args__})
_mailed = Types({"user": notify_users.Event.__args__})


class Told(NamedTuple):
    happened: Happened
    event: Any


class Facts:
    """What is so: the orders and sessions as their events make them, and the events."""

    def __init__(self, database: Databases, entities: Entities, services: Services) -> None:
        self.services = services
        self.orders: dict[str, order.OrderState] = {}
        self.sessions: dict[str, payment.PaymentState] = {}
        for kind, name in entities:
            if kind == "order":
                self.orders[name] = state_at(kind, name, entities)
            elif kind == "payment":
                self.sessions[name] = state_at(kind, name, entities)
        self.told = {kind: list(_told(database, kind)) for kind in ("order", "payment")}

    def owned(self, account: Account) -> list[str]:
        return [name for name, state in self.orders.items() if state.owner == f"user:{account.id}"]


def _told(database: Databases, kind: str) -> Iterator[Told]:
    for position, record in enumerate(database.records, start=1):
        if record.kind != kind:
            continue
        body = body_of(record)
        if body.note is Note.DECISION:
            for index, encoded in enumerate(body.events):
                happened = Happened(position, kind, record.entity, record.version, index, body.at, encoded)
                yield Told(happened, KINDS[kind].event(encoded))


def check_follow_ups(database: Databases, entities: Entities, services: Services) -> Iterator[str]:
    facts = Facts(database, entities, services)
    for state in facts.orders.values():
        yield from _check_parcels(state)
    for account in services.users.accounts.values():
        yield from (_check_customer(account, facts) if account.there else _check_forgotten(account, facts))
    yield from _check_contacts(facts)
    yield from _check_transactions(facts)
    yield from _check_mails(facts)


def _check_parcels(state: order.OrderState) -> Iterator[str]:
    """No unit leaves that was refunded before; once the order has left, all the others have."""
    for sku, item in state.items.items():
        left = sum(shipment.lines.get(sku, 0) for shipment in state.shipments)
        if left > item.to_leave or (state.status in ALL_LEFT and left != item.to_leave):
            yield f"of order {state.id}, {state.status}, {left} of {sku} left; {item}"
        if not 0 <= item.refunded_shipped <= min(left, item.quantity - item.kept):
            yield f"order {state.id} says that of {sku} units had left that had not: {item}, {left} left"
    if state.shipments and state.status not in ("packed", *ALL_LEFT):
        yield f"order {state.id} is {state.status} and has parcels"


def _was_confirmed(state: order.OrderState) -> bool:
    return any(step.step == "confirmed" for step in state.history)


def _check_customer(account: Account, facts: Facts) -> Iterator[str]:
    """The orders of an account's confirmed address are its own, and each is counted once."""
    notes = facts.services.users.activity
    counted = {note.about["order"] for note in notes.values() if _counts(note, account)}
    adopted = {told.happened.entity: told.event.status for told in facts.told["order"] if _adopts(told)}
    owned = facts.owned(account)
    wanted = {name for name in owned if _was_confirmed(facts.orders[name]) and adopted.get(name) != "cancelled"}
    if counted != wanted:
        yield f"of {account.id}'s orders {sorted(wanted)} were confirmed, counted are {sorted(counted)}"
    for happened in facts.services.users.outbox:
        if happened.entity == account.id and _shown.decode(happened) is not None and happened.id not in notes:
            yield f"{happened.id} is not on {account.id}'s page"
    for row in facts.services.contacts.rows.values():
        state = facts.orders.get(row.order_id)
        mine = account.confirmed and row.given == account.email and row.owner.startswith("guest:")
        if mine and state is not None and _was_confirmed(state):
            yield f"order {row.order_id} was placed with {account.id}'s confirmed address and is {state.owner}'s"


def _counts(note: show_activity.Note, account: Account) -> bool:
    return note.user_id == account.id and note.what == show_activity.ORDER_CONFIRMED


def _adopts(told: Told) -> bool:
    return isinstance(told.event, order.OrderAdopted)


def _check_forgotten(account: Account, facts: Facts) -> Iterator[str]:
    """Of somebody who is gone nothing personal is left."""
    services, owner = facts.services, f"user:{account.id}"
    owned = set(facts.owned(account))
    for row in services.contacts.rows.values():
        if row.email is not None and (row.owner == owner or row.order_id in owned):
            yield f"order {row.order_id} of {account.id}, who is gone, still has its contact"
    for name, intent in services.mails.intents.items():
        if name in services.mails.files and (intent.owner == owner or intent.order_id in owned):
            yield f"the mail {name} of {account.id}, who is gone, is still there"
    if any(note.user_id == account.id for note in services.users.activity.values()):
        yield f"{account.id}, who is gone, still has a page"


def _check_contacts(facts: Facts) -> Iterator[str]:
    """Each order has its contact, of its owner; one that was a guest's is an account's of the same address, once."""
    rows, addresses = facts.services.contacts.rows, facts.services.users.addresses
    for name, state in facts.orders.items():
        row = rows.get(state.contact_id)
        if state.status == "none":
            continue
        if row is None or row.owner != state.owner:
            yield f"order {name} is {state.owner}'s, its contact is {row}"
        elif state.guest and addresses[state.owner.removeprefix("user:")] != row.given:
            yield f"order {name} of {row.given} was given to {state.owner}"
        times = sum(_adopts(told) and told.happened.entity == name for told in facts.told["order"])
        if times != bool(state.guest):
            yield f"order {name} was adopted {times} times"


def _check_transactions(facts: Facts) -> Iterator[str]:
    """The rows are what the events make of nothing, and say the same of the money as the sessions."""
    kept = facts.services.transactions
    again = Transactions(Calls.__new__(Calls))
    types = PaymentEvent.__args__
    for told in facts.told["payment"]:
        if isinstance(told.event, types):
            again.add(told.happened, told.event)
    rows = sorted(kept.rows, key=lambda row: (row.session, row.version, row.number))
    if rows != sorted(again.rows, key=lambda row: (row.session, row.version, row.number)):
        yield f"{len(kept.rows)} payment transactions are kept, the events make {len(again.rows)} others"
    if kept.sessions != again.sessions:
        yield "the kept sessions of payment transactions are not what the events make"
    net: dict[str, int] = {}
    signs = {"capture": 1, "refund": -1, "refund_reversed": 1}
    for row in kept.rows:
        if row.kind in signs:
            net[row.session] = net.get(row.session, 0) + signs[row.kind] * row.amount
    for name, session in facts.sessions.items():
        moved = session.captured - sum(one.amount for one in session.refunds.values() if one.status == "refunded")
        if net.get(name, 0) != moved:
            yield f"session {name} has {moved}, its transactions come to {net.get(name, 0)}"


def _check_mails(facts: Facts) -> Iterator[str]:
    """One intent for each mail that an event makes, and none else; sent once, if no answer was lost."""
    due: dict[tuple[str, str], None] = {}
    for told in facts.told["order"]:
        if isinstance(told.event, send_mails.Event.__args__):
            view = order.view(facts.orders[told.happened.entity])
            due.update(dict.fromkeys((told.happened.id, name) for name, _ in send_mails.due(told.event, view)))
    for happened in facts.services.users.outbox:
        event = _mailed.decode(happened)
        found = None if event is None else notify_users.due(event)
        if found is not None:
            due[happened.id, found[0]] = None
    mails = facts.services.mails
    if due.keys() != mails.intents.keys():
        yield f"mails differ from what events make: {sorted(due.keys() ^ mails.intents.keys())}"
    for mail, intent in mails.intents.items():
        times = mails.delivered.get(mail, 0)
        if not intent.outcome or times > intent.sendings or (intent.outcome == "sent" and not times):
            yield f"the mail {mail} was delivered {times} times: {intent}"
