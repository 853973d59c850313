"""What the audit says of money set aside: at the gateway, in the session, and of the order that counts on it."""

import pytest

from actors import order
from actors.payment import Capture, Close, GatewayNotified, IntentCreated, LookedUp, Open, Outcome, TryMethod
from serve.audit.findings import Findings
from serve.audit.flows import Flows
from serve.audit.money import Account, Paying, check_money
from serve.audit.replayed import Replayed
from tests.unit.test_order import TOTAL, Desk, reserved
from tests.unit.test_payment import Session

ASIDE = Account("o", "EUR", TOTAL, "requires_capture", 0, 0, 0, 0)
LETTING_GO = "payments that are to be let go of"
ASKED = "payments that are to be captured or let go of"


def authorised() -> Session:
    opened = Open("o", TOTAL, "EUR", "card", "pm_1", 9_000, "u1", "manual")
    return Session(opened, IntentCreated("pi", 1, Outcome("authorised")))


def closing() -> Session:
    """The bank let go of it, and its intent is to be cancelled."""
    session = authorised()
    session.tell(GatewayNotified("pi"))
    session.tell(LookedUp(1, Outcome("failed")))
    return session


def standing(*commands: order.COMMANDS) -> Desk:
    desk = reserved()
    desk.tell(order.PaymentAuthorised(TOTAL))
    for command in commands:
        desk.tell(command)
    return desk


def told(session: Session, *commands: Capture | Close | TryMethod) -> Session:
    for command in commands:
        session.tell(command)
    return session


def found(desk: Desk, session: Session, account: Account | None = ASIDE) -> Findings:
    made = Findings()
    order_, paid = Replayed("order", "o", desk.state), Replayed("payment", "o", session.state)
    check_money(Paying("o", order_, paid, account, recent=False), Flows(None), made)
    return made


@pytest.mark.parametrize(
    ("desk", "session", "waiting"),
    [
        (standing(), authorised(), []),
        (standing(order.Pack()), told(authorised(), Capture()), [ASKED]),
        (standing(order.Pack()), told(closing(), Capture()), [ASKED]),
        (standing(), closing(), [ASKED]),
        (standing(order.Cancel("staff")), told(authorised(), Close("staff")), [LETTING_GO]),
        (reserved(), told(authorised(), Close("deadline")), ["orders that are under way"]),
    ],
)
def test_what_is_set_aside_and_seen_to_is_not_damage(desk: Desk, session: Session, waiting: list[str]) -> None:
    made = found(desk, session)
    assert (made.damage, list(made.waiting)) == ([], waiting)


@pytest.mark.parametrize(
    ("desk", "session", "sentence"),
    [
        (
            standing(order.Pack()),
            authorised(),
            "Order o is packed, and nobody captures what was set aside for it.",
        ),
        (
            standing(order.Cancel("staff")),
            authorised(),
            f"{TOTAL} are set aside for o, which is cancelled, and nobody lets go of them.",
        ),
        (Desk(), authorised(), f"{TOTAL} are set aside for o, which is no order, and nobody lets go of them."),
        (reserved(), authorised(), f"Session o has set {TOTAL} aside; its order is reserved."),
        (
            standing(order.Cancel("staff")),
            Session(),
            f"The gateway has set {TOTAL} aside for session o, which does not count on it.",
        ),
    ],
)
def test_what_nobody_sees_to_is_damage(desk: Desk, session: Session, sentence: str) -> None:
    assert found(desk, session).damage == [sentence]
