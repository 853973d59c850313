"""The whole shop by its rules: whatever crosses whatever, the invariants hold, and in the end everything is quiet."""

from collections import Counter
from random import Random

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from actors import cart, order, payment, stock
from actors.pricing import Price, Shipping, Terms
from tests.unit.shop_world import World

SKUS = ("bolt", "cog", "dial")
CARTS = ("u1", "u2", "u3")
PRICES = {sku: Price(sku, sku.title(), 100 + 50 * place, version=1) for place, sku in enumerate(SKUS)}
TERMS = Terms("EUR", 2000, True, Shipping("standard", "Standard", 490, 10_000))
STANDS = ("confirmed", "packed", "shipped", "delivered")
references = st.sampled_from(["ok", "ok", "decline", "action", "slow"])
picks = st.integers(0, 10_000)


class Shop(RuleBasedStateMachine):
    """Shoppers, staff, banks, a network and the time, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.orders: list[str] = []
        self.added: Counter[str] = Counter()

    @initialize(units=st.lists(st.integers(0, 8), min_size=len(SKUS), max_size=len(SKUS)))
    def fill(self, units: list[int]) -> None:
        for sku, quantity in zip(SKUS, units, strict=True):
            if quantity:
                self.world.ask("stock", sku, stock.Receive(quantity))

    @precondition(lambda self: len(self.orders) < 8)
    @rule(
        owner=st.sampled_from(CARTS),
        lines=st.lists(st.tuples(st.sampled_from(SKUS), st.integers(1, 3)), min_size=1, max_size=4),
        method=st.sampled_from(["card", "card", "card", "cash_on_delivery"]),
        reference=references,
        age=st.integers(0, 99),
    )
    def check_out(self, owner: str, lines: list[tuple[str, int]], method: str, reference: str, age: int) -> None:
        for sku, quantity in lines:
            reply = self.world.ask("cart", owner, cart.AddLine(sku, quantity, PRICES[sku]))
            if isinstance(reply, cart.CartView | cart.CartChanged):
                self.added[sku] += quantity
        order_id = f"{age:02}-{len(self.orders)}"
        command = cart.CheckOut(order_id, owner, "contact", TERMS, method, reference, PRICES, deadline=1_800_000)
        if isinstance(self.world.ask("cart", owner, command), cart.CheckedOut):
            self.orders.append(order_id)

    @rule(seed=picks, steps=st.integers(1, 40))
    def time_goes_on(self, seed: int, steps: int) -> None:
        random = Random(seed)
        self.world.run(random.randrange, steps)

    @precondition(lambda self: self.world.pairs())
    @rule(place=picks)
    def message_arrives(self, place: int) -> None:
        pairs = self.world.pairs()
        self.world.deliver(pairs[place % len(pairs)])

    @precondition(lambda self: self.world.last)
    @rule(place=picks)
    def message_arrives_again(self, place: int) -> None:
        self.world.deliver_again(list(self.world.last)[place % len(self.world.last)])

    @precondition(lambda self: self.world.effects)
    @rule(place=picks, answer_lost=st.booleans())
    def gateway_works(self, place: int, answer_lost: bool) -> None:
        self.world.perform(place % len(self.world.effects), answer_lost=answer_lost)

    @precondition(lambda self: self.world.timers)
    @rule(place=picks)
    def timer_goes_off(self, place: int) -> None:
        self.world.fire(sorted(self.world.timers)[place % len(self.world.timers)])

    @precondition(lambda self: self.world.gateway.intents)
    @rule(place=picks, success=st.booleans(), told=st.booleans())
    def bank_decides(self, place: int, success: bool, told: bool) -> None:
        session, intent = list(self.world.gateway.intents.items())[place % len(self.world.gateway.intents)]
        if intent.outcome.status in ("processing", "requires_action"):
            self.world.gateway.resolve(intent, success=success)
        if told:
            self.world.ask("payment", session, payment.GatewayNotified(f"pi-{session}"))

    @rule(times=st.integers(1, 2))
    def gateway_refuses_refunds(self, times: int) -> None:
        self.world.gateway.refuse_refunds = times

    @precondition(lambda self: self.orders)
    @rule(place=picks, by=st.sampled_from(["customer", "staff"]))
    def order_is_cancelled(self, place: int, by: str) -> None:
        command = order.Cancel("customer" if by == "customer" else "staff")
        self.world.ask("order", self.orders[place % len(self.orders)], command)

    @precondition(lambda self: self.orders)
    @rule(place=picks, reference=references)
    def shopper_pays_again(self, place: int, reference: str) -> None:
        self.world.ask("order", self.orders[place % len(self.orders)], order.PayAgain("card", reference))

    @precondition(lambda self: self.orders)
    @rule(place=picks, steps=st.integers(1, 3))
    def staff_work(self, place: int, steps: int) -> None:
        for step in (order.Pack(), order.Ship("dhl", "1"), order.Deliver())[:steps]:
            self.world.ask("order", self.orders[place % len(self.orders)], step)

    @precondition(lambda self: self.orders)
    @rule(place=picks, number=st.integers(1, 3), amount=st.none() | st.integers(1, 300), sku=st.sampled_from(SKUS))
    def staff_refund(self, place: int, number: int, amount: int | None, sku: str) -> None:
        lines = {} if number == 1 else {sku: 1}
        self.world.ask("order", self.orders[place % len(self.orders)], order.Refund(f"r{number}", amount, lines))

    @rule(sku=st.sampled_from(SKUS), quantity=st.integers(1, 3))
    def goods_come_in(self, sku: str, quantity: int) -> None:
        self.world.ask("stock", sku, stock.Receive(quantity))

    @rule(sku=st.sampled_from(SKUS), on_hand=st.integers(0, 6))
    def stock_is_counted(self, sku: str, on_hand: int) -> None:
        self.world.ask("stock", sku, stock.Correct(on_hand, "counted"))

    @invariant()
    def stock_adds_up(self) -> None:
        for sku in SKUS:
            state: stock.StockState = self.world.state("stock", sku)
            assert state.on_hand + state.sold - state.returned == state.received + state.corrected
            assert state.held == sum(claim.quantity for claim in state.holds.values())
            assert state.reserved == sum(claim.quantity for claim in state.reservations.values())
            assert state.available >= 0
            assert (state.watch_at is None) == (not state.holds)
            for order_id in state.reservations:
                steps = [step.step for step in self.world.state("order", order_id).history]
                assert "reserved" in steps, "only an order that has decided can make another short"

    @invariant()
    def reserved_orders_have_their_units(self) -> None:
        for order_id in self.orders:
            state: order.OrderState = self.world.state("order", order_id)
            if state.status == "reserved":
                for sku, item in state.items.items():
                    shelf: stock.StockState = self.world.state("stock", sku)
                    claim = shelf.holds.get(order_id) or shelf.reservations.get(order_id)
                    assert claim is not None
                    assert claim.quantity == item.quantity

    @invariant()
    def money_is_right(self) -> None:
        for order_id in self.orders:
            state: order.OrderState = self.world.state("order", order_id)
            intent = self.world.gateway.intents.get(order_id)
            if intent is not None:
                assert len(intent.captures) <= 1
                assert sum(intent.refunds) <= sum(intent.captures)
            if state.status in STANDS and state.awaits_payment:
                assert intent is not None
                assert intent.captures == [state.total]

    def teardown(self) -> None:
        random = Random(len(self.orders))
        self.world.settle(random.randrange)
        self.stock_adds_up()
        self.money_is_right()
        self._nothing_is_left()
        self._units_are_where_they_belong()
        self._money_is_where_it_belongs()

    def _nothing_is_left(self) -> None:
        for sku in SKUS:
            state: stock.StockState = self.world.state("stock", sku)
            assert (state.holds, state.waiting, state.reservations) == ({}, {}, {})
        for owner in CARTS:
            assert self.world.state("cart", owner).slots == {}
        for order_id in self.orders:
            assert self.world.state("order", order_id).status in (*STANDS, "rejected", "cancelled")
            session: payment.PaymentState = self.world.state("payment", order_id)
            assert session.id == order_id
            assert not any((session.creating, session.closing, session.looking, session.cancelling))
            assert payment.settled(session) or session.attempt == 0

    def _units_are_where_they_belong(self) -> None:
        sold: Counter[str] = Counter()
        bought: Counter[str] = Counter()
        for order_id in self.orders:
            state: order.OrderState = self.world.state("order", order_id)
            for sku, item in state.items.items():
                if state.status in STANDS:
                    sold[sku] += item.quantity - item.taken_back
                if any(step.step == "confirmed" for step in state.history):
                    bought[sku] += item.quantity
        for owner in CARTS:
            for line in self.world.state("cart", owner).lines:
                bought[line.sku] += line.quantity
        for sku in SKUS:
            shelf: stock.StockState = self.world.state("stock", sku)
            assert shelf.sold - shelf.returned == sold[sku]
            assert bought[sku] == self.added[sku], "a line is in one cart or one order, never in both, never in none"

    def _money_is_where_it_belongs(self) -> None:
        for order_id in self.orders:
            state: order.OrderState = self.world.state("order", order_id)
            intent = self.world.gateway.intents.get(order_id)
            captured, refunded = (sum(intent.captures), sum(intent.refunds)) if intent is not None else (0, 0)
            if state.status in STANDS and state.awaits_payment:
                assert captured == state.total
            if state.status not in STANDS:
                assert captured == refunded, "money for an order that does not stand goes back"
            if state.method != order.CASH_ON_DELIVERY:
                assert (state.paid, state.refunded) == (captured, refunded)
                session: payment.PaymentState = self.world.state("payment", order_id)
                assert session.captured == captured


Shop.TestCase.settings = settings(
    max_examples=40,
    stateful_step_count=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


TestShop = Shop.TestCase
