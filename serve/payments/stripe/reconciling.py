"""Stripe's own lists beside the shop's transactions: whatever one has and the other has not is said.

Stripe's side is what it says now, of the intents of some days and of those that the shop's rows of these days name; the
shop's is every row of their sessions.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, NamedTuple

import stripe

from pipelines.keep_transactions import CASH, Transaction
from serve.audit.findings import Findings
from serve.payments.gateway.base import GatewayRejected, GatewayUnavailable
from serve.payments.stripe.calls import StripeCalls
from serve.payments.stripe.hosted import HostedPages, is_hosted
from serve.payments.stripe.intents import REFUND, SESSION, plain, rejection
from serve.payments.transactions import TransactionStore, place_of

DAY = 86_400_000
YOUNG_MS = 600_000
"""What is younger may not have come to the other side yet; at Stripe and in the shop."""

PAGE = 100
SECONDS = 60.0

Object = dict[str, Any]


class Account(NamedTuple):
    """What one side has of a session, in minor units of a currency. `at`: when it last did anything (UTC, ms).

    `set_aside`: authorised, and neither captured nor let go.
    """

    captured: int = 0
    refunded: int = 0
    set_aside: int = 0
    currency: str = ""
    at: int = 0


class Reconciliation:
    """`now`: UTC, milliseconds."""

    def __init__(self, calls: StripeCalls, store: TransactionStore, now: int) -> None:
        self._calls = calls
        self._store = store
        self._now = now
        self._findings = Findings()
        self._intents: dict[str, Object] = {}
        self._refunds: dict[str, list[Object]] = defaultdict(list)

    async def run(self, days: int) -> Findings:
        """Compares what happened in the last `days`. Raises GatewayUnavailable, GatewayTimeout, GatewayRejected."""
        since = self._now - days * DAY
        await self._read_stripe(since // 1000)
        sessions = await self._read_shop(since)
        by_session: dict[str, list[Object]] = defaultdict(list)
        for intent in self._intents.values():
            by_session[_session(intent)].append(intent)
        for intent in by_session.pop("", []):
            self._stray(intent)
        for session in sorted(sessions | by_session.keys()):
            rows = await self._rows(session)
            self._compare(session, by_session.get(session) or await self._paid_on_page(rows), rows)
        self._findings.count("sessions", len(sessions | by_session.keys()))
        await self._compare_disputes(since // 1000)
        return self._findings

    async def _read_stripe(self, since: int) -> None:
        v1 = self._calls.v1
        created = {"gte": since}
        async for intent in self._listed(v1.payment_intents.list_async, created, expand=["data.latest_charge"]):
            self._intents[intent["id"]] = intent
        charges: dict[str, list[Object]] = defaultdict(list)
        async for charge in self._listed(v1.charges.list_async, created):
            if charge["status"] == "succeeded":
                charges[charge.get("payment_intent") or ""].append(charge)
        async for refund in self._listed(v1.refunds.list_async, created):
            self._refunds[refund.get("payment_intent") or ""].append(refund)
        for charge in charges.pop("", []):
            self._findings.broken(f"Stripe has charge {charge['id']} over {charge['amount']}, which is of no intent.")
        for name, found in charges.items():
            if len(found) > 1:
                ids = ", ".join(one["id"] for one in found)
                self._findings.broken(f"Stripe has charged {len(found)} times for intent {name}: {ids}.")
        for name in (charges.keys() | self._refunds.keys()) - self._intents.keys() - {""}:
            await self._retrieve(name)
        self._findings.count("intents", len(self._intents))
        self._findings.count("refunds", sum(map(len, self._refunds.values())))

    async def _read_shop(self, since: int) -> set[str]:
        """The sessions that did anything; their intents are asked for if Stripe's list has them not."""
        sessions: set[str] = set()
        after = None
        while rows := await self._store.page(since=since, after=after, limit=1_000):
            after = place_of(rows[-1])
            for row in rows:
                if row.method == CASH:
                    continue
                sessions.add(row.session)
                if row.reference.startswith("pi_") and row.reference not in self._intents:
                    await self._retrieve(row.reference)
        return sessions

    async def _retrieve(self, name: str) -> None:
        params: Any = {"expand": ["latest_charge"]}
        try:
            found = await self._calls.run(lambda: self._calls.v1.payment_intents.retrieve_async(name, params), SECONDS)
        except stripe.StripeError as error:
            rejected = rejection(error)
            if rejected.code != "no_such_intent":
                raise rejected from None
            return  # what the shop says of it is then said alone
        self._intents[name] = plain(found)

    async def _paid_on_page(self, rows: list[Transaction]) -> list[Object]:
        """The intent of a hosted page, which the shop knows by the page's name only: made before these days."""
        moved = (row.reference for row in rows if row.kind in ("authorisation", "capture"))
        page = next(filter(is_hosted, moved), None)
        if page is None:
            return []
        try:
            name = await HostedPages(self._calls).intent_of(page, self._calls.within(SECONDS))
        except GatewayRejected:
            return []  # what the shop says of it is then said alone
        await self._retrieve(name)
        return [self._intents[name]] if name in self._intents else []

    async def _rows(self, session: str) -> list[Transaction]:
        rows: list[Transaction] = []
        while found := await self._store.page(session=session, after=place_of(rows[-1]) if rows else None, limit=1_000):
            rows += found
        self._findings.count("transactions", len(rows))
        return [row for row in rows if row.method != CASH]

    def _compare(self, session: str, intents: list[Object], rows: list[Transaction]) -> None:
        theirs, ours = self._at_stripe(intents), _in_shop(rows)
        names = ", ".join(one["id"] for one in intents) or "no intent"
        said: list[str] = []
        if sum(one["amount_received"] > 0 for one in intents) > 1:
            said.append(f"Stripe has captured under several intents for session {session}: {names}.")
        if theirs.currency and ours.currency and theirs.currency != ours.currency:
            said.append(f"Session {session} is in {ours.currency} here and in {theirs.currency} at Stripe ({names}).")
        if theirs.captured != ours.captured:
            said.append(
                f"Stripe has captured {theirs.captured} for session {session} ({names}), the shop {ours.captured}."
            )
        if theirs.set_aside != ours.set_aside:
            said.append(
                f"Stripe has set aside {theirs.set_aside} for session {session} ({names}), the shop {ours.set_aside}."
            )
        if theirs.refunded != ours.refunded:
            elsewhere = self._made_elsewhere(intents)
            more = f", of it not asked for by the shop: {elsewhere}" if elsewhere else ""
            told = f"Stripe has refunded {theirs.refunded} for session {session} ({names}), the shop {ours.refunded}"
            said.append(f"{told}{more}.")
        self._say(said, max(theirs.at, ours.at), session)

    def _say(self, said: Iterable[str], at: int, what: str) -> None:
        for sentence in said:
            if self._now - at < YOUNG_MS:
                self._findings.waits("differences of the last minutes", what)
            else:
                self._findings.broken(sentence)

    def _at_stripe(self, intents: list[Object]) -> Account:
        made = Account()
        for intent in intents:
            charge = intent.get("latest_charge") or {}
            refunds = self._refunds.get(intent["id"], [])
            times = [intent["created"], intent.get("canceled_at") or 0, charge.get("created", 0)]
            times += [one["created"] for one in refunds]
            captured = intent.get("amount_received") or 0
            made = Account(
                made.captured + captured,
                # What was set aside and let go counts as refunded there; nothing had moved.
                made.refunded + (charge.get("amount_refunded") or 0 if captured else 0),
                made.set_aside + (intent.get("amount_capturable") or 0),
                intent["currency"].upper(),
                max(made.at, 1000 * max(times)),
            )
        return made

    def _made_elsewhere(self, intents: list[Object]) -> str:
        found = [one for intent in intents for one in self._refunds.get(intent["id"], [])]
        return ", ".join(
            f"{one['id']} over {one['amount']}"
            for one in found
            if one["status"] not in ("failed", "canceled") and not (one.get("metadata") or {}).get(REFUND)
        )

    def _stray(self, intent: Object) -> None:
        """Of no session. Without money in it, it may be anybody's who uses the same account."""
        if intent.get("amount_received"):
            text = f"Stripe has captured {intent['amount_received']} under {intent['id']}, which is of no session."
            self._say([text], 1000 * intent["created"], intent["id"])

    async def _compare_disputes(self, since: int) -> None:
        count = 0
        async for dispute in self._listed(self._calls.v1.disputes.list_async, {"gte": since}):
            count += 1
            name, status = dispute["id"], dispute["status"]
            intent = self._intents.get(dispute.get("payment_intent") or "")
            session = _session(intent) if intent is not None else ""
            rows = await self._rows(session) if session else []
            noted = [row.detail.split(" ")[1] for row in rows if row.kind == "dispute" and row.detail.startswith(name)]
            if noted[-1:] != [status]:
                known = f"the shop has it as {noted[-1]}" if noted else "the shop knows nothing of it"
                text = f"Dispute {name} over {dispute['amount']} of session {session or '(none)'} is {status}; {known}."
                self._say([text], 1000 * dispute["created"], name)
        self._findings.count("disputes", count)

    async def _listed(
        self, call: Callable[..., Awaitable[Any]], created: dict[str, int], **more: Any
    ) -> AsyncIterator[Object]:
        params: dict[str, Any] = {"created": created, "limit": PAGE, **more}
        while True:
            try:
                page = await self._calls.run(lambda: call(dict(params)), SECONDS)
            except stripe.StripeError as error:
                raise rejection(error) from None
            for one in page.data:
                yield plain(one)
            if not page.has_more:
                return
            if not page.data:
                raise GatewayUnavailable("Stripe says that there is more, and gives nothing")
            params["starting_after"] = page.data[-1].id


def _session(intent: Object) -> str:
    return str((intent.get("metadata") or {}).get(SESSION, ""))


def _in_shop(rows: list[Transaction]) -> Account:
    """`rows`: of one session, in their order."""
    set_aside = 0
    for row in rows:
        if row.kind == "authorisation":
            set_aside = row.amount
        elif row.kind in ("capture", "cancellation"):
            set_aside = 0

    def sum_of(kind: str) -> int:
        return sum(row.amount for row in rows if row.kind == kind)

    return Account(
        sum_of("capture"),
        sum_of("refund") - sum_of("refund_reversed"),
        set_aside,
        next((row.currency for row in rows if row.currency), ""),
        max((row.at for row in rows), default=0),
    )
