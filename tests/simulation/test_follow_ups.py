"""What follows from events is really looked at: each invariant says when it is broken, in a life that kept them all."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from actors import order
from tests.simulation import checks
from tests.simulation.follow_ups import Facts, check_follow_ups
from tests.simulation.mails import Intent
from tests.simulation.plan import plan_of
from tests.simulation.run import Simulation
from tests.simulation.stores import Contact

SEED = 30
"""In it somebody with orders is gone, a guest's order was adopted, and an order left in parcels."""


class Life:
    """One that was lived to its end, with a name for somebody and something of each sort."""

    def __init__(self) -> None:
        simulation = Simulation(plan_of(SEED))
        simulation.world.loop.run(simulation.main())
        assert simulation.world.violations == []
        self.database = simulation.world.database
        self.services = simulation.services
        self.entities = checks.entities_of(self.database)
        self.facts = Facts(self.database, self.entities, self.services)
        users = self.services.users.accounts.values()
        self.gone = next(one for one in users if not one.there and self.facts.owned(one))
        orders = self.facts.orders.values()
        self.adopted = next(one for one in orders if one.guest and self.is_there(one))
        self.shipped = next(one for one in orders if one.shipments)

    def is_there(self, state: order.OrderState) -> bool:
        return self.services.users.accounts[state.owner.removeprefix("user:")].there

    def contact(self, state: order.OrderState) -> Contact:
        return self.services.contacts.rows[state.contact_id]

    def wrong(self) -> list[str]:
        return list(check_follow_ups(self.database, self.entities, self.services))


@pytest.fixture(scope="module")
def life() -> Life:
    return Life()


Damage = Callable[[Life, pytest.MonkeyPatch], str]


def contact_left(life: Life, patch: pytest.MonkeyPatch) -> str:
    name = life.facts.owned(life.gone)[0]
    patch.setattr(life.contact(life.facts.orders[name]), "email", "x@home")
    return f"order {name} of {life.gone.id}, who is gone, still has its contact"


def mail_left(life: Life, patch: pytest.MonkeyPatch) -> str:
    name = next(iter(life.services.mails.intents))
    patch.setattr(life.services.mails.intents[name], "owner", f"user:{life.gone.id}")
    patch.setitem(life.services.mails.files, name, "x@home")
    return f"the mail {name} of {life.gone.id}, who is gone, is still there"


def still_a_guests(life: Life, patch: pytest.MonkeyPatch) -> str:
    row = life.contact(life.adopted)
    patch.setitem(life.services.contacts.rows, row.id, replace(row, owner=life.adopted.guest))
    return f"order {life.adopted.id} is {life.adopted.owner}'s, its contact is"


def given_to_another(life: Life, patch: pytest.MonkeyPatch) -> str:
    row = life.contact(life.adopted)
    patch.setitem(life.services.contacts.rows, row.id, replace(row, given="x@home"))
    return f"order {life.adopted.id} of x@home was given to {life.adopted.owner}"


def note_lost(life: Life, patch: pytest.MonkeyPatch) -> str:
    notes = life.services.users.activity
    name, note = next(item for item in notes.items() if item[1].what == "order_confirmed")
    patch.delitem(notes, name)
    return f"of {note.user_id}'s orders "


def page_short(life: Life, patch: pytest.MonkeyPatch) -> str:
    notes = life.services.users.activity
    name, note = next(item for item in notes.items() if item[1].what == "registered")
    patch.delitem(notes, name)
    return f"{name} is not on {note.user_id}'s page"


def capture_lost(life: Life, patch: pytest.MonkeyPatch) -> str:
    rows = life.services.transactions.rows
    session = next(row.session for row in rows if row.kind == "capture")
    patch.setattr(life.services.transactions, "rows", [row for row in rows if row.kind != "capture"])
    return f"session {session} has "


def mail_lost(life: Life, patch: pytest.MonkeyPatch) -> str:
    name = next(iter(life.services.mails.intents))
    patch.delitem(life.services.mails.intents, name)
    return f"mails differ from what events make: [{name}]"


def mail_too_many(life: Life, patch: pytest.MonkeyPatch) -> str:
    patch.setitem(life.services.mails.intents, ("e", "receipt"), Intent("o", "o", 0.0, 1, "sent", busy=False))
    return "mails differ from what events make: [('e', 'receipt')]"


def mailed_twice(life: Life, patch: pytest.MonkeyPatch) -> str:
    name = next(name for name, times in life.services.mails.delivered.items() if times == 1)
    patch.setitem(life.services.mails.delivered, name, 9)
    return f"the mail {name} was delivered 9 times"


def sent_too_much(life: Life, patch: pytest.MonkeyPatch) -> str:
    made = checks.state_at

    def with_more(kind: str, name: str, entities: checks.Entities) -> object:
        state = made(kind, name, entities)
        if (kind, name) != ("order", life.shipped.id):
            return state
        parcel = state.shipments[0]
        more = msgspec.structs.replace(parcel, lines=dict.fromkeys(parcel.lines, 9))
        return msgspec.structs.replace(state, shipments=(more, *state.shipments[1:]))

    patch.setattr("tests.simulation.follow_ups.state_at", with_more)
    return f"of order {life.shipped.id}, {life.shipped.status}, "


@pytest.mark.parametrize(
    "damage",
    [
        contact_left,
        mail_left,
        still_a_guests,
        given_to_another,
        note_lost,
        page_short,
        capture_lost,
        mail_lost,
        mail_too_many,
        mailed_twice,
        sent_too_much,
    ],
)
def test_each_invariant_of_what_follows_is_looked_at(
    life: Life, damage: Damage, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert life.wrong() == []
    sentence = damage(life, monkeypatch)
    wrong = life.wrong()
    assert any(one.startswith(sentence) for one in wrong), (sentence, wrong)
