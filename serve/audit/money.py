"""Money: each order, its payment session and the gateway's own book say the same, and nobody paid for nothing."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Connection, text

from actors import order, payment
from pipelines import open_payments, settle_orders
from pipelines.flow import command_id
from serve.audit.findings import Findings
from serve.audit.flows import Flows
from serve.audit.replayed import Replayed
from serve.audit.stock import RUNNING, STANDS

_ACCOUNTS = text(
    """
    SELECT i.session, i.currency, i.amount, i.status,
        (SELECT count(*) FROM captures c WHERE c.intent = i.id) AS captures,
        coalesce((SELECT sum(amount) FROM captures c WHERE c.intent = i.id), 0) AS captured,
        coalesce((SELECT sum(amount) FROM refunds r WHERE r.intent = i.id AND r.ok), 0) AS refunded,
        max(i.created_at,
            coalesce((SELECT max(started_at) FROM attempts a WHERE a.intent = i.id), 0),
            coalesce((SELECT max(captured_at) FROM captures c WHERE c.intent = i.id), 0),
            coalesce((SELECT max(refunded_at) FROM refunds r WHERE r.intent = i.id), 0)) AS changed_at
    FROM intents i ORDER BY i.session"""
)


ASKED = "c:"
"""What the ids of commands that somebody asked for begin with in records."""


class Account(NamedTuple):
    """What the gateway's book has of one session. `changed_at`: when it last did anything (UTC, milliseconds)."""

    session: str
    currency: str
    amount: int
    status: str
    captures: int
    captured: int
    refunded: int
    changed_at: int

    @property
    def net(self) -> int:
        return self.captured - self.refunded


def accounts(db: Connection | None) -> Iterator[Account]:
    """In order of session."""
    if db is not None:
        for row in db.execute(_ACCOUNTS, execution_options={"yield_per": 1_000}):
            yield Account(*row)


class Paying:
    """One order id: the order, its session and the gateway's account, as far as there are any.

    `booked`: the gateway keeps its book where it can be looked at.
    """

    def __init__(
        self,
        name: str,
        order_: Replayed | None,
        session: Replayed | None,
        account: Account | None,
        recent: bool,
        *,
        booked: bool = True,
    ) -> None:
        self.booked = booked
        self.id = name
        self.order = order_
        self.session = session
        self.account = account
        self.busy = recent or any(one is not None and one.busy for one in (order_, session))
        self.state: order.OrderState = order_.state if order_ is not None else order.initial(name)
        self.paid: payment.PaymentState = session.state if session is not None else payment.initial(name)

    @property
    def unsure(self) -> bool:
        """The session has still to learn from the gateway, or to have money sent back."""
        paid = self.paid
        asks = paid.creating or bool(paid.closing) or paid.attempt_state in ("sent", "processing", "action")
        asks = asks or paid.capture_owed
        return self.busy or self.owes or (asks and not paid.closed and not paid.captured)

    @property
    def set_aside(self) -> bool:
        """The session counts on money that was neither captured nor let go of."""
        paid = self.paid
        return paid.attempt_state == "authorised" and not paid.closed and not paid.captured

    @property
    def owes(self) -> bool:
        """Money is on its way back, or the gateway has to be asked for that again."""
        return any(row.status == "asked" or (row.must and row.status == "failed") for row in self.paid.refunds.values())

    @property
    def refunded(self) -> int:
        """What the session knows to have gone back."""
        return sum(row.amount for row in self.paid.refunds.values() if row.status == "refunded")


def check_money(one: Paying, flows: Flows, findings: Findings) -> None:
    """Everything about the money of one order id."""
    _check_gateway(one, findings)
    if one.state.status in STANDS:
        _check_standing(one, findings)
    elif one.state.status in RUNNING:
        _check_running(one, findings)
    else:
        _check_ended(one, findings)
    if one.state.status != "none" and not one.busy:
        _check_told(one, findings)
    _check_flows(one, flows, findings)


def _check_gateway(one: Paying, findings: Findings) -> None:
    """The gateway alone knows whether money moved; the session must not say otherwise."""
    account, paid = one.account, one.paid
    captures = len(one.session.events_of(payment.PaymentCaptured)) if one.session is not None else 0
    if captures > 1:
        findings.broken(f"Session {one.id} was captured {captures} times.")
    if account is None:
        if one.booked and paid.captured and not paid.cash:
            findings.broken(f"Session {one.id} says that {paid.captured} were captured; the gateway knows no intent.")
        return
    if account.captures > 1:
        findings.broken(f"The gateway has captured {account.captures} times for session {one.id}.")
    if account.refunded > account.captured:
        findings.broken(f"The gateway has captured {account.captured} for {one.id} and refunded {account.refunded}.")
    if paid.opened and (account.amount, account.currency) != (paid.amount, paid.currency):
        findings.broken(
            f"Session {one.id} is over {paid.amount} {paid.currency}, its intent at the gateway over {account.amount} "
            f"{account.currency}."
        )
    if account.status == "requires_capture" and not one.set_aside and not one.unsure:
        findings.broken(f"The gateway has set {account.amount} aside for session {one.id}, which does not count on it.")
    known = 0 if paid.cash else paid.captured
    if account.captured != known and (known or not one.unsure):
        findings.broken(f"The gateway has captured {account.captured} for session {one.id}, which says {known}.")
    gone = 0 if paid.cash else one.refunded
    if account.refunded < gone or (account.refunded > gone and not one.unsure):
        findings.broken(f"The gateway has refunded {account.refunded} for session {one.id}, which says {gone}.")


def _check_standing(one: Paying, findings: Findings) -> None:
    state, paid = one.state, one.paid
    if state.payment_status == "authorised" and not paid.captured:
        _check_set_aside(one, findings)
        return
    if state.awaits_payment:
        if paid.captured != state.total or paid.cash:
            findings.broken(f"Order {one.id} over {state.total} stands; its session has captured {paid.captured}.")
        return
    if one.account is not None and one.account.captured:
        findings.broken(f"Order {one.id} is not paid at the gateway, which has captured {one.account.captured} for it.")
    due = state.total if state.method == order.CASH_ON_DELIVERY and state.status == "delivered" else 0
    if paid.captured != due and not (one.busy and not paid.captured):
        findings.broken(f"Order {one.id} is {state.status}; {due} is due in cash, {paid.captured} was recorded.")


def _check_set_aside(one: Paying, findings: Findings) -> None:
    """The order stands because its money is set aside; it is captured when the order is packed."""
    paid = one.paid
    if paid.attempt_state != "authorised" or (paid.closed and not one.busy):
        findings.broken(f"Order {one.id} counts on money that its session has not set aside.")
    elif paid.captures or paid.closing:
        findings.waits("payments that are to be captured or let go of", f"{one.state.total} of order {one.id}")
    elif one.state.status != "confirmed" and not one.busy:
        findings.broken(f"Order {one.id} is {one.state.status}, and nobody captures what was set aside for it.")


def _check_running(one: Paying, findings: Findings) -> None:
    findings.waits("orders that are under way", f"order {one.id} is {one.state.status}")
    if one.paid.captured and not one.busy:
        findings.broken(f"Session {one.id} has captured {one.paid.captured}; its order is {one.state.status}.")
    if one.set_aside and not one.paid.closing and not one.busy:
        findings.broken(f"Session {one.id} has set {one.paid.amount} aside; its order is {one.state.status}.")


def _check_ended(one: Paying, findings: Findings) -> None:
    """Rejected, cancelled, or never an order at all: in the end nothing was paid."""
    net = one.paid.captured - one.refunded
    if one.account is not None and not one.paid.cash:
        net = one.account.net
    status = "no order" if one.state.status == "none" else one.state.status
    if net and one.unsure:
        findings.waits("payments that are to go back", f"{net} of {one.id}, which is {status}")
    elif net:
        findings.broken(f"{net} were paid for {one.id}, which is {status}, and nobody is giving them back.")
    if one.set_aside and (one.paid.closing or one.busy):
        findings.waits("payments that are to be let go of", f"{one.paid.amount} of {one.id}, which is {status}")
    elif one.set_aside:
        findings.broken(f"{one.paid.amount} are set aside for {one.id}, which is {status}, and nobody lets go of them.")
    if one.state.status == "none" and one.account is not None and not one.busy and one.session is None:
        findings.broken(f"The gateway has an intent for {one.id}, which is no order.")


def _check_told(one: Paying, findings: Findings) -> None:
    """With nothing on its way between them, order and session agree."""
    state, paid = one.state, one.paid
    if state.paid != paid.captured:
        findings.broken(f"Order {one.id} says that {state.paid} were paid, its session {paid.captured}.")
    if state.refunded != one.refunded and one.owes:
        findings.waits("refunds that are under way", f"of order {one.id}, one of them again")
    elif state.refunded != one.refunded:
        findings.broken(f"Order {one.id} says that {state.refunded} went back, its session {one.refunded}.")
    for row in state.refunds.values():
        if row.status != "requested":
            continue
        if row.id in paid.refunds:
            findings.waits("refunds that are under way", f"{row.amount} of order {one.id}")
        else:
            findings.broken(f"Order {one.id} waits for its refund {row.id}, of which its session knows nothing.")


def _check_flows(one: Paying, flows: Flows, findings: Findings) -> None:
    """What a flow says that it has told, it has told."""
    for source, target, flow in (
        (one.order, one.session, open_payments.NAME),
        (one.session, one.order, settle_orders.NAME),
    ):
        known: set[str] = target.commands if target is not None else set()
        for seen in source.events if source is not None else ():
            if not flows.handled(flow, seen) or not _tells(seen.event):
                continue
            if f"{ASKED}{command_id(flow, seen.happened)}" not in known:
                findings.broken(
                    f"The flow {flow} has handled event {seen.happened.id}, and whom it tells was never told."
                )


def _tells(event: Any) -> bool:
    if isinstance(event, order.OrderPlaced):
        return event.awaits_payment
    return settle_orders.told(event) is not None
