"""The read models that are tables, each made from the log alone by the code of its flow."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from sqlalchemy import Column, ColumnElement, Connection, MetaData, Table, select

from actors import order, payment
from actors.decision import Message
from pipelines import count_orders, keep_transactions, list_orders, report_sales, show_activity, show_availability
from pipelines.flow import Flow
from pipelines.log.base import Happened
from pipelines.projection import Projection, Versioned, gather
from pipelines.show_activity import ORDER_CONFIRMED, Note
from pipelines.sql.words import insert_missing
from serve.catalog import tables as catalog
from serve.catalog.service import Catalog
from serve.databases import SharedTransactions, open_engine
from serve.opened import Closes
from serve.orders import tables as orders
from serve.orders.store import OrderStore
from serve.payments import transactions
from serve.payments.transactions import TransactionStore
from serve.users import tables as users
from serve.users.account_tables import activity
from serve.users.activity import row_of

Event = tuple[Happened, Any]
Row = Mapping[str, Any]


class Part(NamedTuple):
    """A table of a read model. `about`: the column that says of which key a row is."""

    table: Table
    about: Column[Any]


@dataclass(frozen=True)
class Filling:
    """Fills an empty database as the flow does, and touches nothing else. `store` is to be closed."""

    store: Closes
    flow: Flow | Projection[Any]

    async def write(self, events: Sequence[Event]) -> None:
        """Events of one entity come in order. Raises what the store raises."""
        if isinstance(self.flow, Flow):
            await asyncio.gather(*(self.flow.handle(*one) for one in events))
            return
        gathered: dict[str, Versioned[Any]] = {}
        for happened, event in events:
            gather(self.flow, gathered, happened, event)
        if gathered:
            await self.flow.write(gathered)


def _entity(happened: Happened, event: Any) -> str:
    return happened.entity


def _all(connection: Connection, rows: Sequence[Row], *, locked: bool) -> list[Row]:
    return list(rows)


@dataclass(frozen=True)
class ReadModel:
    """`name`: its flow's. `database`: which of the shop's it is in, with `metadata`. `fill`: by an address.

    `key`: what an event tells of; all rows of a key are compared and replaced together. `version`: in which column of
    the first table it stands, if rows have one. `begins`: with which events the history of a key begins; empty: each
    event tells all. `only`: which rows of the first table are this model's. `lasting`: those of some rows that may be
    there, whatever the log says, and locks what they depend on.
    """

    name: str
    what: str
    reads: Mapping[str, tuple[type[Message], ...]]
    database: str
    metadata: MetaData
    parts: tuple[Part, ...]
    fill: Callable[[str], Filling]
    key: Callable[[Happened, Any], str] = _entity
    version: str | None = None
    begins: tuple[type[Message], ...] = ()
    only: ColumnElement[bool] | None = None
    lasting: Callable[..., list[Row]] = field(default=_all)


def _list(url: str) -> Filling:
    store = OrderStore(url)
    return Filling(store, list_orders.list_orders(store))


def _sales(url: str) -> Filling:
    store = OrderStore(url)
    return Filling(store, report_sales.report_sales(store))


def _availability(url: str) -> Filling:
    store = Catalog(url)
    return Filling(store, show_availability.show_availability(store))


def _transactions(url: str) -> Filling:
    store = TransactionStore(url)
    return Filling(store, keep_transactions.keep_transactions(store))


class _Notes:
    """The activity of accounts that are not asked for."""

    def __init__(self, url: str) -> None:
        self._engine = open_engine(url, users.metadata, 1)
        self._writes = SharedTransactions(self._engine, "activity-rebuild")

    async def note(self, note: Note) -> None:
        await self._writes.run(lambda connection: insert_missing(connection, activity, [row_of(note)]))

    async def close(self) -> None:
        await self._writes.close()
        await asyncio.to_thread(self._engine.dispose)


def _noting(name: str, reads: Mapping[str, tuple[type[Message], ...]], noted: Callable[..., Note | None]) -> Any:
    def fill(url: str) -> Filling:
        notes = _Notes(url)

        async def handle(happened: Happened, event: Any) -> None:
            if (note := noted(happened, event)) is not None:
                await notes.note(note)

        return Filling(notes, Flow(name, reads, handle))

    return fill


def _of_accounts(connection: Connection, rows: Sequence[Row], *, locked: bool) -> list[Row]:
    """Whoever was erased stays so: the log still has what happened to an account, and the shop must not."""
    there = select(users.users.c.id).where(
        users.users.c.id.in_({row["user_id"] for row in rows}), users.users.c.deleted_at.is_(None)
    )
    found = set(connection.scalars(there.with_for_update(read=True) if locked else there))
    return [row for row in rows if row["user_id"] in found]


def _activity(
    name: str,
    what: str,
    reads: Mapping[str, tuple[type[Message], ...]],
    key: Callable[[Happened, Any], str],
    noted: Callable[..., Note | None],
    only: ColumnElement[bool],
) -> ReadModel:
    return ReadModel(
        name,
        what,
        reads,
        "users",
        users.metadata,
        (Part(activity, activity.c.id),),
        _noting(name, reads, noted),
        key=key,
        only=only,
        lasting=_of_accounts,
    )


TABLES: tuple[ReadModel, ...] = (
    ReadModel(
        list_orders.NAME,
        "the lists of orders, with what they are found by",
        {"order": list_orders.Event.__args__},
        "orders",
        orders.metadata,
        (
            Part(orders.listed, orders.listed.c.id),
            Part(orders.order_skus, orders.order_skus.c.order_id),
            Part(orders.parcels, orders.parcels.c.order_id),
        ),
        _list,
        version="version",
        begins=(order.OrderOpened,),
    ),
    ReadModel(
        report_sales.NAME,
        "what was sold, for the reports",
        {"order": report_sales.Event.__args__},
        "orders",
        orders.metadata,
        (Part(orders.sales, orders.sales.c.order_id), Part(orders.sale_lines, orders.sale_lines.c.order_id)),
        _sales,
        version="version",
        begins=(order.OrderOpened,),
    ),
    _activity(
        count_orders.NAME,
        "how many orders each customer has, and the last one",
        {"order": count_orders.Event.__args__},
        lambda happened, event: f"order/{happened.entity}",
        count_orders.counted,
        activity.c.what == ORDER_CONFIRMED,
    ),
    ReadModel(
        keep_transactions.NAME,
        "all that moved money, or tried to",
        {"payment": keep_transactions.Event.__args__},
        "payments",
        transactions.metadata,
        (
            Part(transactions.transactions, transactions.transactions.c.session),
            Part(transactions.sessions, transactions.sessions.c.id),
        ),
        _transactions,
        # One that an order closes before it was opened only says so.
        begins=(payment.SessionOpened, payment.CashRecorded, payment.PaymentClosed),
    ),
    ReadModel(
        show_availability.NAME,
        "how many units the catalogue shows as left",
        {"stock": show_availability.Event.__args__},
        "catalog",
        catalog.metadata,
        (Part(catalog.availability, catalog.availability.c.sku),),
        _availability,
        version="version",
    ),
    _activity(
        show_activity.NAME,
        "what customers see of what happened to their accounts",
        {"user": show_activity.Event.__args__},
        lambda happened, event: happened.id,
        show_activity.noted,
        activity.c.what != ORDER_CONFIRMED,
    ),
)
