"""Shoppers and staff, each from a seed: what people do to a shop, and more of it at once than they would."""

import asyncio
from contextlib import suppress

import msgspec

from actors import cart, order, stock
from actors.decision import Refused
from actors.order_shipments import ShipmentStepName
from actors.pricing import Price, Shipping, Terms
from tests.simulation.callers import Person
from tests.simulation.clock import EPOCH
from tests.simulation.flows import Services
from tests.simulation.gateway import MEANS, SimulatedGateway
from tests.simulation.stores import Contact

SKUS = ("apple", "berry", "cherry", "date")
HOT = "berry"
"""Of this one there are only a few."""

STOCKED = {"apple": 60, HOT: 4, "cherry": 12, "date": 0}
PRICES = {sku: Price(sku, sku.title(), 100 * (place + 1), version=1) for place, sku in enumerate(SKUS)}
CARRIER_STEPS: tuple[ShipmentStepName, ...] = ("in_transit", "out_for_delivery", "exception", "delivered")
TERMS = Terms("EUR", 2_000, True, Shipping("standard", "Standard", 490, None))


class Shop:
    """What the people of one simulation share. `orders`: those that a caller was told of, with their carts."""

    def __init__(self, gateway: SimulatedGateway, services: Services) -> None:
        self.gateway = gateway
        self.users = services.users
        self.contacts = services.contacts
        self.orders: dict[str, str] = {}
        self.checked_out: dict[str, None] = {}
        self.stocked: dict[str, int] = {}


class Shopper:
    """One shopper with one or two devices on one cart, and an account, sooner or later; sometimes not logged in."""

    def __init__(self, shop: Shop, devices: list[Person], number: int) -> None:
        self.shop = shop
        self.devices = devices
        self.chance = devices[0].world.stream("shopper", number)
        self.guest = self.chance.random() < 0.3
        self.cart = f"g-{number}" if self.guest else f"user{number}"
        self.number = number
        self.new = len(devices) == 1
        self.email = f"{number}@home"

    async def shop_around(self) -> None:
        if not self.guest:
            self.shop.users.register(self.cart, self.email, confirmed=self.chance.random() < 0.3)
        living = self._live(f"user{self.number + 100}" if self.guest else self.cart)
        await asyncio.gather(living, *(self._use(device) for device in self.devices))
        if self.guest and self.chance.random() < 0.6:
            device = self.devices[0]
            into = f"user{self.number + 100}"
            await device.ask("cart", self.cart, cart.Merge(into), device.key())
            await device.ask("cart", into, cart.Clear())
            await device.read("cart", into)

    async def _live(self, user_id: str) -> None:
        """What becomes of the account; another may follow with the same address."""
        chance, users = self.chance, self.shop.users
        step = self.devices[0].world.plan.seconds / 3
        if self.guest:
            await asyncio.sleep(chance.uniform(0, 2 * step))
            users.register(user_id, self.email, confirmed=chance.random() < 0.2)
        await asyncio.sleep(chance.uniform(0, step))
        if chance.random() < 0.8:
            users.confirm(user_id)
        for _ in range(chance.randint(0, 2)):
            users.log_in(user_id, known_device=chance.random() < 0.5)
            if chance.random() < 0.2:
                users.change_password(user_id)
            await asyncio.sleep(chance.uniform(0, step))
        if chance.random() < 0.4:
            await asyncio.sleep(chance.choice((0.0, 0.05, 0.5, step)) * chance.random())
            users.delete(user_id)
            if chance.random() < 0.5:
                await asyncio.sleep(chance.uniform(0, step))
                users.register(f"{user_id}-again", self.email, confirmed=False)
                await asyncio.sleep(chance.uniform(0, 2.0))
                users.confirm(f"{user_id}-again")

    async def _use(self, device: Person) -> None:
        chance = device.chance
        rounds = chance.randint(1, 3)
        for _ in range(rounds):
            await asyncio.sleep(chance.uniform(0, device.world.plan.seconds / rounds))
            if chance.random() < 0.3:
                await self._hurry(device)
            # Those who are not logged in have a cart of their own.
            cart_id = f"g-{self.number}" if chance.random() < 0.2 else self.cart
            skus = list(SKUS[:3] if chance.random() < 0.9 else SKUS)
            chance.shuffle(skus)
            for sku in skus[: chance.randint(1, 3)]:
                await self._fill(device, cart_id, sku)
            await self._check_out(device, cart_id)

    async def _hurry(self, device: Person) -> None:
        """Several clicks before the first is answered."""
        clicks = [(cart.AddLine(sku, 1, PRICES[sku]), device.key()) for sku in device.chance.choices(SKUS[:3], k=4)]
        await asyncio.gather(*(device.ask("cart", self.cart, command, key) for command, key in clicks))

    async def _fill(self, device: Person, cart_id: str, sku: str) -> None:
        chance = device.chance
        key = device.key() if chance.random() < 0.8 else None
        command = cart.AddLine(sku, chance.randint(1, 2), PRICES[sku])
        new, self.new = self.new and cart_id == self.cart, False
        answer = await device.ask("cart", cart_id, command, key, creates=new)
        if key is not None and chance.random() < 0.2:
            await device.ask("cart", cart_id, command, key)
        if answer is not None and isinstance(answer.reply, cart.CartView) and answer.reply.lines:
            line = chance.choice(answer.reply.lines)
            if chance.random() < 0.2:
                await device.ask("cart", cart_id, cart.ChangeLine(line.id, line.quantity))
            elif chance.random() < 0.1:
                await device.ask("cart", cart_id, cart.RemoveLine(line.id), device.key())
        if chance.random() < 0.4:
            await device.read("cart", cart_id)
        await device.idle(0.3)

    async def _check_out(self, device: Person, cart_id: str) -> None:
        chance = device.chance
        order_id = f"{EPOCH + int(device.world.loop.time() * 1000):014d}-{device.name}"
        owner = f"user:{cart_id}" if cart_id.startswith("user") else f"guest:{cart_id}"
        contact_id = f"contact-{order_id}"
        if not await self._keep_contact(Contact(contact_id, order_id, owner, self.email, self.email)):
            return
        command = cart.CheckOut(
            order_id=order_id,
            owner=owner,
            contact_id=contact_id,
            terms=TERMS,
            method="cash_on_delivery" if chance.random() < 0.15 else "card",
            payment_reference=chance.choice(MEANS),
            prices=PRICES,
            deadline=chance.choice((5_000, 15_000, 40_000)),
            capture_method=self.shop.gateway.capture_method,
        )
        key = device.key()
        self.shop.orders[order_id] = cart_id
        follow = chance.random() < 0.5
        if chance.random() < 0.2:
            await device.ask("cart", cart_id, msgspec.structs.replace(command, prices={}), key, tries=1)
        answer = await device.ask("cart", cart_id, command, key, follow=follow)
        if answer is not None and isinstance(answer.reply, Refused):
            with suppress(ConnectionError):
                await self.shop.contacts.drop(contact_id)
        if answer is not None and isinstance(answer.reply, cart.CheckedOut | order.OrderView):
            self.shop.checked_out[order_id] = None
            if follow:
                again = await device.ask("cart", cart_id, command, key)
                if again is not None and not isinstance(again.reply, cart.CheckedOut):
                    device.world.violate(f"a checkout to {order_id} was told {again.reply} the second time")
            await self._see_through(device, order_id)

    async def _keep_contact(self, contact: Contact) -> bool:
        """As whoever checks out: only with a session that is accepted."""
        kind, _, name = contact.owner.partition(":")
        if kind == "user" and not self.shop.users.may_act(name):
            return False
        try:
            await self.shop.contacts.keep(contact)
        except ConnectionError:
            return False
        return True

    async def _see_through(self, device: Person, order_id: str) -> None:
        """What a shopper may do while an order is under way."""
        chance = device.chance
        if chance.random() < 0.15:
            await device.ask("order", order_id, order.Cancel("customer"), device.key())
        for _ in range(chance.randint(1, 4)):
            answer = await device.watch("order", order_id, chance.uniform(0.5, 5.0))
            if answer is None or not isinstance(answer.reply, order.OrderView):
                continue
            view = answer.reply
            if view.next_action is not None and chance.random() < 0.7:
                self.shop.gateway.act(order_id, chance.random() < 0.7)
            elif view.payment_status in ("failed", "action_required", "processing") and chance.random() < 0.6:
                command = order.PayAgain("card", chance.choice(MEANS))
                await device.ask("order", order_id, command, device.key())
            elif chance.random() < 0.15:
                await device.ask("order", order_id, order.Cancel("customer"), device.key())
            await device.idle(2.0)


class Staff:
    """Fills the shelves, packs and ships in parcels, hears from carriers, gives money back."""

    def __init__(self, shop: Shop, person: Person) -> None:
        self.shop = shop
        self.person = person

    async def stock_up(self) -> None:
        for sku, units in STOCKED.items():
            if units:
                await self._receive(sku, units)

    async def _receive(self, sku: str, units: int) -> None:
        await self.person.ask("stock", sku, stock.Receive(units), self.person.key(), tries=60)

    async def work(self, seconds: float) -> None:
        person, chance = self.person, self.person.chance
        until = person.world.loop.time() + seconds
        while person.world.loop.time() < until:
            await person.idle(2.0)
            if chance.random() < 0.1:
                await self._receive(chance.choice(SKUS), chance.randint(1, 3))
            elif chance.random() < 0.05:
                await person.ask(
                    "stock", chance.choice(SKUS), stock.Correct(chance.randint(0, 20), "count"), person.key()
                )
            elif self.shop.checked_out:
                await self._handle(chance.choice(list(self.shop.checked_out)))

    async def _handle(self, order_id: str) -> None:
        person, chance = self.person, self.person.chance
        answer = await person.read("order", order_id)
        if answer is None or not isinstance(answer.reply, order.OrderView):
            return
        match answer.reply.status:
            case "confirmed" if chance.random() < 0.2:
                await person.ask("order", order_id, order.Cancel("staff"), person.key())
            case "confirmed":
                await person.ask("order", order_id, order.Pack(), person.key())
            case "packed":
                await self._ship(order_id, answer.reply)
            case "shipped" if chance.random() < 0.4:
                await person.ask("order", order_id, order.Deliver(), person.key())
            case "shipped" | "delivered" if chance.random() < 0.2:
                await self._hear_carrier(order_id, answer.reply)
            case _:
                return
        if chance.random() < 0.3 and answer.reply.paid:
            await self._refund(order_id, answer.reply)

    async def _ship(self, order_id: str, view: order.OrderView) -> None:
        """All of it, or a parcel with some."""
        person, chance = self.person, self.person.chance
        ship: order.Ship | order.AddShipment = order.Ship("post", "1Z")
        if chance.random() < 0.6:
            line = chance.choice(view.lines)
            ship = order.AddShipment("post", f"1Z{len(view.shipments)}", {line.sku: chance.randint(1, line.quantity)})
        await person.ask("order", order_id, ship, person.key())
        if view.shipments and chance.random() < 0.3:
            await self._hear_carrier(order_id, view)

    async def _hear_carrier(self, order_id: str, view: order.OrderView) -> None:
        """News of every parcel, some of it twice and late."""
        person, chance = self.person, self.person.chance
        for shipment in view.shipments:
            step = chance.choice(CARRIER_STEPS)
            news = order.NoteShipment(shipment.id, step, view.placed_at + chance.randint(0, 60_000), by="carrier")
            key = person.key() if chance.random() < 0.7 else None
            for _ in range(chance.choice((1, 1, 1, 2))):
                await person.ask("order", order_id, news, key)

    async def _refund(self, order_id: str, view: order.OrderView) -> None:
        """Money alone, or units: put back or not, sent before or not, or nobody says."""
        person, chance = self.person, self.person.chance
        sku = chance.choice(view.lines).sku
        lines = {sku: chance.randint(1, 2)} if chance.random() < 0.4 else {}
        discarded = {sku: 1} if chance.random() < 0.4 else {}
        shipped = {sku: chance.randint(0, 2)} if chance.random() < 0.3 else {}
        amount = None if lines or discarded else chance.randint(1, 200)
        refund = order.Refund(person.key(), amount, lines, "goodwill", discarded, shipped)
        await person.ask("order", order_id, refund, person.key())
